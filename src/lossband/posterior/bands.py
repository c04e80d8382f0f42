"""Bands, gaps and probabilities from drawn losses."""

import abc

import numpy as np
import pandas as pd

from ..errors import InputError
from ..model.problem import NewRows
from .ahead import UNUSABLE, forecast_notes

LEVELS = (0.5, 0.8, 0.9, 0.95)


def named(level):
    """A level as a column's suffix: .9 is "90", .975 is "97.5"."""
    return f"{100 * level:g}"


def interval(draws, level, axis=0, **options):
    """Equal-tailed interval of draws along an axis: its two ends, each with that axis taken out.

    Raises:
        InputError: a level that is not between 0 and 1.
    """
    if not (np.isscalar(level) and 0 < level < 1):
        raise InputError(f"levels= has {level!r}; expected numbers between 0 and 1.", "A 90 % band is 0.9.")
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=axis, **options)


def interval_columns(draws, levels, prefix="", **options):
    """`{prefix}lo_90`, `{prefix}hi_90`, ... of draws `(sample, row)` for each level: name -> `(row,)`."""
    columns = {}
    for level in levels:
        low, high = interval(draws, level, **options)
        columns[f"{prefix}lo_{named(level)}"], columns[f"{prefix}hi_{named(level)}"] = low, high
    return columns


def summarise(problem, new, losses, *, kind, levels):
    """Equal-tailed intervals of drawn losses, one row per row of a table.

    Args:
        problem: the `Problem` whose inputs are shown, and whose training rows distances are counted from.
        new: a checked frame of new rows.
        losses: `(sample, row)` draws.
        kind: of the draws: "mean", "run" or "observation".
        levels: of the intervals.

    Returns:
        a frame with the inputs, `mean`, `median`, `sd`, `lo_90`, `hi_90`, ... in the unit of the loss, and
        `extrapolation`, the distance from the ranges of the training rows in decades. `frame.attrs` says the
        kind, that the intervals are equal-tailed, `notes`, as text, and `ok`: False where the forecast should
        not be used.
    """
    frame = new[[c for c in ("run", *problem.model.law.inputs) if c in new]].copy()
    frame["mean"] = losses.mean(0)
    frame["median"] = np.median(losses, 0)
    frame["sd"] = losses.std(0)
    frame = frame.assign(**interval_columns(losses, levels), extrapolation=problem.extrapolation(new))
    frame.attrs.update(kind=kind, interval="equal-tailed", levels=tuple(levels))
    notes = list(forecast_notes(problem, new))
    frame.attrs.update(notes=list(map(str, notes)), ok=not {note.code for note in notes} & UNUSABLE)
    return frame


def gaps(real, predicted, observed, *, by="run", level=0.9):
    """Signed distance predicted - real, averaged over the rows of each curve, with its own interval.

    Args:
        real: a checked frame of measured rows, with `loss`.
        predicted: draws of the curve, `(sample, row)`.
        observed: draws of new measurements, `(sample, row)`.
        by: what one curve is: a column of `real` or several.
        level: of the interval.

    Returns:
        a frame, one row per curve: `by`, `rows`, `gap` (the posterior mean, in the unit of the loss; above
        zero the prediction is too high), `lo_90`, `hi_90`, and `inside_50`, `inside_90`, the share of the
        curve's rows inside the bands of a new observation.
    """
    loss, keys, rows = real["loss"].to_numpy(), [by] if isinstance(by, str) else list(by), []
    for name, index in real.groupby(by, sort=False).indices.items():
        gap = (predicted[:, index] - loss[index]).mean(1)
        row = dict(zip(keys, np.atleast_1d(np.asarray(name, dtype=object)), strict=True))
        row |= {"rows": len(index), "gap": gap.mean(), **interval_columns(gap, (level,))}
        for share in (0.5, level):
            low, high = interval(observed[:, index], share)
            row[f"inside_{named(share)}"] = ((low <= loss[index]) & (loss[index] <= high)).mean()
        rows.append(row)
    return pd.DataFrame(rows)


class Forecast(abc.ABC):
    """What can be asked of whatever draws losses at new rows.

    A subclass has `draws` and `problem`, which says what the inputs are and how far a row is from the
    training rows.
    """

    @abc.abstractmethod
    def draws(self, new, *, kind="observation", columns=None):
        """Draws of the loss at new rows, an xarray of dimensions (sample, row), in the training unit."""

    def predict(self, new, *, kind="observation", levels=LEVELS, columns=None):
        """Bands at new rows: see `lossband.posterior.bands.summarise` for the columns.

        Args:
            new: a frame or CSV with the law's inputs; `run` labels are used where the noise has a run effect,
                and `loss_se`, the known error of a new measurement, where it is given.
            kind: "mean" (the law, its coefficients' uncertainty, and the drift), "run" (a new training run)
                or "observation" (a new measurement).
            levels: of the equal-tailed intervals.
            columns: the user's column names, {"N": "params"}.
        """
        rows = NewRows.of(new, columns)
        losses = self.draws(rows, kind=kind).to_numpy()
        band = summarise(self.problem, rows.checked(self.problem), losses, kind=kind, levels=levels)
        band.attrs["ok"] &= self.health.ok
        return band

    def gap(self, real, *, by="run", kind="mean", level=0.9, columns=None):
        """Signed distance predicted - real, per curve, with its own interval.

        See `lossband.posterior.bands.gaps`.

        Args:
            real: measured rows, as in `predict`, with `loss`.
            by: what one curve is: a column, or several.
            kind: of the prediction, as in `predict`.
            level: of the interval.
            columns: the user's column names.
        """
        rows = NewRows.of(real, columns)
        predicted, observed = (self.draws(rows, kind=each).to_numpy() for each in (kind, "observation"))
        return gaps(rows.measured(self.problem), predicted, observed, by=by, level=level)

    def prob(self, new, *, below, kind="observation", columns=None):
        """P(loss < below) at each new row, `(row,)`.

        Args:
            new: rows, as in `predict`.
            below: a loss.
            kind: as in `predict`; by default of a new measurement.
            columns: the user's column names.
        """
        return (self.draws(new, kind=kind, columns=columns) < below).mean("sample").to_numpy()
