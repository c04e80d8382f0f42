"""A run in progress: where it will end, and when it reaches a loss, from its log so far."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import InputError
from ..inference.batches import sample
from ..inference.sampler import Sampler
from ..posterior.bands import LEVELS, Forecast, named
from ..posterior.posterior import Posterior
from ..runs.arrays import clock_of
from .prepare import prepare


def watch(
    runs,
    until=None,
    *,
    schedule=None,
    earlier=None,
    target=None,
    columns=None,
    drift="default",
    num_warmup=300,
    num_samples=500,
    num_chains=4,
    seed=0,
    method="nuts",
    progress=None,
):
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
    ask = prepare(
        runs, until, schedule=schedule, earlier=earlier, target=target, columns=columns, drift=drift
    )
    counts = dict(num_warmup=num_warmup, num_samples=num_samples, num_chains=num_chains, method=method)
    return outlooks([ask], seed=seed, progress=progress, **counts)[0]


def outlooks(asked, **options):
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
    notes: tuple = ()

    @property
    def problem(self):
        """The problem of the thinned rows."""
        return self.posterior.problem

    @property
    def clock(self):
        """The column that time is counted in: "tokens" or "step"."""
        return clock_of(self.ahead)

    def draws(self, new=None, *, kind="observation", columns=None):
        """Draws of the loss at points of this run, (sample, row); by default along `ahead`.

        Points need the inputs of the fit.
        """
        return self.posterior.draws(self.ahead if new is None else new, kind=kind, columns=columns)

    def curve(self, *, kind="observation", levels=LEVELS):
        """The band from now to the end, a frame with a row a point of `ahead`."""
        return self.predict(self.ahead, kind=kind, levels=levels)

    def end(self, *, kind="observation", levels=LEVELS):
        """The band on the final loss, one row: of a loss averaged as the last bin of the log was."""
        return self.predict(self.ahead.tail(1), kind=kind, levels=levels)

    def end_below(self, loss, *, kind="observation"):
        """P(loss at the end < `loss`)."""
        return float(self.prob(self.ahead.tail(1), below=loss, kind=kind)[0])

    def reach(self, target=None, *, level=0.9):
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
        if target is None or not np.isfinite(target) or target <= 0:
            raise InputError(
                f"target= got {target!r}; expected a loss above 0.", "Give one: outlook.reach(3.2)."
            )
        times = crossing(self.draws(kind="run").to_numpy(), self.ahead[self.clock].to_numpy(), target)
        ends = {"median": 0.5, f"lo_{named(level)}": (1 - level) / 2, f"hi_{named(level)}": (1 + level) / 2}
        some = times[np.isfinite(times)]
        found = {"target": target, "prob": len(some) / len(times)}
        found |= {name: _ranked(times, q) for name, q in ends.items()}
        return pd.Series(found | {f"{name}_if": _ranked(some, q) for name, q in ends.items()})

    def __str__(self):
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


def crossing(losses, clock, target):
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


def _ranked(times, q):
    """The quantile that is one of the values, infinite where there is none: infinite times have no middle."""
    return np.sort(times)[max(0, int(np.ceil(q * len(times))) - 1)] if len(times) else np.inf
