"""A run's curve that is still to come: its band, its end, and when it reaches a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import level_of, number
from ..model.problem import NewRows
from ..posterior.bands import LEVELS, Forecast, named
from ..runs.arrays import clock_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray

    from ..model.problem import Problem
    from ..posterior.forecast import Kind
    from ..posterior.health import Health
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike


class Ahead(Forecast):
    """The forecast of one run along its clock: what `Outlook` and `RunForecast` share.

    posterior: the fit behind it.
    ahead: the points of the curve to come, in order, with the inputs of the fit.
    target: a loss to be reached, or None.
    """

    posterior: Posterior
    ahead: pd.DataFrame
    target: float | None

    @property
    def problem(self) -> Problem:
        """The problem of the thinned rows."""
        return self.posterior.problem

    @property
    def health(self) -> Health:
        """The health of the fit of the thinned rows."""
        return self.posterior.health

    @property
    def clock(self) -> str:
        """The column that time is counted in: "tokens" or "step"."""
        clock = clock_of(self.ahead)
        assert clock is not None  # a log without one is refused
        return clock

    def draws(
        self,
        new: RunsLike | NewRows | None = None,
        *,
        kind: Kind = "observation",
        columns: Mapping[str, str] | None = None,
    ) -> xarray.DataArray:
        """Draws of the loss at points of this run, (sample, row); by default along `ahead`.

        Points need the inputs of the fit.
        """
        return super().draws(self.ahead if new is None else new, kind=kind, columns=columns)

    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """Draws of the loss at rows that are read already, `(sample, row)`: see `draws`."""
        return self.posterior.samples(rows, kind)

    def curve(self, *, kind: Kind = "observation", levels: Sequence[float] = LEVELS) -> pd.DataFrame:
        """The band from now to the end, a frame with a row a point of `ahead`."""
        return self.predict(self.ahead, kind=kind, levels=levels)

    def end(self, *, kind: Kind = "observation", levels: Sequence[float] = LEVELS) -> pd.DataFrame:
        """The band on the final loss, one row: of a loss averaged as the last bin of the log was."""
        return self.predict(self.ahead.tail(1), kind=kind, levels=levels)

    def end_below(self, loss: float, *, kind: Kind = "observation") -> float:
        """P(loss at the end < `loss`)."""
        loss = number("loss", loss, "a loss", "Give one: forecast.end_below(2.3).")
        return float(self.prob(self.ahead.tail(1), below=loss, kind=kind)[0])

    def reach(self, target: float | None = None, *, level: float = 0.9) -> pd.Series:
        """When the run, without the noise of a single measurement, first reaches a loss.

        Args:
            target: the loss; by default the one given before.
            level: of the interval.

        Returns:
            a series: `target`; `prob`, the probability that it is reached before the end; `median`, `lo_90`,
            `hi_90`: quantiles of the clock over all draws, infinite where too many do not reach it; and
            `median_if`, `lo_90_if`, `hi_90_if`: over the draws that do.
        """
        target = self.target if target is None else target
        target = number("target", target, "a loss above 0", "Give one: forecast.reach(3.2).", above=0)
        level = level_of(level)
        times = crossing(
            self.samples(NewRows.of(self.ahead), "run"), self.ahead[self.clock].to_numpy(), target
        )
        ends = {"median": 0.5, f"lo_{named(level)}": (1 - level) / 2, f"hi_{named(level)}": (1 + level) / 2}
        some = times[np.isfinite(times)]
        found = {"target": target, "prob": len(some) / len(times)}
        found |= {name: _ranked(times, q) for name, q in ends.items()}
        return pd.Series(found | {f"{name}_if": _ranked(some, q) for name, q in ends.items()})


def crossing(losses: np.ndarray, clock: np.ndarray, target: float) -> np.ndarray:
    """When each curve first reaches a target: `(sample,)`, infinite where it does not.

    Args:
        losses: `(sample, row)` draws; between rows the loss is straight in the log of the clock.
        clock: `(row,)`, rising.
        target: a loss.
    """
    below = losses <= target
    j = below.argmax(1)
    sample = np.arange(len(losses))
    high, low = losses[sample, np.maximum(j - 1, 0)], losses[sample, j]
    share = np.divide(high - target, high - low, out=np.ones_like(high), where=high > low)
    step = np.log(clock[j]) - np.log(clock[np.maximum(j - 1, 0)])
    times = np.exp(np.log(clock[j]) - (1 - share) * step)
    return np.where(below.any(1), np.where(j == 0, clock[0], times), np.inf)


def _ranked(times: np.ndarray, q: float) -> float:
    """The quantile that is one of the values, infinite where there is none: infinite times have no middle."""
    return np.sort(times)[max(0, int(np.ceil(q * len(times))) - 1)] if len(times) else np.inf
