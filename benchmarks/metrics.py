"""Bounded metrics: errors fitted on the scale of a metric with bounds beside ln error, out of sample.

    python -m benchmarks.metrics

1 - mIoU of two vision-language sweeps (clip_seg, mammut_seg: every row, those at chance too) by kinds of split, and
18 error curves of classical learners (lcdb) whose last part is hidden. CRPS is of the metric itself, the log
score in nats per unit of it: the scales are compared on one quantity. `beyond` is the share of the forecast's draws
that no such metric can take.
"""

import argparse
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score
from lossband.evaluation.splits import KINDS, splits_of

from .sets import DATA

SCALES = {"log": {}, "bounded": {"metric": "error"}}


def splits(data):
    """Yield (set, kind, train, hidden)."""
    sweeps = {name: pd.read_csv(f"{data}/{name}.csv") for name in ("clip_seg", "mammut_seg")}
    for split in splits_of(sweeps, kinds=KINDS):
        yield split.set, split.kind, split.train, split.hidden
    curves = pd.read_csv(f"{data}/lcdb.csv")
    for _, curve in curves.groupby(["run", "family"]):
        curve = curve[["x", "loss", "train"]].rename(columns={"x": "tokens"})
        yield "lcdb", "end", *(curve[curve.train == seen].drop(columns="train") for seen in (1, 0))


def scored(scale, chosen, num_samples):
    """One row of scores per split."""
    fits = lb.fit_many(
        [train for *_, train, _ in chosen], num_samples=num_samples, progress=False, **SCALES[scale]
    )
    rows = []
    for (name, kind, _, hidden), post in zip(chosen, fits, strict=True):
        drawn, truth = post.draws(hidden).to_numpy(), hidden["loss"].to_numpy()
        found = dict(
            c50=score.covered(drawn, truth, 0.5).mean(),
            c90=score.covered(drawn, truth, 0.9).mean(),
            pit=score.pit(drawn, truth).mean(),
            crps=score.crps(drawn, truth).mean(),
            log_score=post.log_score(hidden).mean(),
            beyond=(drawn > 1).mean(),
            rhat=post.health.rhat_max,
        )
        rows.append(dict(scale=scale, set=name, kind=kind) | found)
    return pd.DataFrame(rows)


def report(found):
    """Means by set and scale; the CRPS and its ratio to that of ln error, geometric mean over splits."""
    log = found[found.scale == "log"]["crps"].to_numpy()
    found = found.assign(
        ratio=np.concatenate([np.log(each.crps / log) for _, each in found.groupby("scale", sort=False)])
    )
    means = found.drop(columns="kind").groupby(["set", "scale"]).mean()
    means["ratio"] = np.exp(means["ratio"])
    worst = found.groupby(["set", "scale"])["rhat"].max()
    print(means.assign(rhat=worst, splits=found.groupby(["set", "scale"]).size()).round(4).to_string())


def main():
    """Fit and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--num-samples", type=int, default=500)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    chosen = list(splits(args.data))
    report(pd.concat([scored(scale, chosen, args.num_samples) for scale in SCALES], ignore_index=True))


if __name__ == "__main__":
    main()
