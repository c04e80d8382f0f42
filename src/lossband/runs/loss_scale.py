"""The scale that losses are fitted on: the one place that maps a loss to it and back."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
import pandas as pd

from .._arguments import items, one_of
from ..errors import InputError, listed

Metric = Literal["loss", "error", "accuracy"]
METRICS: tuple[Metric, ...] = get_args(Metric)


class LossScale(Protocol):
    """A monotone map of losses, on which noise, drift and run effects are added to the law.

    `xp` is the module of the arrays, NumPy or `jax.numpy`.
    """

    signed: bool  # whether losses may be zero or negative

    @property
    def column(self) -> str:
        """The table's column that holds them, where it has one of that name: else `loss`."""
        ...

    def check(self, losses: pd.Series) -> None:
        """Raise `InputError` for numbers that the scale does not take."""
        ...

    def of_law(self, value: Any, xp: Any = np) -> Any:
        """What a law returns, on the fitted scale."""
        ...

    def value(self, fitted: Any) -> Any:
        """What a law would have to return for values on the fitted scale."""
        ...

    def fitted(self, loss: Any) -> Any:
        """Losses on the fitted scale, of the same shape."""
        ...

    def loss(self, fitted: Any) -> Any:
        """The losses of values on the fitted scale, of the same shape."""
        ...

    def log_slope(self, fitted: Any, xp: Any = np) -> Any:
        """Ln of d fitted / d loss at values on the fitted scale: what a density is multiplied by."""
        ...

    def error(self, loss_se: Any, loss: Any) -> Any:
        """Standard errors of losses as standard errors on the fitted scale."""
        ...

    def centre(self, fitted: np.ndarray) -> np.floating:
        """The positive unit of a term's coefficient, from the training rows' fitted values `(row,)`."""
        ...


@dataclass(frozen=True)
class Log:
    """Fitted in ln loss: errors are shares of the loss. For positive losses."""

    signed, column = False, "loss"

    def check(self, losses: pd.Series) -> None:
        """Positive numbers were asked for already."""

    def of_law(self, value: Any, xp: Any = np) -> Any:
        """Ln of the law's loss."""
        return xp.log(value)

    def value(self, fitted: Any) -> Any:
        """The exponential."""
        return np.exp(fitted)

    def fitted(self, loss: Any) -> Any:
        """Ln loss."""
        return np.log(loss)

    def loss(self, fitted: Any) -> Any:
        """The exponential."""
        return np.exp(fitted)

    def log_slope(self, fitted: Any, xp: Any = np) -> Any:
        """Ln (1 / loss), which is minus ln loss."""
        return -fitted

    def error(self, loss_se: Any, loss: Any) -> Any:
        """The relative error."""
        return loss_se / loss

    def centre(self, fitted: np.ndarray) -> np.floating:
        """The median loss."""
        return np.exp(np.median(fitted))


@dataclass(frozen=True)
class Identity:
    """Fitted as it is: errors are in the unit of the loss, which may be zero or negative."""

    signed, column = True, "loss"

    def check(self, losses: pd.Series) -> None:
        """Any number will do."""

    def of_law(self, value: Any, xp: Any = np) -> Any:
        """The law's loss."""
        return value

    def value(self, fitted: Any) -> Any:
        """The same."""
        return fitted

    def fitted(self, loss: Any) -> Any:
        """The loss."""
        return np.asarray(loss)

    def loss(self, fitted: Any) -> Any:
        """The same."""
        return np.asarray(fitted)

    def log_slope(self, fitted: Any, xp: Any = np) -> Any:
        """Zero."""
        return 0.0 * fitted

    def error(self, loss_se: Any, loss: Any) -> Any:
        """The same error."""
        return loss_se

    def centre(self, fitted: np.ndarray) -> np.floating:
        """The range of the losses; one if they are all equal."""
        return np.ptp(fitted) or np.float64(1.0)


