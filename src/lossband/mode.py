"""The mode of the posterior and the Gaussian there: where NUTS starts and what it is whitened by."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro

from .coordinates import Space
from .runs import weigh

ROUND = 8  # damped Newton steps in a round
PLAIN, ROBUST = 5, 7  # rounds with equal weights (a well-posed law needs 8 to 15 steps), and with Student-t weights


def find_mode(model, runs, measured, key, num_starts, num_prior):
    """Climb from several prior draws, keep the best mode, and describe the posterior there.

    Returns:
        coordinates `(d,)`, a factor `(d, d)` with factor @ factor.T the Gaussian's covariance, the rows with
        their Student-t mixture, a dict of scalars, and `num_prior` draws of the sites from the prior. The scalars:
        `agreed`, the share of starts that reached this mode to within 0.1 in log density; `curvature_min`, the
        smallest eigenvalue of the Hessian (<= 0: no Gaussian there); `gradient`, the size of the gradient in units
        of the Gaussian's standard deviations.
    """
    measured = weigh(measured, measured.mixture)
    space = Space.of(model, runs, measured)
    prior = jax.vmap(lambda k: prior_draw(space, k))(jax.random.split(key, num_prior))
    starts = jax.vmap(space.coordinates)(jax.tree.map(lambda leaf: leaf[:num_starts], prior))
    (places, weighed), heights = jax.vmap(lambda start: _climb(space, start))(starts)
    heights = heights[:, PLAIN - 1]
    best, measured = jax.tree.map(lambda leaf: leaf[jnp.argmin(heights)], (places, weighed))
    curvature, axes = jnp.linalg.eigh(best.hessian)
    floor = 1e-8 * jnp.max(jnp.abs(curvature))
    factor = axes / jnp.sqrt(jnp.maximum(jnp.abs(curvature), floor))
    found = {
        "agreed": jnp.mean(heights < jnp.min(heights) + 0.1),
        "curvature_min": curvature[0],
        "gradient": jnp.linalg.norm(best.gradient @ factor),
    }
    return best.point, factor, measured, found, prior


def _climb(space, start):
    """Newton's method in rounds; for a robust model the later rounds alternate with the Student-t's mixture.

    That is expectation-maximisation (ECM: each round raises the density). Returns (the last place, the rows with
    their mixture) and the height after every round, `(round,)`: heights are comparable while the mixture is 1.
    """
    shape = shape_of(space)

    def round_(carry, reweigh):
        place, measured = carry
        if space.model.robust:
            values, _ = space.constrained(place.point)
            expected = at(space.model, values)(space.runs, measured).expected_mixture(measured.log_loss)
            measured = weigh(measured, jnp.where(reweigh, expected, measured.mixture))
        place = newton(shape, place.point, measured, ROUND)
        return (place, measured), place.height

    rounds = PLAIN + (ROBUST if space.model.robust else 0)
    nowhere = Place(start, jnp.inf, jnp.zeros(len(start)), jnp.eye(len(start)))
    return jax.lax.scan(round_, (nowhere, space.measured), jnp.arange(rounds) >= PLAIN)


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


def prior_draw(space, key):
    """One draw of all sites from the prior, by name."""
    with numpyro.handlers.block(), numpyro.handlers.seed(rng_seed=key), numpyro.handlers.trace() as trace:
        space.model.likelihood(space.runs, space.measured)
    return {name: site["value"] for name, site in trace.items() if site["type"] in ("sample", "deterministic")}


def at(model, values):
    """The model's likelihood with its sites fixed at `values`, as a plain function."""
    return numpyro.handlers.block(numpyro.handlers.substitute(model.likelihood, values))
