"""Loss by token position: at the end of training by model size, and along the training of one model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .style import LABELS, MARKERS, PRED, REAL, Axes, draw_bands, legend_above, log_axes, shades, short

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior


SHARP = (0.5, 0.9)  # levels of the bands, narrow first


def position(
    post: "Posterior",
    runs: pd.DataFrame,
    *,
    hidden: ArrayLike | None = None,
    sizes: ArrayLike = (),
    ax: Axes | None = None,
    unit: str = "nats",
    levels: Sequence[float] = SHARP,
    points: int = 60,
) -> Axes:
    """Loss against token index, one curve per model size: measured points, and bands.

    Args:
        post: a `Posterior` of `position_by_size`, or of any law of position and params.
        runs: the measured table.
        hidden: sizes that the fit never saw: hollow points.
        sizes: further sizes, not measured, to forecast.
        ax: matplotlib axes; new ones by default.
        unit: of the loss, for the axis.
        levels: of the bands, narrow first.
        points: number of points of each band.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.6, 3.6), layout="constrained")[1]
    measured = np.unique(runs["params"])
    all_sizes = np.unique([*measured, *np.atleast_1d(sizes)])
    index = np.geomspace(runs["position"].min(), runs["position"].max(), points)
    held = set(np.atleast_1d(hidden)) if hidden is not None else set()
    for size, color, marker in zip(all_sizes, shades(len(all_sizes)), _markers(all_sizes), strict=True):
        grid = pd.DataFrame({"position": index, "params": size, "run": "a new run"})
        band = post.predict(grid, levels=levels)
        draw_bands(ax, index, band, levels=levels, color=color, label=False, alpha=(0.15, 0.3))
        rows = runs[runs["params"] == size]
        name = f"N = {short(size)}" + (" (held out)" if size in held else "" if len(rows) else " (forecast)")
        face = "white" if size in held else color
        style: dict[str, Any] = (
            dict(marker=marker, ms=3.5, mfc=face, mew=0.8, ls="") if len(rows) else dict(ls="--")
        )
        ax.plot(rows["position"], rows["loss"], color=color, label=name, **style)
    log_axes(ax).set(xlabel=LABELS["position"], ylabel=f"loss of the token ({unit})")
    legend_above(ax, ncols=3)
    return ax


def position_step(
    post: "Posterior",
    runs: pd.DataFrame,
    *,
    last: pd.DataFrame | None = None,
    ax: Axes | None = None,
    unit: str = "nats",
    levels: Sequence[float] = SHARP,
    points: int = 60,
) -> Axes:
    """Loss against training step, one curve per token index, with bands, and where each stops improving.

    Args:
        post: a `Posterior` of `position_by_step`.
        runs: the measured table of one model.
        last: a frame with `position`, `median`, `lo_90`, `hi_90`: the step after which little is gained;
            marked on the curves.
        ax: matplotlib axes; new ones by default.
        unit: of the loss, for the axis.
        levels: of the bands, narrow first.
        points: number of points of each band.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.6, 3.6), layout="constrained")[1]
    indices = np.unique(runs["position"])
    steps = np.geomspace(runs["step"].min(), runs["step"].max(), points)
    if last is not None:
        ax.plot([], [], "-", color="k", lw=2.6, label="stops improving, 90 %")
    for index, color, marker in zip(indices, shades(len(indices)), _markers(indices), strict=True):
        grid = pd.DataFrame({"step": steps, "position": index, "run": "a new run"})
        draw_bands(
            ax,
            steps,
            post.predict(grid, levels=levels),
            levels=levels,
            color=color,
            label=False,
            alpha=(0.15, 0.3),
        )
        rows = runs[runs["position"] == index]
        ax.plot(rows["step"], rows["loss"], marker, ms=3, color=color, mew=0.6, label=f"index {index:.3g}")
        if last is not None:
            _mark_last(ax, post, last[np.isclose(last["position"], index)], color, steps[-1])
    log_axes(ax).set(
        xlabel=LABELS["step"],
        ylabel=f"loss of the token ({unit})",
        xlim=(steps[0] * 0.9, steps[-1] * 1.1),
    )
    legend_above(ax)
    return ax


def _mark_last(ax: Axes, post: "Posterior", last: pd.DataFrame, color: Any, end: float) -> None:
    """A bar over the 90 % interval of the last useful step of one index, at the loss that it has there."""
    for row in last.to_dict("records"):
        low, high = row["lo_90"], min(row["hi_90"], end)
        if low > end:
            continue
        at = pd.DataFrame(
            {"step": [min(row["median"], end)], "position": row["position"], "run": "a new run"}
        )
        height = post.predict(at, kind="mean", levels=(0.9,))["median"].iloc[0]
        ax.plot(
            [low, high],
            [height, height],
            "-",
            color="k",
            lw=2.6,
            solid_capstyle="butt",
            zorder=5,
        )
        ax.plot([low, high], [height, height], "-", color=color, lw=1.2, zorder=6)


def _markers(values: Sequence | np.ndarray) -> list[str]:
    return [MARKERS[i % len(MARKERS)] for i in range(len(values))]


def exponents(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """The exponent p against model size: by the joint law (band), and by a fit to each size alone (points).

    Args:
        table: `params`, `median`, `lo_90`, `hi_90`, and `alone_median`, ... where there is such a fit.
        ax: matplotlib axes; new ones by default.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.2, 3.4), layout="constrained")[1]
    ax.fill_between(
        table["params"],
        table["lo_90"],
        table["hi_90"],
        color=PRED,
        alpha=0.25,
        lw=0,
        label="all sizes, 90 % band",
    )
    ax.plot(table["params"], table["median"], "--", color=PRED, lw=1.2, label="all sizes, median")
    alone = table.dropna(subset=["alone_median"])
    error = np.abs(alone[["alone_lo_90", "alone_hi_90"]].to_numpy().T - alone["alone_median"].to_numpy())
    ax.errorbar(
        alone["params"], alone["alone_median"], error, fmt="o", ms=4, color=REAL, lw=1, label="one size, 90 %"
    )
    log_axes(ax).set(xlabel=LABELS["params"], ylabel="exponent p of the token index")
    legend_above(ax)
    return ax


def last_steps(table: pd.DataFrame, end: float, *, within: float, ax: Axes | None = None) -> Axes:
    """The step after which an index gains less than the share `within` of its loss, against the index.

    `end` is the last measured step.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.2, 3.4), layout="constrained")[1]
    ax.fill_between(
        table["position"], table["lo_90"], table["hi_90"], color=PRED, alpha=0.25, lw=0, label="90 % band"
    )
    ax.plot(table["position"], table["median"], "--o", ms=3, color=PRED, lw=1.2, label="median")
    ax.axhline(end, color="0.4", lw=0.8, ls=":", label="end of training")
    log_axes(ax, "xy").set(xlabel=LABELS["position"], ylabel=f"step within {within:.0%} of the end")
    legend_above(ax)
    return ax
