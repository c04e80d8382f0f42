"""The sampler's coordinates: a one-to-one map, its volume by autodiff, the potential against NumPyro's own."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.infer.util import potential_energy

from lossband.coordinates import Space
from lossband.laws import LAWS, chinchilla
from lossband.mode import prior_draw
from lossband.problem import pose
from lossband.runs import weigh

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

DRAWS = 8
SPANS = {"params": 100, "tokens": 300, "loops": 8, "params_once": 30, "params_rec": 50}
LAWS_TRIED = {
    **LAWS,
    # a coefficient without a logarithm and an exponent in (0, 1); a floor that is not softened
    "other priors": chinchilla.with_priors(A=dist.Normal(0.5, 0.1), alpha=dist.Beta(2.0, 5.0)),
    "bounded floor": chinchilla.with_priors(E=dist.Uniform(0.5, 1.5)),
}
every_law = pytest.mark.parametrize("name", LAWS_TRIED)


@pytest.fixture(scope="module")
def spaces(x64, quick_compile):
    """name -> the law's space on a generic table, and prior draws of its sites."""

    def space_of(law):
        rng = np.random.default_rng(1)
        inputs = law.inputs or ("tokens",)
        table = pd.DataFrame({name: SPANS[name] ** rng.uniform(0, 1, 12) for name in inputs})
        options = {"noise": "normal", "drift": "default" if law == chinchilla else None}  # one drift is enough
        problem = pose(table.assign(loss=rng.uniform(2, 4, 12)), law if law.inputs else law.name, **options)
        space = Space.of(problem.model, problem.runs, weigh(problem.measured, problem.measured.mixture))
        return space, jax.vmap(lambda key: prior_draw(space, key))(jax.random.split(jax.random.key(0), DRAWS))

    return {name: space_of(law) for name, law in LAWS_TRIED.items()}


def unconstrained(space, values):
    """NumPyro's unconstrained values `(d,)` of the sites' values, in the order of their names."""
    free = {name: biject_to(space.sites[name]["fn"].support).inv(values[name]) for name in space.sites}
    return ravel_pytree(free)[0]


@every_law
def test_coordinates_and_values_are_inverse(name, spaces):
    space, prior = spaces[name]
    vectors = jax.vmap(space.coordinates)(prior)
    values, _ = jax.vmap(space.constrained)(vectors)
    assert vectors.shape == (DRAWS, len(values)) and set(values) == set(space.sites) >= {"sigma"}
    for site, value in values.items():
        np.testing.assert_allclose(value, prior[site], rtol=1e-9, err_msg=site)
    np.testing.assert_allclose(jax.vmap(space.coordinates)(values), vectors, rtol=1e-9, atol=1e-12)


@every_law
def test_the_volume_is_the_jacobians_and_the_potential_is_numpyros_less_it(name, spaces):
    space, prior = spaces[name]

    @jax.jit
    @jax.vmap
    def by_hand(vector):
        def free(v):
            return unconstrained(space, space.constrained(v)[0])

        values, log_volume = space.constrained(vector)
        _, exact = jnp.linalg.slogdet(jax.jacfwd(free)(vector))
        sites = {name: biject_to(space.sites[name]["fn"].support).inv(value) for name, value in values.items()}
        energy = potential_energy(space.model, (space.runs, space.measured), {}, sites)
        return log_volume, exact, space.potential(vector), energy - exact

    log_volume, exact_volume, height, exact_height = by_hand(jax.vmap(space.coordinates)(prior))
    np.testing.assert_allclose(log_volume, exact_volume, atol=1e-8)
    np.testing.assert_allclose(height, exact_height, rtol=1e-9)


@pytest.mark.parametrize("name", ["chinchilla", "coupled"])
def test_the_first_coordinate_is_the_level_at_the_centre_and_slopes_are_logs(name, spaces):
    """As the module's docstring says, wherever the floor is well above its softening width."""
    space, prior = spaces[name]
    place = {site: i for i, site in enumerate(sorted(space.sites))}
    vectors, typical = jax.vmap(space.coordinates)(prior), space.runs.unit.typical
    assert prior["E"].min() > 15 * 0.02 * typical  # e^-15 is the error of the level, in widths
    level = (prior["E"] + prior["A"] + prior["B"]) / typical
    np.testing.assert_allclose(vectors[:, place["E"]], level, rtol=1e-7)
    np.testing.assert_allclose(vectors[:, place["A"]], jnp.log(prior["alpha"] * prior["A"]), rtol=1e-9)
    np.testing.assert_allclose(vectors[:, place["B"]], jnp.log(prior["beta"] * prior["B"]), rtol=1e-9)


def test_the_softened_floor_is_the_docstrings(spaces):
    """E = w softplus((c - A - B) / w), also where E is far below w."""
    space, prior = spaces["chinchilla"]
    w = 0.02 * space.runs.unit.typical
    for fraction in (1e-6, 0.1, 1.0, 3.0):
        values = {site: v[0] for site, v in prior.items()} | {"E": fraction * w}
        at = sorted(space.sites).index("E")
        c = space.coordinates(values)[at] * space.runs.unit.typical
        assert float(w * np.logaddexp(0.0, (c - values["A"] - values["B"]) / w)) == pytest.approx(fraction * w, rel=1e-6)


def test_the_potential_and_its_slope_are_finite_where_the_level_is_far_too_low(spaces):
    space, prior = spaces["chinchilla"]
    at = sorted(space.sites).index("E")
    vector = jax.vmap(space.coordinates)(prior)[0]
    total = float((prior["A"] + prior["B"])[0] / space.runs.unit.typical)
    low = jnp.stack([vector.at[at].set(total - 0.02 * below) for below in (1.0, 29.0, 31.0, 300.0)])
    heights, slopes = jax.jit(jax.vmap(jax.value_and_grad(space.potential)))(low)
    assert np.isfinite(heights).all() and np.isfinite(slopes).all()


def test_a_law_that_marks_nothing_is_sampled_in_numpyros_own_coordinates(spaces):
    space, prior = spaces["kaplan"]
    np.testing.assert_allclose(
        jax.vmap(space.coordinates)(prior), jax.vmap(lambda values: unconstrained(space, values))(prior), rtol=1e-12
    )
