"""One-variable curves: fit the small end of 56 published learning curves, forecast the large end.

    python -m benchmarks.curves1d default power m4-nuts delta-method
    python -m benchmarks.curves1d --domain vision --json curves1d.json default

The split is the published one (Alabdulmohsin et al. 2022). Per curve, over its held-out rows: RMSLE =
sqrt(mean((ln median - ln y)^2)); the mean log predictive density of y, in y's own scale; MSCE; coverage. Then
the mean over the curves of a domain. Published for all 72 vision curves, of which 36 are here: RMSLE .0415
(M4), .0406 (BNSL), .0422 (MCMC of M4), .0280 (NSL-PFN); log density 3.02 (MCMC of M4), 3.33 (NSL-PFN);
language: NSL-PFN .0194 and 2.77. Beside them, split as their tables say: twelve curves of small GPTs over
width (final losses), and two of double descent.
"""

import argparse
import functools
import multiprocessing
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from . import delta, m4_nuts
from .sets import DATA, Curve, curves, further_curves

VARIANTS = {  # name -> law, noise, drift of a lossband fit
    "default": (None, "student-t", "default"),
    "drift": (None, "student-t", lb.Drift(averaged=False)),
    "power+drift": ("power", "student-t", lb.Drift(averaged=False)),
    "power": ("power", "student-t", None),
    "power+normal": ("power", "normal", None),
    "normal": (None, "normal", "default"),
}
RIVALS = {"delta-method": delta.forecast, "m4-nuts": m4_nuts.forecast}
DOMAINS = {
    "IC": "vision",
    "NMT": "translation",
    "LM": "language",
    "BB": "BIG-bench",
    "final": "nanoGPT",
    "descent": "double descent",
}


@dataclass(frozen=True)
class Forecast:
    """One model's forecast of the held-out rows of one curve.

    draws: `(sample, row)` of the loss. log_density: `(row,)` log predictive density of the losses that were
    measured, in their own scale.
    """

    curve: Curve
    draws: np.ndarray
    log_density: np.ndarray

    @property
    def observed(self):
        return self.curve.loss[~self.curve.train]


def tables(curve):
    """Training and held-out rows of a curve as lossband reads them: x stands in the column `tokens`."""
    rows = pd.DataFrame({"run": curve.run, "tokens": curve.x, "loss": curve.loss})
    return rows[curve.train].reset_index(drop=True), rows[~curve.train].reset_index(drop=True)


def forecast_posterior(curve, post):
    """A `Forecast` from a lossband posterior of the curve's training rows.

    The density is the exact mixture over its draws.
    """
    _, test = tables(curve)
    return Forecast(curve, post.draws(test).to_numpy(), post.log_score(test))


def forecast_all(name, chosen, *, seed=0, processes=1, **options):
    """Forecasts of one model for every curve, in their order.

    Args:
        processes: curves that a rival fits at once; lossband fits them all as one batch.
        options: of `lossband.fit_many`.
    """
    if name in RIVALS:
        one = functools.partial(_rival, name, seed)
        if processes == 1:
            return list(map(one, chosen))
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            return pool.map(one, chosen, chunksize=1)
    law, noise, drift = VARIANTS[name]
    trains = [tables(c)[0] for c in chosen]
    posteriors = lb.fit_many(trains, law, noise=noise, drift=drift, seed=seed, **options)
    return [forecast_posterior(c, post) for c, post in zip(chosen, posteriors, strict=True)]


def _rival(name, seed, c):
    return Forecast(
        c, *RIVALS[name](c.x[c.train], c.loss[c.train], c.x[~c.train], c.loss[~c.train], seed=seed)
    )


def score_curves(forecasts):
    """One row a curve.

    Domain, run, rows, rmsle, log_density (mean over rows, own scale), msce, c50, c90, bias and width_90 of ln
    loss.
    """
    return pd.DataFrame([_scored(f) for f in forecasts])


def _scored(f):
    log_draws, truth = np.log(f.draws), np.log(f.observed)
    error = np.median(log_draws, axis=0) - truth
    c50, c90 = score.coverage(log_draws, truth, (0.5, 0.9))
    return {
        "domain": DOMAINS[f.curve.domain],
        "run": f.curve.run,
        "rows": len(truth),
        "rmsle": np.sqrt(np.mean(error**2)),
        "log_density": f.log_density.mean(),
        "msce": score.msce(log_draws, truth),
        "c50": c50,
        "c90": c90,
        "bias": error.mean(),
        "width_90": score.sharpness(log_draws).mean(),
    }


def averaged(scores):
    """Means over the curves of each model and domain."""
    columns = ["rmsle", "log_density", "msce", "c50", "c90", "bias", "width_90"]
    groups = scores.groupby(["model", "domain"], sort=False)
    return groups.size().rename("curves").to_frame().join(groups[columns].mean())


def main():
    names = [*VARIANTS, *RIVALS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["default", "power", *RIVALS], choices=names)
    parser.add_argument("--domain", action="append", choices=DOMAINS.values(), help="only these domains")
    parser.add_argument(
        "--num-samples", type=int, default=1000, help="draws per chain, four chains (lossband models)"
    )
    parser.add_argument("--processes", type=int, default=1, help="curves that a rival fits at once")
    parser.add_argument("--data", default=DATA, help="folder of the public measurements")
    parser.add_argument("--json", help="write every curve's scores here")
    args = parser.parse_args()
    known = [*curves(args.data), *further_curves(args.data)]
    chosen = [c for c in known if not args.domain or DOMAINS[c.domain] in args.domain]
    parts = []
    for name in dict.fromkeys(args.models):
        start = time.time()
        options = {"processes": args.processes} if name in RIVALS else {"num_samples": args.num_samples}
        forecasts = forecast_all(name, chosen, **options)
        seconds = time.time() - start
        parts.append(score_curves(forecasts).assign(model=name))
        print(
            f"{name}: {len(chosen)} curves in {seconds:.0f} s, {seconds / len(chosen):.2f} s a curve",
            flush=True,
        )
    scores = pd.concat(parts, ignore_index=True)
    print(averaged(scores).round(4).to_string())
    if args.json:
        scores.to_json(args.json, orient="records", indent=1)


if __name__ == "__main__":
    main()
