"""What a calibration table says: where bands fail, and the likely cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import kruskal, spearmanr

from .. import score

if TYPE_CHECKING:
    from collections.abc import Sequence


def _quarters(values: pd.Series) -> pd.Series:
    return pd.qcut(values, 4, duplicates="drop") if values.nunique() > 12 else values


def diagnose(table: pd.DataFrame, parts: Sequence[pd.DataFrame], main: str) -> list[str]:
    """What a calibration table says: where the coverage fails, and the likely cause.

    A row of the table is judged by an interval so wide that calibrated bands raise a note in one table of
    ten, however many rows it has.

    Args:
        table: of `Backtest.calibration`.
        parts: the rows behind each row of the table: frames as `Backtest.frame`.
        main: the band that is judged, as "90".
    """
    nominal, notes = float(main) / 100, []
    keys = list(table.columns[: table.columns.get_loc("rows")])
    for (_, row), rows in zip(table.iterrows(), parts, strict=True):
        where = (
            ", ".join(f"{key} {row[key]}" for key in keys) if keys and row[keys[0]] != "all" else "all rows"
        )
        inside, rate = rows[f"inside_{main}"].to_numpy(bool), row[f"cover_{main}"]
        low, high = score.coverage_interval(inside, rows["run"].to_numpy(), level=1 - 0.1 / len(parts))
        if high < nominal:
            notes.append(
                f"{where}: the {main} % band covers {rate:.0%} ({low:.0%} to {high:.0%}); "
                f"{_cause(rows, main)}."
            )
        elif low > nominal:
            notes.append(
                f"{where}: the {main} % band covers {rate:.0%}: it is conservative, wider than needed."
            )
    return notes


def _cause(rows: pd.DataFrame, main: str) -> str:
    """The likely cause of a band that misses: by place in the band, by distance, by run."""
    low, high = rows[f"lo_{main}"], rows[f"hi_{main}"]
    positive = (
        low > 0
    ).all()  # a loss that is fitted as it is may be negative, and its bias is no logarithm's
    width = np.log(high / low) if positive else high - low
    error = (rows["bias"] / width).abs().to_numpy()  # in widths of the band
    grows = _grows(error, rows["extrapolation"].to_numpy())
    if (side := rows["pit"].mean()) > 0.7 or side < 0.3:
        where, tuned = ("above", "better") if side > 0.7 else ("below", "worse")
        cause = (
            f"the more so the farther out: {'a law too steep' if side > 0.7 else 'a law too rigid'}"
            if grows
            else f"alike near and far: small runs {tuned} tuned than large ones, or a law too rigid"
        )
        return f"real losses lie {where} the forecast, {cause}"
    if grows:
        return "the forecast is centred and too narrow, the more so the farther out: a drift prior too tight"
    if _unequal(error, rows["run"].to_numpy()):
        return (
            "the forecast is centred and too narrow for some runs only: "
            "the noise is heteroscedastic, or runs differ"
        )
    return (
        "the forecast is centred and too narrow, alike near and far: "
        "more noise than in the rows that were fitted"
    )


def _grows(error: np.ndarray, distance: np.ndarray) -> bool:
    """Whether errors grow with the distance: a rank correlation that chance gives once in 100."""
    if len(np.unique(distance)) < 3:
        return False
    return spearmanr(distance, error, alternative="greater").pvalue < 0.01


def _unequal(error: np.ndarray, run: np.ndarray) -> bool:
    """Whether the errors of some runs are larger than those of others: once in 100 by chance."""
    _, slot = np.unique(run, return_inverse=True)
    groups = [group for i in range(slot.max() + 1) if len(group := error[slot == i]) > 2]
    return len(groups) > 1 and kruskal(*groups).pvalue < 0.01
