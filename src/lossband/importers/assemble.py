"""Logs as a table of runs: one row per logged loss, and a note on every point that is no row."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError, Note, listed
from ..runs.names import losses_of
from ..runs.table import VOCABULARY
from .naming import choose, said, usual_columns
from .records import Imported, Logs, Points, settled

GREATEST = 1e300  # beyond: databases write their greatest float for infinity
COUNTERS = ("tokens", "lr", "flops", "step")  # what changes evenly between two logged points


def table_of(
    logs: Logs,
    *,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    tokens_per_step: float | None = None,
) -> Imported:
    """`Logs` as an `Imported` table.

    Args:
        logs: what a reader found.
        columns: metric -> lossband's name, {"eval/loss": "loss"}; by default the training loss, and every
            metric that has a usual name.
        constants: columns to add, the same for every row: {"params": 1.2e8}.
        tokens_per_step: adds `tokens`, the step times this.

    Raises:
        InputError: no loss, a metric that was not logged, or no loss that is a number.
    """
    columns = columns or {}
    settings = {name for one in logs.constants.values() for name in one}
    chosen = choose(logs.metrics, columns, constants=settings)
    notes, parts = list(logs.notes), []
    notes += [Note("columns", text)] if (text := said(chosen, logs.metrics)) else []
    for run, series in logs.series.items():
        if any(ours == "loss" and metric in series for metric, ours in chosen.items()):
            frame = one_run(run, series, chosen, notes, logs.clock)
            parts.append(frame.assign(**_fixed(logs.constants.get(run, {}), columns, frame)))
        else:
            notes.append(Note("left-out", f"run {run!r} logged no such loss and is left out."))
    if logs.skipped:
        notes.append(
            Note("unmatched", f"{logs.skipped} lines do not match the pattern and were passed over.")
        )
    notes += _unused(logs, chosen)
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if table.empty:
        if not any(series.get(metric) for series in logs.series.values() for metric in chosen):
            raise InputError(
                "the export names its columns and holds no losses.", "Export it with its values."
            )
        raise InputError(
            "none of the logged losses is a number.", "Look at the log: the run diverged from the start."
        )
    table = table.assign(**(constants or {}))
    if tokens_per_step is not None:
        table = timed(table, tokens_per_step)
    return Imported(table, tuple(notes))


def timed(table: pd.DataFrame, tokens_per_step: float) -> pd.DataFrame:
    """The table with tokens, the step times the tokens of one step.

    Raises:
        InputError: no steps, or tokens that are there already.
    """
    if "step" not in table or "tokens" in table:
        why = "has tokens already" if "tokens" in table else "has no step"
        raise InputError(f"tokens_per_step= was given, and the table {why}.", "Leave it out.")
    return table.assign(tokens=table["step"] * tokens_per_step)


def one_run(
    run: str, series: dict[str, Points], chosen: Mapping[str, str], notes: list[Note], clock: str = "step"
) -> pd.DataFrame:
    """One run's rows, one per step; points that are no row are reported in `notes`."""
    loss = next(metric for metric, ours in chosen.items() if ours == "loss" and metric in series)
    points = finite(series[loss], run, notes)
    _refuse_standing(points, run)
    points = settled(points, run, notes)
    frame = pd.DataFrame(points, columns=[clock, "loss"], dtype=float)
    frame[clock] = whole(frame[clock])
    frame.insert(0, "run", run)
    for metric, ours in chosen.items():
        if ours not in ("loss", clock) and metric in series:
            beside = _beside(frame[clock], settled(series[metric], run, []), ours, run, notes)
            if beside.notna().any():
                frame[ours] = beside
    if len(frame) and frame[clock].iloc[0] == 0:
        notes.append(
            Note("start", f"run {run!r} starts at {clock} 0, which has no logarithm: fits leave it out.")
        )
    return frame


def _refuse_standing(points: Points, run: str) -> None:
    """Refuse points of which most stand at the step of the one before them, with another loss."""
    pairs = zip(points[1:], points, strict=False)
    still = sum(step == before and value != loss for (step, value), (before, loss) in pairs)
    steps = list(dict.fromkeys(step for step, _ in points))
    if still > len(points) / 2 or (still and len(steps) == 1):
        raise InputError(
            f"run {run!r} has {len(points)} losses at {len(steps)} steps ({listed(steps)}): the step stands "
            "still, or the losses are of several metrics.",
            "Name the column that counts: columns={'yours': 'step'}; or keep the rows of one metric.",
        )


def finite(points: Points, run: str, notes: list[Note]) -> Points:
    """The points that are numbers, and a note on the others; a database's greatest float is an infinity."""

    def is_number(step: float, value: float) -> bool:
        return abs(value) < GREATEST and np.isfinite(step)

    kept = [point for point in points if is_number(*point)]
    if len(kept) < len(points):
        lost = [step for step, value in points if not is_number(step, value)]
        notes.append(
            Note(
                "not-finite",
                f"run {run!r}: {len(lost)} of {len(points)} logged losses are NaN or infinite (step "
                f"{listed(map(_short, lost))}) and left out; the run diverged there.",
            )
        )
    return kept


def whole(values: pd.Series) -> pd.Series:
    """Steps as whole numbers where all of them are."""
    return values.astype(np.int64) if len(values) and (values % 1 == 0).all() else values


def _beside(steps: pd.Series, points: Points, ours: str, run: str, notes: list[Note]) -> pd.Series:
    """Another metric at the steps of the loss: a counter between its logged points on a straight line."""
    at = dict(points)
    values = steps.map(at).astype(float)
    absent = values.isna() & ~steps.isin(at)
    known = [(step, value) for step, value in points if np.isfinite(value)]
    if not absent.any() or not known or ours not in COUNTERS:
        return _said_absent(values, absent, ours, run, notes)
    x, y = map(np.array, zip(*sorted(known), strict=True))
    between = absent & (steps >= x[0]) & (steps <= x[-1])
    values[between] = np.interp(steps[between], x, y)
    if between.any():
        text = f"run {run!r}: {ours} is interpolated at {between.sum()} of {len(steps)} points that lack it."
        notes.append(Note("between", text))
    return _said_absent(values, values.isna(), ours, run, notes)


def _said_absent(values: pd.Series, absent: pd.Series, ours: str, run: str, notes: list[Note]) -> pd.Series:
    if absent.any():
        notes.append(Note("absent", f"run {run!r}: {absent.sum()} of {len(absent)} points have no {ours}."))
    return values


def _fixed(constants: Mapping[str, Any], columns: Mapping[str, str], frame: pd.DataFrame) -> dict[str, Any]:
    """A run's settings that are columns of lossband, those of the user's choice first."""
    names = usual_columns(constants) | {n: ours for n, ours in columns.items() if n in constants}
    fixed = {ours: constants[name] for name, ours in names.items()}
    return {ours: value for ours, value in fixed.items() if ours in VOCABULARY and ours not in frame}


def _unused(logs: Logs, chosen: Mapping[str, str]) -> list[Note]:
    """A note on the metrics that are no column."""
    other = [name for name in logs.metrics if name not in chosen and name not in losses_of(logs.metrics)]
    other = [name for name in other if name != "epoch"]
    if not other:
        return []
    return [Note("unused", f"logged and not read: {listed(other, 8)}.")]


def _short(step: float) -> str:
    return f"{step:.10g}"
