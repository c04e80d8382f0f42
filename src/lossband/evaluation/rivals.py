"""What a forecast under test returned, as draws of ln loss and a log score."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from .. import score
from ..errors import InputError, listed
from ..posterior.posterior import Posterior
from .splits import Split

NUM_LEVELS = 999  # of the quantile function that stands for a frame of quantiles
MIN_DRAWS, MIN_QUANTILES = 20, 3
EXPECTED = (
    "Return draws of the loss, (sample, row); a frame of quantiles, one row per row of `new` and columns "
    "named by their probability (0.05, 0.5, 0.95); or a lossband Posterior."
)


def judged(answer: Any, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Draws of ln loss at the hidden rows, `(sample, row)`, and their log score in nats, `(row,)`.

    The log score is of ln loss: the exact mixture of a `Posterior`; of anything else the density of a
    Student-t with 4 degrees of freedom that has its median and its 90 % interval.

    Args:
        answer: what a forecast returned: draws, quantiles, or a `Posterior`.
        split: the rows that it was asked for.

    Raises:
        InputError: an answer of another form, of other rows, not positive, or without spread.
    """
    truth = np.log(split.hidden["loss"].to_numpy())
    if isinstance(answer, Posterior):
        return np.log(answer.draws(split.hidden).to_numpy()), answer.log_score(split.hidden) + truth
    quantiles = isinstance(answer, pd.DataFrame)
    values = _numbers(answer, split)
    draws = _from_quantiles(answer, values, split) if quantiles else np.log(values)
    if not quantiles and len(draws) < MIN_DRAWS:
        raise _wrong(split, f"{len(draws)} draws; expected at least {MIN_DRAWS}")
    return draws, t_log_score(draws, truth, split)


def t_log_score(draws: np.ndarray, truth: np.ndarray, split: Split) -> np.ndarray:
    """Log density, `(row,)`, of a Student-t (nu = 4) with the draws' median and 90 % interval."""
    low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    if np.any(high <= low):
        raise _wrong(split, "a forecast without spread; expected a distribution, not a point")
    return student.logpdf(truth, 4, middle, (high - low) / (2 * student.ppf(0.95, 4)))


def _numbers(answer: Any, split: Split) -> np.ndarray:
    """The answer as positive numbers whose rows are those of the split."""
    try:
        values = np.asarray(answer, dtype=float)
    except (TypeError, ValueError) as error:
        raise _wrong(split, f"a {type(answer).__name__}, which holds no numbers") from error
    wanted = len(split.hidden)
    rows = values.shape[0 if isinstance(answer, pd.DataFrame) else -1] if values.ndim == 2 else None
    if rows != wanted:
        raise _wrong(split, f"an array of shape {values.shape} for {wanted} new rows")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise _wrong(split, "losses that are not finite and positive")
    return values


def _from_quantiles(answer: pd.DataFrame, values: np.ndarray, split: Split) -> np.ndarray:
    """The quantile function of ln loss at even levels, `(level, row)`.

    Quantiles are joined linearly in the normal score, so that those of a normal give it back.
    """
    try:
        levels = np.array([float(name) for name in answer.columns])
    except (TypeError, ValueError) as error:
        raise _wrong(split, f"a frame with the columns {listed(answer.columns)}") from error
    order = np.argsort(levels)
    levels, found = levels[order], np.log(values[:, order])
    if (
        len(levels) < MIN_QUANTILES
        or levels[0] > 0.1
        or levels[-1] < 0.9
        or not 0 < levels[0] < levels[-1] < 1
    ):
        raise _wrong(
            split,
            f"quantiles at {listed(levels)}; expected at least three, from 0.1 or below to 0.9 or above",
        )
    if np.any(np.diff(found, axis=1) < 0):
        raise _wrong(split, "quantiles that cross: a larger probability with a smaller loss")
    at, known = norm.ppf((np.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS), norm.ppf(levels)
    piece = np.clip(np.searchsorted(known, at) - 1, 0, len(known) - 2)
    share = (at - known[piece]) / (known[piece + 1] - known[piece])
    return (found[:, piece] * (1 - share) + found[:, piece + 1] * share).T


def _wrong(split: Split, got: str) -> InputError:
    return InputError(f"forecast(train, new) gave {got} (set {split.set!r}, split {split.kind!r}).", EXPECTED)


def scores(draws: np.ndarray, log_score: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Means over the rows of one split: coverage, misses on either side, mean PIT, CRPS, log score.

    Args:
        draws: of ln loss, `(sample, row)`.
        log_score: `(row,)`, nats.
        truth: measured ln loss, `(row,)`.
    """
    pit = score.pit(draws, truth)
    covered = {f"c{100 * level:g}": np.mean(np.abs(pit - 0.5) < level / 2) for level in (0.5, 0.8, 0.9, 0.95)}
    sides = {"below": np.mean(pit < 0.05), "above": np.mean(pit > 0.95), "pit": pit.mean()}
    found = covered | sides | {"crps": score.crps(draws, truth).mean(), "log_score": log_score.mean()}
    return {name: float(value) for name, value in found.items()}
