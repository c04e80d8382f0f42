"""What a training program logged, before anything is chosen: nothing is left out silently."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from ..errors import Note, listed

Points = list[tuple[float, float]]  # (step, value) in the order of writing


@dataclass(frozen=True)
class Logs:
    """What was read, before anything is chosen.

    series: run -> metric -> [(step, value), ...] in the order of writing.
    constants: run -> name -> value (a run's configuration).
    skipped: lines that said nothing.
    clock: what the steps count, "step" or "tokens".
    notes: remarks on how it was read.
    own_names: whether the log itself names its runs.
    """

    series: dict[str, dict[str, Points]]
    constants: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: int = 0
    clock: str = "step"
    notes: tuple[Note, ...] = ()
    own_names: bool = True

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, over all runs, in the order in which they first appear."""
        return list(dict.fromkeys(name for one in self.series.values() for name in one))


@dataclass(frozen=True)
class Imported:
    """A table of runs as it was logged, and what was done to get it.

    frame: `run`, `step`, `loss`, and every other metric that has a column name of lossband's; ready for
        `lossband.fit`.
    notes: coded remarks: `columns` (which metric became which column), `duplicates`, `resumed`, `not-finite`,
        `start`, `between`, `unmatched`, `left-out`, `unused`, ...
    """

    frame: pd.DataFrame
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        """The size of the table, and its notes, one line each."""
        of = f" of {self.frame['run'].nunique()} runs" if "run" in self.frame else ""
        return "\n".join([f"{len(self.frame)} rows{of}", *map(str, self.notes)])


def settled(points: Iterable[tuple[float, float]], run: str, notes: list[Note]) -> Points:
    """The points of one metric in the order of training, each step once.

    A run that went back to an earlier step was resumed from a checkpoint: the points that it had written from
    that step on never became the model and are dropped. A point that was written twice alike is kept once.
    """
    kept: dict[float, float] = {}
    twice, gone, back = 0, 0, []
    for step, value in points:
        if kept.get(step) == value:
            twice += 1
            continue
        stale = _from(kept, step)
        if stale:
            back.append(step)
            gone += len(stale)
            for old in stale:
                del kept[old]
        kept[step] = value
    if twice:
        notes.append(
            Note("duplicates", f"run {run!r}: {twice} points were written more than once; each is kept once.")
        )
    if gone:
        places = f"step {listed(back)}"
        notes.append(
            Note(
                "resumed",
                f"run {run!r} was resumed at {places}: {gone} points written before are superseded.",
            )
        )
    return list(kept.items())


def _from(kept: dict[float, float], step: float) -> list[float]:
    """The kept steps from `step` on; they stand at the end, since what is kept only ever grows."""
    stale = []
    for old in reversed(kept):
        if old < step:
            break
        stale.append(old)
    return stale


def own_name(name: str, taken: Iterable[str]) -> str:
    """A run's name, with a number behind it where another run has that name."""
    taken, number, new = set(taken), 1, name
    while new in taken:
        number += 1
        new = f"{name} ({number})"
    return new
