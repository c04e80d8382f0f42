"""The quick answer: draws from a heavy-tailed fit to the mode, corrected by importance, with their Pareto k."""

import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import Space

NU = 7.0  # degrees of freedom of the proposal: heavier than the posterior, so that no weight runs away


def propose(model, runs, measured, centre, factor, key, count):
    """Draws from a multivariate Student-t at the mode, and the log of their importance weights.

    Returns:
        `(count, d)` coordinates and `(count,)` log weights, up to a constant.
    """
    space = Space.of(model, runs, measured)
    key_normal, key_scale = jax.random.split(key)
    white = jax.random.normal(key_normal, (count, len(centre)))
    white = white / jnp.sqrt(jax.random.gamma(key_scale, NU / 2, (count, 1)) / (NU / 2))
    draws = centre + white @ factor.T
    proposal = -0.5 * (NU + len(centre)) * jnp.log1p(jnp.sum(white**2, axis=1) / NU)
    return draws, -jax.lax.map(space.potential, draws) - proposal


def correct(draws, log_weights, shape, seed):
    """Resample the draws by their Pareto-smoothed weights (Vehtari et al. 2024, arXiv:1507.02646).

    Returns:
        `(chain, draw, d)` coordinates of `shape` (chain, draw), the Pareto k of the weights (below 0.7 they can be
        trusted), and the effective number of draws.
    """
    from arviz_stats.base import array_stats

    log_weights = np.where(np.isfinite(log_weights), log_weights, -1e10)  # off the support: no weight
    smoothed, k = array_stats.psislw(-log_weights)  # takes log likelihoods: minus log weights
    weights = np.exp(smoothed - smoothed.max())
    weights /= weights.sum()
    chosen = np.random.default_rng([seed, *b"laplace"]).choice(len(draws), size=shape, p=weights)
    return np.asarray(draws)[chosen], float(k), float(1 / np.sum(weights**2))
