"""Equivalent inputs: how much of one input makes up for another.

For instance the dense size that a model with experts is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import levels_of, mapping, number, short
from ..errors import InputError, listed
from ..model.problem import NewRows
from ..posterior.bands import interval_columns
from ..posterior.forecast import law_losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..posterior.posterior import Posterior


POINTS, REACH = 301, 3.0  # of the grid, and decades on either side of the run's own value
HINT = "For instance post.equivalent('params', of={'params': 1e9, 'experts': 64}, at={'experts': 1})."


def equivalent_of(
    post: Posterior, name: str, of: Mapping[str, float], at: Mapping[str, float], levels: Sequence[float]
) -> pd.Series:
    """The value of one input that gives a run's loss: see `Posterior.equivalent`."""
    inputs, levels = post.problem.model.law.inputs, levels_of(levels)
    of, at = mapping("of", of, HINT), mapping("at", at, HINT)
    if not isinstance(name, str) or name not in inputs or set(of) != set(inputs):
        raise InputError(
            f"equivalent got {short(name)} and of= {listed(of) or 'nothing'}; expected an input of the law, "
            f"and a value for each of {listed(inputs)}.",
            HINT,
        )
    if not at or name in at or not set(at) <= set(inputs):
        raise InputError(
            f"at= names {listed(at) or 'nothing'}; expected other inputs of the law than {name!r}, changed.",
            HINT,
        )
    run = {key: number("of", value, f"a number for {key}", HINT) for key, value in of.items()}
    other = run | {key: number("at", value, f"a number for {key}", HINT) for key, value in at.items()}
    grid = run[name] * np.logspace(-REACH, REACH, POINTS)
    rows = pd.DataFrame([run, *({**other, name: value} for value in grid)])
    table = NewRows.of(rows.assign(run=[f"run {i}" for i in range(len(rows))]))
    losses = post.assembled(lambda problem, draws: law_losses(problem, draws, table.checked(problem)))
    found = np.array([_crossing(np.log(grid), row[1:], row[0]) for row in losses])
    missed = np.isnan(found).mean()
    if missed > 0.5:
        raise InputError(
            f"in {missed:.0%} of the draws no {name} within {REACH:g} decades gives the same loss.",
            "Ask of a run nearer to the data.",
        )
    values = np.exp(found[~np.isnan(found)])
    ends = interval_columns(values, levels)
    return pd.Series({"median": np.median(values), **ends, "found": 1 - missed}, name=name)


def _crossing(x: np.ndarray, losses: np.ndarray, wanted: float) -> float:
    """Where a falling curve passes a loss; NaN where it does not."""
    order = np.argsort(losses)
    return float(np.interp(wanted, losses[order], x[order], left=np.nan, right=np.nan))
