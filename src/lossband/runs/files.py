"""Files: CSV with any separator, compressed or not, JSON lines and Parquet, as a frame."""

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from .cells import number_of

SEPARATORS = ",;\t|"
MISSING = {"", "nan", "na", "n/a", "null", "none", "#n/a", "<na>", "-nan"}
PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"PK\x03\x04": lambda content: _unzipped(content),
}


class NoTableError(ValueError):
    """Why a text is no table, and what to do about it."""

    def __init__(self, why: str, hint: str) -> None:
        """Why, and what to do."""
        super().__init__(why)
        self.hint = hint


def read_file(source: Any, labels: Collection[str] = ()) -> pd.DataFrame:
    """The table in a file: the text of a label stays as it is written, "NA" and "007" included.

    Args:
        source: a path, or an open file: CSV (separated by commas, semicolons, tabs or bars), JSON, JSON
            lines, Parquet or Feather, plain or compressed (gzip, bz2, xz, zip).
        labels: columns that hold labels.

    Raises:
        InputError: no such file, or no table in it.
    """
    name, content = _content(source)
    try:
        if content[:4] == b"PAR1" or re.search(r"\.(parquet|pq)'?$", name):
            return _columnar(pd.read_parquet, content)
        if content[:6] == b"ARROW1":
            return _columnar(pd.read_feather, content)
        text = text_of(content)
        if text.lstrip()[:1] in ("{", "["):
            return _json(text)
        return parse_csv(text, labels)
    except (
        OSError,
        ValueError,
        EOFError,
    ) as error:  # pandas and pyarrow raise subclasses for what they cannot parse
        raise _unreadable(name, error) from None


