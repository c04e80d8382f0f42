"""A run that has not begun: its whole curve with a band, its final loss, and what seeds add."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from .._arguments import level_of, number, of_type, seed_of, whole
from .._html import notebook
from ..errors import InputError, Note, listed
from ..model.problem import NewRows
from ..posterior.bands import interval, interval_row, named
from ..posterior.claims import runs_needed
from ..posterior.posterior import Posterior
from ..runs.arrays import clock_of
from ..runs.schedules import planned
from ..runs.table import numbers, read_runs
from .ahead import Ahead

if TYPE_CHECKING:
    from typing import Any

    from ..plot.style import Axes
    from ..posterior.forecast import Kind
    from ..runs.schedules import Planned


POINTS = 64  # of the curve
NAME = "the run to come"
HINT = "For instance lossband.forecast_run(post, params=7e9, tokens=1.4e11)."


def forecast_run(
    post: Posterior,
    *,
    schedule: Planned | None = None,
    target: float | None = None,
    seeds: int = 1,
    seed: int = 0,
    **inputs: float,
) -> RunForecast:
    """Forecast the whole curve of a run that has not begun.

    Args:
        post: a fit of runs along their clock: of the laws `trajectory` or `curve`, or of any law of tokens or
            steps.
        schedule: of the learning rate, where the law reads one: a `lossband.schedule`, its name, a table, or
            a function of the clock. A schedule without a peak takes the highest rate of the fitted runs.
        target: a loss; see `RunForecast.reach`.
        seeds: runs of this kind, for `RunForecast.final`: its mean over so many.
        seed: of the draws that are made here.
        inputs: the law's inputs, with `tokens` or `step` at the end of the run: params=7e9, tokens=1.4e11.

    Returns:
        a `RunForecast`.

    Raises:
        InputError: inputs that the law does not read, one that is missing, a schedule that is missing, is not
            read, or ends before the run.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4 and seed == 0")
        >>> runs = runs[["run", "params", "step", "loss"]]
        >>> post = lb.fit(runs, "trajectory", noise="student-t+run", method="laplace")
        >>> forecast = lb.forecast_run(post, params=2e7, step=4000)
        >>> table = forecast.curve(levels=(0.9,))
    """
    of_type("post", post, Posterior, "Fit one along runs: lossband.fit(runs, 'trajectory').")
    law = post.problem.model.law
    clock = clock_of(post.problem.frame[list(law.inputs)])
    if clock is None:
        raise InputError(
            f"the law {law.name!r} reads {listed(law.inputs)}, and so has no clock.",
            "Fit one along runs: lossband.fit(runs, 'trajectory').",
        )
    derived = ("lr_area", "lr_mean")
    wanted = [name for name in law.inputs if name not in derived]
    if set(inputs) != set(wanted):
        raise InputError(
            f"forecast_run got {listed(inputs) or 'no inputs'}; the law {law.name!r} reads {listed(wanted)}.",
            "Give each, the clock at the end of the run: "
            f"lossband.forecast_run(post, {', '.join(f'{name}=...' for name in wanted)}).",
        )
    given = {name: number(name, value, "a number above 0", HINT, above=0) for name, value in inputs.items()}
    seeds = whole("seeds", seeds)
    if target is not None:
        target = number("target", target, "a loss above 0", "Give one: target=2.3.", above=0)
    rows = _rows(post, clock, given, schedule)
    return RunForecast(post, rows, target, seeds, seed_of(seed), _notes(post, given, seeds))


def _rows(post: Posterior, clock: str, given: dict[str, float], schedule: Planned | None) -> pd.DataFrame:
    """The points of the curve, evenly spaced in the log of the clock, with the rates where they are read."""
    fitted, until = post.problem.frame, given[clock]
    reads = "lr_area" in post.problem.model.law.inputs
    if reads == (schedule is None):
        what = (
            "reads the learning rate: give schedule="
            if reads
            else "reads no learning rate: leave out schedule="
        )
        raise InputError(f"the law {post.problem.model.law.name!r} {what}.", HINT)
    grid = np.geomspace(min(float(fitted[clock].min()), until / 4), until, POINTS)
    if not reads:
        return pd.DataFrame({"run": NAME, **given, clock: grid})
    plan = planned(schedule, clock, until, fitted if "lr" in fitted else None)
    plan = read_runs(cast("Any", schedule)) if plan is None else plan
    plan = pd.DataFrame({clock: numbers(plan, clock), "lr": numbers(plan, "lr", zero=True)}).sort_values(
        clock
    )
    if plan[clock].iloc[-1] < until * (1 - 1e-9) or not plan["lr"].any():
        raise InputError(
            f"the schedule ends at {clock} {plan[clock].iloc[-1]:g}, before the run does, {until:g}, or is 0 "
            "throughout.",
            "Give all of it.",
        )
    t = np.unique([*grid, *plan[clock][plan[clock] <= until]])
    whole_run = pd.DataFrame({"run": NAME, **given, clock: t, "lr": np.interp(t, plan[clock], plan["lr"])})
    with_areas = post.problem.model.law.derived(whole_run, fitted)
    return with_areas[np.isin(t, grid)].reset_index(drop=True)


@dataclass(frozen=True)
class RunForecast(Ahead):
    """What is to be expected of a run that has not begun, as `lossband.forecast_run` returns it.

    posterior: the fit of the runs behind it.
    ahead: the points of the curve.
    target: a loss to be reached, or None.
    seeds: how many runs of this kind are meant.
    seed: of the draws made here.
    notes: coded remarks.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4 and seed == 0")
        >>> runs = runs[["run", "params", "step", "loss"]]
        >>> post = lb.fit(runs, "trajectory", noise="student-t+run", method="laplace")
        >>> forecast = lb.forecast_run(post, params=2e7, step=4000, target=1.8, seeds=3)
        >>> chance = forecast.end_below(1.7)
    """

    posterior: Posterior
    ahead: pd.DataFrame
    target: float | None = None
    seeds: int = 1
    seed: int = 0
    notes: tuple[Note, ...] = ()

    def envelope(self, *, level: float = 0.9, kind: Kind = "observation") -> pd.DataFrame:
        """The band that holds the whole curve at once with a probability, not each point by itself.

        The pointwise 50 % band is widened by one factor, above and below, until so many of the drawn curves
        lie inside at every point.

        Args:
            level: of the band.
            kind: "mean", "run" or "observation", as in `Posterior.predict`.

        Returns:
            a frame with the clock, `median`, `lo_90`, `hi_90`.
        """
        level = level_of(level)
        draws = np.log(self.samples(NewRows.of(self.ahead), kind))
        middle = np.median(draws, axis=0)
        below, above = (np.maximum(np.abs(end - middle), 1e-12) for end in interval(draws, 0.5))
        apart = draws - middle
        furthest = np.where(apart < 0, -apart / below, apart / above).max(axis=1)
        factor = np.quantile(furthest, level)
        return pd.DataFrame(
            {
                self.clock: self.ahead[self.clock],
                "median": np.exp(middle),
                f"lo_{named(level)}": np.exp(middle - factor * below),
                f"hi_{named(level)}": np.exp(middle + factor * above),
            }
        )

    def final(self, *, level: float = 0.9) -> pd.Series:
        """The final loss, as a mean over the `seeds` runs: `median`, `lo_90`, `hi_90`."""
        level = level_of(level)
        losses = self._final_draws()
        return interval_row(losses, level)

    def _final_draws(self) -> np.ndarray:
        """Draws of the mean final loss of the seeds, each with an effect of its own: `(sample,)`."""
        last = pd.concat([self.ahead.tail(1)] * self.seeds, ignore_index=True)
        last["run"] = [f"{NAME} {i}" for i in range(self.seeds)]
        return self.posterior.samples(NewRows.of(last), "run").mean(axis=1)

    def spread(self) -> np.ndarray:
        """Draws of the standard deviation between seeds of the final loss, `(sample,)`.

        Raises:
            InputError: the noise of the fit has no run effect, so that seeds do not differ.
        """
        if not self.posterior.problem.model.noise.run:
            raise InputError(
                "the noise of this fit has no run effect, so it does not know how far seeds differ.",
                "Fit with noise='student-t+run' to runs of which some were made twice.",
            )
        middle = float(self.end(kind="mean", levels=(0.9,))["median"].iloc[0])
        return (
            middle * self.posterior.assembled(lambda problem, draws: draws.sites["sigma_run"][:, None])[:, 0]
        )

    def seeds_for(self, difference: float) -> pd.Series:
        """How many seeds of each of two recipes tell a difference of final losses apart.

        A claim at 95 % is then made with a probability of 80 %.

        Args:
            difference: of the mean final losses, in the unit of the loss.

        Returns:
            a series: `median`, `lo_90`, `hi_90` of the number, over the draws of the spread between seeds.

        Raises:
            InputError: as `spread`.
        """
        difference = number("difference", difference, "a loss above 0", "For instance .005.", above=0)
        needed = runs_needed(difference, 2 * self.spread() ** 2)
        return interval_row(needed, method="inverted_cdf").clip(lower=1)

    def plot(self, *, ax: Axes | None = None, real: Any = None) -> Axes:
        """Draw the curve with its pointwise bands and the 90 % envelope of the whole curve.

        Args:
            ax: matplotlib axes; new ones by default.
            real: rows of the run, where it has been made since.
        """
        from ..plot.curve import to_come

        return to_come(self, ax=ax, real=real)

    def __str__(self) -> str:
        """The final loss with its band, when the target is reached, and the notes."""
        final, end = self.final(), self.ahead[self.clock].iloc[-1]
        who = "the final loss" if self.seeds == 1 else f"the mean final loss of {self.seeds} runs"
        lines = [
            f"at {self.clock} {end:,.0f} {who} is {final['median']:.4f}, 90 % band {final['lo_90']:.4f} to "
            f"{final['hi_90']:.4f}"
        ]
        if self.target is not None:
            when = self.reach()
            text = f"loss {self.target:g} is reached with probability {when['prob']:.2f}"
            if math.isfinite(when["median_if"]):
                text += (
                    f"; if so, at {self.clock} {when['median_if']:,.0f}, 90 % interval "
                    f"{when['lo_90_if']:,.0f} to {when['hi_90_if']:,.0f}"
                )
            lines.append(text)
        ill = () if self.posterior.health.ok else self.posterior.health.notes
        return "\n".join([*lines, *map(str, self.notes), *map(str, ill)])

    def _repr_html_(self) -> str:
        """What `print` shows, for a notebook."""
        first, *rest = str(self).splitlines()
        return notebook(first, "\n".join(rest))


def _notes(post: Posterior, given: dict[str, float], seeds: int) -> tuple[Note, ...]:
    if seeds > 1 and not post.problem.model.noise.run:
        text = "the noise of the fit has no run effect: a mean over seeds is no narrower than one run."
        return (Note("no-seeds", text),)
    return ()
