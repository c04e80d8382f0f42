"""Stacking weights of laws, and standard errors that count a run as one piece of evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def weigh_laws(scores: pd.DataFrame, names: Sequence[str]) -> tuple[dict[str, float], list[Note]]:
    """Stacking weights from leave-future-out: name -> weight, and notes.

    Without a cut-off all laws weigh the same.
    """
    rows = scores[scores["scheme"] == "future"]
    if rows.empty:
        text = (
            "too few sizes or budgets to hide the largest and fit the rest: all laws weigh the same. "
            "Add smaller runs."
        )
        return dict.fromkeys(names, 1 / len(names)), [Note("no-future", text)]
    density = rows.pivot(index=["cut", "row"], columns="law", values="log_score")[names]
    weights = stacking_weights(density.to_numpy(), density.index.get_level_values("cut"))
    count, notes = rows["cut"].nunique(), []
    if count < 3:
        text = f"the weights rest on {count} cut-off{'s' * (count > 1)} in compute, and on a prior worth one."
        notes.append(Note("few-cuts", text))
    return dict(zip(names, weights.tolist(), strict=True)), notes


def stacking_weights(log_density: np.ndarray, cut: ArrayLike, *, iterations: int = 2000) -> np.ndarray:
    """Weights `(law,)` that maximise the mixture's log score, each cut-off one piece of evidence.

    See the module.

    The objective is concave; expectation-maximisation climbs it without a step size.

    Args:
        log_density: `(row, law)` log score of each hidden row.
        cut: `(row,)` label of the row's cut-off.
        iterations: of the EM algorithm.
    """
    _, code, size = np.unique(np.asarray(cut), return_inverse=True, return_counts=True)
    share, num_laws = 1 / size[code], log_density.shape[1]
    density = np.exp(log_density - log_density.max(1, keepdims=True))
    weights = np.full(num_laws, 1 / num_laws)
    for _ in range(iterations):
        owned = weights * density
        owned = share @ (owned / owned.sum(1, keepdims=True))
        weights = (owned + 1 / num_laws) / (len(size) + 1)
    return weights


def clustered_se(values: ArrayLike, run: ArrayLike) -> float:
    """Standard error of the mean of `values` `(row,)`, runs as clusters (Liang and Zeger 1986)."""
    values = np.asarray(values, dtype=float)
    totals = pd.Series(values - values.mean()).groupby(np.asarray(run)).sum()
    if len(totals) < 2:
        return np.nan
    return float(np.sqrt(len(totals) / (len(totals) - 1) * (totals**2).sum()) / len(values))
