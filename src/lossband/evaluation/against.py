"""What hidden rows say against the bands: coded notes on a backtest."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import binom

from .. import score
from ..errors import Note

AGAINST = frozenset({"one-sided", "narrow"})
CHANCE = 0.01
MIN_RUNS = 6  # independent hidden rows: a run is one piece of evidence
PIT_SD = 12**-0.5  # of a uniform


def against(frame: pd.DataFrame, main: str) -> Iterator[Note]:
    """Notes on forecasts of hidden rows.

    Args:
        frame: as `Backtest.frame`.
        main: the band that is judged, as "90".
    """
    runs = frame.groupby("run")[["pit", f"inside_{main}"]].mean()
    if len(runs) >= MIN_RUNS:
        yield from one_sided(frame, runs, main)
        yield from narrow(frame, main)


def one_sided(frame: pd.DataFrame, runs: pd.DataFrame, main: str) -> Iterator[Note]:
    """Misses that lie all on one side of the band, or a mean PIT far from one half.

    Misses, and percentiles of hidden rows, share what one fit got wrong: the mean PIT must lie beyond .25 or
    .75, or all of at least four runs that miss must lie on one side, and the 90 % band cover too little.
    """
    outside = runs[runs[f"inside_{main}"] < 0.5]["pit"]
    low, high = int((outside < 0.5).sum()), int((outside > 0.5).sum())
    alone = min(low, high) == 0 and low + high >= 4 and _too_many(low + high, len(runs), main)
    mean, chance = runs["pit"].mean(), 2.6 * PIT_SD / np.sqrt(len(runs))
    if alone or abs(mean - 0.5) > max(0.25, chance):
        side = "below" if mean < 0.5 else "above"
        yield Note(
            "one-sided",
            f"the hidden losses lie {side} the forecast: mean PIT {mean:.2f} over {len(runs)} runs (one half "
            f"if unbiased), {low} of them below the {main} % band and {high} above. Forecasts further ahead "
            "will err to the same side: fit with another law or fewer small runs, and backtest again.",
        )


def narrow(frame: pd.DataFrame, main: str) -> Iterator[Note]:
    """A band that covers less than it says, by an interval that counts a run as one piece of evidence."""
    inside = frame[f"inside_{main}"].to_numpy(bool)
    low, high = score.coverage_interval(inside, frame["run"].to_numpy(), level=1 - CHANCE)
    if high < float(main) / 100:
        yield Note(
            "narrow",
            f"the {main} % band covers {inside.mean():.0%} of the hidden rows ({low:.0%} to {high:.0%}). See "
            "Backtest.calibration for where and why; do not rely on the band.",
        )


def _too_many(misses: int, runs: int, main: str) -> bool:
    """Whether a calibrated band misses so often once in a hundred."""
    return bool(binom.sf(misses - 1, runs, 1 - float(main) / 100) < CHANCE)
