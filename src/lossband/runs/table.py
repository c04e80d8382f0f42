"""The table a user brings: one row per measurement, checked once, where it enters."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from ..errors import InputError, Note, close, listed, nearest
from .cells import dates, floats, how_to_fill, how_to_mend, labels
from .files import read_file
from .frames import frame_of
from .names import columns_line

INPUTS = {
    "params": "N, parameters (say which: with or without embeddings)",
    "params_once": "parameters outside the loop",
    "params_rec": "parameters inside the loop, counted once",
    "tokens": "D, training tokens",
    "unique_tokens": "tokens before repetition",
    "loops": "T, how often the looped block is applied",
    "max_loops": "loops in training, of which `loops` were applied",
    "position": "index of the token in its context, from 1",
    "step": "optimiser steps",
    "lr": "learning rate",
    "lr_area": "learning rate over its peak, summed over the run so far",
    "lr_mean": "learning rate over its peak, averaged over several time scales",
    "flops": "training FLOPs",
    "d_model": "width",
    "n_layer": "depth",
    "d_ff": "feed-forward width",
    "n_head": "attention heads",
    "ff_ratio": "d_ff / d_model",
    "aspect_ratio": "d_model / n_layer",
    "head_dim": "d_model / n_head",
    "experts": "experts per layer, one of which is used at a time or more; 1 is a dense model",
    "active": "parameters that one token passes",
    "total": "parameters of all experts together",
    "first_tokens": "training tokens of a first stage, before `tokens`",
    "streams": "parallel streams of one model",
    "vocabulary": "entries of the tokenizer's vocabulary",
    "characters": "training text, in characters",
    "batch": "sequences, or tokens, per optimiser step",
    "bits": "bits per weight in training",
}
# a table as users have it: a frame or what pandas makes one of, or the path of a file
RunsLike = (
    pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]] | np.ndarray | str | os.PathLike[str]
)
LABELS = ("run", "family")
MEASURED = ("loss", "loss_se", "accuracy", "error")
VOCABULARY = (*LABELS, *MEASURED, *INPUTS)
NONE = "No row is above 0: take its logarithm back, or leave the input out."


def read_runs(runs: RunsLike, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The user's table under lossband's column names, as a new frame: whoever reads on reads this one.

    Args:
        runs: a frame of pandas, polars or Arrow, a dict of columns, a list of records, one row as a dict, an
            open file, or the path of one: CSV (separated by commas, semicolons, tabs or bars), JSON lines or
            Parquet, compressed or not.
        columns: the user's names, `{"N": "params", "D": "tokens"}`.

    Returns:
        A frame with a fresh 0..n-1 index. Columns that laws read are numbers, whatever their dtype was
        ("124M" and "1e9" are numbers, and `attrs["notes"]` says so); `run` and `family` are text, 7 and 7.0
        alike. A column with a cell that is no number stays as it is, for whoever needs it to refuse. All
        others are carried along untouched.

    Raises:
        InputError: an empty table, a name in `columns` that is not there, a target that looks like a misspelt
            name of the vocabulary, or two columns with one name.
    """
    columns = dict(_names(columns))
    if isinstance(runs, str) or hasattr(runs, "__fspath__") or hasattr(runs, "read"):
        frame = read_file(runs, {*LABELS, *(mine for mine, ours in columns.items() if ours in LABELS)})
    else:
        frame = frame_of(runs)
    for mine, ours in columns.items():
        if mine not in frame.columns:
            raise InputError(
                f"columns= names {mine!r}, which is not in the table (it has {listed(frame.columns, 12)})"
                f"{nearest(mine, frame.columns)}",
                "Give the table's own name on the left: columns={'N': 'params'}.",
            )
        if ours not in VOCABULARY and close(ours, VOCABULARY):
            raise InputError(
                f"columns= maps {mine!r} to {ours!r}, which is no column of lossband"
                f"{nearest(ours, VOCABULARY)}",
                f"Use one of {', '.join(VOCABULARY)}, or any other name that your law reads.",
            )
    frame = frame.rename(columns=columns)
    frame.columns = [str(name) for name in frame.columns]  # pandas takes [True] for a choice of rows
    if columns:
        frame.attrs["yours"] = {ours: mine for mine, ours in columns.items()}  # what hints call a column
    twice = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
    if twice:
        raise InputError(
            f"the table has more than one column {listed(twice)}.", "Rename or drop one of them."
        )
    if frame.empty:
        raise InputError(
            "the table has no rows; one row per measurement is expected.", "Check the filter before."
        )
    return _typed(frame.reset_index(drop=True))


