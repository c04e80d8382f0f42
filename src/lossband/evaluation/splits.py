"""Splits of a sweep by what is hidden: how far a forecast has to reach decides how hard it is.

    near      the top 30 % of the budgets (params x tokens) are hidden
    far       the top 60 % of the budgets
    size      the largest 40 % of the model sizes
    tokens    the longest half of the runs
    few       three sizes are fitted, all larger ones hidden (sweeps of 6 to 40 sizes)

Rows are never chosen by their loss.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import InputError, listed, nearest
from ..runs.table import numbers, read_runs

KINDS = ("near", "far", "size", "tokens", "few")
COLUMNS = ["run", "params", "tokens", "loss"]
MAX_ROWS = 400  # of a sweep; of a larger one so many are picked at random
MIN_FITTED, MIN_HIDDEN, MIN_SIZES = 8, 3, 2


@dataclass(frozen=True)
class Split:
    """Training rows and hidden rows of one sweep.

    set: name of the sweep.
    group: sweeps of one group share runs or a recipe: the bootstrap draws groups.
    kind: of `KINDS`.
    train, hidden: frames of `run`, `params`, `tokens`, `loss`.
    """

    set: str
    group: str
    kind: str
    train: pd.DataFrame
    hidden: pd.DataFrame

    @property
    def reach(self) -> float:
        """Decades of compute (params x tokens) from the largest training row to the largest hidden one."""
        largest = [(rows["params"] * rows["tokens"]).max() for rows in (self.hidden, self.train)]
        return max(0.0, float(np.log10(largest[0] / largest[1])))


def cuts(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield (kind, training rows, hidden rows) of one sweep, whether or not they are enough."""
    compute = rows["params"].astype(float) * rows["tokens"]
    shares = {
        "near": (compute, 0.7),
        "far": (compute, 0.4),
        "size": (rows["params"], 0.6),
        "tokens": (rows["tokens"], 0.5),
    }
    for kind, (values, share) in shares.items():
        kept = values <= np.quantile(values.unique(), share)
        yield kind, rows[kept], rows[~kept]
    sizes = np.sort(rows["params"].unique())
    if 6 <= len(sizes) <= 40:
        fitted = sizes[:3] if len(sizes) < 12 else sizes[[0, len(sizes) // 6, len(sizes) // 3]]
        yield "few", rows[rows["params"].isin(fitted)], rows[rows["params"] > fitted.max()]


def splits_of(
    sweeps: Mapping[str, pd.DataFrame],
    *,
    groups: Mapping[str, str] | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> list[Split]:
    """Every split of several sweeps that has enough rows to fit and to score.

    Args:
        sweeps: name -> frame with `params`, `tokens`, `loss`, and `run` where it is known.
        groups: name -> group; a sweep that is not named is a group of its own.
        kinds: which kinds of split.

    Raises:
        InputError: an unknown kind, cells that are no positive numbers, or nothing left to score.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise InputError(
            f"kinds= names {listed(unknown)}{nearest(unknown[0], KINDS)}", f"Use some of {listed(KINDS)}."
        )
    found = []
    for name, frame in sweeps.items():
        group = (groups or {}).get(name, name)
        found += [Split(name, group, *cut) for cut in cuts(_tidy(frame)) if cut[0] in kinds and enough(*cut)]
    if not found:
        raise InputError(
            f"no split of {listed(sweeps)} leaves {MIN_FITTED} rows to fit and {MIN_HIDDEN} to score.",
            "Give larger sweeps, or other kinds of split.",
        )
    return found


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that are scored, each measurement once, at most `MAX_ROWS` of them."""
    rows = read_runs(frame)
    columns = {name: numbers(rows, name) for name in COLUMNS[1:]}
    run = rows["run"].astype(str) if "run" in rows else [f"row{i}" for i in range(len(rows))]
    tidy = pd.DataFrame({"run": run, **columns}).drop_duplicates(COLUMNS[:-1])
    return tidy if len(tidy) <= MAX_ROWS else tidy.sample(MAX_ROWS, random_state=0)


def enough(kind: str, train: pd.DataFrame, hidden: pd.DataFrame) -> bool:
    """Whether there are enough rows, and sizes, on both sides."""
    enough = len(train) >= MIN_FITTED and len(hidden) >= MIN_HIDDEN
    return enough and train["params"].nunique() >= MIN_SIZES and train["tokens"].nunique() > 1
