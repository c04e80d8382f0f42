"""A training log made ready for a forecast of its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import number
from ..errors import InputError, Note, listed
from ..laws.curve import by_size
from ..laws.law import Law
from ..laws.resolve import find_law
from ..model.problem import pose
from ..runs.arrays import clock_of, size_class
from ..runs.schedule import add_lr_areas
from ..runs.start import without_start
from ..runs.table import numbers, read_runs
from ..runs.thin import drop_overtaken, drop_start, evenly, medians

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.drift import DriftLike
    from ..model.problem import Problem
    from ..runs.table import RunsLike


BINS = 40  # points that a run is thinned to
AHEAD = 64  # points of the forecast curve
AREAS = ("lr_area", "lr_mean")


@dataclass(frozen=True)
class Asked:
    """A run ready to be fitted.

    The problem, the rows seen, the rows ahead, and what was noticed on the way.
    """

    problem: Problem
    seen: pd.DataFrame
    ahead: pd.DataFrame
    target: float | None
    notes: tuple[Note, ...]


def prepare(
    runs: RunsLike,
    until: float | None = None,
    *,
    schedule: RunsLike | None = None,
    earlier: RunsLike | None = None,
    target: float | None = None,
    columns: Mapping[str, str] | None = None,
    drift: DriftLike = "default",
) -> Asked:
    """Check and thin a run and the earlier ones, and lay out its future: see `watch`."""
    table = one_run(read_runs(runs, columns=columns))
    read, clock = table.attrs.get("notes", ()), clock_of(table)
    if clock is None:
        raise InputError(
            "the log has neither tokens nor step.", "Name its clock: columns={'iteration': 'step'}."
        )
    table, begun = without_start(table, (clock,))
    table = table.assign(**{clock: numbers(table, clock), "loss": numbers(table, "loss")})
    if "lr" in table:
        table["lr"] = numbers(table, "lr", zero=True)
    table, notes = drop_overtaken(table, clock)
    table, rest, about = _rest(table, clock, until, schedule)
    whole = add_lr_areas(pd.concat([table, rest], ignore_index=True))
    seen, ahead = whole.iloc[: len(table)], whole.iloc[len(table) - 1 :].drop(columns="loss")
    kept, left_out = drop_start(seen, clock)
    past = [] if earlier is None else _earlier(earlier, clock, table, columns)
    rows = pd.concat([medians(each, clock, BINS) for each in [kept, *past]], ignore_index=True)
    problem = _posed(rows, clock, len(past), drift)
    notes = (*read, *begun, *notes, *about, *left_out)
    return Asked(problem, seen, _spaced(ahead, clock), target, notes)


def one_run(table: pd.DataFrame) -> pd.DataFrame:
    """The table of one run, labelled."""
    if "run" not in table:
        return table.assign(run="this run")
    names = table["run"].astype(str).unique()
    if len(names) > 1:
        raise InputError(
            f"watch follows one run, and the table has {len(names)} ({listed(names)}).",
            "Pass its rows, and the other runs as earlier=.",
        )
    return table.assign(run=names[0])


def _rest(
    table: pd.DataFrame, clock: str, until: float | None, schedule: RunsLike | None
) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """The log with `lr` where it can be had, the rows from now to the end, and notes on what they assume."""
    now, notes = table[clock].iloc[-1], []
    if schedule is not None:
        if until is not None:
            until = number("until", until, f"a {clock}", "Say where the run ends.")
        plan = read_runs(schedule)
        plan = pd.DataFrame({clock: numbers(plan, clock), "lr": numbers(plan, "lr", zero=True)})
        plan = plan.sort_values(clock).drop_duplicates(clock)
        until = float(plan[clock].iloc[-1]) if until is None else until
        if "lr" not in table:
            if plan[clock].iloc[0] > table[clock].iloc[0]:
                raise InputError(
                    f"the log has no lr, and the schedule starts at {clock} {plan[clock].iloc[0]:g}, "
                    "after the log does.",
                    "Give the schedule of the whole run, or add lr to the log.",
                )
            table = table.assign(lr=np.interp(table[clock], plan[clock], plan["lr"]))
            notes.append(Note("lr-planned", "the log has no lr: that of the schedule is used."))
        if plan[clock].iloc[-1] < until:
            raise InputError(
                f"the schedule ends at {clock} {plan[clock].iloc[-1]:g}, before until={until:g}.",
                "Give all of it.",
            )
        last = pd.DataFrame({clock: [until], "lr": [np.interp(until, plan[clock], plan["lr"])]})
        rest = pd.concat([plan[(plan[clock] > now) & (plan[clock] < until)], last], ignore_index=True)
    beyond = f"a {clock} beyond the last one seen, {now:g}"
    until = number("until", until, beyond, "Say where the run ends.", above=now)
    if schedule is None:
        rest = pd.DataFrame({clock: np.geomspace(now, until, AHEAD)[1:]})
        if "lr" in table:
            rest["lr"] = table["lr"].iloc[-1]
            text = (
                f"no schedule= was given: the learning rate is held at {table['lr'].iloc[-1]:.3g} to the end."
            )
            notes.append(Note("lr-held", text))
        else:
            text = (
                "the log has no lr: the band is for a run whose learning rate does not change. A run "
                "whose learning rate still decays ends below it. Add lr, and schedule=."
            )
            notes.append(Note("no-lr", text))
    same = {name: table[name].iloc[-1] for name in ("run", "params") if name in table}
    return table, rest.assign(**same), notes


def _earlier(
    earlier: RunsLike, clock: str, table: pd.DataFrame, columns: Mapping[str, str] | None
) -> list[pd.DataFrame]:
    """The earlier runs, one frame each, with the columns that this run has."""
    others = read_runs(earlier, columns=columns)
    needed = [c for c in ("run", clock, "loss", "lr", "params") if c == "run" or c in table]
    if "params" in others and "params" not in table and others["params"].nunique() > 1:
        raise InputError("the earlier runs have params and the log has none.", "Add params to the log.")
    missing = [name for name in needed if name not in others]
    if missing:
        raise InputError(
            f"the earlier runs lack {listed(missing)}, which the log has.",
            "Add it to both, or drop it from the log.",
        )
    if table["run"].iloc[0] in set(others["run"].astype(str)):
        raise InputError(
            f"the run {table['run'].iloc[0]!r} is among the earlier ones.",
            "Drop it there, or name the log's run.",
        )
    parts = []
    for name, run in others[needed].groupby("run", sort=False):
        run, _ = without_start(run, (clock,))
        run = run.assign(run=str(name), **{clock: numbers(run, clock), "loss": numbers(run, "loss")})
        run, _ = drop_overtaken(run, clock)
        parts.append(drop_start(add_lr_areas(run), clock)[0])
    return parts


def _posed(rows: pd.DataFrame, clock: str, num_earlier: int, drift: DriftLike) -> Problem:
    """The problem of the thinned rows, in a shape that does not change as the log grows."""
    areas = AREAS if AREAS[0] in rows else ()
    if "params" in rows and rows["params"].nunique() > 1:
        law = Law(by_size, "curve_by_size", ("params", clock, *areas), along=("params", clock), exact=False)
    else:
        law = find_law("curve", rows)
    noise = "normal+run" if num_earlier else "normal"  # medians of bins: the heavy tails are gone
    least = size_class(BINS * (1 + num_earlier)), 16 * len(law.varied), 0
    problem = pose(
        rows.drop(columns=["lr", "precision"], errors="ignore"), law, noise=noise, drift=drift, least=least
    )
    mixture = np.ones_like(problem.measured.mixture)
    mixture[: len(rows)] = rows["precision"].to_numpy()[problem.order]
    return replace(problem, measured=replace(problem.measured, mixture=mixture))


def _spaced(ahead: pd.DataFrame, clock: str) -> pd.DataFrame:
    """At most `AHEAD` rows, evenly spaced in the log of the clock, the first and the last among them."""
    return ahead.iloc[evenly(ahead[clock], AHEAD)].reset_index(drop=True)