def _names(columns: object) -> Mapping[str, str]:
    """The user's column names, if that is what they are."""
    if columns is None:
        return {}
    if not isinstance(columns, Mapping) or not all(isinstance(ours, str) for ours in columns.values()):
        raise InputError(
            f"columns= got {columns!r}; expected a dict of your names and lossband's.",
            "For instance columns={'N': 'params'}.",
        )
    return columns


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its known columns as numbers and labels, and notes on numbers that were text."""
    new, notes = {}, []
    for name in (name for name in VOCABULARY if name in frame):
        column = frame[name]
        if name in LABELS:
            new[name] = labels(column)
        elif not _is_plain(column):
            values = floats(column)
            if (values.notna() | column.isna()).all():
                new[name] = values
                notes += _text_note(name, column, values)
    frame = frame.assign(**new)
    if notes:
        frame.attrs["notes"] = (*frame.attrs.get("notes", ()), *notes)
    return frame


def _is_plain(column: pd.Series) -> bool:
    """Whether a column already holds numbers of 64 bits, or what is no number of any kind."""
    return column.dtype in (np.int64, np.float64, bool) or dates(column)


def _text_note(name: str, column: pd.Series, values: pd.Series) -> Iterable[Note]:
    text = [(cell, value) for cell, value in zip(column, values, strict=True) if isinstance(cell, str)]
    if text:
        cell, value = text[0]
        yield Note("text", f"{name} is text: {len(text)} cells such as {cell!r} are read as {value:g}.")


def check_runs(
    frame: pd.DataFrame,
    inputs: Iterable[str],
    *,
    loss: bool = True,
    clock: str | None = None,
    varied: Iterable[str] | None = None,
    plain: Iterable[str] = (),
    signed: bool = False,
) -> pd.DataFrame:
    """Check the columns that a law needs; return them as float64 beside the labels.

    Args:
        frame: what `read_runs` returns.
        inputs: names of the law's inputs.
        loss: whether measured losses are needed (a forecast needs none).
        clock: a column that orders the points of a run, if the noise needs one; it may be constant.
        varied: the inputs that must not be constant; by default all.
        plain: the inputs that may be zero or negative.
        signed: whether the loss may be zero or negative.

    Returns:
        A frame of float64 inputs, and `loss` and `loss_se` where they are asked for, with `run` as its first
        column.

    Raises:
        InputError: missing, non-numeric, NaN, infinite or non-positive cells; a repeated measurement; an
            input with one single value.
    """
    needed: dict[str, None] = dict.fromkeys(
        [*inputs, *([clock] if clock else []), *(["loss"] if loss else [])]
    )
    free = {*plain, *(["loss"] if signed else [])}
    columns = {name: numbers(frame, name, signed=name in free) for name in needed}
    if loss and "loss_se" in frame:
        columns["loss_se"] = numbers(frame, "loss_se")
    checked = pd.DataFrame(columns, dtype=np.float64)
    run = frame["run"] if "run" in frame else pd.Series(np.arange(len(frame)), index=frame.index)
    if run.isna().any():
        _refuse_rows(
            "run", run.isna(), "missing label", "a label for every row", "Name every run, or drop the column."
        )
    checked.insert(0, "run", run.astype(str))
    if loss:
        _check_repeats(frame, [*INPUTS, *inputs])
        for name in (*(inputs if varied is None else varied), "loss"):
            if checked[name].nunique() == 1:
                others = "" if name == "loss" else f", or use a law without {name}"
                raise InputError(
                    f"{name} has one single value ({checked[name].iloc[0]:g}) in all {len(frame)} rows, and "
                    "the law needs it to vary.",
                    f"Add runs with another {name}{others}.",
                )
    return checked


def varying(frame: pd.DataFrame) -> list[str]:
    """Names of the inputs that the table has, and that differ between its rows."""
    return [name for name in INPUTS if name in frame and _hashable(frame[name]).nunique() > 1]


def _hashable(column: pd.Series) -> pd.Series:
    """A column that can be counted and compared: a stray list in a cell has no hash."""
    return column.map(repr) if column.dtype == object else column


def numbers(frame: pd.DataFrame, name: str, *, zero: bool = False, signed: bool = False) -> pd.Series:
    """Column `name` as finite positive float64 `(row,)`.

    Args:
        frame: the table.
        name: of the column.
        zero: zeros are numbers too.
        signed: zeros and negative numbers are.

    Raises:
        InputError: a missing column, or cells that are no such number.
    """
    if name not in frame:
        raise InputError(
            f"the table has no column {name!r} (it has {listed(frame.columns, 12)})"
            f"{nearest(name, frame.columns)}",
            f"Add it, or name yours: {columns_line(frame.columns, name)}.",
        )
    column, yours = frame[name], frame.attrs.get("yours", {}).get(name, name)
    values = floats(column)
    text = values.isna() & column.notna()
    if text.any():
        first = column[text].iloc[0]
        got = column.dtype if dates(column) or column.dtype == bool else repr(first)
        hint, shell = how_to_mend(
            yours, first, others=bool(values.notna().any()) or not isinstance(first, str)
        )
        _refuse_rows(name, text, "non-numeric value", f"numbers, got {got}", hint, shell)
    if values.isna().any():
        hints = how_to_fill(yours, others=bool(values.notna().any()))
        _refuse_rows(name, values.isna(), "missing value", "a number in every row", *hints)
    if np.isinf(values).any():
        _refuse_rows(
            name, np.isinf(values), "infinite value", "finite numbers", "Drop the diverged measurements."
        )
    if not signed and ((values < 0).any() or (not zero and (values == 0).any())):
        hint = f"Drop them with runs[runs[{yours!r}] > 0]."
        if (values <= 0).all():
            hint = "Take a law whose loss may be negative, such as 'vocabulary'." if name == "loss" else NONE
        _refuse_rows(name, values <= 0, "value <= 0", "positive numbers", hint)
    size = values.abs()
    far = (size > 0) & ((size < 1e-300) | (size > 1e300))  # a share or a product of these is no float
    if far.any():
        _refuse_rows(
            name, far, "value beyond 1e-300 to 1e300", "numbers in that range", "Choose another unit."
        )
    return values


def _refuse_rows(
    name: str, bad: np.ndarray | pd.Series, what: str, expected: str, todo: str, shell: str | None = None
) -> NoReturn:
    rows = np.flatnonzero(np.asarray(bad))
    plural = "s" if len(rows) > 1 and not what.endswith("0") else ""  # "value <= 0" stays as it is
    raise InputError(
        f"{name} has {len(rows)} {what}{plural} (row{'s' if len(rows) > 1 else ''} {listed(rows)}); "
        f"expected {expected}.",
        todo,
        shell,
    )


def _check_repeats(frame: pd.DataFrame, inputs: Iterable[str]) -> None:
    """Refuse the same measurement twice: one run and equal inputs; without run labels, an equal loss too."""
    key = [c for c in frame.columns if c in {*inputs, "family"}]
    key += ["run"] if "run" in frame else ["loss"]
    repeated = frame[key].apply(_hashable).duplicated(keep=False)
    if repeated.any():
        rows = np.flatnonzero(repeated)
        raise InputError(
            f"{len(rows)} rows repeat a measurement (rows {listed(rows)} agree in {', '.join(key)}); "
            "expected each measurement once.",
            "Drop them with runs.drop_duplicates(), or label separate runs with a column 'run'.",
        )
