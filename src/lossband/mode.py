"""The mode of the posterior and the Gaussian there: where NUTS starts and what it is whitened by."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro

from .coordinates import Space
from .runs import weigh

ITERATIONS = 40  # damped Newton steps from each start; a well-posed law needs 8 to 15
ROUNDS, ROUND = 8, 6  # expectation-maximisation rounds for the Student-t mixture, Newton steps in each


def find_mode(model, runs, measured, key, num_starts):
    """Climb from several prior draws, keep the best mode, and describe the posterior there.

    Returns:
        coordinates `(d,)`, a factor `(d, d)` with factor @ factor.T the Gaussian's covariance, the rows with
        their Student-t mixture, and a dict of scalars: `agreed`, the share of starts that reached this mode to within
        0.1 in log density; `curvature_min`, the smallest eigenvalue of the Hessian (<= 0: no Gaussian there);
        `gradient`, the size of the gradient in units of the Gaussian's standard deviations.
    """
    measured = weigh(measured, measured.mixture)
    space = Space.of(model, runs, measured)
    shape = shape_of(space)
    starts = jax.vmap(lambda k: prior_start(space, k))(jax.random.split(key, num_starts))
    ends = jax.vmap(lambda start: newton(shape, start, measured, ITERATIONS))(starts)
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(ends.height)], ends)
    if model.robust:
        best, measured = _reweighted(space, shape, best)
    curvature, axes = jnp.linalg.eigh(best.hessian)
    floor = 1e-8 * jnp.max(jnp.abs(curvature))
    factor = axes / jnp.sqrt(jnp.maximum(jnp.abs(curvature), floor))
    return best.point, factor, measured, {
        "agreed": jnp.mean(ends.height < jnp.min(ends.height) + 0.1),
        "curvature_min": curvature[0],
        "gradient": jnp.linalg.norm(best.gradient @ factor),
    }


def _reweighted(space, shape, best):
    """Alternate the Student-t's expected mixture and the mode under it (ECM: each round raises the density)."""

    def round_(carry, _):
        best, measured = carry
        values, _ = space.constrained(best.point)
        likelihood = at(space.model, values)(space.runs, measured)
        measured = weigh(measured, likelihood.expected_mixture(measured.log_loss))
        return (newton(shape, best.point, measured, ROUND), measured), None

    return jax.lax.scan(round_, (best, space.measured), None, length=ROUNDS)[0]


class Place(NamedTuple):
    """A point, `(d,)`, and the potential, gradient and Hessian there."""

    point: jax.Array
    height: jax.Array
    gradient: jax.Array
    hessian: jax.Array


def shape_of(space):
    """(point, measured) -> `Place`, in one pass: the Hessian's forward mode over the gradient's reverse mode."""

    def gradient(point, measured):
        height, slope = jax.value_and_grad(space.potential)(point, measured)
        return slope, (height, slope)

    def shape(point, measured):
        hessian, (height, slope) = jax.jacfwd(gradient, has_aux=True)(point, measured)
        return Place(point, jnp.where(jnp.isnan(height), jnp.inf, height), slope, hessian)

    return jax.jit(shape)


def newton(shape, start, measured, iterations):
    """Minimise by Newton's method with an exact Hessian, damped as in Levenberg-Marquardt, saddles turned downhill.

    Returns:
        the lowest `Place` found.
    """
    dim = len(start)

    def step(carry, _):
        best, trial, damping = carry
        here = shape(trial, measured)
        better = here.height < best.height
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), here, best)
        damping = jnp.clip(damping * jnp.where(better, 0.2, 5.0), 1e-10, 1e10)
        curvature, axes = jnp.linalg.eigh(best.hessian)
        trial = best.point - axes @ ((best.gradient @ axes) / (jnp.abs(curvature) + damping))
        return (best, trial, damping), None

    nowhere = Place(start, jnp.inf, jnp.zeros(dim), jnp.eye(dim))
    (best, _, _), _ = jax.lax.scan(step, (nowhere, start, 1.0), None, length=iterations)
    return best


def prior_start(space, key):
    """Coordinates `(d,)` of one draw from the prior."""
    with numpyro.handlers.block(), numpyro.handlers.seed(rng_seed=key), numpyro.handlers.trace() as trace:
        space.model.likelihood(space.runs, space.measured)
    return space.coordinates({name: trace[name]["value"] for name in space.sites})


def at(model, values):
    """The model's likelihood with its sites fixed at `values`, as a plain function."""
    return numpyro.handlers.block(numpyro.handlers.substitute(model.likelihood, values))
