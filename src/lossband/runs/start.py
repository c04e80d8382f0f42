"""The start of a run: step 0 and token 0, which have no logarithm."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..errors import Note, listed
from .table import INPUTS

CLOCKS = ("step", "tokens")


def without_start(frame: pd.DataFrame, names: Iterable[str | None]) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """A table without the row at 0 of each run's clock, and a note on what was left out.

    Laws take the logarithm of a clock, and every log starts at step 0. Zeros that are no start (several in
    one run, one amid its rows, all of them) stay, to be refused.

    Args:
        frame: what `read_runs` returns.
        names: the columns of which a logarithm is taken; those that are no clock are passed over.
    """
    notes = []
    for clock in (name for name in CLOCKS if name in frame and name in tuple(names)):
        if frame[clock].dtype.kind not in "iuf" or not _is_clock(frame, clock):
            continue
        zero = (frame[clock] == 0).to_numpy()
        begun = clock == "step" or "step" not in frame or bool((frame["step"][zero] == 0).all())
        if zero.any() and not zero.all() and begun and _at_ends(frame, zero):
            rows = "row" if zero.sum() == 1 else "rows"
            text = (
                f"{zero.sum()} {rows} at {clock} 0 ({rows} {listed(frame.index[zero])}) left out of the fit: "
                "the start of a run has no logarithm."
            )
            notes.append(Note("start", text))
            frame = frame[~zero]
    return frame.reset_index(drop=True), tuple(notes)


def _at_ends(frame: pd.DataFrame, zero: np.ndarray) -> bool:
    """Whether each run has at most one of these rows, as the first or last of its rows."""
    apart = _apart(frame)
    key = pd.Series(frame[apart].map(str).agg("\0".join, axis=1) if apart else "", index=frame.index)
    ends = ~key.duplicated() | ~key.duplicated(keep="last")
    return bool(ends[zero].all()) and not bool(key[zero].duplicated().any())


def _is_clock(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column orders points of runs: of tokens that is so where a run has several rows."""
    return name == "step" or "step" in frame or ("run" in frame and bool(frame["run"].duplicated().any()))


def _apart(frame: pd.DataFrame) -> list[str]:
    """The columns that tell runs apart."""
    if "run" in frame:
        return ["run"]
    fixed = [name for name in INPUTS if name in frame and name not in (*CLOCKS, "lr", "flops")]
    return [*fixed, *(["family"] if "family" in frame else [])]
