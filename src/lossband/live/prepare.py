"""A training log made ready for a forecast of its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from .._arguments import number
from ..errors import InputError, Note, listed
from ..laws.resolve import find_law
from ..model.problem import pose
from ..runs.arrays import clock_of, size_class
from ..runs.schedule import add_lr_areas
from ..runs.schedules import planned
from ..runs.schedules import schedule as named_schedule
from ..runs.start import without_start
from ..runs.table import numbers, read_runs
from ..runs.thin import drop_overtaken, drop_start, evenly, medians
from .alarm import events_of, notes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model.drift import DriftLike
    from ..model.problem import Problem
    from ..runs.schedules import Planned
    from ..runs.table import RunsLike


BINS = 40  # points that a run is thinned to
AHEAD = 64  # points of the forecast curve
UNKNOWN = (("cosine", {"final": 0.1}), ("linear", {}), ("wsd", {"decay": 0.2}))  # what a run may follow


@dataclass(frozen=True)
class Asked:
    """A run ready to be fitted.

    The problem, the rows seen, the rows ahead, and what was noticed on the way. `others` are the same run
    under schedules that it may follow, where its learning rate is not known.
    """

    problem: Problem
    seen: pd.DataFrame
    ahead: pd.DataFrame
    target: float | None
    notes: tuple[Note, ...]
    others: tuple[Asked, ...] = ()


def prepare(
    runs: RunsLike,
    until: float | None = None,
    *,
    schedule: Planned | None = None,
    earlier: RunsLike | None = None,
    target: float | None = None,
    columns: Mapping[str, str] | None = None,
    drift: DriftLike = "default",
) -> Asked:
    """Check and thin a run and the earlier ones, and lay out its future: see `watch`."""
    table = one_run(read_runs(runs, columns=columns))
    options: dict[str, Any] = dict(target=target, columns=columns, drift=drift)
    asked = _asked(table, until, schedule, earlier, **options)
    if "lr" in asked.seen or earlier is not None:
        return asked
    end = float(asked.ahead[clock_of(asked.ahead)].iloc[-1])
    kinds: Any = UNKNOWN
    plans = [named_schedule(name, until=end, **numbers) for name, numbers in kinds]
    return replace(asked, others=tuple(_asked(table, end, plan, None, **options) for plan in plans))


def _asked(
    table: pd.DataFrame,
    until: float | None,
    schedule: Planned | None,
    earlier: RunsLike | None,
    *,
    target: float | None,
    columns: Mapping[str, str] | None,
    drift: DriftLike,
) -> Asked:
    """One run under one schedule."""
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
    events = events_of(seen[clock], seen["loss"])
    notes = (*read, *begun, *notes, *about, *left_out, *notes_of(events))
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
    table: pd.DataFrame, clock: str, until: float | None, schedule: Planned | None
) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """The log with `lr` where it can be had, the rows from now to the end, and notes on what they assume."""
    now = table[clock].iloc[-1]
    plan = None if schedule is None else _plan(schedule, table, clock, until)
    if plan is not None and until is None:
        until = float(plan[clock].iloc[-1])
    until = number(
        "until", until, f"a {clock} beyond the last one seen, {now:g}", "Say where the run ends.", above=now
    )
    found = _held(table, clock, until) if plan is None else _scheduled(table, plan, clock, until)
    table, rest, notes = found
    same = {name: table[name].iloc[-1] for name in ("run", "params") if name in table}
    return table, rest.assign(**same), notes


def _plan(schedule: Planned, table: pd.DataFrame, clock: str, until: float | None) -> pd.DataFrame:
    """The schedule as a frame of the clock and `lr`, rising."""
    plan = planned(schedule, clock, until, table)
    plan = read_runs(cast("Any", schedule)) if plan is None else plan
    plan = pd.DataFrame({clock: numbers(plan, clock), "lr": numbers(plan, "lr", zero=True)})
    if not plan["lr"].any():
        raise InputError("the learning rate of the schedule is 0 throughout.", "Give the rates of the run.")
    return plan.sort_values(clock).drop_duplicates(clock)


def _scheduled(
    table: pd.DataFrame, plan: pd.DataFrame, clock: str, until: float
) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """The rows ahead by a schedule that reaches the end; a log without `lr` is given the schedule's."""
    now, notes = table[clock].iloc[-1], []
    if plan[clock].iloc[-1] < until * (1 - 1e-9):
        raise InputError(
            f"the schedule ends at {clock} {plan[clock].iloc[-1]:g}, before until={until:g}.",
            "Give all of it.",
        )
    if "lr" not in table:
        if plan[clock].iloc[0] > table[clock].iloc[0]:
            raise InputError(
                f"the log has no lr, and the schedule starts at {clock} {plan[clock].iloc[0]:g}, "
                "after the log does.",
                "Give the schedule of the whole run, or add lr to the log.",
            )
        table = table.assign(lr=np.interp(table[clock], plan[clock], plan["lr"]))
        notes.append(Note("lr-planned", "the log has no lr: that of the schedule is used."))
    last = pd.DataFrame({clock: [until], "lr": [np.interp(until, plan[clock], plan["lr"])]})
    rest = plan[(plan[clock] > now) & (plan[clock] < until)]
    return table, pd.concat([rest, last], ignore_index=True), notes


def _held(table: pd.DataFrame, clock: str, until: float) -> tuple[pd.DataFrame, pd.DataFrame, list[Note]]:
    """The rows ahead of a run without a schedule: the last learning rate is held."""
    rest = pd.DataFrame({clock: np.geomspace(table[clock].iloc[-1], until, AHEAD)[1:]})
    if "lr" not in table:
        text = (
            "the log has no lr: the band is an equal mixture of a constant learning rate, a cosine to a "
            "tenth, a linear decay, and one over the last fifth. Add lr, or schedule=, for a narrower one."
        )
        return table, rest, [Note("no-lr", text)]
    rest["lr"] = table["lr"].iloc[-1]
    text = f"no schedule= was given: the learning rate is held at {table['lr'].iloc[-1]:.3g} to the end."
    return table, rest, [Note("lr-held", text)]


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
    several = "params" in rows and rows["params"].nunique() > 1
    law = find_law("trajectory" if several else "curve", rows)
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
