"""The best learning rate and batch of runs that were not made: cells of a public grid hidden from the fit.

    python -m benchmarks.rates

1,911 runs over learning rate and batch at some twenty cells of (params, tokens). Each cell in turn is hidden
whole, a third of every other grid is left out at random, and the law `batch_rate` is fitted. In the hidden cell

    inside   whether the best measured run lies in the smallest set of the cell's own points that holds it with
             90 % probability by the forecast, noise included (the set's size, as a share, is printed beside it)
    near     whether the best measured point is predicted within .5 % of the best with probability above .1
    regret   loss of the measured run nearest to the chosen point over the best measured run, less one, in per
             cent; and the same for the formula of Li et al. 2025, arXiv:2503.04715, eq. 1, which was fitted to
             all of these runs
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import lossband as lb

from .sets import DATA

SEQUENCE = 2048  # tokens per sequence: the batch is given in sequences
CELL, GRID = ["params", "tokens"], ["lr", "batch"]
DIVERGED = (
    1.3  # losses above so many times the cell's best are runs that diverged: no law of a valley is of them
)


def cells(data=DATA):
    """Runs by cell of (params, tokens) that has a grid of at least thirty points, once each."""
    rows = pd.read_csv(f"{data}/steplaw_dense.csv").rename(columns={"batch_size_seqs": "batch"})
    rows = rows[np.isfinite(rows.loss)].sort_values("min_lr").drop_duplicates([*CELL, *GRID])
    return [cell.reset_index(drop=True) for _, cell in rows.groupby(CELL) if len(cell) >= 30]


def published(params, tokens):
    """Learning rate, and batch in sequences, of the published formula."""
    return 1.79 * params**-0.713 * tokens**0.307, 0.58 * tokens**0.571 / SEQUENCE


def nearest(cell, lr, batch):
    """The measured run nearest to a point, in units of the grid's own steps."""
    away = sum(np.log(cell[name] / value) ** 2 for name, value in zip(GRID, (lr, batch), strict=True))
    return cell.loc[away.idxmin()]


def judged(post, cell):
    """One row of scores of a hidden cell."""
    held = {name: float(cell[name].iloc[0]) for name in CELL}
    best = cell.loc[cell.loss.idxmin()]
    points = cell[cell.loss < DIVERGED * best.loss]
    of_points = post.optimum(GRID, at=held, candidates=points, kind="observation")
    region = of_points.region(0.9)
    hit = (np.isclose(region.lr, best.lr) & np.isclose(region.batch, best.batch)).any()
    free = post.optimum(GRID, at=held)
    valley = post.optimum(GRID, at=held, candidates=points).valley
    near = valley[np.isclose(valley.lr, best.lr) & np.isclose(valley.batch, best.batch)].near.iloc[0]
    ours = nearest(cell, *free.frame.chosen)
    theirs = nearest(cell, *published(**held))
    return dict(
        **held,
        inside=hit,
        share=len(region) / len(points),
        near=near > 0.1,
        promised=100 * free.regret["mean"],
        regret=100 * (ours.loss / best.loss - 1),
        published=100 * (theirs.loss / best.loss - 1),
    )


def main():
    """Hide each cell in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--cells", type=int, help="only so many of the cells, evenly spaced by size")
    parser.add_argument("--num-samples", type=int, default=300)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    found = cells(args.data)
    picked = np.unique(np.linspace(0, len(found) - 1, args.cells or len(found)).round().astype(int))
    trains = []
    for i in picked:
        rows = pd.concat([cell for j, cell in enumerate(found) if j != i])
        rows = rows[rows.loss < DIVERGED * rows.groupby(CELL).loss.transform("min")]
        kept = rows.groupby(CELL, group_keys=False).sample(frac=2 / 3, random_state=int(i))
        trains.append(kept[["run", *CELL, *GRID, "loss"]])
    start = time.time()
    posts = lb.fit_many(trains, "batch_rate", num_samples=args.num_samples, seed=0, progress=False)
    table = pd.DataFrame([judged(post, found[i]) for post, i in zip(posts, picked, strict=True)])
    print(table.round(3).to_string(index=False))
    print(table[["inside", "share", "near"]].mean().round(3).to_dict())
    print(table[["promised", "regret", "published"]].agg(["median", "mean", "max"]).round(2).to_string())
    worst = max(p.health.rhat_max for p in posts), sum(p.health.divergences for p in posts)
    print(
        f"{len(posts)} fits in {time.time() - start:.0f} s, R-hat at most {worst[0]:.3f}, {worst[1]} divergences"
    )


if __name__ == "__main__":
    main()
