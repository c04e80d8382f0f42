"""Kinds of split: what is hidden decides how hard a forecast is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

KINDS = ("near", "far", "size", "tokens", "few")
KEPT = {"near": 0.7, "far": 0.4, "size": 0.6, "tokens": 0.5}  # share of the levels that are fitted


def splits(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield (kind, training rows, hidden rows) of a sweep of params and tokens.

    near, far: the top 30 or 60 % of the budgets (params x tokens) are hidden; size: the largest 40 % of the
    model sizes; tokens: the longest half of the runs; few: three sizes are fitted, all larger ones hidden
    (sweeps of 6 to 40 sizes). No row is chosen by its loss.

    Args:
        rows: a frame with `params` and `tokens`.
    """
    by = {"near": rows.params.astype(float) * rows.tokens, "size": rows.params, "tokens": rows.tokens}
    by["far"] = by["near"]
    for kind, share in KEPT.items():
        kept = by[kind] <= np.quantile(by[kind].unique(), share)
        yield kind, rows[kept], rows[~kept]
    sizes = np.sort(rows.params.unique())
    if 6 <= len(sizes) <= 40:
        fitted = sizes[:3] if len(sizes) < 12 else sizes[[0, len(sizes) // 6, len(sizes) // 3]]
        yield "few", rows[rows.params.isin(fitted)], rows[rows.params > fitted.max()]
