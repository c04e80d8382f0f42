"""Calibration by kind of split: what is hidden decides how hard a forecast is.

    python -m benchmarks.kinds plain default
    python -m benchmarks.kinds default --kind few --json kinds.json

Seventeen sets of two inputs, every set weighing the same; hidden rows are never chosen by their loss. Kinds of
split (`near`, `far`, `size`, `tokens`, `few`): see `lossband.evaluation.splits`.

CRPS is a ratio to the plain law's (Chinchilla, no drift) on the same split, geometric mean over a set's
splits and then over sets.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband.evaluation.rivals import judged, scores
from lossband.evaluation.splits import KINDS, splits_of

from .sets import DATA

MODELS = {
    "plain": dict(law="chinchilla", drift=None),
    "coupled": dict(law="coupled"),
    "default": dict(),
}
WHOLE = {  # file -> group, of the files that are one sweep
    "protein_clm": "protein",
    "pythia_lambada": "pythia",
    "vocab16k": "vocabulary",
    "clip_seg": "clip",
    "mammut_seg": "clip",
    "moe_step": "moe",
    "xlstm_isoflop": "xlstm",
}


def sets(data=DATA):
    """Yield (name, group, frame) of every development set, rows that its source calls outliers too."""

    def read(name):
        return pd.read_csv(f"{data}/{name}.csv", low_memory=False)

    yield "chinchilla", "chinchilla", read("chinchilla")
    for family, sweep in read("isoflops").groupby("family"):
        yield f"isoflops {family}"[:24], "marin" if "marin" in family else "isoflops", sweep
    rows = read("overtraining")
    for family, sweep in rows[rows.val_set == "c4_val"].groupby("family"):
        yield f"overtraining {family}", "overtraining", sweep.drop_duplicates(["params", "tokens"])
    rows = read("looped_isodepth")
    yield "looped r1", "looped", rows[rows.recurrences == 1]
    rows = read("steplaw_dense").sort_values("loss")
    yield "steplaw", "steplaw", rows.drop_duplicates(["params", "tokens"])
    for name, group in WHOLE.items():
        rows = read(name)
        rows = rows[rows.ceiling == 0] if "ceiling" in rows else rows
        yield name, group, rows[rows.family == rows.family.value_counts().index[0]]
    for family, sweep in read("porian_other").groupby("family"):
        yield f"porian {family}"[:24], "porian", sweep


def jobs(data=DATA, kinds=KINDS):
    """Every `Split` of the development sets, by the rules of `lossband.evaluation.splits`."""
    found = list(sets(data))
    kept = {name: rows[np.isfinite(rows.loss) & (rows.loss > 0)] for name, _, rows in found}
    return splits_of(kept, groups={name: group for name, group, _ in found}, kinds=tuple(kinds))


def scored(model, chosen, num_samples):
    """One row per split.

    Coverage, misses on either side, mean PIT, CRPS and log score of ln loss, and diagnostics.
    """
    fits = lb.fit_many(
        [split.train for split in chosen], num_samples=num_samples, seed=0, progress=False, **MODELS[model]
    )
    rows = []
    for split, post in zip(chosen, fits, strict=True):
        truth = np.log(split.hidden.loss.to_numpy())
        rows.append(
            dict(model=model, set=split.set, group=split.group, kind=split.kind, reach=split.reach)
            | scores(*judged(post, split), truth)
            | dict(rhat=post.health.rhat_max, ess=post.health.ess_min, divergences=post.health.divergences)
        )
    return pd.DataFrame(rows)


def table(scores, by):
    """The mean over sets of each set's mean, by model and `by`; CRPS over plain's."""
    plain = scores[scores.model == "plain"].set_index(["set", "kind"])
    scores = scores.join(plain[["crps", "log_score"]].add_suffix("_plain"), on=["set", "kind"])
    scores["crps"] = np.log(scores.crps / scores.crps_plain)
    scores["log_score"] = scores.log_score - scores.log_score_plain
    columns = ["c50", "c80", "c90", "c95", "below", "above", "pit", "crps", "log_score"]
    keys = list(dict.fromkeys(["model", *by, "set"]))
    means = scores.groupby(keys)[columns].mean().groupby(["model", *by]).mean()
    return means.assign(crps=np.exp(means.crps))


def report(scores):
    """Print the tables by kind, by set and in all, and the diagnostics of the fits."""
    for by in (["kind"], ["set"], []):
        print(table(scores, by).round(3).to_string(), end="\n\n")
    worst = dict(rhat="max", ess="min", divergences="max")
    print(scores.groupby("model").agg(worst).round(3).to_string())


def main():
    """Score the models asked for, and plain, on the splits asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["default"], metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these kinds of split")
    parser.add_argument("--num-samples", type=int, default=1000)
    parser.add_argument("--data", default=DATA, help="folder of the public measurements")
    parser.add_argument("--json", help="write every split's scores here")
    parser.add_argument("--read", nargs="+", help="print the tables of these JSON files; fit nothing")
    args = parser.parse_args()
    if args.read:
        return report(pd.concat([pd.read_json(file) for file in args.read], ignore_index=True))
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    chosen = jobs(args.data, args.kind or KINDS)
    parts = []
    for model in dict.fromkeys(["plain", *args.models]):
        start = time.time()
        parts.append(scored(model, chosen, args.num_samples))
        print(f"{model}: {len(chosen)} splits in {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    scores = pd.concat(parts, ignore_index=True)
    if args.json:
        scores.to_json(args.json, orient="records", indent=1)
    report(scores)


if __name__ == "__main__":
    main()
