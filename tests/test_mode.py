"""Newton's method on functions of known minima, and the mode of a simulated sweep against scipy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from lossband.inference.coordinates import Space
from lossband.inference.mode import Place, at, find_mode, newton
from lossband.model.problem import pose

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")


def shape(function):
    """(point, data) -> `Place` of a plain function of the point."""

    def place(point, data):
        return Place(point, function(point), jax.grad(function)(point), jax.hessian(function)(point))

    return place


def minimum(function, start, iterations):
    return jax.jit(lambda start: newton(shape(function), start, None, iterations))(jnp.array(start))


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_newton_solves_a_stiff_quadratic_in_two_steps():
    matrix, solution = jnp.array([[3e5, 1e5], [1e5, 2e5]]), jnp.array([0.7, -1.3])
    found = minimum(
        lambda x: 0.5 * (x - solution) @ matrix @ (x - solution), [4.0, 5.0], 3
    )  # the start is evaluated too
    np.testing.assert_allclose(found.point, solution, atol=1e-10)
    np.testing.assert_allclose(found.hessian, matrix, rtol=1e-9)


def test_newton_solves_a_flat_quadratic_in_one_round():
    found = minimum(
        lambda x: 0.5 * jnp.sum((x - 2.0) ** 2 * jnp.array([0.1, 1.0, 10.0])), [0.0, 0.0, 0.0], 12
    )
    np.testing.assert_allclose(found.point, [2.0, 2.0, 2.0], atol=1e-10)


def test_newton_follows_rosenbrocks_valley():
    found = minimum(rosenbrock, [-1.2, 1.0], 40)
    np.testing.assert_allclose(found.point, [1.0, 1.0], atol=1e-9)
    assert found.height < 1e-18 and np.linalg.norm(found.gradient) < 1e-8


def test_newton_leaves_a_saddle_downhill():
    found = minimum(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4, [1.0, 0.01], 30)
    np.testing.assert_allclose(found.point, [0.0, np.sqrt(0.5)], atol=1e-9)


def test_newton_never_climbs_and_never_steps_onto_nan():
    """-ln x + x has its minimum at 1 and is NaN below 0, where a full step from 3 lands."""

    def place(point, data):
        here = shape(lambda x: x[0] - jnp.log(x[0]))(point, data)
        return here._replace(height=jnp.where(jnp.isnan(here.height), jnp.inf, here.height))

    heights = [newton(place, jnp.array([3.0]), None, n).height for n in (1, 3, 20)]
    assert all(after <= before for before, after in zip(heights, heights[1:], strict=False))
    assert float(heights[-1]) == pytest.approx(1.0, abs=1e-12)  # 1 - ln 1


@pytest.fixture(scope="module")
def climbed(x64, quick_compile):
    """The mode of one simulated sweep under the default noise and drift.

    (space, potential and slope, mode, factor, found, prior).
    """
    rng = np.random.default_rng(3)
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 5e10, 4)))
    loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(rng.normal(0, 0.005, 16))
    problem = pose({"params": params, "tokens": tokens, "loss": loss}, "chinchilla")
    search = jax.jit(lambda runs, measured, key: find_mode(problem.model, runs, measured, key, 3, 200))
    mode, factor, measured, found, prior = search(problem.runs, problem.measured, jax.random.key(0))
    space = Space.of(problem.model, problem.runs, measured)
    return space, jax.jit(jax.value_and_grad(space.potential)), mode, factor, found, prior


def test_the_mode_has_no_slope_and_curves_up(climbed):
    _, potential, mode, factor, found, _ = climbed
    assert mode.shape == (7,) and np.linalg.norm(factor.T @ potential(mode)[1]) < 1e-6
    assert found["gradient"] < 1e-6 and found["curvature_min"] > 0 and found["agreed"] > 0.5


def test_scipy_finds_the_same_mode(climbed):
    space, potential, mode, factor, _, _ = climbed
    away = {"E": 2.0, "A": 0.2, "B": 0.9, "alpha": 0.5, "beta": 0.2, "sigma": 0.02, "tau": 0.1}
    start = np.asarray(space.coordinates(away))
    theirs = scipy.optimize.minimize(
        lambda v: [np.asarray(x) for x in potential(v)], start, jac=True, tol=1e-8
    )
    distance = np.linalg.solve(factor, theirs.x - mode)  # in standard deviations
    assert np.linalg.norm(np.linalg.solve(factor, start - mode)) > 5 and np.abs(distance).max() < 1e-3
    assert theirs.fun == pytest.approx(float(potential(mode)[0]), abs=1e-5)


def test_the_factor_whitens_the_curvature(climbed):
    """Differences of the slope along the factor's columns, back in its own units, are the identity."""
    _, potential, mode, factor, _, _ = climbed
    slopes = [(potential(mode + 1e-4 * f)[1] - potential(mode - 1e-4 * f)[1]) / 2e-4 for f in factor.T]
    np.testing.assert_allclose(factor.T @ np.stack(slopes, axis=1), np.eye(7), atol=1e-4)


def test_the_mixture_is_the_one_expected_at_the_mode(climbed):
    """The Student-t's fixed point.

    What expectation-maximisation would change next is little, and rows do differ.
    """
    space, _, mode, *_ = climbed
    values = space.constrained(mode)
    expected = at(space.model, values)(space.runs, space.measured).expected_mixture(space.measured.log_loss)
    np.testing.assert_allclose(space.measured.mixtures, expected, rtol=0.02)
    assert np.ptp(expected) > 0.5


def test_the_mode_lies_near_the_truth(climbed):
    """In natural units, within four standard deviations of each coordinate's Gaussian."""
    space, _, mode, factor, _, _ = climbed
    centre = space.runs.unit.centre
    values = space.constrained(mode)
    truth = {"E": 1.69, "alpha": 0.34, "beta": 0.28, "sigma": 0.005, "tau": values["tau"]}
    truth |= {"A": 406.4 * centre["params"] ** -0.34, "B": 410.7 * centre["tokens"] ** -0.28}
    distance = np.linalg.solve(factor, space.coordinates(truth) - mode)
    assert np.linalg.norm(distance) < 4


def test_prior_draws_come_back_with_their_derived_sites(climbed):
    *_, prior = climbed
    assert {"E", "A", "alpha", "A_natural", "sigma", "tau"} <= set(prior)
    assert all(value.shape == (200,) for value in prior.values())
