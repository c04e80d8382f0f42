"""A run in progress: where it will end, and when it reaches a loss, from its log so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import level_of, number, seed_of
from .._html import notebook
from ..errors import Note
from ..inference.batches import sample
from ..inference.sampler import Sampler
from ..posterior.bands import LEVELS, Forecast, named
from ..posterior.posterior import Posterior
from ..runs.arrays import clock_of
from ..runs.schedule import add_lr_areas
from ..runs.table import read_runs
from .prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import xarray

    from ..inference.sampler import Method
    from ..model.drift import DriftLike
    from ..model.problem import NewRows, Problem
    from ..plot.style import Axes
    from ..posterior.forecast import Kind
    from ..posterior.health import Health
    from ..runs.table import RunsLike
    from .prepare import Asked


def watch(
    runs: RunsLike,
    until: float | None = None,
    *,
    schedule: RunsLike | None = None,
    earlier: RunsLike | None = None,
    target: float | None = None,
    columns: Mapping[str, str] | None = None,
    drift: DriftLike = "default",
    num_warmup: int = 300,
    num_samples: int = 500,
    num_chains: int = 4,
    seed: int = 0,
    method: Method = "nuts",
    progress: bool | None = None,
) -> Outlook:
    """Forecast the rest of a training run from the part of it seen so far.

    The run is thinned to medians over bins evenly spaced in the log of its clock, weighed by how many rows
    they stand for, so that spikes, heavy tails and the length of the log do not matter. The law is `curve`,
    with a drift along the clock: a forecast goes on from where the run is, not from where the law has it.

    Args:
        runs: the log of one run, in its order: `tokens` or `step` (the clock), `loss`, and `lr` where it is
            known.
        until: the clock's value at the end of the run. Default: where `schedule` ends.
        schedule: the clock and `lr` of the rest of the run; without it the learning rate is held at its last
            value, and a note says so. Where the log has no `lr`, the schedule of the whole run, in any unit,
            stands in for it.
        earlier: other runs, with a column `run` and the same clock: of the same size under other schedules,
            or of other sizes, with `params`. They are fitted together with this one, each with an effect of
            its own.
        target: a loss; see `Outlook.reach`.
        columns: the user's names, {"iteration": "step"}.
        drift: as in `fit`; these laws have the default one in every draw, for no run follows them exactly.
        num_warmup: as in `fit`.
        num_samples: as in `fit`.
        num_chains: as in `fit`.
        seed: as in `fit`.
        method: as in `fit`.
        progress: as in `fit`.

    Returns:
        an `Outlook`.

    Raises:
        InputError: several runs, no clock, an end that is not ahead, or a log that cannot be put in order.
    """
    if target is not None:
        target = number("target", target, "a loss above 0", "Give one: target=3.2.", above=0)
    sampler, seed = Sampler(num_warmup, num_samples, num_chains, method), seed_of(seed)
    ask = prepare(
        runs, until, schedule=schedule, earlier=earlier, target=target, columns=columns, drift=drift
    )
    return outlooks([ask], seed=seed, progress=progress, **vars(sampler))[0]


def outlooks(asked: Sequence[Asked], **options: Any) -> list[Outlook]:
    """The `Outlook` of each prepared run; those of one law and one size are fitted together.

    Args:
        asked: what `prepare` returns.
        options: of `Sampler` and of `lossband.inference.batches.sample`.
    """
    sampler, options = Sampler.of(options, num_warmup=300, num_samples=500)
    posteriors = sample([ask.problem for ask in asked], sampler, **options)
    return [
        Outlook(post, ask.seen, ask.ahead, ask.target, ask.notes)
        for post, ask in zip(posteriors, asked, strict=True)
    ]


@dataclass(frozen=True)
class Outlook(Forecast):
    """What is to be expected of a run in progress.

    posterior: the fit of the thinned rows; its `health` says whether it can be trusted.
    seen: the rows of the log that count; `ahead`: points from now to the end, evenly spaced in the log of the
        clock.
    target: a loss to be reached, or None.
    notes: coded remarks on the log and on what the forecast assumes.
    """

    posterior: Posterior
    seen: pd.DataFrame
    ahead: pd.DataFrame
    target: float | None = None
    notes: tuple[Note, ...] = ()

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
        return self.posterior.draws(self.ahead if new is None else new, kind=kind, columns=columns)

    def curve(self, *, kind: Kind = "observation", levels: Sequence[float] = LEVELS) -> pd.DataFrame:
        """The band from now to the end, a frame with a row a point of `ahead`."""
        return self.predict(self.ahead, kind=kind, levels=levels)

    def end(self, *, kind: Kind = "observation", levels: Sequence[float] = LEVELS) -> pd.DataFrame:
        """The band on the final loss, one row: of a loss averaged as the last bin of the log was."""
        return self.predict(self.ahead.tail(1), kind=kind, levels=levels)

    def end_below(self, loss: float, *, kind: Kind = "observation") -> float:
        """P(loss at the end < `loss`)."""
        loss = number("loss", loss, "a loss", "Give one: outlook.end_below(2.3).")
        return float(self.prob(self.ahead.tail(1), below=loss, kind=kind)[0])

    def reach(self, target: float | None = None, *, level: float = 0.9) -> pd.Series:
        """When the run, without the noise of a single measurement, first reaches a loss.

        Args:
            target: the loss; by default the one given to `watch`.
            level: of the interval.

        Returns:
            a series: `target`; `prob`, the probability that it is reached before the end; `median`, `lo_90`,
            `hi_90`: quantiles of the clock over all draws, infinite where too many do not reach it; and
            `median_if`, `lo_90_if`, `hi_90_if`: over the draws that do.
        """
        target = self.target if target is None else target
        target = number("target", target, "a loss above 0", "Give one: outlook.reach(3.2).", above=0)
        level = level_of(level)
        times = crossing(self.draws(kind="run").to_numpy(), self.ahead[self.clock].to_numpy(), target)
        ends = {"median": 0.5, f"lo_{named(level)}": (1 - level) / 2, f"hi_{named(level)}": (1 + level) / 2}
        some = times[np.isfinite(times)]
        found = {"target": target, "prob": len(some) / len(times)}
        found |= {name: _ranked(times, q) for name, q in ends.items()}
        return pd.Series(found | {f"{name}_if": _ranked(some, q) for name, q in ends.items()})

    def plot(
        self, real: RunsLike | None = None, *, ax: Axes | None = None, unit: str = "", **options: Any
    ) -> Axes:
        """Draw the log so far, thinned as it was fitted, and the bands from there to the end.

        Args:
            real: the rows of the whole run, where it has gone on since.
            ax: matplotlib axes; new ones by default.
            unit: of the loss, for the axis.
            options: levels, points, raw: see `lossband.plot.curve`.

        Returns:
            the axes.

        Example:
            >>> import lossband as lb
            >>> log = lb.load_dataset("long").iloc[:4000]
            >>> outlook = lb.watch(log, until=2e8, method="laplace")
            >>> ax = outlook.plot()
        """
        from ..plot.curve import curve

        fitted = self.problem.frame
        mine = fitted[fitted["run"] == str(self.seen["run"].iloc[-1])]
        run = pd.concat([mine, self.ahead.iloc[1:]]) if real is None else add_lr_areas(read_runs(real))
        return curve(self, run, target=self.target, ax=ax, unit=unit, **options)

    def _repr_html_(self) -> str:
        """What `print` shows, for a notebook."""
        first, *rest = str(self).splitlines()
        return notebook(first, "\n".join(rest), self.end().drop(columns="run", errors="ignore"))

    def __str__(self) -> str:
        """The final loss with its band, when the target is reached, and the notes."""
        now, (_, last) = self.seen[self.clock].iloc[-1], next(self.end(levels=(0.9,)).iterrows())
        lines = [
            f"{len(self.seen)} rows up to {self.clock} {now:,.0f}; at "
            f"{self.ahead[self.clock].iloc[-1]:,.0f} the loss is "
            f"{last['median']:.4f}, 90 % band {last['lo_90']:.4f} to {last['hi_90']:.4f}"
        ]
        if self.target is not None:
            when = self.reach()
            lines.append(
                f"loss {self.target:g} is reached with probability {when['prob']:.2f}; if so, at "
                f"{self.clock} "
                f"{when['median_if']:,.0f}, 90 % interval {when['lo_90_if']:,.0f} to {when['hi_90_if']:,.0f}"
            )
        ill = () if self.posterior.health.ok else self.posterior.health.notes
        return "\n".join([*lines, *map(str, self.notes), *map(str, ill)])


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
