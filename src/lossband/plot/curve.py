"""One training run, forecast from its beginning."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..posterior.bands import named
from ..runs.thin import evenly
from .style import LABELS, PRED, REAL, Axes, draw_bands, legend_above, log_axes, short

if TYPE_CHECKING:
    import pandas as pd

    from ..posterior.bands import Forecast


def curve(
    post: "Forecast",
    run: "pd.DataFrame",
    *,
    raw: "pd.DataFrame | None" = None,
    target: float | None = None,
    ax: Axes | None = None,
    unit: str = "nats",
    levels: Sequence[float] = (0.5, 0.9),
    points: int = 120,
) -> Axes:
    """Loss along one run: what the fit saw, what came after, and the band around what it forecast.

    The picture begins with the first row that was fitted.

    Args:
        post: an `Outlook`, or a `Posterior` of `curve` or any law of tokens or steps, fitted to the
            beginning of the run.
        run: the rows of the whole run, with `lr` where the law reads it; `loss` may be missing where it has
            yet to come.
        raw: the single rows that `run` is thinned from, with the same inputs, drawn faintly: the jitter and
            the spikes.
        target: a loss to mark.
        ax: matplotlib axes; new ones by default.
        unit: of the loss, for the axis.
        levels: of the bands.
        points: number of rows at which the bands are drawn.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.6, 3.2), layout="constrained")[1]
    clock = next(name for name in post.problem.model.law.inputs if name != "params")
    fitted = post.problem.frame
    mine = fitted["run"].isin(run["run"].astype(str)) if "run" in run else np.zeros(len(fitted), bool)
    start, end = (fitted[mine] if mine.any() else fitted)[clock].agg(["min", "max"])
    rows = (run if raw is None else raw).sort_values(clock)
    rows, run = (table[table[clock] >= start] for table in (rows, run.sort_values(clock)))
    grid = rows.iloc[evenly(rows[clock], points)]
    band = post.predict(grid, levels=levels)
    draw_bands(ax, grid[clock], band, levels=levels)
    low, high = (band[f"{side}_{named(max(levels))}"] for side in ("lo", "hi"))
    seen = run[clock] <= end
    if raw is not None:
        ax.plot(rows[clock], rows["loss"], "-", color=REAL, lw=0.3, alpha=0.35, zorder=1, label="single rows")
    ax.plot(run[clock][seen], run["loss"][seen], "-", color=REAL, lw=1.6, label="Real, fitted")
    ax.plot(run[clock], run["loss"], "-", color=REAL, lw=0.8, label="Real, to come")
    ax.axvline(end, color="0.6", lw=0.8)
    if target is not None:
        ax.axhline(target, color="0.35", lw=0.8, ls=":", label=f"target {target:.4g}")
    ax.xaxis.set_major_formatter(lambda value, _: short(value))
    real = run["loss"].dropna()  # the limits are the curve's and the band's, not those of single spikes
    low, high = min(real.min(), low.min()), max(real.max(), high.max())
    margin = 0.05 * (high - low)
    ax.set(
        xlabel=LABELS.get(clock, clock),
        ylabel=f"loss ({unit})" if unit else "loss",
        ylim=(low - margin, high + margin),
    )
    legend_above(ax, ncols=3)
    return ax


def to_come(forecast: Any, *, ax: Axes | None = None, real: "pd.DataFrame | None" = None) -> Axes:
    """The curve of a run that has not begun: pointwise bands, and the 90 % envelope of the whole curve.

    Args:
        forecast: what `lossband.forecast_run` returned.
        ax: matplotlib axes; new ones by default.
        real: rows of the run, where it has been made since.

    Returns:
        The axes.
    """
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.6, 3.2), layout="constrained")[1]
    clock = forecast.clock
    band, envelope = forecast.curve(levels=(0.5, 0.9)), forecast.envelope()
    draw_bands(ax, band[clock], band, levels=(0.5, 0.9))
    for side, label in (("lo_90", "90 % of whole curves"), ("hi_90", None)):
        ax.plot(envelope[clock], envelope[side], ":", color=PRED, lw=1, label=label)
    if real is not None:
        ax.plot(real[clock], real["loss"], "-", color=REAL, lw=1.2, label="Real")
    if forecast.target is not None:
        ax.axhline(forecast.target, color="0.35", lw=0.8, ls=":", label=f"target {forecast.target:.4g}")
    log_axes(ax).set(xlabel=LABELS.get(clock, clock), ylabel="loss")
    legend_above(ax, ncols=3)
    return ax
