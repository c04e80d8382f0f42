"""Which rows of a table lie on one curve, and what the other inputs are along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..runs.levels import MAX_LEVELS, are_levels, clusters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

NUM_BINS, NUM_NEW_BINS = 5, 2
COLLINEAR = 0.95  # correlation of logarithms from which on one input is said to move with another


def labelled(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Which curve each row belongs to, `(row,)`: one for each level, or for a fifth of the fitted rows.

    Args:
        values: of the input that tells curves apart, `(row,)`.
        fitted: whether a row was fitted, `(row,)`; the others have curves of their own where there are no
            common levels.
    """
    found = clusters(values)
    if are_levels(values, found):
        return found
    found = np.zeros(len(values), int)
    found[fitted] = _parts(values[fitted], NUM_BINS)
    if not fitted.all():
        found[~fitted] = found[fitted].max() + 1 + _parts(values[~fitted], NUM_NEW_BINS)
    return found


def _parts(values: np.ndarray, count: int) -> np.ndarray:
    levels = clusters(values)
    if are_levels(values, levels, count):
        return levels
    return pd.qcut(pd.Series(values), count, labels=False, duplicates="drop").to_numpy(int)


def collinear(x: ArrayLike, other: ArrayLike) -> bool:
    """Whether one input moves with another: their logarithms are correlated above `COLLINEAR`."""
    a, b = (np.log(np.asarray(each, float)) for each in (x, other))
    return len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0 and abs(np.corrcoef(a, b)[0, 1]) > COLLINEAR


def follow(rows: pd.DataFrame, name: str, x: str, at: np.ndarray, by: str | None) -> np.ndarray:
    """The input `name` along the curve through some rows, at the values `at` of the input `x`, `(point,)`.

    Along a budget tokens are C / 6N. Else it is the line through the rows' logarithms where the two move
    together, the level in their middle where there are few, and the geometric mean otherwise.
    """
    if by == "flops" and {name, x} == {"params", "tokens"}:
        return np.exp(np.log(rows["flops"] / 6).mean()) / at
    logs, along = np.log(rows[name].to_numpy(float)), np.log(rows[x].to_numpy(float))
    if np.ptp(logs) > 0.02 and collinear(rows[x], rows[name]):
        return np.exp(np.polyval(np.polyfit(along, logs, 1), np.log(at)))
    few = 1 < len(np.unique(logs)) <= MAX_LEVELS and np.ptp(logs) > 0.02
    middle = np.quantile(logs, 0.5, method="nearest") if few else logs.mean()
    return np.full(len(at), np.exp(middle))


def spaced(values: pd.Series, everywhere: pd.Series, points: int) -> np.ndarray:
    """Points evenly spaced in the logarithm over the range of a curve, `(point,)`.

    Over that of the whole table where the curve's rows hardly differ.
    """
    ends: Sequence[float] = (values.min(), values.max())
    if ends[1] < 1.25 * ends[0]:
        ends = (everywhere.min(), everywhere.max())
    return np.geomspace(*ends, points)
