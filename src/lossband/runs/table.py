"""The table a user brings: one row per measurement, checked once, where it enters."""

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from ..errors import InputError, listed, nearest

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
    "lr_area": "learning rate summed over the run so far",
    "lr_mean": "learning rate averaged over the last part of the run",
    "flops": "training FLOPs",
    "d_model": "width",
    "n_layer": "depth",
    "d_ff": "feed-forward width",
    "n_head": "attention heads",
    "ff_ratio": "d_ff / d_model",
    "aspect_ratio": "d_model / n_layer",
    "head_dim": "d_model / n_head",
}
# a table as users have it: a frame or what pandas makes one of, or the path of a file
RunsLike = (
    pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]] | np.ndarray | str | os.PathLike[str]
)
LABELS = ("run", "family")
MEASURED = ("loss", "loss_se")
VOCABULARY = (*LABELS, *MEASURED, *INPUTS)


def read_runs(runs: RunsLike, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The user's table under lossband's column names, as a new frame.

    Args:
        runs: a pandas frame (or anything that `pandas.DataFrame` takes), or the path of a CSV or
            Parquet file.
        columns: the user's names, `{"N": "params", "D": "tokens"}`.

    Returns:
        A frame with a fresh 0..n-1 index; columns outside the vocabulary are carried along untouched.

    Raises:
        InputError: an empty table, a name in `columns` that is not there, a target outside the vocabulary, or
            two columns with one name.
    """
    frame = _read_file(runs) if isinstance(runs, str) or hasattr(runs, "__fspath__") else _frame_of(runs)
    for mine, ours in (columns or {}).items():
        if mine not in frame.columns:
            raise InputError(
                f"columns= names {mine!r}, which is not in the table (it has {listed(frame.columns)})"
                f"{nearest(mine, frame.columns)}",
                "Give the table's own name on the left: columns={'N': 'params'}.",
            )
        if ours not in VOCABULARY:
            raise InputError(
                f"columns= maps {mine!r} to {ours!r}, which is no column of lossband"
                f"{nearest(ours, VOCABULARY)}",
                f"Use one of {', '.join(VOCABULARY)}.",
            )
    frame = frame.rename(columns=columns or {})
    twice = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
    if twice:
        raise InputError(
            f"the table has more than one column {listed(twice)}.", "Rename or drop one of them."
        )
    if frame.empty:
        raise InputError(
            "the table has no rows; one row per measurement is expected.", "Check the filter before."
        )
    return frame.reset_index(drop=True)


def _frame_of(runs: Any) -> pd.DataFrame:
    try:
        return pd.DataFrame(runs)
    except (ValueError, TypeError) as error:  # what pandas cannot make a table of
        raise InputError(
            f"a table was expected, and a {type(runs).__name__} was given ({error}).",
            "Pass a frame, or a path.",
        ) from error


def _read_file(path: str | os.PathLike) -> pd.DataFrame:
    parquet = str(path).endswith(".parquet")
    try:
        with open(path, "rb") as file:  # pyarrow leaves a file that it cannot parse open
            return pd.read_parquet(file) if parquet else pd.read_csv(file)
    except ImportError as error:
        raise InputError("Parquet files need pyarrow.", "pip install 'lossband[parquet]'") from error
    except (OSError, ValueError) as error:  # pandas and pyarrow raise subclasses for what they cannot parse
        what = "a Parquet" if parquet else "a CSV"
        raise InputError(
            f"{str(path)!r} cannot be read as {what} table: {error}.", "Check the path, or pass a frame."
        ) from error


def check_runs(
    frame: pd.DataFrame,
    inputs: Iterable[str],
    *,
    loss: bool = True,
    clock: str | None = None,
    varied: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Check the columns that a law needs; return them as float64 beside the labels.

    Args:
        frame: what `read_runs` returns.
        inputs: names of the law's inputs.
        loss: whether measured losses are needed (a forecast needs none).
        clock: a column that orders the points of a run, if the noise needs one; it may be constant.
        varied: the inputs that must not be constant; by default all.

    Returns:
        A frame of float64 inputs, and `loss` and `loss_se` where they are asked for, with `run` as its first
        column.

    Raises:
        InputError: missing, non-numeric, NaN, infinite or non-positive cells; a repeated measurement; an
            input with one single value.
    """
    needed = dict.fromkeys([*inputs, *([clock] if clock else []), *(["loss"] if loss else [])])
    columns = {name: numbers(frame, name) for name in needed}
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
        _check_repeats(frame, checked)
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


def numbers(frame: pd.DataFrame, name: str, *, zero: bool = False) -> pd.Series:
    """Column `name` as finite positive float64 `(row,)`; `zero`: zeros are numbers too."""
    if name not in frame:
        raise InputError(
            f"the table has no column {name!r} (it has {listed(frame.columns, 12)})"
            f"{nearest(name, frame.columns)}",
            f"Add it, or name yours: columns={{'yours': {name!r}}}.",
        )
    column = frame[name]
    if (
        column.dtype == bool
        or pd.api.types.is_datetime64_any_dtype(column)
        or pd.api.types.is_timedelta64_dtype(column)
    ):
        _refuse_rows(name, np.ones(len(frame)), "non-numeric value", "numbers", f"It holds {column.dtype}.")
    values = column.map(_number).astype(np.float64) if column.dtype == object else _floats(column)
    text = values.isna() & column.notna()
    if text.any():
        _refuse_rows(name, text, "non-numeric value", "numbers", "Convert it with pd.to_numeric.")
    if values.isna().any():
        _refuse_rows(
            name,
            values.isna(),
            "missing value",
            "a number in every row",
            f"Drop them with runs.dropna(subset=[{name!r}]).",
        )
    if np.isinf(values).any():
        _refuse_rows(
            name, np.isinf(values), "infinite value", "finite numbers", "Drop the diverged measurements."
        )
    if (values < 0).any() or (not zero and (values == 0).any()):
        _refuse_rows(
            name, values <= 0, "value <= 0", "positive numbers", f"Drop them with runs[runs.{name} > 0]."
        )
    far = (values > 0) & ((values < 1e-300) | (values > 1e300))  # a share or a product of these is no float
    if far.any():
        _refuse_rows(
            name, far, "value beyond 1e-300 to 1e300", "numbers in that range", "Choose another unit."
        )
    return values


def _floats(column: pd.Series) -> pd.Series:
    """A column of one dtype as float64; what is no number is NaN."""
    if pd.api.types.is_complex_dtype(column):
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(
        column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column, errors="coerce"
    ).astype(np.float64)


def _number(cell: object) -> float:
    """A cell of a column of mixed types as a float: NaN for no number, infinity beyond a float's range."""
    if isinstance(cell, bool | np.bool_ | bytes | complex) or not isinstance(cell, str | Number | np.number):
        return np.nan
    try:
        return float(cell)
    except OverflowError:  # a whole number beyond 1.8e308
        return np.inf
    except (ValueError, TypeError):
        return np.nan


def _refuse_rows(name: str, bad: np.ndarray | pd.Series, what: str, expected: str, todo: str) -> NoReturn:
    rows = np.flatnonzero(np.asarray(bad))
    plural = "s" if len(rows) > 1 and not what.endswith("0") else ""  # "value <= 0" stays as it is
    raise InputError(
        f"{name} has {len(rows)} {what}{plural} (row{'s' if len(rows) > 1 else ''} {listed(rows)}); "
        f"expected {expected}.",
        todo,
    )


def _check_repeats(frame: pd.DataFrame, checked: pd.DataFrame) -> None:
    """Refuse the same measurement twice: one run and equal inputs; without run labels, an equal loss too."""
    key = [c for c in frame.columns if c in INPUTS or c == "family"]
    key += ["run"] if "run" in frame else ["loss"]
    repeated = frame[key].apply(_hashable).duplicated(keep=False)
    if repeated.any():
        rows = np.flatnonzero(repeated)
        raise InputError(
            f"{len(rows)} rows repeat a measurement (rows {listed(rows)} agree in {', '.join(key)}); "
            "expected each measurement once.",
            "Drop them with runs.drop_duplicates(), or label separate runs with a column 'run'.",
        )
