"""The mode of the posterior and the Gaussian there: where NUTS starts and what it is whitened by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from .._lazy import numpyro
from ..model.measured import weigh
from .breadth import Breadth
from .coordinates import Space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.likelihood import Likelihood
    from ..model.loss_model import LossModel
    from ..model.measured import Measured
    from ..runs.arrays import Runs

    Climbed = tuple["Place", Measured]
    Stepped = tuple["Place", jax.Array, jax.Array | float]


ROUND = 8  # damped Newton steps in a round
PLAIN, ROBUST = 4, 7  # rounds, and further ones by the weights of heavy tails


def find_mode(
    model: LossModel, runs: Runs, measured: Measured, key: jax.Array, num_starts: int, num_prior: int
) -> tuple[jax.Array, jax.Array, Measured, dict[str, jax.Array], dict[str, jax.Array]]:
    """Climb from the most probable of many prior draws, keep the best mode, and describe the posterior there.

    Returns:
        coordinates `(d,)`, a factor `(d, d)` with factor @ factor.T the Gaussian's covariance, the rows with
        their Student-t mixture, a dict of scalars, and `num_prior` draws of the sites from the prior. The
        scalars: `agreed`, the share of starts that reached this mode to within 0.1 in log density;
        `curvature_min`, the smallest eigenvalue of the Hessian (<= 0: no Gaussian there); `gradient`, the
        size of the gradient in units of the Gaussian's standard deviations.
    """
    measured = weigh(measured, measured.mixtures)
    space = Space.of(model, runs, measured)
    prior = jax.vmap(lambda k: prior_draw(space, k))(jax.random.split(key, num_prior))
    points = jax.vmap(space.coordinates)(prior)
    heights = jax.lax.map(space.potential, points)
    starts = points[jnp.argsort(heights)[:num_starts]]  # NaN sorts last
    (places, weighed), heights = jax.lax.map(lambda start: _climb(space, start), starts)
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


def widened(
    space: Space, mode: jax.Array, factor: jax.Array, prior: Mapping[str, jax.Array]
) -> tuple[Space, jax.Array, jax.Array]:
    """The space with the breadth about a mode, and the mode and its Gaussian's factor in it.

    Args:
        space: the `Space`, of the rows with their mixture.
        mode: coordinates `(d,)`.
        factor: `(d, d)`, as of `find_mode`.
        prior: site -> draws `(draw,)`.
    """
    if not space.scales:
        return space, mode, factor
    places, others = space.places, space.others
    shape = shape_of(space)

    def hessian(scales: jax.Array) -> jax.Array:
        found = shape(mode.at[places].set(scales), space.measured).hessian
        return found[others][:, others]

    median = jnp.log(jnp.median(prior[space.scales[0]]))
    breadth = Breadth.about(mode[others], hessian, mode[places].at[0].set(median))
    width = jnp.exp(breadth.log_width(mode[places]))
    rows = jnp.linalg.solve(breadth.axes, factor[others]) / width[:, None]
    wide = replace(space, breadth=breadth)
    return wide, wide.narrowed(mode), factor.at[others].set(rows)


def _climb(space: Space, start: jax.Array) -> tuple[Climbed, jax.Array | float]:
    """Newton's method in rounds.

    Heavy tails enter after the first ones, by ECM, and in closed form in the last, where they have one.

    ECM (expectation, conditional maximisation) raises the density in each round, and by normal tails its
    Newton steps are long: from a start far off, a Student-t's flat tails leave nothing to climb by. Returns
    (the last place, the rows with their mixture) and a height by which starts can be compared: the last one
        whose mixture is the same for all.
    """
    model = space.model
    climbing = replace(space, model=replace(model, climbing=model.heavy_tailed))
    shape = shape_of(climbing)

    def round_(carry: Climbed, robust: jax.Array) -> tuple[Climbed, jax.Array | float]:
        place, measured = carry
        if model.heavy_tailed:
            values = space.constrained(place.point)
            expected = at(climbing.model, values)(space.runs, measured).expected_mixture(measured.log_loss)
            measured = weigh(measured, jnp.where(robust, expected, measured.mixtures))
        place = newton(shape, place.point, measured, ROUND, place.damping)
        return (place, measured), place.height

    robust = jnp.arange(PLAIN + ROBUST * model.heavy_tailed) >= PLAIN
    nowhere = Place(start, cast(Any, jnp.inf), jnp.zeros(len(start)), jnp.eye(len(start)))
    (place, measured), heights = jax.lax.scan(round_, (nowhere, space.measured), robust)
    if model.heavy_tailed and not model.integrates:
        place = newton(shape_of(space), place.point, measured, ROUND, place.damping)
        return (place, measured), place.height
    return (place, measured), cast(jax.Array, heights)[PLAIN - 1]


class Place(NamedTuple):
    """A point, `(d,)`, the potential, gradient and Hessian there, and the damping now."""

    point: jax.Array
    height: jax.Array | float
    gradient: jax.Array
    hessian: jax.Array
    damping: jax.Array | float = 1.0


def shape_of(space: Space) -> Callable[[jax.Array, Measured], Place]:
    """(point, measured) -> `Place`, in one pass.

    The Hessian's forward mode over the gradient's reverse mode.
    """

    def gradient(point: jax.Array, measured: Measured) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        height, slope = jax.value_and_grad(space.potential)(point, measured)
        return slope, (height, slope)

    def shape(point: jax.Array, measured: Measured) -> Place:
        hessian, (height, slope) = jax.jacfwd(gradient, has_aux=True)(point, measured)
        return Place(point, jnp.where(jnp.isnan(height), jnp.inf, height), slope, hessian)

    return jax.jit(shape)


def newton(
    shape: Callable[[jax.Array, Any], Place],
    start: jax.Array,
    measured: Any,
    iterations: int,
    damping: jax.Array | float = 1.0,
) -> Place:
    """Minimise by Newton's method: exact Hessian, Levenberg-Marquardt damping, saddles turned downhill.

    Returns:
        the lowest `Place` found.
    """
    dim = len(start)

    def step(carry: Stepped, _: None) -> tuple[Stepped, None]:
        best, trial, damping = carry
        here = shape(trial, measured)
        better = here.height < best.height
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), here, best)
        damping = jnp.clip(damping * jnp.where(better, 0.2, 5.0), 1e-3, 1e10)
        curvature, axes = jnp.linalg.eigh(best.hessian)
        trial = best.point - axes @ ((best.gradient @ axes) / (jnp.abs(curvature) + damping))
        return (best, trial, damping), None

    nowhere = Place(start, jnp.inf, jnp.zeros(dim), jnp.eye(dim))
    (best, _, damping), _ = jax.lax.scan(step, (nowhere, start, damping), None, length=iterations)
    return best._replace(damping=damping)


def prior_draw(space: Space, key: jax.Array) -> dict[str, jax.Array]:
    """One draw of all sites from the prior, by name."""
    with numpyro.handlers.block(), numpyro.handlers.seed(rng_seed=key), numpyro.handlers.trace() as trace:
        space.model.likelihood(space.runs, space.measured)
    return values_in(trace)


def values_in(trace: Mapping[str, Mapping[str, Any]]) -> dict[str, jax.Array]:
    """Values of the sampled and derived sites of a NumPyro trace, by name."""
    return {
        name: site["value"] for name, site in trace.items() if site["type"] in ("sample", "deterministic")
    }


def integrated(
    space: Space, measured: Measured, position: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A draw of what is integrated out at coordinates `(d,)`.

    Args:
        space: the `Space` of the model.
        measured: the rows with their present mixture, as `weigh` gives them.
        position: coordinates `(d,)`.
        key: random key.

    Returns:
        what a unit of each linear loading adds to ln loss, `(k + run,)`, and after it the OU process at the
        rows, `(row,)`, where there is one; and the mixtures `(row + run,)`.
    """
    if not space.model.integrates:
        return jnp.zeros(0), measured.mixtures
    values = space.constrained(position)
    likelihood = at(space.model, values)(space.runs, measured)
    weights, path, mixture = likelihood.conditional(key, measured.log_loss)
    return jnp.concatenate([likelihood.reach * weights, path]), mixture


def at(model: LossModel, values: Mapping[str, jax.Array]) -> Callable[[Runs, Measured], Likelihood]:
    """The model's likelihood with its sites fixed at `values`, as a plain function."""
    return numpyro.handlers.block(numpyro.handlers.substitute(model.likelihood, values))