@dataclass(frozen=True)
class Bounded:
    """Fitted on the complementary log-log scale of the error, between two bounds: no band leaves them.

        law = -ln(1 - u),   u = (y - low) / (high - low), or (high - y) / (high - low) of an accuracy

    The law gives minus ln of the share that is right, which is a loss: power laws of it are published of pass
    rates (OpenAI 2023, arXiv:2303.08774, section 3.2; Schaeffer et al. 2025, arXiv:2502.17578). Where errors
    are few it is the error over its range; near chance it goes without bound, and the metric flattens.
    Beside the logit its bands were truer and nearer on all three public sets: see benchmarks/README.md.
    """

    metric: Metric
    low: float
    high: float

    signed = True

    @property
    def column(self) -> str:
        """The metric's own name."""
        return self.metric

    def check(self, losses: pd.Series) -> None:
        """Refuse what is not strictly between the bounds."""
        rows = np.flatnonzero(~((losses > self.low) & (losses < self.high)))
        if not len(rows):
            return
        percent = self.high == 1 and losses.between(0, 100).all() and losses.max() > 1.5
        raise InputError(
            f"{len(rows)} rows have {self.metric} outside its bounds (rows {listed(rows)}, the first "
            f"{losses.iloc[rows[0]]:g}); expected numbers above {self.low:g} and below {self.high:g}.",
            "The numbers look like per cent: bounds=(0, 100)."
            if percent
            else "Widen bounds=: (0, 1) where measurements fall below the chance level; a count of 0 or of "
            "all can be moved inside by half a case, (hits + .5) / (cases + 1).",
        )

    def of_law(self, value: Any, xp: Any = np) -> Any:
        """Ln of the law's value."""
        return xp.log(value)

    def value(self, fitted: Any) -> Any:
        """The exponential."""
        return np.exp(fitted)

    def fitted(self, loss: Any) -> Any:
        """Ln of minus ln of the share that is right."""
        return np.log(-np.log(self._right(np.asarray(loss))))

    def loss(self, fitted: Any) -> Any:
        """The metric, between its bounds."""
        right = np.exp(-np.exp(np.minimum(fitted, 50.0)))  # below 1e-300 it is none
        share = right if self.metric == "accuracy" else 1 - right
        return np.clip(self.low + (self.high - self.low) * share, self.low, self.high)  # rounding

    def log_slope(self, fitted: Any, xp: Any = np) -> Any:
        """Minus ln of the range times -(1 - u) ln(1 - u)."""
        return xp.exp(fitted) - fitted - np.log(self.high - self.low)

    def error(self, loss_se: Any, loss: Any) -> Any:
        """The error over the range times -(1 - u) ln(1 - u)."""
        right = self._right(loss)
        return loss_se / (-(self.high - self.low) * right * np.log(right))

    def centre(self, fitted: np.ndarray) -> np.floating:
        """The median of the values that a law would return."""
        return np.exp(np.median(fitted))

    def _right(self, loss: Any) -> Any:
        """The share that is right, 1 - u."""
        return ((loss - self.low) if self.metric == "accuracy" else (self.high - loss)) / (
            self.high - self.low
        )


SCALES: dict[str, LossScale] = {"log": Log(), "identity": Identity()}


def find_scale(name: str) -> LossScale:
    """The scale of that name: "log", "identity", or a metric with its bounds, "accuracy 0.25 1".

    Raises:
        InputError: another name.
    """
    metric, *bounds = name.split()
    if metric in METRICS[1:] and len(bounds) == 2:
        return Bounded(cast(Metric, metric), float(bounds[0]), float(bounds[1]))
    if name not in SCALES:
        raise InputError(f"scale= got {name!r}; expected 'log' or 'identity'.", "See lossband.Law.")
    return SCALES[name]


def scale_of(metric: object, bounds: object) -> str | None:
    """The name of the scale of a metric; None for a loss, whose law says its scale.

    Args:
        metric: "loss", "error" or "accuracy".
        bounds: its (low, high); (0, 1) if None.

    Raises:
        InputError: another metric, bounds of a loss, or no two numbers in order.
    """
    hint = 'For instance metric="accuracy", bounds=(0.25, 1): from the chance level to the best there is.'
    one_of("metric", metric, METRICS, hint)
    if metric == "loss":
        if bounds is not None:
            raise InputError(f"bounds= got {bounds!r} of a loss, which has none.", hint)
        return None
    ends = [0.0, 1.0] if bounds is None else items(bounds)
    numbers = len(ends) == 2 and all(isinstance(end, int | float | np.number) for end in ends)
    if not numbers or not -np.inf < ends[0] < ends[1] < np.inf:
        raise InputError(f"bounds= got {bounds!r}; expected two numbers, the lower first.", hint)
    return f"{metric} {float(ends[0])!r} {float(ends[1])!r}"


def as_loss(table: pd.DataFrame, scale: LossScale) -> pd.DataFrame:
    """The table with what the scale measures as `loss`: the metric's own column, if there is one."""
    if scale.column == "loss" or scale.column not in table:
        return table
    kept = table.drop(columns="loss", errors="ignore")
    return kept.rename(columns={scale.column: "loss", f"{scale.column}_se": "loss_se"})
