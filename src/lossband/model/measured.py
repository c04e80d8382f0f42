"""What a likelihood reads of a table: losses, errors, and the columns of what is integrated out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from ..runs.arrays import FAR, clock_of, size_class
from ..runs.loss_scale import SCALES, LossScale

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from ..runs.arrays import Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Measured:
    """What a likelihood reads: `(row,)` measurements of ln loss, padded.

    Padding has `mask` 0 and counts nowhere.

    The rows of one run stand together in the order of training, so that neighbours in the table are
    neighbours on the curve.
    """

    log_loss: Array  # or the loss itself, where the law says so: the loss on the fitted scale
    log_loss_se: Array  # known standard error of ln loss, 0 where none is given
    mask: Array  # 1 for a measurement, 0 for padding
    gap: Array  # ln time since the row before it in the run; FAR at the first
    mixture: Array  # lambda: precision of the row over the typical one, the Student-t's scale mixture
    drift: Array  # (row, k) the drift's basis, see drift.py
    run_mixture: Array  # (run,) the same of each run's effect
    effect: Array  # (row, run) 1 for the row's run; no columns for a model without run effects
    gram: Array  # (k + run, k + run) loadings' mixture-weighted inner products
    axes: Array  # (k, k) the Gram matrix's eigenvectors, in columns, and
    lengths: Array  # (k,) its eigenvalues; without run effects, where they save a factorisation at each step

    @property
    def mixtures(self) -> jax.Array:
        """The mixtures of the rows and of the runs after them, `(row + run,)`."""
        return jnp.concatenate([self.mixture, self.run_mixture])

    @property
    def loadings(self) -> jax.Array:
        """What one unit of each linear weight adds to ln loss, `(row, k + run)`."""
        return jnp.hstack([self.drift, self.effect])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, pieces of the drift and slots of runs, padding counted."""
        rows, pieces = self.drift.shape
        return rows, pieces, self.effect.shape[1]


def measured_of(
    frame: pd.DataFrame,
    drift: np.ndarray,
    *,
    run_effects: bool = False,
    least: tuple[int, int, int] = (0, 0, 0),
    scale: LossScale = SCALES["log"],
) -> Measured:
    """`Measured` of a checked frame that is in the order of `order_of`.

    Args:
        frame: the checked rows.
        drift: `(row, k)` basis of the drift.
        run_effects: whether the model has them.
        least: pad to at least so many rows, pieces (where there are any) and runs, the `shape` of another
            table's `Measured`.
        scale: that the losses are fitted on.
    """
    rows, size = len(frame), max(size_class(len(frame)), least[0])
    pieces = drift.shape[1] and max(drift.shape[1], least[1])
    drift = np.pad(drift, ((0, 0), (0, pieces - drift.shape[1])))
    code, names = frame["run"].factorize()
    clock = clock_of(frame)
    time = np.log(frame[clock].to_numpy()) if clock else np.zeros(rows)
    gap = np.where(np.diff(code, prepend=-1) != 0, FAR, np.diff(time, prepend=0.0))
    runs = max(size_class(len(names), 4), least[2]) if run_effects else 0

    def pad(values: ArrayLike, fill: float = 0.0) -> np.ndarray:
        return np.concatenate([values, np.full((size - rows, *np.shape(values)[1:]), fill)])

    return Measured(
        log_loss=pad(scale.fitted(frame["loss"])),
        log_loss_se=pad(
            scale.error(frame["loss_se"], frame["loss"]) if "loss_se" in frame else np.zeros(rows)
        ),
        mask=pad(np.ones(rows)),
        gap=pad(gap, FAR),
        mixture=np.ones(size),
        drift=pad(drift),
        run_mixture=np.ones(runs),
        effect=pad(np.eye(runs)[code] if runs else np.zeros((rows, 0))),
        gram=np.zeros((drift.shape[1] + runs,) * 2),
        axes=np.eye(drift.shape[1]),
        lengths=np.zeros(drift.shape[1]),
    )


def weigh(measured: Measured, mixtures: Array) -> Measured:
    """`Measured` with these `mixtures`, and all that a likelihood reads of them and of the rows."""
    mixture, run_mixture = jnp.split(mixtures, [len(measured.mask)])
    loadings = measured.loadings
    gram = ((measured.mask * mixture)[:, None] * loadings).T @ loadings
    weighed = replace(measured, mixture=mixture, run_mixture=run_mixture, gram=gram)
    if measured.effect.shape[1]:
        return weighed
    lengths, axes = jnp.linalg.eigh(gram, symmetrize_input=False)
    return replace(weighed, axes=axes, lengths=lengths)
