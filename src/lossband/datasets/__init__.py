"""Measured tables by name: those that ship with lossband, and public ones with their provenance."""

import functools
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError, nearest
from ..runs.table import read_runs
from .sources import CONVERT, fetch, fingerprint

BUNDLED = {
    "looped": "looped transformers of five sizes and four loop counts",
    "positions": "loss by token position of seven transformers, 147 thousand to 19 million parameters",
    "position_steps": "loss by token position of the largest of them, along training",
    "shapes": "transformers of three sizes against feed-forward ratio, aspect ratio and head dimension",
    "long": "one transformer of 3.1 million parameters over 197 million bytes, with its learning rate",
    "readings": "numbers that descriptions of published figures state, and where each was read",
}


def load_dataset(name: str | os.PathLike) -> pd.DataFrame:
    """A measured table as a tidy frame, or the table at a CSV or Parquet path.

    Our own measurements ship with lossband (`BUNDLED`). All models were trained on bytes of Python source,
    with `loss` in nats per byte and `params` without embeddings: "looped", looped transformers of five sizes
    and 1, 2, 4 or 8 loops (`examples/measure_looped.py`); "positions", "position_steps", "shapes" and "long"
    (`examples/measure_transformers.py`). "readings" are not measurements: they are numbers from descriptions
    of published figures, each with an error of its own.

    The public sets (`names_known()`) are read from the folder that LOSSBAND_DATA names, else fetched from
    their source at a fixed commit into the user's cache folder and converted. Either way the table must have
    the fingerprint on record. `frame.attrs` holds the provenance.

    Args:
        name: a name of `names_known()`, or the path of a CSV or Parquet file.

    Returns:
        The table, one row per measurement.

    Raises:
        InputError: no such data set and no such file; no network; a table that is not the registered one.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped")
    """
    name = str(name)
    if name in BUNDLED:
        with (files(__name__) / f"{name}.csv").open(encoding="utf-8") as file:
            frame = pd.read_csv(file)
    elif name in registry():
        frame = _local(name) if _local_path(name) else _fetched(name)
    elif Path(name).suffix in (".csv", ".parquet") or os.path.isfile(name):
        return read_runs(name)
    else:
        raise _unknown(name)
    frame.attrs["dataset"] = describe(name)
    return frame


def names_known() -> tuple[str, ...]:
    """Names that `load_dataset` takes."""
    return (*BUNDLED, *registry())


def describe(name: str) -> dict[str, Any]:
    """Where a data set comes from: what it is, source, commit, licence, citation, units, traps."""
    if name in BUNDLED:
        about = json.loads((files(__name__) / f"{name}.json").read_text(encoding="utf-8"))
        return {
            "what": f"{BUNDLED[name]}, our own measurements",
            **about,
        }
    if name not in registry():
        raise _unknown(name)
    return dict(registry()[name])


@functools.cache
def registry() -> dict[str, dict[str, Any]]:
    """The public sets: name -> what is on record of them."""
    return json.loads((files(__name__) / "registry.json").read_text(encoding="utf-8"))


def _unknown(name: str) -> InputError:
    known = names_known()
    return InputError(
        f"there is no data set {name!r}{nearest(name, known)}",
        f"Use one of {', '.join(known)}, or a .csv path.",
    )


def _local_path(name: str) -> Path | None:
    """The copy in the folder that LOSSBAND_DATA names, if there is one."""
    folder = os.environ.get("LOSSBAND_DATA")
    path = Path(folder or "", f"{name}.csv")
    return path if folder and path.is_file() else None


def _local(name: str) -> pd.DataFrame:
    path = _local_path(name)
    assert path is not None
    frame = pd.read_csv(path)
    if fingerprint(frame) != registry()[name]["fingerprint"]:
        raise InputError(
            f"{path} is not the registered table {name!r}: its fingerprint differs.",
            "Restore the file, unset LOSSBAND_DATA, or load your own table by its path.",
        )
    return frame


def _fetched(name: str) -> pd.DataFrame:
    """The table from its source; a cached file that gives another table is fetched once more."""
    about = registry()[name]
    if not about["files"]:
        raise InputError(
            f"the data set {name!r} cannot be fetched: {about['why'][0].lower()}{about['why'][1:]}",
            f"Point LOSSBAND_DATA at a folder that holds {name}.csv "
            f"(source: github.com/{about['repository']}).",
        )
    for again in (False, True):
        paths, found = fetch(name, about, again=again), None
        try:
            frame = CONVERT[name](paths)
            found = fingerprint(frame)
        except (ValueError, KeyError, AttributeError, TypeError) as error:  # cut short, or not what it was
            cause = f"it could not be read ({type(error).__name__})"
        if found == about["fingerprint"]:
            return frame
        if found:
            cause = f"it gives a table of fingerprint {found[:12]}..., not {about['fingerprint'][:12]}..."
    raise InputError(
        f"the source of the data set {name!r} at github.com/{about['repository']} is not what is on record: "
        f"{cause}.",
        f"Point LOSSBAND_DATA at a folder that holds {name}.csv, and report the difference.",
    )
