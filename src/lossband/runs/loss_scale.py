"""The scale that losses are fitted on: the one place that maps a loss to it and back."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import InputError


class LossScale(Protocol):
    """A monotone map of losses, on which noise, drift and run effects are added to the law.

    `xp` is the module of the arrays, NumPy or `jax.numpy`.
    """

    signed: bool  # whether losses may be zero or negative

    def fitted(self, loss: Any, xp: Any = np) -> Any:
        """Losses on the fitted scale, of the same shape."""
        ...

    def loss(self, fitted: Any, xp: Any = np) -> Any:
        """The losses of values on the fitted scale, of the same shape."""
        ...

    def log_slope(self, fitted: Any) -> Any:
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

    signed = False

    def fitted(self, loss: Any, xp: Any = np) -> Any:
        """Ln loss."""
        return xp.log(loss)

    def loss(self, fitted: Any, xp: Any = np) -> Any:
        """The exponential."""
        return xp.exp(fitted)

    def log_slope(self, fitted: Any) -> Any:
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

    signed = True

    def fitted(self, loss: Any, xp: Any = np) -> Any:
        """The loss."""
        return xp.asarray(loss)

    def loss(self, fitted: Any, xp: Any = np) -> Any:
        """The same."""
        return xp.asarray(fitted)

    def log_slope(self, fitted: Any) -> Any:
        """Zero."""
        return 0.0 * fitted

    def error(self, loss_se: Any, loss: Any) -> Any:
        """The same error."""
        return loss_se

    def centre(self, fitted: np.ndarray) -> np.floating:
        """The range of the losses; one if they are all equal."""
        return np.ptp(fitted) or np.float64(1.0)


SCALES: dict[str, LossScale] = {"log": Log(), "identity": Identity()}


def find_scale(name: str) -> LossScale:
    """The scale of that name, "log" or "identity".

    Raises:
        InputError: another name.
    """
    if name not in SCALES:
        raise InputError(f"scale= got {name!r}; expected 'log' or 'identity'.", "See lossband.Law.")
    return SCALES[name]