def text_of(content: bytes) -> str:
    """The text of a file, whatever mark of byte order it starts with.

    Raises:
        ValueError: bytes that are no text.
    """
    if content[:4] == b"\x89HDF":
        raise NoTableError("it is a netCDF file", "lossband.load reads a saved posterior.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if "\0" in text[:1000]:
        raise ValueError("it holds bytes that are no text")
    return text


def read_text(source: Any) -> str:
    """The text of a file, unpacked.

    Raises:
        InputError: no such file, or bytes that are no text.
    """
    name, content = _content(source)
    try:
        return text_of(content)
    except ValueError as error:
        raise InputError(f"{name} cannot be read as text: {error}.", "Check the path.") from None


def names_in(source: Any) -> list[str]:
    """The names of the columns of a file, equal ones as often as they are there.

    Raises:
        InputError: as of `read_file`.
    """
    name, content = _content(source)
    if content[:4] == b"PAR1" or content[:6] == b"ARROW1" or content.lstrip()[:1] in (b"{", b"["):
        return list(map(str, read_file(source).columns))
    try:
        text = text_of(content)
    except ValueError as error:
        raise _unreadable(name, error) from None
    rows = _rows(text.lstrip().partition("\n")[0])
    return [each.strip() for each in rows[0]] if rows else []


def text_columns(source: Any) -> tuple[list[str], list[list[str]]]:
    """The names of a file's columns, and their cells as they are written, an absent one empty.

    Raises:
        InputError: as of `read_file`.
    """
    name, content = _content(source)
    if content[:4] == b"PAR1" or content[:6] == b"ARROW1" or content.lstrip()[:1] in (b"{", b"["):
        frame = read_file(source)
        cells = [["" if cell is None or cell != cell else str(cell) for cell in frame[n]] for n in frame]
        return list(map(str, frame.columns)), cells
    try:
        return _split(text_of(content))
    except ValueError as error:
        raise _unreadable(name, error) from None


def parse_csv(text: str, labels: Collection[str] = ()) -> pd.DataFrame:
    """The table of a CSV's text: columns of numbers as numbers, all others as text; an empty cell is missing.

    Raises:
        ValueError: no table, or a row that is longer than the header.
    """
    names, columns = _split(text)
    parts = [_label_cells(c) if n in labels else _cells(c) for n, c in zip(names, columns, strict=True)]
    frame = pd.concat(parts, axis=1) if parts else pd.DataFrame()
    return frame.set_axis(names, axis=1)


def _split(text: str) -> tuple[list[str], list[list[str]]]:
    """The names and the columns of a CSV's text."""
    rows = [row for row in _rows(text) if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError("it is empty")
    names, body = [name.strip() for name in rows[0]], rows[1:]
    _refuse_no_header(text, names)
    filled = [i for i, name in enumerate(names) if name or any(row[i:] and row[i].strip() for row in body)]
    names = names[: filled[-1] + 1]  # without what separators at the end of every line make
    body = [_without_end(row, len(names)) for row in body]
    for number, row in enumerate(body, start=2):
        if len(row) > len(names):
            raise NoTableError(
                f"line {number} has {len(row)} cells, and the header {len(names)}",
                "Delete what is no table above the header, or mend that line.",
            )
    return names, [[row[i].strip() if i < len(row) else "" for row in body] for i in range(len(names))]


def _without_end(row: list[str], width: int) -> list[str]:
    """A row without empty cells beyond the header's last name."""
    while len(row) > width and not row[-1].strip():
        row = row[:-1]
    return row


def _refuse_no_header(text: str, names: list[str]) -> None:
    """Refuse what is a page of the web, or a table whose first line is a measurement."""
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise NoTableError("it is a page of the web (HTML or XML)", "Download the file itself.")
    numbers = [name for name in names if name]
    if numbers and all(number_of(name) == number_of(name) for name in numbers):
        raise NoTableError(
            f"its first line holds numbers ({', '.join(numbers[:4])}) where names are expected",
            "Write the names of the columns above it, such as params,tokens,loss.",
        )


def _rows(text: str) -> list[list[str]]:
    first = re.sub(r'"[^"]*"', "", text.lstrip("\n").partition("\n")[0])
    separator = max(SEPARATORS, key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True))


def _cells(cells: list[str]) -> pd.Series:
    """A column of numbers or of truth values where every cell that is there is one, else of text."""
    there = [cell for cell in cells if cell.lower() not in MISSING]
    if there and all(cell.isdecimal() and cell.isascii() for cell in cells) and max(map(len, cells)) < 19:
        return pd.Series(np.array(list(map(int, cells)), dtype=np.int64))
    if there and set(cells) <= {"True", "False"}:  # as pandas writes them
        return pd.Series([cell == "True" for cell in cells])
    try:
        if any("_" in cell for cell in there):  # a number for Python, and a label for everybody else
            raise ValueError
        return pd.Series([float(cell) if cell.lower() not in MISSING else np.nan for cell in cells])
    except ValueError:
        return pd.Series([cell or np.nan for cell in cells], dtype=object)


def _label_cells(cells: list[str]) -> pd.Series:
    """Labels as they are written; whole numbers that pandas wrote as floats are whole numbers."""
    if all(re.fullmatch(r"-?\d+\.0|", cell) for cell in cells):
        cells = [cell.removesuffix(".0") for cell in cells]
    return pd.Series([cell or np.nan for cell in cells], dtype=object)


def _json(text: str) -> pd.DataFrame:
    """A list of records, columns, or one record per line."""
    import json

    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(value, dict) and not any(isinstance(each, list | dict) for each in value.values()):
        value = [value]
    return pd.DataFrame(value)


def _columnar(read: Callable[[Any], pd.DataFrame], content: bytes) -> pd.DataFrame:
    try:
        return read(io.BytesIO(content))
    except ImportError as error:
        raise InputError("Parquet files need pyarrow.", "pip install 'lossband[parquet]'") from error


def _content(source: Any) -> tuple[str, bytes]:
    """A file's name for messages, and its bytes, unpacked."""
    if hasattr(source, "read"):
        content = source.read()
        return "the open file", content.encode() if isinstance(content, str) else bytes(content)
    path = Path(os.fspath(source))
    name = repr(str(path))
    try:
        content = path.read_bytes()
        for mark, unpack in PACKED.items():
            if content.startswith(mark):
                return name, unpack(content)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise _unreadable(name, error) from None
    return name, content


def _unreadable(name: str, why: object) -> InputError:
    kind = "a Parquet" if re.search(r"\.(parquet|pq)'?$", name) else "a CSV"
    return InputError(
        f"{name} cannot be read as {kind} table: {why}.",
        getattr(why, "hint", "Check the path: it is a CSV, JSON lines or Parquet file, plain or compressed."),
    )


def _unzipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        inside = [each for each in packed.namelist() if not each.endswith("/")]
        if "[Content_Types].xml" in inside:
            raise NoTableError("it is a workbook", "Save its sheet as CSV.")
        if len(inside) != 1:
            raise ValueError(f"it holds {len(inside)} files, and one is expected")
        return packed.read(inside[0])
