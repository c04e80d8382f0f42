"""Levels: which rows share a value of an input, and whether a table is an isoFLOP sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MAX_LEVELS = 10
GAP, WIDTH = 0.05, 0.15  # decades: between two levels, and the range of one, at which they are told apart


def clusters(values: ArrayLike) -> np.ndarray:
    """The rank of each value's level, `(row,)`: values closer than `GAP` decades are of one level."""
    logs = np.log10(np.asarray(values, float))
    order = np.argsort(logs, kind="stable")
    found = np.empty(len(logs), int)
    found[order] = np.concatenate([[0], np.cumsum(np.diff(logs[order]) > GAP)])
    return found


def are_levels(values: ArrayLike, found: np.ndarray, most: int = MAX_LEVELS) -> bool:
    """Whether clusters are at most `most`, and each narrow: a design's levels, and no continuum."""
    logs = pd.Series(np.log10(np.asarray(values, float))).groupby(found)
    return found.max() < most and (logs.max() - logs.min()).max() <= WIDTH


def is_isoflop(table: pd.DataFrame) -> bool:
    """Whether the rows are sizes trained at a few budgets of FLOPs.

    At least two budgets have three sizes or more, four of five rows are theirs, and tokens are not a grid of
    a few levels.

    Args:
        table: `params`, `tokens` and `flops`.
    """
    budgets = clusters(table["flops"])
    if not are_levels(table["flops"], budgets) or table["tokens"].nunique() < 1.5 * (budgets.max() + 1):
        return False
    sizes = pd.Series(clusters(table["params"])).groupby(budgets)
    full = sizes.transform("nunique") >= 3
    return bool(full.mean() >= 0.8 and (sizes.nunique() >= 3).sum() >= 2)
