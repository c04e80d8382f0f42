"""NUTS-within-Gibbs in whitened coordinates.

All chains run in one compiled program, in blocks of draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import numpy as np

from .._lazy import Later
from ..model.measured import weigh
from .breadth import Breadth
from .coordinates import Space
from .mode import integrated

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..model.loss_model import LossModel
    from ..model.measured import Measured
    from ..runs.arrays import Runs

    Moving = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


# acceptance probability the step size is tuned to; at .95 a draw in thousands diverges, at .9 one in hundreds
TARGET = 0.96
CAUTION = 0.99  # the same for chains that diverged, or did not mix
MAX_DEPTH = 10  # at most 1,023 leapfrog steps per draw, NumPyro's default
KEEP, CAREFUL, TUNE, WHITEN = 0, 1, 2, 3
AIM = 2.0  # step sizes above the last one are tried first: a long step is cheap
hmc = Later("numpyro.infer.hmc_util")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chains:
    """Where the chains stand, and the affine map to the space that they move in.

    position: `(chain, d)` coordinates.
    height, slope: `(chain,)` the potential there, `(chain, d)` its gradient.
    key: `(chain,)` random keys.
    log_step: `(chain,)` ln of the step size.
    mixture: `(chain, row + run)` the heavy tails' scale mixtures, where they are sampled beside the
        coordinates.
    centre, factor: coordinates = centre + factor @ white.
    breadth: the `Breadth` that the coordinates are in, for a model that has one.
    """

    position: jax.Array
    height: jax.Array
    slope: jax.Array
    key: jax.Array
    log_step: jax.Array
    mixture: jax.Array
    centre: jax.Array
    factor: jax.Array
    breadth: Breadth | None = None


def place(space: Space, mode: jax.Array, factor: jax.Array, key: jax.Array, num_chains: int) -> Chains:
    """Chains spread over the Gaussian at the mode."""
    keys = jax.random.split(key, num_chains + 1)
    position = mode + jax.random.normal(keys[0], (num_chains, len(mode))) @ factor.T
    height, slope = jax.vmap(jax.value_and_grad(space.potential))(position)
    log_step = jnp.full(num_chains, jnp.log(0.5), dtype=mode.dtype)
    mixture = jnp.tile(space.measured.mixtures, (num_chains, 1))
    return Chains(position, height, slope, keys[1:], log_step, mixture, mode, factor, space.breadth)


def advance(
    model: LossModel,
    runs: Runs,
    measured: Measured,
    chains: Chains,
    adapt: jax.Array,
    length: int,
    *,
    axis: str | None = None,
) -> tuple[Chains, dict[str, jax.Array]]:
    """Take `length` draws of every chain.

    Of the coordinates by NUTS, then of what was integrated out, given them.

    Where heavy tails are a mixture the next draw of the coordinates is given the new one (Gibbs sampling).

    Args:
        model: the `LossModel`.
        runs: the `Runs` that the law reads.
        measured: the `Measured` rows.
        chains: the `Chains`.
        adapt: what is learnt from these draws: KEEP nothing; TUNE the step size, the smallest that a chain of
            these needs; CAREFUL the same, for smaller steps; or WHITEN, which is to tune it and then take the
            draws' covariance over all chains for the new whitening.
        length: draws per chain (static).
        axis: name of the axis of devices over which the chains are spread, if they are.

    Returns:
        the chains, and a dict of `(chain, draw, ...)`: `position`, `weights`, `energy`, `steps`, `diverging`,
            `acceptance`.
    """
    space = Space.of(model, runs, measured, chains.breadth)
    moving = (chains.position, chains.height, chains.slope, chains.key, chains.log_step, chains.mixture)
    moved, drawn = lifted(_Block(space, measured, chains, adapt, length))(moving)
    draws = drawn["position"]
    every = draws if axis is None else jax.lax.all_gather(draws, axis, tiled=True)
    centre, factor = _rewhitened(chains, every, adapt >= WHITEN)
    moved = Chains(*cast("Moving", moved), centre, factor, chains.breadth)
    smallest = jnp.nanmin(moved.log_step)  # one chain that is lost stops no other
    smallest = smallest if axis is None else jax.lax.pmin(smallest, axis)
    return replace(moved, log_step=jnp.where(adapt >= CAREFUL, smallest, moved.log_step)), drawn


@dataclass(frozen=True)
class _Block:
    """A block of draws of one chain: called with the fields of `Chains` that move, of one chain."""

    space: Space
    measured: Measured
    chains: Chains
    adapt: jax.Array
    length: int

    def __call__(self, moving: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], dict[str, jax.Array]]:
        position, height, slope, key, log_step, mixture = moving
        factor = self.chains.factor
        white = jax.scipy.linalg.solve(factor, position - self.chains.centre)
        state = hmc.IntegratorState(white, white, height, factor.T @ slope)
        # In a whitened space the first step is nearly right. NumPyro's gamma of .05, made for ones that are
        # orders off, swings between steps far too long and far too short while tuning: twice the leapfrogs,
        # of which a batch in lockstep waits for the worst.
        start_tuning, update_tuning = hmc.dual_averaging(gamma=0.3)
        tuning = (log_step, *start_tuning(jnp.log(AIM) + log_step)[1:])
        target = jnp.where(self.adapt == CAREFUL, CAUTION, TARGET)

        def step(carry: tuple[Any, ...], _: None) -> tuple[tuple[Any, ...], dict[str, jax.Array]]:
            state, tuning, key, mixture = carry
            key, *keys = jax.random.split(key, 3)
            size = jnp.exp(jnp.where(self.adapt >= CAREFUL, tuning[0], log_step))
            state, mixture, drawn = self.draw(state, mixture, size, *keys)
            tuning = update_tuning(target - drawn["acceptance"], tuning)
            return (state, tuning, key, mixture), drawn

        (end, tuning, key, mixture), drawn = jax.lax.scan(
            step, (state, tuning, key, mixture), None, length=self.length
        )
        slope = jax.scipy.linalg.solve(factor.T, end.z_grad)
        log_step = jnp.where(self.adapt >= CAREFUL, tuning[1], log_step)
        return (drawn["position"][-1], end.potential_energy, slope, key, log_step, mixture), drawn

    def draw(
        self, state: Any, mixture: jax.Array, size: jax.Array, draw_key: jax.Array, given_key: jax.Array
    ) -> tuple[Any, jax.Array, dict[str, jax.Array]]:
        """One draw of the coordinates given the mixture, and one of all that was integrated out given it."""
        model, chains = self.space.model, self.chains
        rows = weigh(self.measured, mixture) if model.mixes else self.measured

        def potential(white: jax.Array) -> jax.Array:
            return self.space.potential(chains.centre + chains.factor @ white, rows)

        if model.mixes:  # another mixture, another potential
            height, slope = jax.value_and_grad(potential)(state.z)
            state = state._replace(potential_energy=height, z_grad=slope)
        state, info = _draw(potential, state, size, draw_key)
        position = chains.centre + chains.factor @ state.z
        weights, mixture = integrated(self.space, rows, position, given_key)
        return state, mixture, {"position": position, "weights": weights, **info}


def lifted(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function over a leading axis of its one argument.

    One after another on a processor, side by side on an accelerator.

    Side by side everyone takes the leapfrogs of the longest tree and both sides of every branch, which costs
    a processor two to nine times as much, and an accelerator, where a small operation costs as much as a
    large one, far less than waiting in line.
    """
    return functools.partial(jax.lax.map, function) if jax.default_backend() == "cpu" else jax.vmap(function)


