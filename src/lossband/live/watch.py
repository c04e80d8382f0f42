"""A run in progress: where it will end, and when it reaches a loss, from its log so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import number, seed_of
from .._html import notebook
from ..errors import Note
from ..inference.batches import sample
from ..inference.sampler import Sampler
from ..model.problem import NewRows
from ..posterior.posterior import Posterior
from ..runs.schedule import add_lr_areas
from ..runs.table import read_runs
from .ahead import Ahead
from .prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..inference.sampler import Method
    from ..model.drift import DriftLike
    from ..plot.style import Axes
    from ..posterior.forecast import Kind
    from ..runs.schedules import Planned
    from ..runs.table import RunsLike
    from .prepare import Asked


def watch(
    runs: RunsLike,
    until: float | None = None,
    *,
    schedule: Planned | None = None,
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
        schedule: the clock and `lr` of the rest of the run as a table, a `lossband.schedule`, its name
            ("cosine"), or a function of the clock, such as an Optax schedule; without it the learning rate is
            held at its last value, and a note says so. Where the log has no `lr`, the schedule of the whole
            run, in any unit, stands in for it. Where neither is known, the band is an equal mixture of four
            schedules: constant, cosine to a tenth, linear to 0, and linear to 0 over the last fifth.
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

    Example:
        >>> import lossband as lb
        >>> log = lb.load_dataset("long")[["step", "loss"]].iloc[:2000]
        >>> outlook = lb.watch(log, until=40_000, method="laplace")
        >>> table = outlook.end()
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
    every = [each for ask in asked for each in (ask, *ask.others)]
    posteriors = sample([each.problem for each in every], sampler, **options)
    looks = iter(
        Outlook(post, ask.seen, ask.ahead, ask.target, ask.notes)
        for post, ask in zip(posteriors, every, strict=True)
    )
    return [replace(next(looks), others=tuple(next(looks) for _ in ask.others)) for ask in asked]


@dataclass(frozen=True)
class Outlook(Ahead):
    """What is to be expected of a run in progress.

    posterior: the fit of the thinned rows; its `health` says whether it can be trusted.
    seen: the rows of the log that count; `ahead`: points from now to the end, evenly spaced in the log of the
        clock.
    target: a loss to be reached, or None.
    notes: coded remarks on the log and on what the forecast assumes.
    others: the same run under other schedules, where its own is not known; each has an equal part.

    Example:
        >>> import lossband as lb
        >>> log = lb.load_dataset("long")[["step", "loss"]].iloc[:2000]
        >>> outlook = lb.watch(log, until=40_000, target=2.0, method="laplace")
        >>> table = outlook.curve()
    """

    posterior: Posterior
    seen: pd.DataFrame
    ahead: pd.DataFrame
    target: float | None = None
    notes: tuple[Note, ...] = ()
    others: tuple[Outlook, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the forecast may be used: a sound fit, of a run that is not off its path."""
        sound = all(each.posterior.health.ok for each in (self, *self.others))
        return sound and not any(note.code == "rising-run" for note in self.notes)

    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """Draws of the loss at rows that are read already, `(sample, row)`.

        Where the schedule is not known, each that it may follow has a part.
        """
        own = super().samples(rows, kind)
        if not self.others:
            return own
        table = rows.checked(self.problem)
        parts = [each.posterior.samples(NewRows.of(each.areas_at(table)), kind) for each in self.others]
        return shuffled([own, *parts])

    def areas_at(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of the clock with the areas that this run's learning rate has there."""
        whole = pd.concat([self.seen, self.ahead.iloc[1:]])
        known, at = np.log(whole[self.clock].to_numpy(float)), np.log(rows[self.clock].to_numpy(float))
        areas = {name: np.interp(at, known, whole[name]) for name in ("lr_area", "lr_mean")}
        return rows.assign(**areas)

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


def shuffled(parts: Sequence[np.ndarray]) -> np.ndarray:
    """An equal number of draws from each, as many as the first has, always the same ones."""
    picks = np.random.default_rng(0).integers(len(parts), size=len(parts[0]))
    place = np.arange(len(parts[0]))
    return np.stack(parts)[picks, place % min(map(len, parts))]
