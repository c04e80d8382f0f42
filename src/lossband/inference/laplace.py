"""The Laplace approximation.

Draws from a multivariate Student-t at the mode, corrected by importance, with their Pareto k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import Space
from .mode import integrated

if TYPE_CHECKING:
    from ..model.loss_model import LossModel
    from ..model.measured import Measured
    from ..runs.arrays import Runs
    from .nuts import Chains


NU = 7.0  # degrees of freedom of the proposal: heavier than the posterior, so that no weight runs away


def propose(
    model: LossModel, runs: Runs, measured: Measured, chains: Chains, key: jax.Array, count: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draws from a multivariate Student-t at the mode, and the log of their importance weights.

    Where heavy tails are a mixture, it stays as it was at the mode.

    Returns:
        `(count, d)` coordinates, `(count, k)` linear weights given them, and `(count,)` log importance
        weights, up to a constant.
    """
    space, centre, factor = Space.of(model, runs, measured, chains.breadth), chains.centre, chains.factor
    keys = jax.random.split(key, 3)
    white = jax.random.normal(keys[0], (count, len(centre)))
    white = white / jnp.sqrt(jax.random.gamma(keys[1], NU / 2, (count, 1)) / (NU / 2))
    draws = centre + white @ factor.T
    proposal = -0.5 * (NU + len(centre)) * jnp.log1p(jnp.sum(white**2, axis=1) / NU)

    def of_one(each: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        weights, _ = integrated(space, measured, *each)
        return weights, space.potential(each[0])

    weights, heights = jax.lax.map(of_one, (draws, jax.random.split(keys[2], count)))
    return draws, weights, -heights - proposal


def correct(log_weights: np.ndarray, shape: tuple[int, int], seed: int) -> tuple[np.ndarray, float, float]:
    """Choose draws by their Pareto-smoothed weights (Vehtari et al. 2024, arXiv:1507.02646).

    Returns:
        positions among the draws, of `shape` (chain, draw); the Pareto k of the weights (below 0.7 they can
        be trusted); and the effective number of draws.
    """
    from arviz_stats.base.array import array_stats

    log_weights = np.where(np.isfinite(log_weights), log_weights, -1e10)  # off the support: no weight
    smoothed, k = array_stats.psislw(-log_weights)  # takes log likelihoods: minus log weights
    weights = np.exp(smoothed - smoothed.max())
    weights /= weights.sum()
    chosen = np.random.default_rng([seed, *b"laplace"]).choice(len(weights), size=shape, p=weights)
    return chosen, float(k), float(1 / np.sum(weights**2))