def _draw(
    potential: Callable[[jax.Array], jax.Array], state: Any, step_size: jax.Array, key: jax.Array
) -> tuple[Any, dict[str, jax.Array]]:
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


def whitened(chains: Chains, draws: np.ndarray) -> Chains:
    """The chains of several tables in the space that their own draws whiten, `(table, chain, draw, d)`.

    A table whose draws have no covariance of full rank stays where it was.
    """
    centres, factors = np.array(chains.centre), np.array(chains.factor)
    for table, own in enumerate(draws.reshape(len(draws), -1, draws.shape[-1])):
        try:
            factor = np.linalg.cholesky(np.cov(own.T).reshape(factors[table].shape))
        except np.linalg.LinAlgError:
            continue
        if np.isfinite(factor).all():
            centres[table], factors[table] = own.mean(0), factor
    return replace(chains, centre=centres, factor=factors)


def _rewhitened(chains: Chains, draws: jax.Array, wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Centre and factor from the pooled draws, if wanted, shrunk to the present ones by d draws' worth."""
    pooled = draws.reshape(-1, draws.shape[-1])
    count, dim = pooled.shape
    covariance = (count * jnp.cov(pooled.T).reshape(dim, dim) + dim * chains.factor @ chains.factor.T) / (
        count + dim
    )
    factor = jnp.linalg.cholesky(covariance)
    use = wanted & jnp.all(jnp.isfinite(factor))
    return jnp.where(use, pooled.mean(0), chains.centre), jnp.where(use, factor, chains.factor)
