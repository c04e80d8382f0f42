"""Figures of decisions; each takes a result and returns the axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..posterior.bands import named
from .style import LABELS, PRED, REAL, Axes, log_axes, short

if TYPE_CHECKING:
    import pandas as pd


SHADES = (0.45, 0.22)


def valleys(plan: Any, *, within: float = 0.005, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Expected regret of every size, one panel per budget.

    Each panel shows the range of sizes within `within` of the best, and the probability of being within it.
    """
    import matplotlib.pyplot as plt

    budgets, label = list(plan.frame["flops"]), named(within)
    if axes is None:
        size = (3.1 * len(budgets) + 0.6, 2.9)
        axes = plt.subplots(1, len(budgets), figsize=size, squeeze=False, sharey=True, layout="constrained")[
            1
        ][0]
    for axis, (_, row) in zip(axes, plan.frame.iterrows(), strict=True):
        rows = plan.regret[(plan.regret["flops"] == row["flops"]) & (plan.regret["regret"] < 6 * within)]
        low, high = row[f"params_within_{label}_lo"], row[f"params_within_{label}_hi"]
        axis.axvspan(low, high, color=PRED, alpha=0.15, lw=0, label=f"within {label} % of the best")
        axis.plot(rows["params"], 100 * rows["regret"], color=REAL, lw=1.5, label="expected regret, %")
        axis.plot(
            rows["params"],
            300 * within * rows[f"prob_{label}"],
            "--",
            color=PRED,
            lw=1.3,
            label=f"P(within {label} %)",
        )
        axis.axvline(row["params_median"], color="0.4", lw=0.8, ls=":")
        log_axes(axis).set(
            xlabel=LABELS["params"], ylim=(0, 400 * within), title=f"{short(row['flops'])} FLOPs"
        )
        axis.title.set_fontsize(9)
        right = axis.secondary_yaxis(
            "right", functions=(lambda y: y / (300 * within), lambda p: p * 300 * within)
        )
        right.set_yticks([0, 0.5, 1])
        right.tick_params(labelsize=7)
    axes[0].set_ylabel("regret, %")
    axes[-1].figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8, frameon=False
    )
    return axes


def multipliers(
    found: Any,
    rows: "pd.DataFrame",
    *,
    x: str,
    pair: tuple[str, str] | None = None,
    levels: Sequence[float] = (0.5, 0.9),
    ax: Axes | None = None,
) -> Axes:
    """Compute multiplier of one recipe over another along the rows of a table; 1 is a tie."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.4, 3.2), layout="constrained")[1]
    a, b = pair or found.names[:2]
    band = found.multiplier(rows, pair=pair, levels=levels)
    for level, shade in zip(sorted(levels), SHADES, strict=False):
        low, high = band[f"lo_{named(level)}"], band[f"hi_{named(level)}"]
        ax.fill_between(rows[x], low, high, color=PRED, alpha=shade, lw=0, label=f"{named(level)} % band")
    ax.plot(rows[x], band["median"], "--", color=PRED, lw=1.3, label="median")
    ax.axhline(1, color="0.5", lw=0.9)
    seen = found.posterior.problem.frame[x]
    ax.axvspan(seen.min(), seen.max(), color="0.92", zorder=0, lw=0, label="data")
    log_axes(ax, "xy").set(
        xlabel=LABELS.get(x, x), ylabel=f"compute that {b} needs\nfor the loss of {a}, times"
    )
    ax.legend(frameon=False, fontsize=8)
    return ax


def candidates(
    found: Any,
    *,
    x: str = "params",
    y: str = "tokens",
    runs: "pd.DataFrame | None" = None,
    ax: Axes | None = None,
) -> Axes:
    """How much each candidate run reduces the target's variance, and the order in which they are chosen."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.8, 3.6), layout="constrained")[1]
    table = found.candidates
    if runs is not None:
        ax.plot(runs[x], runs[y], "o", ms=3, color="0.7", label="run already")
    dots = ax.scatter(
        table[x], table[y], s=50, c=100 * table["reduction"], cmap="viridis", vmin=0, label="candidate"
    )
    for place, (_, row) in enumerate(found.chosen.iterrows(), 1):
        ax.plot(row[x], row[y], "o", ms=13, mfc="none", mec=PRED, mew=1.6)
        ax.annotate(
            str(place), (row[x], row[y]), xytext=(9, 7), textcoords="offset points", color=PRED, fontsize=9
        )
    ax.figure.colorbar(dots, ax=ax, label="taken from the target's variance, %")
    log_axes(ax, "xy").set(
        xlabel=LABELS.get(x, x),
        ylabel=LABELS.get(y, y),
        xlim=_padded(table[x], runs, x),
        ylim=_padded(table[y], runs, y),
    )
    ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


def _padded(values: "np.ndarray | pd.Series", runs: "pd.DataFrame | None", name: str) -> tuple[float, float]:
    """Limits with room for the rings."""
    values = np.append(values, runs[name]) if runs is not None else values
    return np.min(values) / 1.6, np.max(values) * 1.6
