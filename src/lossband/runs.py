"""Runs: the measured table as a law sees it, and its measurements padded to a few sizes."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

FAR = 1e6  # "no row before": e^-FAR is 0, and unlike infinity its derivatives are 0 too


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Unit:
    """What the training rows fix for good: the unit of the losses and the centre of each input.

    Every prior is stated in it, so losses in nats, bits or normalised, and tokens or billions of tokens, give
    the same bands. A forecast keeps the unit of the training rows.
    """

    least: jax.Array  # smallest training loss
    typical: jax.Array  # median training loss
    spread: jax.Array  # standard deviation of ln loss over the training rows
    centre: dict  # input -> geometric mean over the training rows
    least_input: dict  # input -> smallest training value


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Column:
    """One input of the runs, `(row,)`, in the user's unit; arithmetic and jnp functions take it as its array."""

    values: jax.Array
    centre: jax.Array  # geometric mean over the training rows
    least: jax.Array  # smallest training value
    typical: jax.Array  # median training loss: the unit of a term's coefficient

    __array_priority__ = 1000  # a numpy number on the left leaves the operation to this class

    @property
    def log(self):
        """ln(x / centre), `(row,)`."""
        return jnp.log(self.values / self.centre)

    def __iter__(self):
        return iter(self.values)

    def __jax_array__(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def _forward(name):
    def operator(self, *others):
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

    inputs: dict  # name -> (row,)
    unit: Unit

    def __getattr__(self, name):
        inputs = object.__getattribute__(self, "inputs")
        if name not in inputs:
            raise AttributeError(f"these runs have no input {name!r} (they have {', '.join(inputs)})")
        unit = self.unit
        return Column(inputs[name], unit.centre[name], unit.least_input[name], unit.typical)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Measured:
    """What a likelihood reads: `(row,)` measurements of ln loss, padded; padding has `mask` 0 and counts nowhere.

    The rows of one run stand together in the order of training, so that neighbours in the table are neighbours
    on the curve.
    """

    log_loss: jax.Array
    log_loss_se: jax.Array  # known standard error of ln loss, 0 where none is given
    mask: jax.Array  # 1 for a measurement, 0 for padding
    gap: jax.Array  # ln time since the row before it in the run; FAR at the first
    mixture: jax.Array  # lambda: precision of the row over the typical one, the Student-t's scale mixture
    drift: jax.Array  # (row, k) the drift's basis, see drift.py
    effect: jax.Array  # (row, run) 1 for the row's run; no columns for a model without run effects
    gram: jax.Array  # (k + run, k + run) loadings' mixture-weighted inner products
    axes: jax.Array  # (k, k) the Gram matrix's eigenvectors, in columns, and
    lengths: (
        jax.Array
    )  # (k,) its eigenvalues; without run effects, where they save a factorisation at each step

    @property
    def loadings(self):
        """What one unit of each linear weight adds to ln loss, `(row, k + run)`."""
        return jnp.hstack([self.drift, self.effect])

    @property
    def shape(self):
        """Rows, pieces of the drift and slots of runs, padding counted."""
        return (*self.drift.shape, self.effect.shape[1])


def size_class(count, least=16):
    """The smallest power of two that holds `count`, from `least`: data of one class share their programs."""
    return max(least, 1 << (int(count) - 1).bit_length())


def unit_of(frame, inputs):
    """The `Unit` that a checked training frame fixes."""
    log_loss = np.log(frame["loss"].to_numpy())
    return Unit(
        least=np.exp(log_loss.min()),
        typical=np.exp(np.median(log_loss)),
        spread=np.std(log_loss),
        centre={name: np.exp(np.log(frame[name]).mean()) for name in inputs},
        least_input={name: frame[name].min() for name in inputs},
    )


def runs_of(frame, unit, *, pad_to=None):
    """`Runs` of a checked frame in a given unit; padding rows sit at the centre of the inputs."""
    pad = (pad_to or len(frame)) - len(frame)
    return Runs({n: np.append(frame[n].to_numpy(), np.full(pad, c)) for n, c in unit.centre.items()}, unit)


def order_of(frame):
    """Positions that put the rows of one run together, each run in the order of training."""
    clock = clock_of(frame)
    return np.lexsort((frame.index, frame[clock] if clock else frame.index, frame["run"]))


def measured_of(frame, drift, *, run_effects=False, least=(0, 0, 0)):
    """`Measured` of a checked frame that is in the order of `order_of`.

    Args:
        drift: `(row, k)` basis of the drift.
        run_effects: whether the model has them.
        least: pad to at least so many rows, pieces (where there are any) and runs, the `shape` of another table's `Measured`.
    """
    rows, size = len(frame), max(size_class(len(frame)), least[0])
    pieces = drift.shape[1] and max(drift.shape[1], least[1])
    drift = np.pad(drift, ((0, 0), (0, pieces - drift.shape[1])))
    code, names = frame["run"].factorize()
    clock = clock_of(frame)
    time = np.log(frame[clock].to_numpy()) if clock else np.zeros(rows)
    gap = np.where(np.diff(code, prepend=-1) != 0, FAR, np.diff(time, prepend=0.0))
    runs = max(size_class(len(names), 4), least[2]) if run_effects else 0

    def pad(values, fill=0.0):
        return np.concatenate([values, np.full((size - rows, *np.shape(values)[1:]), fill)])

    return Measured(
        log_loss=pad(np.log(frame["loss"])),
        log_loss_se=pad(frame["loss_se"] / frame["loss"] if "loss_se" in frame else np.zeros(rows)),
        mask=pad(np.ones(rows)),
        gap=pad(gap, FAR),
        mixture=np.ones(size),
        drift=pad(drift),
        effect=pad(np.eye(runs)[code] if runs else np.zeros((rows, 0))),
        gram=np.zeros((drift.shape[1] + runs,) * 2),
        axes=np.eye(drift.shape[1]),
        lengths=np.zeros(drift.shape[1]),
    )


def weigh(measured, mixture):
    """`Measured` with this mixture, and all that a likelihood reads of it and of the rows beside their losses."""
    loadings = measured.loadings
    gram = ((measured.mask * mixture)[:, None] * loadings).T @ loadings
    weighed = replace(measured, mixture=mixture, gram=gram)
    if measured.effect.shape[1]:
        return weighed
    lengths, axes = jnp.linalg.eigh(gram, symmetrize_input=False)
    return replace(weighed, axes=axes, lengths=lengths)


def clock_of(frame):
    """The column that orders the points of one run: tokens, else step, else none."""
    return next((name for name in ("tokens", "step") if name in frame), None)
