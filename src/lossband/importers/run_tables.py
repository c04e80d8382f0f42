"""Tables with one row per run: what W&B, MLflow and Comet export of a project, settings beside results."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..errors import InputError, Note, listed
from ..runs.cells import floats
from ..runs.files import names_in, read_file
from ..runs.names import STEPS, first_of, losses_of, plain
from ..runs.table import LABELS, read_runs
from .naming import choose, said, usual_columns
from .records import Imported, own_name

STATES = ("state", "status")
NAMES = (
    "name",
    "tags.mlflow.runname",
    "run name",
    "run_name",
    "run",
    "id",
    "run id",
    "run_id",
    "run_uuid",
    "experiment key",
)
MARKS = (
    "created",
    "runtime",
    "user",
    "tags",
    "notes",
    "sweep",
    "id",
    "hostname",
    "duration",
    "start time",
    "run id",
    "run_id",
    "experiment_id",
    "artifact_uri",
    "start_time",
    "end time",
)
FINISHED = ("finished", "complete", "completed", "success", "succeeded", "")


def is_header(names: Sequence[str]) -> bool:
    """Whether these are the columns of a table of runs as a tracking program exports it."""
    small = [name.strip().lower() for name in names]
    if {"run", "loss"} <= set(names):  # a table of measurements
        return False
    named = any(name in small for name in NAMES)
    marks = sum(name in small for name in (*STATES, *MARKS))
    return named and (marks >= 2 or any(name in small for name in STATES)) and "step" not in small


def read_table(source: str | os.PathLike, *, columns: Mapping[str, str] | None = None) -> Imported:
    """One row per finished run: its name, and every column that has a usual name.

    Raises:
        InputError: no loss, or no finished run with one.
    """
    columns = dict(columns or {})
    frame = read_file(source, {name for name in names_in(source) if plain(name) in NAMES})
    frame, notes = _single_columns(frame)
    frame = _single_rows(frame, notes)
    label = _label(frame)
    frame, notes = _finished(frame, label, notes)
    names = [str(name) for name in frame if name != label]
    chosen = choose(names, columns, held_out=True)
    if (step := first_of(names, STEPS)) and "step" not in chosen.values():
        chosen[step] = "step"
    notes += [Note("columns", text)] if (text := said(chosen, names)) else []
    table = frame[list(chosen)].rename(columns=chosen)
    if label and "run" not in table:
        table.insert(0, "run", _own_names(frame[label], notes))
    table = _measured(read_runs(table) if len(table) else table, notes)
    notes += [*table.attrs.pop("notes", ())]
    return Imported(table.reset_index(drop=True), tuple(notes))


def settings_of(source: Any) -> dict[str, dict[str, Any]]:
    """Run -> name -> value, of a table with one row per run: what belongs to a run and not to its points."""
    frame = read_file(source, NAMES) if isinstance(source, str | os.PathLike) else read_runs(source)
    label = first_of(frame.columns, NAMES)
    if label is None:
        raise InputError(
            f"per_run= has no column with the runs' names; it has {listed(frame.columns, 12)}.",
            "Name it run, or Name.",
        )
    names = {n: ours for n, ours in usual_columns(frame.columns).items() if ours not in ("loss", "step")}
    numbers = {ours: floats(frame[name]) for name, ours in names.items() if ours not in LABELS}
    numbers |= {ours: frame[name] for name, ours in names.items() if ours in LABELS}
    return {
        str(run): {
            ours: values.iloc[i] for ours, values in numbers.items() if values.iloc[i] == values.iloc[i]
        }
        for i, run in enumerate(frame[label])
    }


def _single_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Note]]:
    """The first of equal columns: a setting and a result may have one name in an export."""
    again = frame.columns.duplicated()
    if not again.any():
        return frame, []
    text = f"the export has more than one column {listed(frame.columns[again])}: the first is read."
    return frame.loc[:, ~again], [Note("equal-columns", text)]


def _single_rows(frame: pd.DataFrame, notes: list[Note]) -> pd.DataFrame:
    """Each run once: a run that an export lists twice is equal in every cell."""
    again = frame.astype(str).duplicated()
    if not again.any():
        return frame
    text = f"the export lists {again.sum()} runs more than once, equal in every cell: each is kept once."
    notes.append(Note("duplicates", text))
    return frame[~again].reset_index(drop=True)


def _label(frame: pd.DataFrame) -> str | None:
    """The first column of names that has one; a table of unnamed runs has their ids."""
    named = [str(name) for name in frame if frame[name].notna().any()]
    return first_of(named, NAMES) or first_of(frame.columns, NAMES)


def _finished(frame: pd.DataFrame, label: str | None, notes: list[Note]) -> tuple[pd.DataFrame, list[Note]]:
    """The runs that came to their end, and a note on the others: their loss is not that of their tokens."""
    state = first_of(frame.columns, STATES)
    if state is None:
        return frame, notes
    done = frame[state].fillna("").astype(str).str.lower().isin(FINISHED)
    if not done.any():
        raise InputError(
            f"none of the {len(frame)} runs is finished ({state} is {listed(frame[state].unique())}).",
            f"To take them as they are, delete the column {state}.",
        )
    if not done.all():
        others = [f"{row[label] if label else i} {row[state]}" for i, row in frame[~done].iterrows()]
        text = (
            f"{len(others)} of {len(frame)} runs did not finish and are left out ({listed(others)}). To take "
            f"them as they are, delete the column {state}."
        )
        notes = [*notes, Note("unfinished", text)]
    return frame[done], notes


def _own_names(names: pd.Series, notes: list[Note]) -> list[str]:
    """The runs' names, each its own."""
    found: list[str] = []
    for name in names.fillna("").astype(str):
        found.append(own_name(name or "run", found))
    renamed = [new for new, old in zip(found, names, strict=True) if new != old]
    if renamed:
        notes.append(
            Note("equal-names", f"several runs have one name, or none: {listed(renamed)} are others.")
        )
    return found


def _measured(table: pd.DataFrame, notes: list[Note]) -> pd.DataFrame:
    """The runs with a loss and all of what a law needs of them, and notes on the others."""
    for name in ("loss", "params", "tokens"):
        if name not in table or table[name].dtype.kind not in "iuf":
            continue
        bad = ~(table[name] < float("inf"))
        if bad.all():
            continue
        if bad.any():
            who = listed(table.loc[bad, "run"]) if "run" in table else f"rows {listed(table.index[bad])}"
            text = f"{bad.sum()} of {len(table)} runs have no {name} (no number) and are left out ({who})."
            notes.append(Note("not-finite" if name == "loss" else "absent", text))
            table = table[~bad]
    if losses_of(table.columns) and len(table) and table["loss"].notna().any():
        return table
    raise InputError(
        "none of the finished runs has a loss that is a number.", "Export the column of the loss."
    )
