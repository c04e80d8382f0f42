"""A tracker inside a training program: the estimated final loss as the run goes, from a background thread."""

from __future__ import annotations

import math
import threading
import warnings
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._arguments import number, one_of, whole
from ..errors import InputError
from .alarm import Event, events_of
from .watch import Outlook, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runs.schedules import Planned
    from ..runs.table import RunsLike


FIRST = 64  # points before the first forecast
LOOKS = 40  # forecasts of a run, where `every` is left out
HINT = "For instance lossband.Tracker(until=10_000, schedule=lossband.schedule('cosine', until=10_000))."


class Tracker:
    """Follow a training run from within: forecasts of its final loss, printed as it goes.

    `update` takes a microsecond. The forecasts are made in a thread of their own, one at a time; what goes
    wrong there becomes one warning and never reaches the training.

    Args:
        until: the clock at the end of the run.
        schedule: of the learning rate, as in `lossband.watch`.
        earlier: earlier runs, as in `lossband.watch`.
        target: a loss; the probability of ending below it is printed.
        every: updates between forecasts; by default a fortieth of `until` in units of the clock.
        clock: "step" or "tokens": what `update` counts in.
        say: called with each line; `print` by default, None for silence.
        log: called with a dict of numbers (`final_loss`, `final_loss_lo_90`, `final_loss_hi_90`,
            `prob_target`) and the clock, for the trainer's own logger.
        options: of `lossband.watch`, such as `method` ("laplace" by default here) or `seed`.

    Raises:
        InputError: an end, target or schedule that cannot be used.

    Example:
        >>> import lossband as lb
        >>> tracker = lb.Tracker(until=2_000, target=2.2, every=500, say=None)
        >>> for step in range(1, 1_001):
        ...     tracker.update(step, 2 + 3 * step**-0.5)
        >>> tracker.close()
        >>> 2 < tracker.outlook.end()["median"].item() < 2.2
        True
    """

    def __init__(
        self,
        until: float,
        *,
        schedule: Planned | None = None,
        earlier: RunsLike | None = None,
        target: float | None = None,
        every: int | None = None,
        clock: str = "step",
        say: Callable[[str], Any] | None = print,
        log: Callable[[dict[str, float], float], Any] | None = None,
        **options: Any,
    ) -> None:
        """See the class."""
        self.until = number("until", until, "a clock above 0", HINT, above=0)
        self.clock = one_of("clock", clock, ("step", "tokens"), "Leave it out for steps.")
        self.target = None if target is None else number("target", target, "a loss above 0", HINT, above=0)
        self.every = None if every is None else whole("every", every)
        for name, function in (("say", say), ("log", log)):
            if function is not None and not callable(function):
                raise InputError(f"{name}= got {function!r}; expected a function.", "Leave it out.")
        self._asked = dict(schedule=schedule, earlier=earlier, target=self.target)
        self._options = {"method": "laplace", "progress": False} | options
        self._say, self._log = say, log
        self._rows = {name: array("d") for name in (clock, "loss", "lr")}
        self._due = FIRST if self.every is None else self.every
        self._thread: threading.Thread | None = None
        self._lost, self._warned = 0, False
        self.outlook: Outlook | None = None
        self.events: tuple[Event, ...] = ()

    def update(self, now: float, loss: float, lr: float | None = None) -> None:
        """Take one logged point.

        Args:
            now: the step, or the tokens so far.
            loss: at it; a loss that is no number is counted, not fitted.
            lr: the learning rate at it. Give it at every point or at none.
        """
        try:
            now, loss = float(now), float(loss)
            rate = math.nan if lr is None else float(lr)
        except (TypeError, ValueError) as error:
            self._warn(error)
            return
        if not (math.isfinite(loss) and loss > 0 and now > 0):
            self._lost += 1
            return
        for column, value in zip(self._rows.values(), (now, loss, rate), strict=True):
            column.append(value)
        if self._is_due(now) and (self._thread is None or not self._thread.is_alive()):
            self._begin(now)

    def _is_due(self, now: float) -> bool:
        seen = len(self._rows["loss"])
        if self.every is None:
            return seen >= FIRST and now >= self._due and now < self.until
        return seen >= max(self._due, FIRST // 4) and now < self.until

    def _begin(self, now: float) -> None:
        """Start a forecast of the points so far."""
        seen = len(self._rows["loss"])
        self._due = now + self.until / LOOKS if self.every is None else seen + self.every
        self._thread = threading.Thread(target=self._work, args=(self.frame(), now), name="lossband-tracker")
        self._thread.start()

    def frame(self) -> pd.DataFrame:
        """The points so far: the clock, `loss`, and `lr` where it was given."""
        rows = pd.DataFrame({name: np.array(column) for name, column in self._rows.items()})
        return rows.drop(columns="lr") if rows["lr"].isna().any() else rows

    def _work(self, rows: pd.DataFrame, now: float) -> None:
        """One forecast, said and logged."""
        try:
            self._judge(rows, now)
            self.outlook = watch(rows, self.until, **self._asked, **self._options)
            end = self.outlook.end(levels=(0.9,)).iloc[0]
            numbers = {
                "final_loss": float(end["median"]),
                "final_loss_lo_90": float(end["lo_90"]),
                "final_loss_hi_90": float(end["hi_90"]),
            }
            if self.target is not None:
                numbers["prob_target"] = self.outlook.end_below(self.target)
            if self._say:
                self._say(self._line(now, numbers))
            if self._log:
                self._log(numbers, now)
        except Exception as error:  # whatever it is, training goes on
            self._warn(error)

    def _line(self, now: float, numbers: dict[str, float]) -> str:
        loss, low, high = list(numbers.values())[:3]
        text = (
            f"{self.clock} {now:,.0f}: at {self.until:,.0f} the loss is {loss:.4f}, 90 % band {low:.4f} to "
            f"{high:.4f}"
        )
        if self.target is not None:
            text += f", below {self.target:g} with probability {numbers['prob_target']:.2f}"
        return text

    def _judge(self, rows: pd.DataFrame, now: float) -> None:
        """Say what is new among the departures from the run's path."""
        events = tuple(events_of(rows[self.clock], rows["loss"]))
        for event in events:
            if self._say and not any(event.is_like(other) for other in self.events):
                self._say(f"{self.clock} {now:,.0f}: {event}")
        self.events = events
        if self._lost and self._say:
            self._say(f"{self.clock} {now:,.0f}: {self._lost} losses were no positive numbers")
            self._lost = 0

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"lossband's tracker could not forecast: {error}", RuntimeWarning, stacklevel=2)

    def close(self, timeout: float | None = 60.0) -> None:
        """Wait for a forecast that is being made, at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
