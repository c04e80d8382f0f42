"""Whether averaging laws pays: mixtures by leave-future-out and with equal weights beside each law alone.

    python -m benchmarks.averaging --json averaging.json
    python -m benchmarks.averaging --set looped_r1 --distance near --samples 250

Four models (Chinchilla and the coupled law, each with and without drift) are fitted to the training rows of
every development split, and refitted without their largest budgets; the refits' forecasts of those give the
weights. The test rows take no part. All fits of a model are one padded shape, so that each model compiles
once; `--batch` of them run together. The table is that of `benchmarks.calibration`; the last lines say what
the weights were.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from lossband.evaluation import compare as stacking

from .calibration import averaged, scored
from .sets import splits

MODELS = {
    "plain": dict(law="chinchilla", drift=None),
    "plain+drift": dict(law="chinchilla"),
    "coupled": dict(law="coupled", drift=None),
    "coupled+drift": dict(law="coupled"),
}
MIXTURES = {
    "stacked": tuple(MODELS),
    "equal": tuple(MODELS),
    "stacked, drift only": ("plain+drift", "coupled+drift"),
    "equal, drift only": ("plain+drift", "coupled+drift"),
}


def averages(chosen, *, cuts, num_warmup, num_samples, batch, least):
    """One `Posterior` of all models a split."""
    return stacking.averaged_many(
        [s.train for s in chosen],
        MODELS,
        cuts=cuts,
        num_warmup=num_warmup,
        num_samples=num_samples,
        batch=batch,
        least=least,
    )


def mixture(average, name):
    """The forecast that a mixture makes of the models it takes, with the stacking weights rescaled, or with equal ones."""
    names = MIXTURES[name]
    weights = {n: average.weights[n] if name.startswith("stacked") else 1.0 for n in names}
    if not sum(weights.values()):  # all that it takes were left out
        weights = dict.fromkeys(names, 1.0)
    return stacking.average(average.fits, weights=weights)


def forecasts(name, mixed, chosen):
    """Predictive draws at every split's test rows, the worst R-hat and the divergences of the fits behind them."""
    results = []
    for average, split in zip(mixed, chosen, strict=True):
        parts = [average.fits[n] for n in MIXTURES.get(name, (name,))]
        forecast = mixture(average, name) if name in MIXTURES else parts[0]
        rhat, divergences = max(p.health.rhat_max for p in parts), sum(p.health.divergences for p in parts)
        results.append((forecast.draws(split.test).to_numpy(), rhat, divergences))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", help="only these sets")
    parser.add_argument("--distance", action="append", help="only these distances")
    parser.add_argument("--cuts", type=int, default=4, help="cut-offs of leave-future-out, at most")
    parser.add_argument("--warmup", type=int, default=400)
    parser.add_argument("--samples", type=int, default=500, help="draws per chain")
    parser.add_argument("--batch", type=int, default=64, help="fits that run together")
    parser.add_argument(
        "--rows", type=int, default=0, help="pad to at least so many rows; 0: to the largest table's"
    )
    parser.add_argument("--json", help="write every split's scores here")
    args = parser.parse_args()
    chosen = [
        s
        for s in splits()
        if (not args.set or s.set in args.set) and (not args.distance or s.distance in args.distance)
    ]
    rows = args.rows or 1 << (max(len(s.train) for s in chosen) - 1).bit_length()
    start = time.time()
    mixed = averages(
        chosen,
        cuts=args.cuts,
        num_warmup=args.warmup,
        num_samples=args.samples,
        batch=args.batch,
        least=(rows, 32, 0),
    )
    print(f"{len(chosen)} splits in {time.time() - start:.0f} s", file=sys.stderr)
    scores = pd.concat(
        [scored(n, chosen, forecasts(n, mixed, chosen)) for n in (*MODELS, *MIXTURES)], ignore_index=True
    )
    print(scores.drop(columns=["group"]).round(4).to_string(index=False))
    print(averaged(scores).round(3).to_string())
    keys = [f"{s.set} {s.distance}" for s in chosen]
    weights = pd.DataFrame([a.weights for a in mixed], index=keys).round(2)
    weights["notes"] = [", ".join(note.code for note in a.notes) for a in mixed]
    print(weights.to_string())
    print(f"mean weights {np.round(weights[list(MODELS)].mean(), 2).to_dict()}")
    if args.json:
        scores.to_json(args.json, orient="records", indent=1)


if __name__ == "__main__":
    main()
