"""lossband: the first fit of a process, and the ones after it."""

import time
from unittest import mock

import numpy as np

from .compiling import Compiling
from .quality import quality

COEFFICIENTS = ("E", "A", "alpha", "B", "beta", "sigma")
WARM = 5  # fits after the first one


def run(table, *, law, drift=None, noise="student-t", method="nuts", seed=0, warm=WARM, **counts):
    """Figures of the first fit, `seconds`, `draws`, `gradients` and when it was there, and of the `warm` ones."""
    import jax

    import lossband as lb

    jax.config.update(
        "jax_cpu_enable_async_dispatch", False
    )  # calls return when they are done: the phases are theirs
    fit = lb.fit
    options = dict(law=law, drift=_drift(drift), noise=noise, method=method, **counts)
    compiling, watch = Compiling(), Stopwatch()
    with mock.patch("lossband.inference.batches._bar", lambda *_: watch):
        post = fit(table, seed=seed, **options)
        report = _figures(post, watch) | {"ready": time.time(), "compile": compiling.seconds}
        report["warm"] = []
        for i in range(warm):
            watch = Stopwatch()
            post = fit(table, seed=seed + 1 + i, **options)
            figures = _figures(post, watch)
            draws, gradients = figures.pop("draws"), figures.pop("gradients")
            report["warm"].append(figures | quality(draws, gradients))
    seconds = report.pop("seconds")
    spent = report.pop("compile")
    return report | {"seconds": {"compile": spent, "run": sum(seconds.values()) - spent}}


def _drift(name):
    import lossband as lb

    return {None: None, "default": "default", "every": lb.Drift(averaged=False)}[name]


def _figures(post, watch):
    draws = {name: np.asarray(post.sites[name]) for name in COEFFICIENTS if name in post.sites}
    draws |= {f"ln {n}": np.log(post.sites[n]) for n in ("A_natural", "B_natural") if n in post.sites}
    figures = {"seconds": watch.stop(), "draws": draws, "gradients": None}
    if post.health.pareto_k is not None:
        return figures | {"pareto_k": post.health.pareto_k, "ess_importance": post.health.ess_min}
    return figures | {
        "gradients": sum(fit.stats["steps"].sum() for _, fit in post.parts.values()),
        "divergences": post.health.divergences,
    }


class Stopwatch:
    """A progress bar that keeps, in place of showing it, how long each phase took."""

    NAMES = {
        "finding the mode": "mode",
        "warming up": "warmup",
        "sampling": "sampling",
        "finishing": "finish",
    }

    def __init__(self):
        self.seconds, self.phase, self.since = {}, "prepare", time.perf_counter()

    def set_description(self, text):
        now = time.perf_counter()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self.since
        self.phase, self.since = self.NAMES.get(text, text), now

    def stop(self):
        self.set_description("after")
        return self.seconds

    def update(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False
