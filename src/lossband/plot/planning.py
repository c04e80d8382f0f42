"""Figures of decisions; each takes a result and returns the axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..posterior.bands import named
from .style import LABELS, PRED, REAL, Axes, draw_bands, legend_above, log_axes, short

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
    assert axes is not None
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
            "right", functions=(lambda y: np.divide(y, 300 * within), lambda p: np.multiply(p, 300 * within))
        )
        right.set_yticks([0, 0.5, 1])
        right.tick_params(labelsize=7)
    axes[0].set_ylabel("regret, %")
    axes[-1].figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8, frameon=False
    )
    return axes


def valley(found: Any, *, ax: Axes | None = None) -> Axes:
    """The valley of a `lossband.Optimum` over one input or two: how probably a point is near the best."""
    import matplotlib.pyplot as plt

    if len(found.over) > 2:
        raise InputError(
            f"the optimum is over {len(found.over)} inputs; a figure shows one or two.",
            "Hold the others by at=, or read optimum.frame.",
        )
    ax = plt.subplots(figsize=(4.6, 3.4), layout="constrained")[1] if ax is None else ax
    first, *second = found.over
    label = f"P(within {named(found.within)} % of the best)"
    if not second:
        ax.plot(found.valley[first], found.valley["near"], color=PRED, label=label)
        ax.axvline(found.frame["chosen"].iloc[0], color=REAL, label="least expected regret")
        ax.set(xlabel=LABELS.get(first, first), ylabel=label, ylim=(0, 1.02))
        legend_above(ax)
        return log_axes(ax)
    shape = found.valley[[first, *second]].nunique().to_numpy()
    if shape.prod() == len(found.valley):
        x, y, z = (found.valley[name].to_numpy().reshape(shape) for name in (first, *second, "near"))
        filled = ax.contourf(x, y, z, levels=np.linspace(0, 1, 11), cmap="Greys", alpha=0.8)
    else:
        x, y, z = (found.valley[name] for name in (first, *second, "near"))
        filled = ax.scatter(x, y, c=z, cmap="Greys", vmin=0, vmax=1, edgecolors="0.7", lw=0.4)
    ax.figure.colorbar(filled, ax=ax, label=label)
    some = found.draws.iloc[:: max(1, len(found.draws) // 200)]
    ax.plot(some[first], some[second[0]], ".", color=PRED, ms=2.5, alpha=0.6, label="the best, draw by draw")
    ax.plot(*found.frame["chosen"], "*", color=REAL, ms=11, label="least expected regret")
    ax.set(xlabel=LABELS.get(first, first), ylabel=LABELS.get(second[0], second[0]))
    legend_above(ax, ncols=2)
    return log_axes(ax, "xy")


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


def sigmoid(
    found: Any,
    new: "pd.DataFrame | None" = None,
    *,
    levels: Sequence[float] = (0.5, 0.9),
    ax: Axes | None = None,
) -> Axes:
    """A metric against the loss: measured models, the band of a new one, and forecasts of both as crosses."""
    import matplotlib.pyplot as plt
    import pandas as pd

    ax = ax or plt.subplots(figsize=(4.6, 3.2), layout="constrained")[1]
    pairs, (name,) = found.second.problem.frame, found.second.law.inputs
    seen, end = -np.log(pairs[name].to_numpy()), []
    if new is not None:
        steps = [each.draws(new).to_numpy() for each in (found.first, found)]
        low, middle, high = ([np.quantile(e, share, axis=0) for e in steps] for share in (0.05, 0.5, 0.95))
        end = [low[0].min(), high[0].max()]
        errors = [np.stack([middle[i] - low[i], high[i] - middle[i]]) for i in (0, 1)]
        ax.errorbar(
            middle[0],
            middle[1],
            xerr=errors[0],
            yerr=errors[1],
            fmt="none",
            color="0.2",
            lw=1.1,
            zorder=4,
            label="forecast, 90 %",
        )
    grid = np.linspace(min([*seen, *end]), max([*seen, *end]), 80)
    band = found.second.predict(pd.DataFrame({name: np.exp(-grid)}), levels=levels)
    draw_bands(ax, grid, band, levels=levels)
    ax.plot(seen, pairs["loss"], "o", ms=3.5, color=REAL, label="measured", zorder=3)
    ax.set(xlabel="loss", ylabel=found.second.problem.scale.column.replace("loss", "metric"))
    legend_above(ax)
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


def seeds(found: Any, *, ax: Axes | None = None) -> Axes:
    """Final losses of the seeds of two recipes, with each mean's 90 % interval and a new seed's band."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(4.6, 2.6), layout="constrained")[1]
    means, new = found.finals(), found.finals(kind="run")
    for place, each in enumerate((found.a, found.b)):
        mean, run, first = means.loc[each.name], new.loc[each.name], place == 0
        ax.barh(
            place,
            run["hi_90"] - run["lo_90"],
            left=run["lo_90"],
            height=0.5,
            color=PRED,
            alpha=SHADES[1],
            label="90 % band of a new seed" if first else None,
        )
        ax.plot([mean["lo_90"], mean["hi_90"]], [place, place], color=PRED, lw=5, solid_capstyle="butt")
        ax.plot(mean["median"], place, "|", color="white", ms=9, mew=2)
        label = {"seed": "a seed", "mean": "mean, 90 % interval"} if first else {}
        ax.plot([], [], color=PRED, lw=5, label=label.get("mean"))
        ax.plot(
            each.finals,
            np.full(len(each.finals), place + 0.33),
            "o",
            ms=4,
            color=REAL,
            label=label.get("seed"),
        )
    if found.target is not None:
        ax.axvline(found.target, color="0.4", lw=0.9, ls=":", label="target")
    ax.use_sticky_edges = False
    ax.set(yticks=[0, 1], yticklabels=list(means.index), ylim=(1.6, -0.5), xlabel="final loss")
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.locator_params(axis="x", nbins=6)
    legend_above(ax, ncols=2)
    return ax
