"""Does a fit find what made the data? Twenty tables from the prior of every law, fitted as one batch.

    python -m benchmarks.recovery                     # every law
    python -m benchmarks.recovery chinchilla --tables 100

Coefficients, scales and noise are drawn from the model's own prior on a fixed table of inputs; the truth
should lie inside the 90 % interval in 13 to 20 of 20 (99.8 % of the time, if all is right).
"""

import argparse
import time
from dataclasses import replace

import jax
import numpy as np
import numpyro
import pandas as pd

from lossband.inference.fit import sample
from lossband.inference.sampler import Sampler
from lossband.laws import LAWS
from lossband.model.problem import coefficients, pose

LAW_NAMES = tuple(LAWS)
# inputs of a law that takes them by the table
CHOSEN = {
    "curve": ("tokens", "lr_area", "lr_mean"),
    "shape": ("params", "ff_ratio", "head_dim"),
    "sparse": ("params", "active", "total", "tokens"),
    "mixture": ("params", "proportion_web", "proportion_code"),
    "trajectory": ("params", "tokens", "lr_area", "lr_mean"),
}


def design(law, rows=60, seed=0):
    """A table of inputs like a real sweep's, with placeholder losses that set the unit.

    A median of 3 nats.
    """
    rng = np.random.default_rng(seed)
    ranges = {
        "params": (1e7, 1e10),
        "tokens": (1e8, 1e11),
        "loops": (1, 8),
        "params_once": (1e6, 1e8),
        "params_rec": (1e7, 1e9),
        "lr_area": (1.0, 1e3),
        "lr_mean": (1e-5, 1e-3),
        "unique_tokens": (3e7, 1e10),
        "max_loops": (2, 8),
        "position": (1, 1024),
        "step": (10, 1e5),
        "ff_ratio": (0.5, 16),
        "head_dim": (8, 256),
        "experts": (1, 512),
        "streams": (1, 8),
        "active": (1e7, 1e10),
        "total": (1e10, 1e11),
        "vocabulary": (4e3, 1e5),
        "characters": (1e8, 1e11),
        "batch": (16, 2048),
        "lr": (2e-4, 5e-3),
        "bits": (2, 16),
        "proportion_web": (0.1, 0.9),
        "proportion_code": (0.05, 0.5),
    }
    inputs = LAWS[law].inputs or CHOSEN.get(law, ("tokens",))
    table = pd.DataFrame({name: np.exp(rng.uniform(*np.log(ranges[name]), rows)) for name in inputs})
    if "loops" in table:
        table["loops"] = rng.choice([1, 2, 4, 8], rows)
    parts = [name for name in inputs if name.startswith("proportion_")]
    table[parts] = table[parts].div(table[parts].sum(axis=1), axis=0)
    return table.assign(loss=np.exp(rng.normal(np.log(3.0), 0.15, rows)))


def simulate(problem, key):
    """The problem with its losses drawn from its own prior, and the coefficients that made them."""
    with numpyro.handlers.seed(rng_seed=key), numpyro.handlers.trace() as trace:
        log_loss = problem.model.likelihood(problem.runs, problem.measured).sample(jax.random.fold_in(key, 1))
    truth = {name: float(site["value"]) for name, site in trace.items() if site["type"] == "sample"}
    mask = problem.measured.mask
    return replace(problem, measured=replace(problem.measured, log_loss=np.where(mask, log_loss, 0.0))), truth


def recover(law, *, tables=20, noise="student-t", drift=None, num_samples=500, seed=0):
    """For each coefficient and scale, in how many of the tables the 90 % interval holds the truth.

    And the worst R-hat.
    """
    problem = pose(design(law), law, noise=noise, drift=drift)
    with jax.enable_x64(True):
        made = [simulate(problem, key) for key in jax.random.split(jax.random.key(seed), tables)]
    posteriors = sample([p for p, _ in made], Sampler(num_samples=num_samples), batch=tables, seed=seed)
    hits = {}
    for post, (_, truth) in zip(posteriors, made, strict=True):
        for name, value in truth.items():
            low, high = np.quantile(post.sites[name], [0.05, 0.95])
            hits[name] = hits.get(name, 0) + int(low <= value <= high)
    return hits, max(post.health.rhat_max for post in posteriors), coefficients(problem)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("laws", nargs="*", default=LAW_NAMES)
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--drift", action="store_true", help="with the default drift")
    args = parser.parse_args()
    for law in args.laws:
        start = time.time()
        hits, rhat, _ = recover(law, tables=args.tables, drift="default" if args.drift else None)
        shown = ", ".join(f"{name} {count}" for name, count in hits.items())
        print(
            f"{law:12s} of {args.tables}: {shown}   (R-hat max {rhat:.3f}, {time.time() - start:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
