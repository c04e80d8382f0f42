"""Figure 4: one long training run, forecast from its first quarter, half and three quarters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import plot
from ..datasets import load_dataset
from ..errors import InputError
from ..live.prepare import Asked, one_run, prepare
from ..live.watch import Outlook, outlooks
from ..runs.arrays import clock_of
from ..runs.schedule import add_lr_areas
from ..runs.thin import drop_overtaken, drop_start, medians
from .base import Figure, first_line

FRACTIONS = (0.25, 0.5, 0.75)
DRAWS = {"num_warmup": 400, "num_samples": 1000}  # as many as the other figures have
WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
END = 0.99  # the final loss is the median over the rest of the run


def curve(
    runs: pd.DataFrame | None = None,
    *,
    fractions: Sequence[float] = FRACTIONS,
    target: float | None = None,
    bins: int = 64,
    unit: str = "nats per byte",
    seed: int = 0,
    **options: Any,
) -> Figure:
    """Where will this run end, and when does it reach a target loss?

    Each part of the run is followed by `lossband.watch`, with the learning rate of the rest as its schedule
    where the table has one.

    Args:
        runs: the log of one run, in its order: tokens (or step), loss, and lr where it is known; by default
            the long run that lossband measured.
        fractions: of the run that each fit sees.
        target: a loss; by default the real one at nine tenths of the run.
        bins: log-spaced bins whose medians are drawn, and say when the target was reached.
        unit: of the loss, for the axis.
        seed: of the sampler.
        options: of `lossband.watch`: num_warmup, num_samples, num_chains, ...

    Returns:
        The `Figure`.
    """
    runs = one_run(load_dataset("long") if runs is None else runs)
    clock = clock_of(runs)
    if clock is None:
        raise InputError(
            "the log has neither tokens nor step.", "Name its clock: columns={'iteration': 'step'}."
        )
    runs, overtaken = drop_overtaken(runs, clock)
    runs = add_lr_areas(runs)
    end, shown = runs[clock].iloc[-1], medians(drop_start(runs, clock)[0], clock, bins)
    if target is None:
        target = float(shown["loss"].iloc[int((shown[clock] - 0.9 * end).abs().argmin())])
    asked = [_beginning(runs, clock, each * end, target) for each in fractions]
    found = outlooks(asked, seed=seed, **DRAWS | options)
    final, reached = (
        runs.loc[runs[clock] >= END * end, "loss"].median(),
        shown.loc[shown["loss"] <= target, clock].min(),
    )
    ends = _by_fraction(fractions, pd.concat([look.end(levels=(0.5, 0.9)) for look in found]), final)
    when = _by_fraction(fractions, pd.DataFrame([look.reach() for look in found]), reached)
    axes = _panels(found, ends, shown, raw=runs, target=target, unit=unit)
    tables = {
        "Final loss": ends.drop(columns=["run", "lr_area", "lr_mean"], errors="ignore"),
        f"{clock.capitalize()} at which the target is reached": when,
    }
    posts = {f"{100 * each:g}": look.posterior for each, look in zip(fractions, found, strict=True)}
    notes = *overtaken, *(note for look in found for note in look.notes)
    return Figure("curve", first_line(curve), axes, tables, posts, notes)


def _panels(found: Sequence[Outlook], ends: pd.DataFrame, shown: pd.DataFrame, **options: Any) -> np.ndarray:
    """One panel per fraction, on one scale of the loss; each says what it saw and where the run ended."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(found), figsize=(4.2 * len(found), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    limits = []
    for look, row, ax in zip(found, ends.itertuples(), axes[0], strict=True):
        limits.append(plot.curve(look, shown, ax=ax, **options).get_ylim())
        said = (
            f"seen: the first {row.seen:.0%}\n"
            f"end {row.median:.3f} [{row.lo_90:.3f}, {row.hi_90:.3f}]\n"
            f"real {row.real:.3f}"
        )
        ax.text(
            0.96,
            0.95,
            said,
            transform=ax.transAxes,
            ha="right",
            va="top",
            fontsize=8,
            color="0.25",
            bbox=WHITE,
        )
        ax.get_legend().remove()  # one serves all panels
        ax.label_outer()
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8, frameon=False)
    ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return axes


def _by_fraction(fractions: Sequence[float], table: pd.DataFrame, real: float) -> pd.DataFrame:
    """A table with the fraction of the run that each row saw, and what came."""
    table = table.reset_index(drop=True).assign(real=real)
    table.insert(0, "seen", fractions)
    return table


def _beginning(runs: pd.DataFrame, clock: str, now: float, target: float) -> Asked:
    """The run up to `now`, ready to be forecast, with the schedule of the rest."""
    columns = [name for name in ("run", clock, "lr", "loss") if name in runs]
    schedule = runs[[clock, "lr"]] if "lr" in runs else None
    return prepare(
        runs.loc[runs[clock] <= now, columns], runs[clock].iloc[-1], schedule=schedule, target=target
    )
