"""Bands under a population of a laboratory's own past sweeps, against the defaults.

    python -m benchmarks.learnt                          # each of five sets in turn, ten minutes each
    python -m benchmarks.learnt protein_clm xlstm_isoflop

For each set asked for, `lb.learn` sees the other four, and `lb.fit(population=)` fits every split of the set
itself, whose group had no part in what was learnt. Widths and CRPS are ratios to the default's on the same
split, geometric means.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from .kinds import jobs, sets

NAMES = ("chinchilla", "protein_clm", "vocab16k", "xlstm_isoflop", "mammut_seg")


def row(post, hidden):
    """Coverage, width and CRPS of ln loss on hidden rows."""
    draws, truth = np.log(post.draws(hidden).to_numpy()), np.log(hidden.loss.to_numpy())
    below = (draws < truth).mean(0)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    covered = {f"c{c * 100:g}": np.mean(np.abs(below - 0.5) < c / 2) for c in (0.5, 0.9)}
    return covered | dict(width=np.mean(high - low), crps=score.crps(draws, truth).mean())


def main():
    """Learn with each set left out, and print both forecasts of its splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, metavar="SET", help=", ".join(NAMES))
    parser.add_argument("--num-samples", type=int, default=300)
    args = parser.parse_args()
    columns = ["run", "params", "tokens", "loss"]
    frames = {name: rows[columns].astype({"run": str}) for name, _, rows in sets() if name in NAMES}
    frames = {name: rows.sample(min(len(rows), 200), random_state=0) for name, rows in frames.items()}
    options, found = dict(num_samples=args.num_samples, seed=0, progress=False), []
    for name in args.names:
        start = time.time()
        past = lb.learn(
            {n: f for n, f in frames.items() if n != name}, num_samples=args.num_samples, progress=False
        )
        chosen = [split for split in jobs() if split.set == name]
        for label, population in (("default", None), ("learnt", past)):
            posts = lb.fit_many([split.train for split in chosen], population=population, **options)
            for split, post in zip(chosen, posts, strict=True):
                found.append(dict(set=name, kind=split.kind, bands=label) | row(post, split.hidden))
        print(f"{name}, {time.time() - start:.0f} s\n{past}", file=sys.stderr, flush=True)
    table = pd.DataFrame(found).set_index(["set", "kind", "bands"]).unstack()
    for measure in ("width", "crps"):
        table[(measure, "ratio")] = table[(measure, "learnt")] / table[(measure, "default")]
    ratios = np.exp(np.log(table[[("width", "ratio"), ("crps", "ratio")]]).groupby("set").mean())
    means = table[["c50", "c90"]].groupby("set").mean().join(ratios)
    print(means.round(3).to_string())
    print(
        "all",
        means[["c50", "c90"]].mean().round(3).to_dict(),
        np.exp(np.log(ratios).mean()).round(3).to_dict(),
    )


if __name__ == "__main__":
    main()
