"""NUTS in a whitened space: all chains in one compiled program, advanced a stretch at a time."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from .coordinates import Space
from .later import Later

TARGET = 0.9  # acceptance probability the step size is tuned to; at 0.8 a few draws in a thousand diverge
MAX_DEPTH = 10  # at most 1,023 leapfrog steps a draw, NumPyro's default
hmc = Later("numpyro.infer.hmc_util")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chains:
    """Where the chains stand, and the affine map to the space that they move in.

    position: `(chain, d)` coordinates.
    height, slope: `(chain,)` the potential there, `(chain, d)` its gradient.
    key: `(chain,)` random keys.
    log_step: `(chain,)` ln of the step size.
    centre, factor: coordinates = centre + factor @ white.
    """

    position: jax.Array
    height: jax.Array
    slope: jax.Array
    key: jax.Array
    log_step: jax.Array
    centre: jax.Array
    factor: jax.Array


def place(space, mode, factor, key, num_chains):
    """Chains spread over the Gaussian at the mode."""
    keys = jax.random.split(key, num_chains + 1)
    position = mode + jax.random.normal(keys[0], (num_chains, len(mode))) @ factor.T
    height, slope = jax.vmap(jax.value_and_grad(space.potential))(position)
    log_step = jnp.full(num_chains, jnp.log(0.5), dtype=mode.dtype)
    return Chains(position, height, slope, keys[1:], log_step, mode, factor)


def advance(model, runs, measured, chains, adapt, length, axis=None):
    """Take `length` draws of every chain.

    Args:
        adapt: true while warming up: the step sizes are tuned, and the draws' covariance over all chains becomes
            the new whitening.
        length: draws a chain (static).
        axis: name of the axis of devices over which the chains are spread, if they are.

    Returns:
        the chains, and a dict of `(chain, draw, ...)`: `position`, `energy`, `steps`, `diverging`, `acceptance`.
    """
    space = Space.of(model, runs, measured)
    start_tuning, update_tuning = hmc.dual_averaging()

    def potential(white):
        return space.potential(chains.centre + chains.factor @ white)

    def one_chain(position, height, slope, key, log_step):
        white = jax.scipy.linalg.solve(chains.factor, position - chains.centre)
        tuning = (log_step, *start_tuning(jnp.log(10.0) + log_step)[1:])

        def step(carry, _):
            state, tuning, key = carry
            key, draw_key = jax.random.split(key)
            size = jnp.exp(jnp.where(adapt, tuning[0], log_step))
            state, info = _draw(potential, state, size, draw_key)
            return (state, update_tuning(TARGET - info["acceptance"], tuning), key), (state.z, info)

        start = (hmc.IntegratorState(white, white, height, chains.factor.T @ slope), tuning, key)
        (end, tuning, key), (whites, info) = jax.lax.scan(step, start, None, length=length)
        draws = chains.centre + whites @ chains.factor.T
        slope = jax.scipy.linalg.solve(chains.factor.T, end.z_grad)
        return draws, end.potential_energy, slope, key, jnp.where(adapt, tuning[1], log_step), info

    draws, height, slope, key, log_step, info = jax.vmap(one_chain)(
        chains.position, chains.height, chains.slope, chains.key, chains.log_step
    )
    every = draws if axis is None else jax.lax.all_gather(draws, axis, tiled=True)
    centre, factor = _rewhitened(chains, every, adapt)
    moved = Chains(draws[:, -1], height, slope, key, log_step, centre, factor)
    return moved, {"position": draws, **info}


def _draw(potential, state, step_size, key):
    """One NUTS draw from the integrator state, with a unit mass matrix."""
    key_momentum, key_tree = jax.random.split(key)
    unit = jnp.ones_like(state.z)
    _, update = hmc.velocity_verlet(potential, hmc.euclidean_kinetic_energy)
    state = state._replace(r=jax.random.normal(key_momentum, state.z.shape))
    tree = hmc.build_tree(
        update, hmc.euclidean_kinetic_energy, state, unit, step_size, key_tree, max_tree_depth=MAX_DEPTH
    )
    acceptance = tree.sum_accept_probs / tree.num_proposals
    info = {
        "energy": tree.z_proposal_energy,
        "steps": tree.num_proposals,
        "diverging": tree.diverging,
        "acceptance": acceptance,
    }
    return hmc.IntegratorState(tree.z_proposal, state.r, tree.z_proposal_pe, tree.z_proposal_grad), info


def _rewhitened(chains, draws, adapt):
    """Centre and factor from the pooled draws while adapting, shrunk towards the present ones by d draws' worth."""
    pooled = draws.reshape(-1, draws.shape[-1])
    count, dim = pooled.shape
    covariance = (count * jnp.cov(pooled.T).reshape(dim, dim) + dim * chains.factor @ chains.factor.T) / (
        count + dim
    )
    factor = jnp.linalg.cholesky(covariance)
    use = adapt & jnp.all(jnp.isfinite(factor))
    return jnp.where(use, pooled.mean(0), chains.centre), jnp.where(use, factor, chains.factor)
