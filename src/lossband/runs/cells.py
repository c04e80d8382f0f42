"""Cells: numbers and labels as people write them, read in one way everywhere."""

import re
from decimal import Decimal
from numbers import Integral, Number
from typing import Any, cast

import numpy as np
import pandas as pd

SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}  # 124M, 7B, 1.4T
PLAIN = ("loss", "loss_se", "lr", "lr_area", "lr_mean")  # no counts: a letter behind these is no unit
NOWHERE = "No row has one; name the column that does: columns={{'yours': {!r}}}."
_COUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kmbgt])", re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(e[+-]?\d+)?\s*", re.IGNORECASE)
_DOTTED = re.compile(r"\s*[+-]?\d{1,3}(\.\d{3}){2,}\s*")  # 10.000.000
_SPACED = re.compile(r"\s*[+-]?\d{1,3}((\s)\d{3})+(\.\d+)?\s*")  # 10 000 000, whatever the space
_PERCENT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*%\s*")


def number_of(cell: Any, *, count: bool = True) -> float:
    """A cell as a float: NaN for no number, infinity for one beyond a float's range.

    Args:
        cell: of any type; text may be "124M", "1.4T" or "1e9", and has no commas.
        count: whether the letters K, M, B, G and T behind a number are its unit.
    """
    if isinstance(cell, bool | np.bool_ | bytes | complex) or not isinstance(cell, str | Number | np.number):
        return np.nan
    try:
        return float(cast(Any, cell))
    except OverflowError:  # a whole number beyond 1.8e308
        return np.inf
    except (ValueError, TypeError):
        found = _COUNT.fullmatch(cell.strip()) if count and isinstance(cell, str) else None
        return float(found[1]) * SUFFIXES[found[2].lower()] if found else np.nan


def floats(column: pd.Series) -> pd.Series:
    """A column of any dtype as float64 of the same index; what is no number is NaN."""
    dtype, count = column.dtype, column.name not in PLAIN
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return column.astype(np.float64)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_complex_dtype(column) or dates(column):
        return pd.Series(np.nan, index=column.index)
    cells = [number_of(cell, count=count) for cell in column.astype(object)]
    return pd.Series(cells, index=column.index, dtype=np.float64)


def dates(column: pd.Series) -> bool:
    """Whether a column holds dates or spans of time: no numbers of any unit."""
    kinds = pd.api.types
    return kinds.is_datetime64_any_dtype(column) or kinds.is_timedelta64_dtype(column)


def label_of(cell: Any) -> object:
    """A label as text, 7 and 7.0 alike whatever their type; NaN if it is missing."""
    if isinstance(cell, str):
        return cell
    if cell is None or (np.ndim(cell) == 0 and pd.isna(cell)):
        return np.nan
    if isinstance(cell, Integral) and not isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float | np.floating | Decimal) and cell == cell // 1:
        return str(int(cell))
    return str(cell)


def labels(column: pd.Series) -> pd.Series:
    """A column of labels as text, missing ones NaN."""
    return pd.Series([label_of(cell) for cell in column.astype(object)], index=column.index, dtype=object)


def how_to_mend(name: str, cell: object, *, others: bool = True) -> tuple[str, str | None]:
    """What to do about a cell that is no number: in Python, and in a shell.

    Args:
        name: the column's.
        cell: the first that is no number.
        others: whether other rows hold numbers.
    """
    cells = f"runs[{name!r}]"
    written = f"{cells} = {cells}.astype(str).str"
    again = (
        "python -c \"import pandas as pd; pd.read_csv('runs.csv', sep=None, engine='python', {})"
        ".to_csv('plain.csv', index=False)\""
    )
    text, count = cell if isinstance(cell, str) else "", name not in PLAIN
    if count and _THOUSANDS.fullmatch(text):
        return (
            f"Drop the commas: {written}.replace(',', '').astype(float).",
            "Write it without commas: " + again.format("thousands=','"),
        )
    if _DECIMAL_COMMA.fullmatch(text):
        return (
            f"Write decimal points: {written}.replace(',', '.').astype(float).",
            "Write decimal points: " + again.format("decimal=','"),
        )
    if count and _DOTTED.fullmatch(text):
        return (
            f"Drop the dots: {written}.replace('.', '').astype(float).",
            "Write it without dots: " + again.format(f"thousands='.', dtype={{{name!r}: str}}"),
        )
    if count and (spaced := _SPACED.fullmatch(text)):
        return (
            f"Drop the spaces: {written}.split().str.join('').astype(float).",
            "Write it without spaces: " + again.format(f"thousands={ascii(spaced[2])}"),
        )
    if _PERCENT.fullmatch(text):
        return (
            f"Write fractions: {written}.rstrip(' %').astype(float) / 100.",
            "Write fractions of one, without the sign.",
        )
    if not others:
        return NOWHERE.format(name), None
    return (
        f"Keep the rows with numbers: runs[pd.to_numeric({cells}, errors='coerce').notna()].",
        "Correct these cells, or delete their rows.",
    )


def how_to_fill(name: str, *, others: bool) -> tuple[str, str | None]:
    """What to do about cells that are empty: in Python, and in a shell; others: some are not."""
    if not others:
        return NOWHERE.format(name), None
    return f"Drop them with runs.dropna(subset=[{name!r}]).", "Fill these cells, or delete their rows."
