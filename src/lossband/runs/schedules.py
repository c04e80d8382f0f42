"""Learning-rate schedules by name, and anything that says how the learning rate runs as one table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import pandas as pd

from .._arguments import items, number, one_of
from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from .table import RunsLike

    type Planned = RunsLike | Schedule | str | Callable[[float], ArrayLike]

Name = Literal["cosine", "linear", "wsd", "constant", "inverse_sqrt", "step"]
POINTS = 512  # that a schedule is laid out on
HINT = "For instance lossband.schedule('cosine', peak=3e-4, warmup=2000, until=1e5)."


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule as `lossband.schedule` makes it: call it with steps (or tokens) for the rates.

    name: "cosine", "linear", "wsd", "constant", "inverse_sqrt" or "step".
    until: the clock at the end of the run.
    peak: the highest rate; None for rates relative to the peak.
    warmup: the clock at which the linear rise from 0 ends.
    final: the rate at the end of a decay, in the unit of `peak`; relative to it where `peak` is None.
    decay: of "wsd", the share of the run, at its end, in which the rate falls.
    at: of "step", the clock at each drop.
    factor: of "step", what each drop multiplies the rate by.

    Example:
        >>> import lossband as lb
        >>> plan = lb.schedule("wsd", peak=1e-3, until=10_000, decay=0.2)
        >>> round(float(plan(9_000)), 6)
        0.0005
    """

    name: Name
    until: float
    peak: float | None = None
    warmup: float = 0.0
    final: float = 0.0
    decay: float = 0.2
    at: tuple[float, ...] = ()
    factor: float = 0.1

    def __call__(self, clock: ArrayLike) -> np.ndarray:
        """Rates at values of the clock, of their shape."""
        t, peak = np.asarray(clock, dtype=float), 1.0 if self.peak is None else self.peak
        rise = np.minimum(t / self.warmup, 1.0) if self.warmup else 1.0
        return peak * rise * self._after(t, self.final / peak)

    def _after(self, t: np.ndarray, final: float) -> np.ndarray:
        """Rates after the warm-up over the peak."""
        share = np.clip((t - self.warmup) / (self.until - self.warmup), 0, 1)
        late = np.clip((t / self.until - 1 + self.decay) / self.decay, 0, 1)
        rates = {
            "cosine": lambda: final + (1 - final) * (1 + np.cos(np.pi * share)) / 2,
            "linear": lambda: 1 + (final - 1) * share,
            "wsd": lambda: 1 + (final - 1) * late,
            "constant": lambda: np.ones_like(t),
            "inverse_sqrt": lambda: np.sqrt(self.warmup / np.maximum(t, self.warmup or 1.0)),
            "step": lambda: self.factor ** (t[..., None] > np.array(self.at)).sum(-1).astype(float),
        }
        return rates[self.name]()

    def table(self, clock: str = "step", points: int = POINTS) -> pd.DataFrame:
        """The schedule as a frame of the clock and `lr`; the corners of the curve are among its rows."""
        drops = [end for drop in self.at for end in (drop, drop * (1 + 1e-9))]
        corners = [self.warmup or self.until / points, (1 - self.decay) * self.until, *drops]
        t = np.unique(
            [*_grid(self.until, points), *(corner for corner in corners if 0 < corner <= self.until)]
        )
        return pd.DataFrame({clock: t, "lr": self(t)})

    def beside(self, clock: ArrayLike, rates: ArrayLike | None) -> Schedule:
        """The schedule in the unit of a log's own rates, where it has no peak: their highest is the peak."""
        if self.peak is not None or rates is None or not len(np.asarray(rates)):
            return self
        t, rates = np.asarray(clock, dtype=float), np.asarray(rates, dtype=float)
        peak = rates.max()
        first = t[np.argmax(rates >= 0.99 * peak)]
        rises = not self.warmup and first > t[0]
        return replace(self, peak=peak, final=self.final * peak, warmup=first if rises else self.warmup)


