"""A fit beside its data: measured losses, and the bands of the curves that run through them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import levels_of, one_of, whole
from ..model.problem import NewRows
from ..runs.levels import WIDTH, is_isoflop
from ..runs.thin import evenly
from .lines import collinear, follow, labelled, spaced
from .style import LABELS, MARKERS, Axes, draw_bands, legend_above, log_axes, shades, short, symbol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..posterior.forecast import Kind
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike

FITTED, HELD_OUT, AHEAD = "fitted", "held out", "forecast"  # what a row is to the fit
SHADES = (0.15, 0.3)  # of the bands, the widest first


def forecast(
    post: Posterior,
    x: str | None = None,
    new: RunsLike | None = None,
    *,
    by: str | None = None,
    ax: Axes | None = None,
    kind: Kind = "observation",
    levels: Sequence[float] = (0.5, 0.9),
    columns: Mapping[str, str] | None = None,
    unit: str = "",
    points: int = 60,
) -> Axes:
    """Draw the losses that were fitted, new rows, and the median and the bands of the curves through them.

    A curve stands for one value of the input `by`, or for a fifth of the rows where there are more than ten.
    The other inputs follow the curve's rows: they are constant, or move with x where they do so in the table.
    A point whose inputs are not its curve's is moved there by the ratio of the two predictions, and the label
    of the axis says so. Single losses far above all others may lie above the frame, which is said in it.

    Args:
        post: a `Posterior`.
        x: the input on the horizontal axis. Default: params for an isoFLOP sweep, else tokens, steps, or the
            input of the widest range.
        new: rows that were not fitted, as in `predict`. With `loss` they are hollow points; without, diamonds
            at the median with the widest of the bands.
        by: the input whose values tell the curves apart, or "flops" for 6 x params x tokens. Default: "flops"
            for an isoFLOP sweep, else the input with the fewest values.
        ax: matplotlib axes; new ones by default.
        kind: of the bands, as in `predict`.
        levels: of the bands.
        columns: the user's names of the columns of `new`.
        unit: of the loss, for the axis.
        points: number of points of each curve.

    Returns:
        The axes.

    Raises:
        InputError: an input that the law does not have, or new rows that cannot be predicted.

    Example:
        >>> import lossband as lb
        >>> post = lb.fit(lb.load_dataset("positions"), "position_by_size", method="laplace")
        >>> ax = post.plot("position", by="params")
    """
    import matplotlib.pyplot as plt

    levels, points = levels_of(levels), whole("points", points, least=2)
    table = _table(post, new, columns)
    x, by = _chosen(post, table, x, by)
    table = table.assign(line=_lines(table, by))
    grids = {line: _grid(post, rows, table, x, by, points) for line, rows in table.groupby("line")}
    grid = pd.concat(grids, names=["line", None]).reset_index("line").reset_index(drop=True)
    band = post.predict(grid.assign(run="a new run"), kind=kind, levels=levels)
    names = [_name(rows, by) for _, rows in table.groupby("line")]
    table, moved = _moved(post, table, grids, x, by)
    table = _with_forecasts(post, table, kind, max(levels))
    ax = ax or plt.subplots(figsize=(5.4, 3.8), layout="constrained")[1]
    styles = zip(names, shades(len(grids)), itertools.cycle(MARKERS), strict=False)
    for (line, rows), (name, color, marker) in zip(table.groupby("line"), styles, strict=True):
        mine = (grid["line"] == line).to_numpy()
        draw_bands(ax, grid[x][mine], band[mine], levels=levels, color=color, label=False, alpha=SHADES)
        _draw_points(ax, rows, x, name, color=color, marker=marker)
    label = LABELS.get(x, x) + (
        "\n(points moved along the law to the inputs of their curve)" if moved else ""
    )
    log_axes(ax).set(xlabel=label, ylabel=f"loss ({unit})" if unit else "loss")
    _cut_above(ax, table["loss"])
    _legend(ax, table, levels)
    return ax


def _table(post: Posterior, new: RunsLike | None, columns: Mapping[str, str] | None) -> pd.DataFrame:
    """Fitted and new rows, with `status`, and `flops` where params and tokens are all that they cost."""
    problem = post.problem
    parts = [problem.frame.assign(status=FITTED)]
    if new is not None:
        rows = NewRows.of(new, columns)
        named = rows.table if columns else rows.table.rename(columns=problem.columns)
        measured = "loss" in named
        checked = rows.measured(problem) if measured else rows.checked(problem).assign(loss=np.nan)
        parts.append(checked.assign(status=HELD_OUT if measured else AHEAD))
    table = pd.concat(parts, ignore_index=True)
    if {"params", "tokens"} <= set(post.law.inputs) and "loops" not in post.law.inputs:
        table["flops"] = 6 * table["params"] * table["tokens"]
    return table


def _chosen(post: Posterior, table: pd.DataFrame, x: str | None, by: str | None) -> tuple[str, str | None]:
    """The input of the horizontal axis, and what tells the curves apart."""
    inputs = post.law.inputs
    if x is not None:
        one_of("x", x, inputs, "Name one of the law's inputs, or leave it out.")
    if by is not None:
        names = [name for name in (*inputs, *({"flops"} & set(table))) if name != x]
        one_of("by", by, names, "Name one of the law's other inputs, or leave it out.")
    if post.law.derive is not None:  # its inputs are computed along each run
        return x or post.law.varied[0], by or "run"
    if by is None and x in (None, "params", "tokens") and "flops" in table and is_isoflop(table):
        return x or "params", "flops"
    widest = sorted(inputs, key=lambda name: -np.ptp(np.log(table[name])))
    clocks = [name for name in ("tokens", "step") if name in inputs and table[name].nunique() > 2]
    x = x or next(name for name in [*clocks, *widest] if name != by)
    others = [name for name in inputs if name != x and table[name].nunique() > 1]
    others = [name for name in others if not collinear(table[x], table[name])]
    return x, by or min(others, key=lambda name: table[name].nunique(), default=None)


def _lines(table: pd.DataFrame, by: str | None) -> np.ndarray:
    """Which curve each row belongs to, `(row,)`."""
    if by is None:
        return np.zeros(len(table), int)
    if by == "run":
        return pd.factorize(table["run"])[0]
    return labelled(table[by].to_numpy(float), (table["status"] == FITTED).to_numpy())


def _grid(
    post: Posterior, rows: pd.DataFrame, table: pd.DataFrame, x: str, by: str | None, points: int
) -> pd.DataFrame:
    """Rows along one curve."""
    if post.law.derive is not None:
        rows = rows.sort_values(x)
        return rows.iloc[evenly(rows[x], points)].drop(columns=["loss", "status", "line"])
    at = spaced(rows[x], table[x], points)
    others = {name: follow(rows, name, x, at, by) for name in post.law.inputs if name != x}
    return pd.DataFrame({x: at, **others, **{name: rows[name].iloc[0] for name in post.law.carries}})


def _moved(
    post: Posterior, table: pd.DataFrame, grids: Mapping[Any, pd.DataFrame], x: str, by: str | None
) -> tuple[pd.DataFrame, bool]:
    """The table with losses as they would be on the curves, and whether that is another place."""
    if post.law.derive is not None:
        return table, False
    there = table.copy()
    for line in grids:
        rows = table[table["line"] == line]
        for name in post.law.inputs:
            if name != x:
                there.loc[rows.index, name] = follow(rows, name, x, rows[x].to_numpy(float), by)
    inputs = list(post.law.inputs)
    off = np.abs(np.log(there[inputs].to_numpy(float) / table[inputs].to_numpy(float))).max(1) > 0.02
    if not off.any():
        return table, False
    both = pd.concat([table[off], there[off]]).assign(run="a new run").drop(columns="loss")
    middle = post.predict(both, kind="mean", levels=(0.5,))["median"].to_numpy().reshape(2, -1)
    there.loc[off, "loss"] *= middle[1] / middle[0]
    there.loc[~off, inputs] = table.loc[~off, inputs]
    return there, True


def _with_forecasts(post: Posterior, table: pd.DataFrame, kind: Kind, level: float) -> pd.DataFrame:
    """The table with the median, `low` and `high` of the rows that have no loss."""
    ahead = table["status"] == AHEAD
    if not ahead.any():
        return table
    band = post.predict(table[ahead].assign(run="a new run").drop(columns="loss"), kind=kind, levels=(level,))
    low, high = (next(str(c) for c in band if str(c).startswith(side)) for side in ("lo_", "hi_"))
    found = band[["median", low, high]].set_axis(table.index[ahead])
    return table.fillna({"loss": found["median"]}).assign(low=found[low], high=found[high])


def _draw_points(ax: Axes, rows: pd.DataFrame, x: str, name: str, **style: Any) -> None:
    """The measured rows of one curve, filled or hollow, and the forecast ones with their bands."""
    for status, part in rows.groupby("status"):
        if status == AHEAD:
            error = np.abs(part[["low", "high"]].to_numpy().T - part["loss"].to_numpy())
            ax.errorbar(part[x], part["loss"], error, fmt="D", ms=4, mec="k", color=style["color"], zorder=4)
        else:
            face = "white" if status == HELD_OUT else style["color"]
            ax.plot(part[x], part["loss"], ls="", ms=4, mfc=face, mew=0.9, zorder=3, **style)
    ax.plot([], [], ls="", ms=4, label=name, **style)


def _name(rows: pd.DataFrame, by: str | None) -> str:
    """What tells a curve apart: "N = 30M"; "N ~ 30M" where it stands for several values."""
    if by is None:
        return "measured"
    if by == "run":
        return str(rows["run"].iloc[0])
    values = rows[by].to_numpy(float)
    about = "=" if np.ptp(np.log10(values)) <= WIDTH else "~"
    name = f"{'C' if by == 'flops' else symbol(by)} {about} {short(np.exp(np.log(values).mean()))}"
    return name + ("" if FITTED in set(rows["status"]) else f" ({rows['status'].iloc[0]})")


def _cut_above(ax: Axes, losses: pd.Series) -> None:
    """Leave single losses far above the others out of the frame, and say how many they are."""
    low, most = losses.quantile([0, 0.95])
    top = most + 0.4 * (most - low)
    if count := int((losses > top).sum()):
        ax.set_ylim(top=top)
        ax.text(0.98, 0.97, f"{count} above", transform=ax.transAxes, ha="right", va="top", fontsize=7)


def _legend(ax: Axes, table: pd.DataFrame, levels: Sequence[float]) -> None:
    """The curves' names, then what hollow points, diamonds, the dashed line and the shades are."""
    ax.plot([], [], "--", color="0.3", lw=1.2, label="median")
    for level, shade in zip(sorted(levels), sorted(SHADES, reverse=True), strict=False):
        ax.fill_between([], [], [], color="0.3", alpha=shade, lw=0, label=f"{100 * level:g} % band")
    if HELD_OUT in set(table["status"]):
        ax.plot([], [], "o", ms=4, mfc="white", color="0.3", label=HELD_OUT)
    if AHEAD in set(table["status"]):
        ax.plot([], [], "D", ms=4, mec="k", color="0.5", label=AHEAD)
    legend_above(ax)
