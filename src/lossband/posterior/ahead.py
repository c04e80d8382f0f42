"""Notes on a forecast: what speaks against using it, however good the fit."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..errors import Note
from ..model.problem import Problem

FEW_LEVELS = 4
MAX_DECADES = (
    4.0  # beyond the training rows: no forecast so far ahead was ever checked (benchmarks/README.md)
)
SAME_LEVEL = 0.02  # decades: values nearer than this are one level, as sizes read off a figure jitter
UNUSABLE = frozenset({"far"})


def forecast_notes(problem: Problem, new: pd.DataFrame) -> Iterator[Note]:
    """Notes on a forecast of new rows.

    Args:
        problem: the `Problem` that was fitted.
        new: a checked frame of new rows.
    """
    yield from few_levels(problem, new)
    yield from far(problem, new)


def few_levels(problem: Problem, new: pd.DataFrame) -> Iterator[Note]:
    """An input that is extrapolated from at most four values."""
    for name in problem.model.law.varied:
        levels, beyond = num_levels(problem.frame[name]), _decades(problem, new, name).max()
        if levels <= FEW_LEVELS and beyond > SAME_LEVEL:
            yield Note(
                "few-levels",
                f"{name} is forecast {10**beyond:.2g} times beyond {levels} values: they say little of how "
                "the loss bends along it, and the band rests on other sweeps. Add sizes in between, or hide "
                "the largest and look.",
            )


def far(problem: Problem, new: pd.DataFrame) -> Iterator[Note]:
    """Rows so far beyond the training rows that they may be in another unit."""
    ahead = {name: _decades(problem, new, name) for name in problem.model.law.varied}
    if not ahead:
        return
    worst = max(ahead, key=lambda name: ahead[name].max())
    total = float(problem.extrapolation(new).max())
    if total > MAX_DECADES:
        seen = problem.frame[worst]
        yield Note(
            "far",
            f"the forecast reaches {total:.1f} decades beyond the training rows, most of them in {worst} "
            f"({seen.min():.3g} to {seen.max():.3g} in the training rows, {new[worst].min():.3g} to "
            f"{new[worst].max():.3g} here). Check that both are in one unit; do not rely on bands so far "
            "ahead.",
        )


def num_levels(values: pd.Series) -> int:
    """How many values a column has, those within 5 % of their neighbour counting as one."""
    ordered = np.sort(np.log10(values.to_numpy(float)))
    return 1 + int((np.diff(ordered) > SAME_LEVEL).sum())


def _decades(problem: Problem, new: pd.DataFrame, name: str) -> np.ndarray:
    """Decades of one input beyond the training rows, `(row,)`; 0 inside."""
    x, seen = (np.log10(table[name].to_numpy(float)) for table in (new, problem.frame))
    return np.maximum(0.0, np.maximum(x - seen.max(), seen.min() - x))