def schedule(
    name: Name,
    *,
    until: float,
    peak: float | None = None,
    warmup: float = 0.0,
    final: float = 0.0,
    decay: float = 0.2,
    at: Sequence[float] = (),
    factor: float = 0.1,
) -> Schedule:
    """A learning-rate schedule by its name and numbers, for `lossband.watch` and `lossband.forecast_run`.

    Args:
        name: "cosine", "linear" (decay from the warm-up on), "wsd" (warm-up, stable, linear decay),
            "constant", "inverse_sqrt", or "step" (drops at given steps).
        until: the step, or the number of tokens, at which the run ends.
        peak: the highest rate. Left out, rates are relative to it: laws read no more than their ratios.
        warmup: where the linear rise from 0 ends, in the unit of `until`.
        final: rate at the end of "cosine", "linear" and "wsd", in the unit of `peak`.
        decay: of "wsd": the share of the run in which the rate falls.
        at: of "step": where the rate drops, in the unit of `until`.
        factor: of "step": by what.

    Returns:
        a `Schedule`: callable, with a `table()` of its rates.

    Raises:
        InputError: a name that is not known, or numbers that make no schedule.

    Source:
        Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983; wsd: Hu et al. 2024, arXiv:2404.06395;
        inverse_sqrt: Vaswani et al. 2017, arXiv:1706.03762.

    Example:
        >>> import lossband as lb
        >>> plan = lb.schedule("cosine", peak=3e-4, warmup=2000, until=100_000, final=3e-5)
        >>> table = plan.table()
    """
    one_of("name", name, get_args(Name), HINT)
    until = number("until", until, "a clock above 0", HINT, above=0)
    warmup = number("warmup", warmup, "0 or more", HINT, above=0, zero=True)
    final = number("final", final, "a rate of 0 or more", HINT, above=0, zero=True)
    peak = None if peak is None else number("peak", peak, "a rate above 0", HINT, above=0)
    drops = tuple(number("at", each, "a clock above 0", HINT, above=0) for each in items(at))
    factor = number("factor", factor, "a number above 0", HINT, above=0)
    decay = number("decay", decay, "a share above 0, at most 1", HINT, above=0)
    wrong = {
        f"warmup= {warmup:g} is not before until= {until:g}": warmup >= until,
        f"final= {final:g} is above the peak": final > (1.0 if peak is None else peak),
        f"decay= {decay:g} is above 1": decay > 1,
        "'step' needs at=, the clock of each drop": name == "step" and not drops,
        "'inverse_sqrt' needs warmup=, after which it falls": name == "inverse_sqrt" and not warmup,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise InputError(f"{what}.", HINT)
    return Schedule(name, until, peak, warmup, final, decay, drops, factor)


def planned(
    plan: Any, clock: str, until: float | None, seen: pd.DataFrame | None = None
) -> pd.DataFrame | None:
    """What says how the rate runs as a frame of clock and lr; None where it is a table, to be read as one.

    Args:
        plan: a `Schedule`, a name, or any function of the clock, such as a schedule of Optax.
        clock: "tokens" or "step".
        until: the end of the run; a `Schedule` knows its own.
        seen: the log so far; a schedule without a peak takes its unit from the log's `lr`.
    """
    if isinstance(plan, str) and plan in get_args(Name):
        plan = schedule(cast("Name", plan), until=_end(until, f"schedule={plan!r}"))
    if isinstance(plan, Schedule):
        return (plan if seen is None or "lr" not in seen else plan.beside(seen[clock], seen["lr"])).table(
            clock
        )
    if not callable(plan) or hasattr(plan, "columns"):
        return None
    t = _grid(_end(until, "a function as schedule="), POINTS)
    return pd.DataFrame({clock: t, "lr": [float(np.asarray(plan(each))) for each in t]})


def _grid(end: float, points: int) -> np.ndarray:
    """Values of the clock up to the end: even ones, and before the first a few at its very beginning."""
    even = np.linspace(end / points, end, points)
    return np.append(np.geomspace(min(1.0, even[0] / 2), even[0], 9)[:-1], even)


def _end(until: float | None, what: str) -> float:
    if until is None:
        raise InputError(f"{what} needs until=, the end of the run.", HINT)
    return number("until", until, "a clock above 0", HINT, above=0)
