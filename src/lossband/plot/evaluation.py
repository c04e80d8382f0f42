"""Forecasts beside what came: a backtest's hidden rows, and laws by how well they forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..posterior.bands import named
from .style import PRED, REAL, log_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from .style import Axes


def hidden(test: Any, *, level: float = 0.9, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draw the forecasts of hidden rows against the real losses, and below how far off they are.

    Args:
        test: a `lossband.Backtest`.
        level: of the bands, one of the backtest's.
        axes: two matplotlib axes; new ones by default.

    Returns:
        The two axes: predicted against real losses, and their difference in percent.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        options: dict[str, Any] = dict(figsize=(4.8, 5.2), sharex=True, height_ratios=(3, 2))
        axes = list(plt.subplots(2, 1, layout="constrained", **options)[1])
    frame, suffix = test.frame, named(level)
    inside = frame[f"inside_{suffix}"].to_numpy(bool)
    ends = np.array([frame["loss"].min(), frame["loss"].max()])
    axes[0].plot(ends, ends, color="0.6", lw=1, label="predicted = real", zorder=1)
    axes[1].axhline(0, color="0.6", lw=1)
    for rows, color, name in ((inside, REAL, "inside"), (~inside, PRED, "outside")):
        part = frame[rows]
        said = f"{rows.sum()} of {len(frame)} {name} the {suffix} % band"
        percent = 100 * (part[["median", f"lo_{suffix}", f"hi_{suffix}"]].div(part["loss"], axis=0) - 1)
        for ax, values in zip(axes, (part, percent), strict=True):
            middle = values["median"]
            error = [middle - values[f"lo_{suffix}"], values[f"hi_{suffix}"] - middle]
            ax.errorbar(part["loss"], middle, error, fmt="o", ms=3.5, lw=1, color=color, label=said)
    log_axes(axes[0], "xy").set(ylabel="predicted loss")
    log_axes(axes[1]).set(xlabel="real loss", ylabel="predicted - real, %")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    return axes


def laws(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how far each law forecasts behind the best, and its stacking weight.

    Args:
        table: what `lossband.compare` returns.
        ax: matplotlib axes; new ones by default.

    Returns:
        The axes: one line per law, the heaviest on top, nats per hidden row with one standard error.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(5.2, 1.3 + 0.5 * len(table)), layout="constrained")[1]
    places = np.arange(len(table))[::-1].astype(float)
    schemes = (("future", "largest rows hidden", PRED, 0.1), ("run", "whole runs hidden", REAL, -0.1))
    for scheme, name, color, shift in schemes:
        behind, error = (table[f"{scheme}_behind{end}"].to_numpy(float) for end in ("", "_se"))
        ax.errorbar(behind, places + shift, xerr=error, fmt="o", ms=4, lw=1.2, color=color, label=name)
    ax.axvline(0, color="0.6", lw=1)
    names = [
        f"{name}\nweight {weight:.2f}" for name, weight in zip(table.index, table["weight"], strict=True)
    ]
    ax.set_yticks(places, names, fontsize=8, parse_math=False)
    ax.set(xlabel="log score behind the best law, nats per row", ylim=(-0.6, len(table) - 0.4))
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax
