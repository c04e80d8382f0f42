"""Calibration of the bands: every model on every development split, out of sample.

    python -m benchmarks.calibration plain exact default huber
    python -m benchmarks.calibration --set chinchilla --json calibration.json default
    python -m benchmarks.calibration huber ssl-separable ssl-joint --processes 2
    python -m benchmarks.calibration --ablation

Fit the smaller budgets of each sweep, forecast the larger ones, score ln loss. Scores are averaged within a
split, then over the splits of a set, the sets of a group, and the groups, so that every sweep weighs the
same. CRPS is a ratio to the plain law's on the same splits (geometric mean); the log score is a difference to
it, in nats per row.
"""

import argparse
import functools
import multiprocessing
import sys
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from . import huber, simple_laws
from .sets import DATA, splits

MODELS = {
    "plain": dict(law="chinchilla", drift=None),
    "plain+drift": dict(law="chinchilla"),
    "coupled": dict(law="coupled", drift=None),
    "coupled+drift": dict(law="coupled"),
    "exact": dict(drift=None),
    "default": dict(),
    "normal": dict(noise="normal"),
    "drift": dict(drift=lb.Drift(averaged=False)),
    "no edge": dict(drift=lb.Drift(edge=0.0)),
    "run": dict(noise="student-t+run"),
    "run+ou": dict(noise="student-t+run+ou"),
    "ou": dict(noise="student-t+ou"),
}
ABLATION = {  # the default with one part switched off, or on: what is switched -> model
    "default": "default",
    "- averaging": "drift",
    "- drift": "exact",
    "- loops": "coupled+drift",
    "- edge": "no edge",
    "- coupling": "plain+drift",
    "- coupling, - drift": "plain",
    "- robust noise": "normal",
    "+ run effect": "run",
    "+ OU": "ou",
    "+ run effect, + OU": "run+ou",
}
RIVALS = {"huber": huber.forecast} | {
    name: functools.partial(simple_laws.forecast, law=name) for name in simple_laws.LAWS
}
LEVELS = (0.5, 0.8, 0.9, 0.95)


def forecasts(model, chosen, *, seed=0, options=None, processes=1):
    """Predictive draws `(sample, row)` of a model at every split's test rows, and the worst R-hat and divergences of each fit."""
    if model in RIVALS:
        return [(draws, np.nan, np.nan) for draws in _rival(model, chosen, seed, processes)]
    posteriors = lb.fit_many([s.train for s in chosen], seed=seed, **(options or MODELS[model]))
    return [
        (post.draws(s.test).to_numpy(), post.health.rhat_max, post.health.divergences)
        for post, s in zip(posteriors, chosen, strict=True)
    ]


def _rival(model, chosen, seed, processes):
    """Draws of a rival at every split, `processes` splits at once."""
    one = functools.partial(_rival_split, RIVALS[model], seed)
    if processes == 1:
        return list(map(one, chosen))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(one, chosen, chunksize=1)


def _rival_split(forecast, seed, split):
    return forecast(split.train, split.test, seed=seed)


def scored(model, chosen, results):
    """One row a split: coverage at each level, CRPS and log score of ln loss, and R-hat."""
    rows = []
    for split, (draws, rhat, divergences) in zip(chosen, results, strict=True):
        log_draws, truth = np.log(draws), np.log(split.test["loss"].to_numpy())
        covered = score.coverage(log_draws, truth, LEVELS)
        rows.append(
            {
                "model": model,
                "group": split.group,
                "set": split.set,
                "distance": split.distance,
                "rows": len(truth),
                **{f"c{100 * level:g}": c for level, c in zip(LEVELS, covered, strict=True)},
                "crps": score.crps(log_draws, truth).mean(),
                "log_score": score.log_score(log_draws, truth).mean(),
                "bias": (np.median(log_draws, 0) - truth).mean(),
                "rhat": rhat,
                "divergences": divergences,
            }
        )
    return pd.DataFrame(rows)


def averaged(scores, baseline="plain"):
    """The table of models.

    Coverage averaged over groups, CRPS ratio and log score difference to the plain law.
    """
    keys = ["set", "distance"]
    base = scores[scores.model == baseline].set_index(keys)
    scores = scores.join(base[["crps", "log_score"]].add_suffix("_plain"), on=keys)
    scores["crps_ratio"] = np.log(scores.crps / scores.crps_plain)
    scores["log_score_gain"] = scores.log_score - scores.log_score_plain
    columns = ["c50", "c80", "c90", "c95", "crps_ratio", "log_score_gain"]
    by_set = scores.groupby(["model", "group", "set"], sort=False)[columns].mean()
    by_group = by_set.groupby(["model", "group"], sort=False).mean()
    table = by_group.groupby("model", sort=False).mean()
    table["crps_ratio"] = np.exp(table["crps_ratio"])
    table["sets c90>=.8"] = (by_set.c90 >= 0.8).groupby("model", sort=False).sum()
    table["worst c90"] = by_set.c90.groupby("model", sort=False).min()
    table["sets"] = by_set.groupby("model", sort=False).size()
    table["rhat_max"] = scores.groupby("model", sort=False).rhat.max()
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "models", nargs="*", default=["plain", "exact", "default", *RIVALS], choices=[*MODELS, *RIVALS]
    )
    parser.add_argument(
        "--ablation", action="store_true", help="the default's parts, switched off and on one at a time"
    )
    parser.add_argument("--processes", type=int, default=1, help="splits that a rival fits at once")
    parser.add_argument("--set", action="append", help="only these sets")
    parser.add_argument("--distance", action="append", help="only these distances")
    parser.add_argument("--data", default=DATA, help="folder of the public measurements")
    parser.add_argument("--json", help="write every split's scores here")
    args = parser.parse_args()
    chosen = [
        s
        for s in splits(args.data)
        if (not args.set or s.set in args.set) and (not args.distance or s.distance in args.distance)
    ]
    parts = []
    names = list(ABLATION.values()) if args.ablation else args.models
    for model in dict.fromkeys(["plain", *names]):
        start = time.time()
        parts.append(scored(model, chosen, forecasts(model, chosen, processes=args.processes)))
        print(f"{model}: {len(chosen)} splits in {time.time() - start:.0f} s", file=sys.stderr, flush=True)
        scores = pd.concat(parts, ignore_index=True)
        if args.json:  # after every model: what is done is kept
            scores.to_json(args.json, orient="records", indent=1)
    print(scores.drop(columns=["group"]).round(4).to_string(index=False))
    table = averaged(scores)
    if args.ablation:
        table = table.loc[ABLATION.values()].set_axis(list(ABLATION))
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
