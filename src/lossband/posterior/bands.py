"""Bands, gaps and probabilities from drawn losses."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import items, level_of, levels_of, names_of, number
from ..errors import InputError
from ..model.problem import NewRows
from .ahead import UNUSABLE, forecast_notes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import xarray
    from numpy.typing import ArrayLike

    from ..model.problem import Problem
    from ..runs.table import RunsLike
    from .forecast import Kind
    from .health import Health


LEVELS = (0.5, 0.8, 0.9, 0.95)


def named(level: float) -> str:
    """A level as a column's suffix: .9 is "90", .975 is "97.5"."""
    return f"{100 * level:g}"


def interval(draws: ArrayLike, level: float, axis: int = 0, **options: Any) -> np.ndarray:
    """Equal-tailed interval of draws along an axis: its two ends, each with that axis taken out.

    Raises:
        InputError: a level that is not between 0 and 1.
    """
    level = level_of(level, "levels")
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=axis, **options)


def interval_columns(
    draws: ArrayLike, levels: Sequence[float], prefix: str = "", **options: Any
) -> dict[str, np.ndarray]:
    """`{prefix}lo_90`, `{prefix}hi_90`, ... of draws `(sample, row)` for each level: name -> `(row,)`."""
    columns = {}
    for level in levels_of(levels):
        low, high = interval(draws, level, **options)
        columns[f"{prefix}lo_{named(level)}"], columns[f"{prefix}hi_{named(level)}"] = low, high
    return columns


def interval_row(draws: ArrayLike, level: float = 0.9, **options: Any) -> pd.Series:
    """`median`, `lo_90` and `hi_90` of draws of one quantity, `(sample,)`."""
    ends = interval_columns(draws, (level,), **options)
    return pd.Series({"median": np.quantile(draws, 0.5, **options), **ends})


def summarise(
    problem: Problem, new: pd.DataFrame, losses: np.ndarray, *, kind: Kind, levels: Sequence[float]
) -> pd.DataFrame:
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


def gaps(
    real: pd.DataFrame,
    predicted: np.ndarray,
    observed: np.ndarray,
    *,
    by: str | Sequence[str] = "run",
    level: float = 0.9,
) -> pd.DataFrame:
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
    loss, keys, rows = real["loss"].to_numpy(), names_of(by, "by"), []
    for name, index in real.groupby(keys, sort=False, dropna=False).indices.items():
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

    A subclass has `samples` and `problem`, which says what the inputs are and how far a row is from the
    training rows.

    unit: what is drawn: "loss", or "metric".
    """

    problem: Problem
    health: Health
    unit = "loss"

    @abc.abstractmethod
    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """What `draws` holds, as a plain array `(sample, row)`, at rows that are read already."""

    def draws(
        self, new: RunsLike | NewRows, *, kind: Kind = "observation", columns: Mapping[str, str] | None = None
    ) -> xarray.DataArray:
        """Draws of the loss at new rows, as an xarray of dimensions (sample, row), in the training unit.

        Args:
            new: a frame or CSV with the law's inputs.
            kind: "mean", "run" or "observation": see `predict`.
            columns: the user's column names, {"N": "params"}.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> losses = post.draws({"params": 1e7, "tokens": 1e9})
            >>> median = float(losses.median("sample")[0])
        """
        import xarray

        drawn = self.samples(self._new(new, columns), kind)
        return xarray.DataArray(drawn, dims=("sample", "row"), name=self.unit, attrs={"kind": kind})

    def predict(
        self,
        new: RunsLike | NewRows,
        *,
        kind: Kind = "observation",
        levels: Sequence[float] = LEVELS,
        columns: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """Bands at new rows: see `lossband.posterior.bands.summarise` for the columns.

        Args:
            new: a frame or CSV with the law's inputs; `run` labels are used where the noise has a run effect,
                and `loss_se`, the known error of a new measurement, where it is given.
            kind: "mean" (the law, its coefficients' uncertainty, and the drift), "run" (a new training run)
                or "observation" (a new measurement).
            levels: of the equal-tailed intervals.
            columns: the user's column names, {"N": "params"}.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> band = post.predict({"params": [1e6, 1e7], "tokens": [1e9, 1e9]}, levels=(0.9,))
            >>> low, high = band["lo_90"], band["hi_90"]
        """
        levels, rows = levels_of(levels), self._new(new, columns)
        losses = self.samples(rows, kind)
        band = summarise(self.problem, rows.checked(self.problem), losses, kind=kind, levels=levels)
        band.attrs["ok"] &= self.health.ok
        return self._finished(band, rows)

    def _finished(self, band: pd.DataFrame, rows: NewRows) -> pd.DataFrame:
        """The bands as `predict` returns them: what a kind of forecast adds to them, or leaves out."""
        return band

    def gap(
        self,
        real: RunsLike | NewRows,
        *,
        by: str | Sequence[str] = "run",
        kind: Kind = "mean",
        level: float = 0.9,
        columns: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """Signed distance predicted - real, per curve, with its own interval.

        See `lossband.posterior.bands.gaps`.

        Args:
            real: measured rows, as in `predict`, with `loss`.
            by: what one curve is: a column, or several.
            kind: of the prediction, as in `predict`.
            level: of the interval.
            columns: the user's column names.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> table = post.gap(runs, by="params")
        """
        level, keys, rows = level_of(level), names_of(by, "by"), self._new(real, columns)
        measured = self._measured(rows, keys)
        predicted, observed = (self.samples(rows, each) for each in (kind, "observation"))
        return gaps(measured, predicted, observed, by=keys, level=level)

    def _new(self, new: RunsLike | NewRows, columns: Mapping[str, str] | None) -> NewRows:
        """New rows, read once."""
        return NewRows.of(new, columns)

    def _measured(self, rows: NewRows, keys: Sequence[str]) -> pd.DataFrame:
        """Checked rows with what was measured as `loss`, and the columns `keys`."""
        return rows.measured(self.problem, keys)

    def prob(
        self,
        new: RunsLike | NewRows,
        *,
        below: float | Sequence[float] | np.ndarray | pd.Series,
        kind: Kind = "observation",
        columns: Mapping[str, str] | None = None,
    ) -> np.ndarray:
        """P(loss < below) at each new row, `(row,)`.

        Args:
            new: rows, as in `predict`.
            below: a loss.
            kind: as in `predict`; by default of a new measurement.
            columns: the user's column names.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> below = post.prob({"params": 1e7, "tokens": 1e9}, below=1.5)
        """
        expected = "a loss, or one for each row"
        bounds = [number("below", each, expected, "Give one: below=2.3.") for each in items(below)]
        losses = self.samples(self._new(new, columns), kind)
        if len(bounds) not in (1, losses.shape[1]):
            raise InputError(
                f"below= has {len(bounds)} losses for {losses.shape[1]} rows; expected {expected}.",
                "Give one: below=2.3.",
            )
        return (losses < np.array(bounds)).mean(axis=0)
