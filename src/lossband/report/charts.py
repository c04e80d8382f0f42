"""The report's drawings as inline SVG; their colours are the page's, so that they follow light and dark."""

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..plot.style import Axes, log_axes

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior


INK, REAL, PRED = "#010203", "#010204", "#010205"  # stand-ins: the page's own colours take their place
PAGE_COLOURS = {INK: "currentColor", REAL: "var(--real)", PRED: "var(--pred)"}
MOST_PANELS, POINTS = 4, 40


def svg_of(figure: Any) -> str:
    """A matplotlib figure as an SVG element without a background, in the page's colours."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    svg_of.count = (
        getattr(svg_of, "count", 0) + 1
    )  # shapes are named apart from any other drawing on the page
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"lossband {svg_of.count}"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for stand_in, colour in PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for size in ("height", "width"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    return svg


def axes(width: float = 3.4, height: float = 2.6) -> Axes:
    """One set of axes in the page's ink."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    ink: Any = {f"{name}.color": INK for name in ("xtick", "ytick", "text")} | {
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
    }
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "font.family": "sans-serif"}
    with mpl.rc_context(ink | look):
        _, made = plt.subplots(figsize=(width, height), layout="constrained")
    return made


def bands(post: "Posterior", level: float = 0.9) -> list[tuple[str, str]]:
    """Measured rows and the band of a new measurement along the widest input, one drawing per part.

    A part is a range of the second widest input.

    A row whose other inputs are not the drawing's is moved there by the ratio of the two predictions.

    Returns:
        (svg, caption) pairs, at most four.
    """
    frame, inputs = post.problem.frame, post.law.inputs
    widest = max(inputs, key=lambda name: np.ptp(np.log(frame[name])))
    parts = [(frame, "")]
    others = [name for name in inputs if name != widest]
    if others:
        second = max(others, key=lambda name: np.ptp(np.log(frame[name])))
        cut = (
            frame[second]
            if frame[second].nunique() <= MOST_PANELS
            else pd.qcut(frame[second], MOST_PANELS, duplicates="drop")
        )
        parts = [(rows, f"{second} {_range(rows[second])}") for _, rows in frame.groupby(cut, observed=True)]
    return [(_band(post, rows, widest, level), caption) for rows, caption in parts]


def _band(post: "Posterior", rows: pd.DataFrame, along: str, level: float) -> str:
    grid = pd.DataFrame(
        {name: np.repeat(np.exp(np.log(rows[name]).mean()), POINTS) for name in post.law.inputs}
    )
    grid[along] = np.geomspace(rows[along].min(), rows[along].max(), POINTS)
    for name in set(post.problem.frame) - set(grid) - {"run", "loss", "loss_se"}:
        grid[name] = rows[name].iloc[0]
    band = post.predict(grid.assign(run="a new run"), levels=(level,))
    low, high = (band[f"{side}_{100 * level:g}"] for side in ("lo", "hi"))
    ax = axes()
    ax.fill_between(grid[along], low, high, color=PRED, alpha=0.25, lw=0, label=f"{100 * level:g} % band")
    ax.plot(grid[along], band["median"], "--", color=PRED, lw=1.3, label="predicted")
    there = rows.assign(**{name: grid[name].iloc[0] for name in post.law.inputs if name != along})
    middle = [
        post.predict(at.assign(run="a new run"), kind="mean", levels=(0.5,))["median"] for at in (rows, there)
    ]
    moved = rows["loss"].to_numpy() * (middle[1] / middle[0]).to_numpy()
    ax.plot(rows[along], moved, "o", color=REAL, ms=3, label="measured")
    log_axes(ax).set(xlabel=along, ylabel="loss")
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return svg_of(ax.figure)


def ahead(post: "Posterior", new: pd.DataFrame) -> str:
    """The data, the curves through them, and forecasts of new rows, as `post.plot` draws them."""
    ax = axes(6.0, 4.2)
    return svg_of(post.plot(new=new, ax=ax).figure)


def _label(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:24]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def gaps(table: pd.DataFrame, name: str) -> str:
    """Gap of each curve with its interval: above zero the prediction is too high."""
    from matplotlib.ticker import MaxNLocator

    low, high = (next(c for c in map(str, table) if c.startswith(side)) for side in ("lo_", "hi_"))
    ax = axes(4.8, 0.9 + 0.2 * len(table))
    rows = np.arange(len(table))[::-1]
    ax.axvline(0, color=INK, lw=0.8)
    ax.hlines(rows, table[low], table[high], color=PRED, lw=2)
    ax.plot(table["gap"], rows, "o", color=REAL, ms=4)
    ax.set_yticks(rows, [_label(value) for value in table[name]], fontsize=8, parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(3))  # long names on the left leave little room
    ax.set(xlabel="predicted - measured")
    return svg_of(ax.figure)


def reliability(pit: ArrayLike) -> str:
    """Observed against nominal coverage of a backtest's bands."""
    ax = axes(3.4, 3.0)
    nominal = np.linspace(0.02, 0.98, 49)
    distance = np.abs(np.asarray(pit) - 0.5)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, label="calibrated")
    ax.plot(nominal, [(distance <= level / 2).mean() for level in nominal], color=PRED, label="observed")
    ax.set(xlabel="nominal coverage", ylabel="observed coverage", xlim=(0, 1), ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return svg_of(ax.figure)
