"""Frames: whatever holds a table in memory as a pandas frame of its own."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..errors import InputError


def frame_of(runs: Any) -> pd.DataFrame:
    """A table of another library, columns, records, or one row as a mapping, as a pandas frame.

    Args:
        runs: a frame of pandas, polars, Arrow or xarray; a dict of columns; a list of records; or one row:
            a dict of numbers, or a row of a frame.

    Raises:
        InputError: what is no table.
    """
    for name in ("collect", "to_pandas", "to_dataframe"):  # polars lazily; polars, Arrow, datasets; xarray
        if not isinstance(runs, pd.DataFrame | pd.Series | type) and callable(getattr(runs, name, None)):
            runs = _converted(runs, name)
    if isinstance(runs, pd.Series) and all(isinstance(name, str) for name in runs.index):
        runs = [runs.to_dict()]
    if isinstance(runs, Mapping) and runs and all(_scalar(value) for value in runs.values()):
        runs = [dict(runs)]
    if runs is None or isinstance(runs, type | bytes | int | float | complex):
        raise _refused(runs, "it holds no columns")
    try:
        return pd.DataFrame(runs)
    except (ValueError, TypeError, AttributeError) as error:  # what pandas cannot make a table of
        raise _refused(runs, error) from None


def _scalar(value: Any) -> bool:
    return isinstance(value, str) or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0


def _converted(table: Any, method: str) -> Any:
    """What the table's own method gives; of polars without pyarrow its columns."""
    try:
        return getattr(table, method)()
    except ImportError:
        columns = table.to_dict(as_series=False) if hasattr(table, "to_dict") else None
        if columns is None:
            raise
        return pd.DataFrame(columns)
    except (ValueError, TypeError, AttributeError) as error:
        raise _refused(table, error) from None


def _refused(runs: Any, why: object) -> InputError:
    return InputError(
        f"a table was expected, and a {type(runs).__name__} was given ({why}).",
        "Pass a frame, a dict of columns, one row as a dict, or the path of a file.",
    )
