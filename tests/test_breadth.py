"""Coordinates that are equally wide at every scale: a map that loses nothing, and its closed form."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lossband.inference.breadth import Breadth
from lossband.inference.coordinates import Space
from lossband.inference.mode import prior_draw, widened
from lossband.model.measured import weigh
from lossband.model.problem import pose

NOISE, BASIS = 0.01, np.array([0.5, 0.4, 0.6, 0.7, 0.5])


def of_line():
    """The breadth of a straight line whose residuals have covariance sigma^2 I + tau^2 b b', with a prior."""
    x = np.linspace(-1, 1, 5)
    jacobian = np.stack([np.ones(5), x], axis=1)

    def hessian(scales):
        tau, sigma = jnp.exp(scales)
        covariance = sigma**2 * jnp.eye(5) + tau**2 * jnp.outer(BASIS, BASIS)
        return jacobian.T @ jnp.linalg.solve(covariance, jacobian) + jnp.eye(2)

    middle = jnp.log(jnp.array([0.02, NOISE]))
    return Breadth.about(jnp.array([1.0, -2.0]), hessian, middle), hessian, middle


def test_the_widths_are_one_at_the_median_and_those_of_the_line_at_either_end(x64):
    breadth, hessian, middle = of_line()
    for step in (-4.0, 0.0, 3.0):
        scales = middle + jnp.array([step, 0.0])
        axes = breadth.axes * jnp.exp(breadth.log_width(scales))
        np.testing.assert_allclose(jnp.diag(axes.T @ hessian(scales) @ axes), 1.0, rtol=0.02)
    np.testing.assert_allclose(breadth.log_width(middle), 0.0, atol=1e-12)


def test_without_the_breadth_the_same_line_is_a_funnel(x64):
    """The alarm rings: at the ends the widths of the median would be wrong by more than a fifth."""
    breadth, hessian, middle = of_line()
    diagonals = [
        jnp.diag(breadth.axes.T @ hessian(middle + jnp.array([step, 0.0])) @ breadth.axes)
        for step in (-4.0, 3.0)
    ]
    assert max(float(jnp.abs(jnp.log(d)).max()) for d in diagonals) > 0.4


def test_what_is_not_finite_leaves_the_coordinates_as_they_are(x64):
    breadth = Breadth.about(jnp.array([1.0, -2.0]), lambda scales: jnp.full((2, 2), jnp.nan), jnp.zeros(2))
    moved, scales = jnp.array([0.3, 0.4]), jnp.array([-2.0, 1.0])
    np.testing.assert_allclose(breadth.coordinates(moved, scales), moved)
    np.testing.assert_allclose(breadth.log_width(scales), 0.0)


@pytest.fixture(scope="module")
def wide(x64, quick_compile):
    """(space without, space with the breadth, prior draws) of a small sweep."""
    rng = np.random.default_rng(3)
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 5e10, 4)))
    loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(rng.normal(0, 0.005, 16))
    problem = pose({"params": params, "tokens": tokens, "loss": loss}, "capped")
    space = Space.of(problem.model, problem.runs, weigh(problem.measured, problem.measured.mixtures))
    prior = jax.vmap(lambda key: prior_draw(space, key))(jax.random.split(jax.random.key(0), 20))
    start = space.coordinates({name: jnp.median(prior[name]) for name in space.sites})
    return space, widened(space, start, jnp.eye(len(start)), prior), prior


def test_the_map_has_an_inverse_and_its_volume(wide):
    space, (other, _, _), prior = wide
    assert other.breadth is not None and space.scales == ("tau", "sigma")

    def one(values):
        moved = other.coordinates(values)
        _, log_volume = jnp.linalg.slogdet(jax.jacfwd(other.widened)(moved))
        known = other.breadth.log_width(moved[space.places]).sum()
        constant = jnp.linalg.slogdet(other.breadth.axes)[1]
        heights = space.potential(space.coordinates(values)), other.potential(moved) + known
        return other.constrained(moved), log_volume - known - constant, heights

    values, difference, heights = jax.jit(jax.vmap(one))({name: prior[name] for name in space.sites})
    for name, value in values.items():
        np.testing.assert_allclose(value, prior[name], rtol=1e-7)
    np.testing.assert_allclose(difference, 0.0, atol=1e-9)
    np.testing.assert_allclose(*heights, rtol=1e-9)


def test_the_gaussian_at_the_mode_is_the_same_in_both(wide):
    space, (other, mode, factor), prior = wide
    start = space.coordinates({name: jnp.median(prior[name]) for name in space.sites})
    np.testing.assert_allclose(other.widened(mode), start, rtol=1e-9)
    np.testing.assert_allclose(jax.jacfwd(other.widened)(mode) @ factor, np.eye(len(start)), atol=1e-8)


def test_a_model_without_drift_is_sampled_as_it_is(wide):
    space, _, _ = wide
    plain = Space.of(
        replace(space.model, drift=None), space.runs, replace(space.measured, drift=jnp.zeros((16, 0)))
    )
    assert plain.scales == () and widened(plain, 1, 2, {}) == (plain, 1, 2)
