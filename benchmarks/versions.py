"""Bands of two versions of lossband on the development splits: do they agree?

    python -m benchmarks.versions b81c07b 27932b3

Each version is a commit, whose default is fitted to the splits of `benchmarks.kinds` in a checkout of its own,
by this environment's libraries, one seed. Scores are averaged within a set and then over the sets; differences
are those of the second version to the first, with their standard error over the sets. A version may keep every
program that it compiled: so each process fits few splits.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = ["params", "tokens", "loss"]
AT_ONCE = 20  # splits per process
CHILD = """
import json, pickle, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import lossband as lb
for number, name, kind, train, hidden in pickle.load(open(sys.argv[1], "rb")):
    post = lb.fit(train, seed=0, progress=False)
    draws = np.log(np.asarray(post.draws(hidden.drop(columns="loss"))))
    ends = np.quantile(draws, [0.05, 0.25, 0.75, 0.95], axis=0)
    real = np.log(hidden.loss.to_numpy())
    ordered, n = np.sort(draws, axis=0), len(draws)
    apart = (ordered * (2 * np.arange(1, n + 1) - n - 1)[:, None]).sum(0) / n**2
    found = dict(
        number=number, set=name, kind=kind,
        c50=float(np.mean((ends[1] <= real) & (real <= ends[2]))),
        c90=float(np.mean((ends[0] <= real) & (real <= ends[3]))),
        crps=float(np.mean(np.abs(ordered - real).mean(0) - apart)),
        width=float(np.mean(ends[3] - ends[0])),
    )
    print(json.dumps(found), flush=True)
"""


def scored(commit, splits, desk):
    """A row of scores per split, by the version of a commit."""
    tree = desk / commit
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(tree), commit], check=True)
    try:
        environment = os.environ | {
            "PYTHONPATH": str(tree / "src"),
            "LOSSBAND_CACHE": str(desk / f"{commit}.store"),
        }
        rows = []
        for start in range(0, len(splits), AT_ONCE):
            part = desk / "part.pickle"
            part.write_bytes(pickle.dumps(splits[start : start + AT_ONCE]))
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(part)],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            rows += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            print(f"{commit}: {len(rows)} of {len(splits)} splits", file=sys.stderr)
        return pd.DataFrame(rows).set_index("number")
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True)


def compared(old, new):
    """One line per kind of split, and one of all."""
    lines = []
    for kind in [*old.kind.unique(), None]:
        rows = old.kind == kind if kind else old.kind.notna()
        one, two = old[rows], new[rows]

        def mean(values, one=one):
            return values.groupby(one["set"]).mean()

        changes = {
            "c50": mean(two.c50 - one.c50),
            "c90": mean(two.c90 - one.c90),
            "ln crps": mean(np.log(two.crps / one.crps)),
            "ln width": mean(np.log(two.width / one.width)),
        }
        line = {"kind": kind or "all", "splits": len(one)}
        line |= {
            f"{each} {which}": mean(t[each]).mean()
            for each in ("c50", "c90")
            for which, t in (("old", one), ("new", two))
        }
        for each, values in changes.items():
            line[each] = f"{values.mean():+.3f} ({values.std() / np.sqrt(len(values)):.3f})"
        lines.append(line)
    return pd.DataFrame(lines)


def main():
    """Fit, score, print."""
    from .kinds import jobs

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commits", nargs=2)
    parser.add_argument("--splits", type=int, help="only the first so many")
    args = parser.parse_args()
    splits = [(i, s.set, s.kind, s.train[COLUMNS], s.hidden[COLUMNS]) for i, s in enumerate(jobs())]
    with tempfile.TemporaryDirectory() as name:
        tables = [scored(commit, splits[: args.splits], Path(name)) for commit in args.commits]
    print(compared(*tables).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
