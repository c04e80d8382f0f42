"""What all figures share: colours that any eye and a grey print tell apart, bands, axes, short numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..posterior.bands import named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
else:
    Axes = Any  # matplotlib is imported inside functions only

REAL, PRED = "#0b5394", "#d95f02"  # told apart with any colour vision, and by line style in grey
MARKERS = "osD^vPX*"
LABELS = {
    "tokens": "training tokens",
    "step": "optimiser steps",
    "position": "token index",
    "params": "parameters N",
    "ff_ratio": r"feed-forward ratio $d_{ff}/d_{model}$",
    "aspect_ratio": r"aspect ratio $d_{model}/n_{layer}$",
    "head_dim": r"head dimension $d_{model}/n_{head}$",
}


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """`count` colours of rising lightness, for an ordered quantity: their order is seen in grey too."""
    import matplotlib

    return [matplotlib.colormaps["viridis"](place) for place in np.linspace(0.0, 0.82, count)]


def draw_bands(
    ax: Axes,
    x: ArrayLike,
    table: "pd.DataFrame",
    *,
    levels: Sequence[float],
    color: Any = PRED,
    alpha: Sequence[float] = (0.22, 0.45),
    label: bool = True,
) -> None:
    """Nested bands of a `predict` table over `x`, the widest first, and their median as a dashed line."""
    for level, shade in zip(sorted(levels, reverse=True), alpha, strict=False):
        suffix = named(level)
        low, high = table[f"lo_{suffix}"], table[f"hi_{suffix}"]
        name = f"{suffix} % band" if label else None
        ax.fill_between(x, low, high, color=color, alpha=shade, lw=0, label=name)
    ax.plot(x, table["median"], "--", color=color, lw=1.2, label="Pred" if label else None)


def legend_above(ax: Axes, **options: Any) -> Any:
    """A legend over the axes, where no data are."""
    options = {"ncols": 4, "fontsize": 7, "frameon": False, "loc": "lower center"} | options
    return ax.legend(bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3, **options)


def symbol(name: str) -> str:
    """The letter of an input, as in the laws; its name where it has none."""
    return {"params": "N", "tokens": "D", "loops": r"$T_m$"}.get(name, name)


def short(value: float) -> str:
    """A number at three significant digits with k, M, B or T for thousands to trillions."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:g}"
