"""The cost of an architecture's shape."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .style import LABELS, MARKERS, Axes, legend_above, log_axes, shades, short

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior


def shape(
    post: "Posterior",
    runs: pd.DataFrame,
    *,
    axis: str,
    near: Sequence[float] | None = None,
    ax: Axes | None = None,
    points: int = 80,
    level: float = 0.9,
) -> Axes:
    """Loss increase (%) over the best ratio, one curve per model size: measured runs, and bands.

    The increase of a measured run is over the median loss that the fitted law gives its size at the best
    ratio of this axis, the other ratios as they are in the run; the bands hold the uncertainty of the law
    and of its drift.

    Args:
        post: a `Posterior` of `shape`.
        runs: the measured table; only rows of this axis are drawn (`axis` column, if it has one).
        axis: "ff_ratio", "aspect_ratio" or "head_dim".
        near: (low, high) of the ratios that are near the best of the middle size, shaded.
        ax: matplotlib axes; new ones by default.
        points: number of points of each band.
        level: of the bands.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(3.6, 3.2), layout="constrained")[1]
    rows = runs[runs["axis"] == axis] if "axis" in runs else runs
    sizes = _sizes(rows)
    ratio = np.geomspace(rows[axis].min() / 1.2, rows[axis].max() * 1.2, points)
    for size, color, marker in zip(sizes.unique(), shades(sizes.nunique()), MARKERS, strict=False):
        mine = rows[sizes == size]
        best = best_losses(post, mine, axis)
        ax.plot(
            mine[axis],
            100 * (mine["loss"] / np.median(best, 0) - 1),
            marker,
            ms=4,
            mew=0.6,
            color=color,
            label=f"N = {short(np.exp(np.log(mine['params']).mean()))}",
        )
        centre = np.exp(np.log(mine["params"]).mean())
        grid = pd.DataFrame({name: _typical(mine, name) for name in post.law.inputs}, index=range(points))
        grid = grid.assign(params=centre, run="a new run", **{axis: ratio})
        rise = 100 * (post.draws(grid, kind="mean").to_numpy() / best_losses(post, grid[:1], axis) - 1)
        low, high = np.quantile(rise, [(1 - level) / 2, (1 + level) / 2], axis=0)
        ax.fill_between(ratio, low, high, color=color, alpha=0.2, lw=0)
        ax.plot(ratio, np.median(rise, 0), "--", color=color, lw=1.2)
    if near is not None:
        ax.axvspan(*near, color="0.9", zorder=0, label="near the best, middle size")
    ax.axhline(0, color="0.6", lw=0.8)
    log_axes(ax).set(xlabel=LABELS[axis], ylabel="loss increase (%)")
    legend_above(ax, ncols=2)
    return ax


def best_losses(post: "Posterior", rows: pd.DataFrame, axis: str) -> np.ndarray:
    """Loss draws of each row's model with the best ratio on one axis, by the law alone, `(sample, row)`."""
    v = {name: np.ravel(value)[:, None] for name, value in post.sites.items() if np.ndim(value) == 2}
    size = rows["params"].to_numpy(float) / float(post.problem.unit.centre["params"])
    rise = 0.0
    for other in set(post.law.inputs) - {"params", axis}:
        off = np.log(rows[other].to_numpy(float) / (v[f"{other}_best"] * size ** v[f"{other}_shift"]))
        rise = rise + np.where(off < 0, v[f"{other}_below"], v[f"{other}_above"]) * off**2
    return (v["E"] + v["A"] * size ** -v["alpha"]) * np.exp(rise)


def _sizes(rows: pd.DataFrame) -> pd.Series:
    """One label a size: the table's own column, else the parameters."""
    return rows["size"] if "size" in rows else rows["params"]


def _typical(rows: pd.DataFrame, name: str) -> float:
    return float(np.exp(np.median(np.log(rows[name].to_numpy(float)))))
