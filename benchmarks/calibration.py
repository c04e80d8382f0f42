"""How true the bands are: every model on every development split, out of sample.

    python -m benchmarks.calibration plain coupled default huber
    python -m benchmarks.calibration --set chinchilla --json calibration.json default

Fit the smaller budgets of each sweep, forecast the larger ones, score ln loss. Scores are averaged within a split, then over
the splits of a set, the sets of a group, and the groups, so that every sweep weighs the same. CRPS is a ratio
to the plain law's on the same splits (geometric mean); the log score is a difference to it, in nats a row.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from . import huber
from .sets import splits

MODELS = {
    "plain": dict(law="chinchilla", drift=None),
    "plain+drift": dict(law="chinchilla"),
    "coupled": dict(law="coupled", drift=None),
    "default": dict(),
    "normal": dict(noise="normal"),
    "run": dict(noise="student-t+run"),
    "run+ou": dict(noise="student-t+run+ou"),
}
LEVELS = (0.5, 0.8, 0.9, 0.95)


def forecasts(model, chosen, *, seed=0, options=None):
    """Predictive draws `(sample, row)` of a model at every split's test rows, and the worst R-hat of each fit."""
    if model == "huber":
        return [(huber.forecast(s.train, s.test, seed=seed), np.nan, np.nan) for s in chosen]
    options = options or MODELS[model]
    posteriors = lb.fit_many(
        [s.train for s in chosen],
        options.get("law", "coupled"),
        seed=seed,
        **{k: v for k, v in options.items() if k != "law"},
    )
    return [
        (post.draws(s.test).to_numpy(), post.health.rhat_max, post.health.divergences)
        for post, s in zip(posteriors, chosen, strict=True)
    ]


def scored(model, chosen, results):
    """One row a split: coverage at each level, CRPS and log score of ln loss, and R-hat."""
    rows = []
    for split, (draws, rhat, divergences) in zip(chosen, results, strict=True):
        log_draws, truth = np.log(draws), np.log(split.test["loss"].to_numpy())
        covered = score.coverage(log_draws, truth, LEVELS)
        rows.append({
            "model": model, "group": split.group, "set": split.set, "distance": split.distance,
            "rows": len(truth), **{f"c{100 * level:g}": c for level, c in zip(LEVELS, covered, strict=True)},
            "crps": score.crps(log_draws, truth).mean(), "log_score": score.log_score(log_draws, truth).mean(),
            "bias": (np.median(log_draws, 0) - truth).mean(), "rhat": rhat, "divergences": divergences,
        })  # fmt: skip
    return pd.DataFrame(rows)


def averaged(scores, baseline="plain"):
    """The table of models: coverage averaged over groups, CRPS ratio and log score difference to the plain law."""
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
        "models", nargs="*", default=["plain", "coupled", "default", "huber"], choices=[*MODELS, "huber"]
    )
    parser.add_argument("--set", action="append", help="only these sets")
    parser.add_argument("--distance", action="append", help="only these distances")
    parser.add_argument("--json", help="write every split's scores here")
    args = parser.parse_args()
    chosen = [
        s
        for s in splits()
        if (not args.set or s.set in args.set) and (not args.distance or s.distance in args.distance)
    ]
    parts = []
    for model in dict.fromkeys(["plain", *args.models]):
        start = time.time()
        parts.append(scored(model, chosen, forecasts(model, chosen)))
        print(f"{model}: {len(chosen)} splits in {time.time() - start:.0f} s", file=sys.stderr)
    scores = pd.concat(parts, ignore_index=True)
    print(scores.drop(columns=["group"]).round(4).to_string(index=False))
    print(averaged(scores).round(3).to_string())
    if args.json:
        scores.to_json(args.json, orient="records", indent=1)


if __name__ == "__main__":
    main()
