"""Runs: the measured table as a law sees it, and its measurements padded to a few sizes."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .loss_scale import SCALES, LossScale

if TYPE_CHECKING:
    import pandas as pd

Array = Any  # an array of JAX or NumPy: before a program, inside it, or after it
# the package computes in float64, whatever its user's JAX does
double = functools.partial(jax.enable_x64, True)
FAR = 1e6  # "no row before": e^-FAR is 0, and unlike infinity its derivatives are 0 too


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Unit:
    """What the training rows fix: the unit of the losses and the centre of each input.

    Every prior is stated in it, so losses in nats, bits or normalised, and tokens or billions of tokens, give
    the same bands. A forecast keeps the unit of the training rows.
    """

    least: Array | float  # smallest training loss
    typical: Array | float  # median training loss; the range of losses that are fitted as they are
    spread: Array | float  # standard deviation of ln loss (of such a loss itself) over the training rows
    centre: dict[str, Array | float]  # input -> geometric mean over the training rows; mean of a plain input
    least_input: dict[str, Array | float]  # input -> smallest training value


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Column:
    """One input of the runs, `(row,)`, in the user's unit; arithmetic and jnp functions use its values."""

    values: Array
    centre: Array | float  # geometric mean over the training rows
    least: Array | float  # smallest training value
    typical: Array | float  # median training loss: the unit of a term's coefficient

    __array_priority__ = 1000  # a numpy number on the left leaves the operation to this class

    @property
    def log(self) -> jax.Array:
        """ln(x / centre), `(row,)`."""
        return jnp.log(self.values / self.centre)

    def __iter__(self) -> Iterator[jax.Array]:
        """Iterate over the values, row by row."""
        return iter(self.values)

    def __jax_array__(self) -> jax.Array:
        """The values, for jnp functions."""
        return self.values

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """The values as a numpy array."""
        return np.asarray(self.values, dtype=dtype)


def _forward(name: str) -> Callable[..., Any]:
    """An operator of `Column` that is the same operator of its values."""

    def operator(self, *others: Any) -> Any:
        return getattr(self.values, name)(*(getattr(other, "values", other) for other in others))

    return operator


for _name in (
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "rtruediv",
    "pow",
    "rpow",
    "neg",
    "getitem",
    "lt",
    "le",
    "gt",
    "ge",
):
    setattr(Column, f"__{_name}__", _forward(f"__{_name}__"))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Runs:
    """The table a law reads: `runs.params`, `runs.tokens`, ... are `Column`s of shape `(row,)`."""

    inputs: dict[str, Array]  # name -> (row,)
    unit: Unit

    def __getattr__(self, name: str) -> Column:
        """The input of that name as a `Column`."""
        inputs = object.__getattribute__(self, "inputs")
        if name not in inputs:
            raise AttributeError(f"these runs have no input {name!r} (they have {', '.join(inputs)})")
        unit = self.unit
        return Column(inputs[name], unit.centre[name], unit.least_input[name], unit.typical)


def size_class(count: int, least: int = 16) -> int:
    """The smallest power of two that holds `count`, from `least`: data of one class share their programs."""
    return max(least, 1 << (int(count) - 1).bit_length())


def unit_of(
    frame: "pd.DataFrame",
    inputs: Iterable[str],
    *,
    plain: Iterable[str] = (),
    scale: LossScale = SCALES["log"],
) -> Unit:
    """The `Unit` that a checked training frame fixes.

    Args:
        frame: the checked training rows.
        inputs: the law's inputs.
        plain: those of them that are read as they are, and may be zero: their centre is the mean.
        scale: that the losses are fitted on.
    """
    fitted, plain = scale.fitted(frame["loss"].to_numpy()), set(plain)
    return Unit(
        least=scale.value(fitted.min()),
        typical=scale.centre(fitted),
        spread=np.std(fitted),
        centre={n: frame[n].mean() if n in plain else np.exp(np.log(frame[n]).mean()) for n in inputs},
        least_input={name: frame[name].min() for name in inputs},
    )


def runs_of(frame: "pd.DataFrame", unit: Unit, *, pad_to: int | None = None) -> Runs:
    """`Runs` of a checked frame in a given unit; padding rows sit at the centre of the inputs."""
    pad = (pad_to or len(frame)) - len(frame)
    return Runs({n: np.append(frame[n].to_numpy(), np.full(pad, c)) for n, c in unit.centre.items()}, unit)


def order_of(frame: "pd.DataFrame") -> np.ndarray:
    """Positions that put the rows of one run together, each run in the order of training."""
    clock = clock_of(frame)
    return np.lexsort((frame.index, frame[clock] if clock else frame.index, frame["run"]))


def clock_of(frame: "pd.DataFrame") -> str | None:
    """The column that orders the points of one run: tokens, else step, else none."""
    return next((name for name in ("tokens", "step") if name in frame), None)
