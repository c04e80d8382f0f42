"""Which rows of a training log count: not what a restart overtook, nor the start; and which few of them stand for the rest."""

import numpy as np
import pandas as pd

from .errors import InputError
from .notes import Note

SPAN = (
    32.0  # a run is followed from 1 / SPAN of where it is now: a power law does not hold for its first steps
)


def drop_overtaken(run, clock):
    """A log in the order of its clock: where the clock goes back the run was restarted, and the later rows count.

    Args:
        run: rows of one run in the order in which they were logged.

    Returns:
        the rows that no later row repeats or goes back behind, and a note if there are others.

    Raises:
        InputError: more than half of the rows would go: the log is not in its order.
    """
    t = run[clock].to_numpy()
    after = np.append(np.minimum.accumulate(t[::-1])[::-1][1:], np.inf)
    kept, back = t < after, np.flatnonzero(np.diff(t) <= 0)
    if kept.sum() < len(t) / 2:
        raise InputError(
            f"{clock} goes back {len(back)} times, and {len(t) - kept.sum()} of {len(t)} rows would be overtaken; expected "
            "the log of one run in its order.",
            f"Sort it: runs.sort_values({clock!r}), and pass one run.",
        )
    if not len(back):
        return run, ()
    where = ", ".join(f"{t[i]:g} to {t[i + 1]:g}" for i in back[:3]) + (", ..." if len(back) > 3 else "")
    text = f"{clock} goes back at {len(back)} place(s) ({where}): {(~kept).sum()} rows were overtaken by later ones, which count."
    return run[kept].reset_index(drop=True), (Note("restart", text),)


def drop_start(run, clock):
    """The rows that a law of the run can be asked for: after the warm-up, and within a factor of `SPAN` of the last; notes on the rest."""
    t, notes = run[clock].to_numpy(), []
    start = t[-1] / SPAN
    if "lr" in run:
        lr = run["lr"].to_numpy()
        peak = np.argmax(lr >= 0.99 * lr.max())
        if peak > 0 and 2 * t[peak] > start:
            start = min(2 * t[peak], t[-1] / 2)
            text = f"the learning rate rises until {clock} {t[peak]:g}: rows before {start:g} are left out of the fit."
            notes.append(Note("warm-up", text))
    early = t < start
    if early.any() and not notes:
        text = f"{early.sum()} rows before {clock} {start:g}, the first {1 / SPAN:.0%} of the run so far, are left out of the fit."
        notes.append(Note("early", text))
    return run[~early], tuple(notes)


def evenly(clock, count):
    """Positions of the rows nearest to `count` points spaced evenly in the log of their rising clock, both ends too."""
    log_clock = np.log(np.asarray(clock, dtype=float))
    wanted = np.linspace(log_clock[0], log_clock[-1], count)
    return np.unique(np.abs(log_clock[:, None] - wanted).argmin(axis=0))


def spaced(runs, keep=16):
    """Every run's curve at `keep` of its rows, spread evenly in ln tokens, its last row always among them.

    Neighbouring evaluations of one run say nearly the same: this keeps the curve and drops the repetition. `lossband.thin` averages
    the single rows of a log instead.
    """

    def rows(curve):
        curve = curve.sort_values("tokens")
        return curve.iloc[evenly(curve["tokens"], keep)]

    return pd.concat([rows(curve) for _, curve in runs.groupby("run", sort=False)], ignore_index=True)
