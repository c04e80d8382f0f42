"""What all figures share: colours that any eye and a grey print tell apart, bands, axes, short numbers."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from .._lazy import required
from ..posterior.bands import named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
else:
    Axes = Any  # matplotlib is imported inside functions only

required("matplotlib", "plot", "pictures")

REAL, PRED = "#0b5394", "#d95f02"  # told apart with any colour vision, and by line style in grey
MARKERS = "osD^vPX*"
LABELS = {
    "tokens": "training tokens",
    "step": "optimiser steps",
    "position": "token index",
    "params": "parameters N",
    "lr": "learning rate",
    "batch": "batch size",
    "bits": "bits per weight",
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
    """A number at three significant digits: k, M, B or T for thousands to trillions, 3e20 beyond."""
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 1e15:
        return f"{rounded:.3g}".replace("e+", "e")
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(rounded) >= unit:
            return f"{rounded / unit:.3g}{letter}"
    return f"{rounded:g}"


def log_axes(ax: Axes, which: str = "x") -> Axes:
    """Make axes logarithmic ("x", "y" or "xy"), with as many labelled ticks as have room beside one another.

    Labels are short numbers (300M, 3e20); the ticks between them have none.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for name in which:
        ax.set(**{f"{name}scale": "log"})
        axis = getattr(ax, f"{name}axis")
        axis.set_major_locator(_roomy()())
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axis.set_minor_formatter(NullFormatter())
    return ax


def round_ticks(low: float, high: float, room: int) -> np.ndarray:
    """The most round numbers from `low` to `high` of which `room` would fit beside one another, `(tick,)`.

    Multiples of powers of ten are preferred; within a decade the numbers may be evenly spaced.
    """
    from matplotlib.ticker import MaxNLocator

    first, last = np.floor(np.log10(low)), np.ceil(np.log10(high))
    decades = [10.0 ** np.arange(first, last + 1, step) for step in (1, 2, 3, 4, 6)]
    sets: list[Any] = [np.multiply.outer(decades[0], subs).ravel() for subs in ((1, 2, 5), (1, 3))] + decades
    sets += [MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high) for count in range(7, 1, -1)]
    inside = [ticks[(low * (1 - 1e-9) <= ticks) & (ticks <= high * (1 + 1e-9))] for ticks in sets]
    gap = np.log(high / low) / room
    apart = [ticks for ticks in inside if len(ticks) > 1 and np.diff(np.log(ticks)).min() >= gap]
    return max(apart or [ticks[[0, -1]] for ticks in inside if len(ticks) > 1] or inside, key=len)


@functools.cache
def _roomy() -> type:
    """The class of log axes' locator, made when it is first needed: matplotlib is imported no earlier."""
    from matplotlib.ticker import Locator

    class Roomy(Locator):
        def __call__(self) -> np.ndarray:
            return self.tick_values(*cast(Any, self.axis).get_view_interval())

        def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
            low, high = sorted((vmin, vmax))
            return round_ticks(low, high, int(np.clip(cast(Any, self.axis).get_tick_space(), 2, 7)))

    return Roomy
