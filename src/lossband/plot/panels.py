"""Real against Pred in a grid of panels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .style import LABELS, REAL, Axes, draw_bands, log_axes, short, symbol

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior


def panels(
    post: "Posterior",
    runs: pd.DataFrame,
    *,
    rows: str = "loops",
    columns: str = "params",
    x: str = "tokens",
    hidden: ArrayLike | None = None,
    kind: Literal["mean", "run", "observation"] = "observation",
    levels: Sequence[float] = (0.5, 0.9),
    points: int = 60,
    unit: str = "nats",
) -> np.ndarray:
    """Real against Pred, one panel per (rows, columns) value, with bands.

    Each panel says by how much Pred lies above Real, with its 90 % interval, and which share of Real is
    inside the 90 % band.

    Args:
        post: a `Posterior`.
        runs: the measured table, with `loss`.
        rows: the table's column whose values are the rows of panels; one row if it is missing or constant.
        columns: the table's column whose values are the columns of panels; as `rows`.
        x: the input on the horizontal axis.
        hidden: values of `columns` that the fit never saw; their panels are marked.
        kind: of the band, see `Posterior.predict`.
        levels: of the bands, narrow first.
        points: number of points of each predicted curve.
        unit: of the loss, for the axis.

    Returns:
        The matplotlib axes, `(row, column)`.
    """
    import matplotlib.pyplot as plt

    across = np.unique(runs[columns]) if columns in runs else [None]
    down = np.unique(runs[rows]) if rows in runs else [None]
    figure, axes = plt.subplots(
        len(down),
        len(across),
        figsize=(2.5 * len(across) + 0.7, 2.0 * len(down) + 0.9),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for line, r in zip(axes, down, strict=True):
        for axis, c in zip(line, across, strict=True):
            cell = runs.loc[
                (runs[rows] == r if r is not None else True) & (runs[columns] == c if c is not None else True)
            ]
            if cell.empty:
                axis.set_axis_off()
                continue
            _panel(axis, post, pd.DataFrame(cell), x, kind, levels, points)
            held = hidden is not None and c in set(np.atleast_1d(hidden))
            title = ", ".join(
                f"{symbol(n)} = {short(v)}" for n, v in ((rows, r), (columns, c)) if v is not None
            )
            axis.set_title(
                title + (" (held out)" if held else ""), fontsize=8, fontweight="bold" if held else None
            )
            if held:
                axis.set_facecolor("#f3f3f3")
    for axis in axes[-1]:
        axis.set_xlabel(LABELS.get(x, x))
    for axis in axes[:, 0]:
        axis.set_ylabel(f"loss ({unit})")
    handles, labels = next(a for a in axes.flat if a.lines).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8, frameon=False)
    return axes


def _panel(
    axis: Axes, post: "Posterior", cell: pd.DataFrame, x: str, kind: Any, levels: Sequence[float], points: int
) -> None:
    grid = pd.DataFrame({name: np.repeat(cell[name].median(), points) for name in post.law.inputs})
    grid[x] = np.geomspace(cell[x].min(), cell[x].max(), points)
    band = post.predict(grid.assign(run="a new run"), kind=kind, levels=levels)
    draw_bands(axis, grid[x], band, levels=levels)
    for index, (_, curve) in enumerate(
        cell.sort_values(x).groupby("run") if "run" in cell else [(None, cell.sort_values(x))]
    ):
        axis.plot(curve[x], curve["loss"], "-", color=REAL, lw=1.3, label="Real" if index == 0 else None)
    _say_gap(axis, post, cell, kind)
    log_axes(axis)
    axis.tick_params(labelsize=7)


def _say_gap(axis: Axes, post: "Posterior", cell: pd.DataFrame, kind: str) -> None:
    """Write the panel's signed gap and the share inside the band at the top right, above a falling curve."""
    (gap,) = post.gap(cell.assign(run="a new run"), kind="mean" if kind == "mean" else "run").itertuples()
    text = f"gap {gap.gap:+.3f}\n[{gap.lo_90:+.3f}, {gap.hi_90:+.3f}]\n{gap.inside_90:.0%} inside"
    axis.text(0.96, 0.95, text, transform=axis.transAxes, ha="right", va="top", fontsize=6, color="0.25")
