"""The sampler's coordinates: a one-to-one map that keeps the volume, the potential against NumPyro's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.infer.util import potential_energy

from lossband.inference.coordinates import Space
from lossband.inference.mode import prior_draw
from lossband.laws import LAWS, chinchilla
from lossband.model.measured import weigh
from lossband.model.problem import pose

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

DRAWS = 8
SPANS = {"params": 100, "tokens": 300, "loops": 8, "params_once": 30, "params_rec": 50}
SPANS |= {
    "position": 500,
    "step": 200,
    "unique_tokens": 40,
    "max_loops": 4,
    "ff_ratio": 20,
    "lr_area": 100,
    "lr_mean": 5,
    "experts": 64,
    "streams": 8,
    "active": 5,
    "total": 5,
    "vocabulary": 30,
    "characters": 300,
    "batch": 100,
    "lr": 20,
    "bits": 8,
    "proportion_web": 9,
    "proportion_code": 9,
}
CHOSEN = {
    "shape": ("params", "ff_ratio"),
    "sparse": ("params", "active", "total", "tokens"),
    "mixture": ("params", "proportion_web", "proportion_code"),
    "annealed": ("tokens", "lr_area", "lr_mean"),
    "trajectory": ("params", "tokens", "lr_area", "lr_mean"),
}  # of the laws that choose their inputs; the others take tokens
LAWS_TRIED = {
    **LAWS,
    "annealed": LAWS["curve"],  # with the learning rate, which `curve` itself does not have here
    # a coefficient without a logarithm and an exponent in (0, 1); one exponent in (0, 1); a floor without a
    # logarithm
    "other priors": chinchilla.with_priors(A=dist.Normal(0.5, 0.1), alpha=dist.Uniform(0.05, 0.9)),
    "bounded exponent": chinchilla.with_priors(alpha=dist.Beta(2.0, 5.0)),
    "bounded floor": chinchilla.with_priors(E=dist.Uniform(0.5, 1.5)),
}
every_law = pytest.mark.parametrize("name", LAWS_TRIED)


@functools.cache
def space_of(name):
    """The law's space on a generic table."""
    law, rng = LAWS_TRIED[name], np.random.default_rng(1)
    inputs = law.inputs or CHOSEN.get(name, ("tokens",))
    table = pd.DataFrame({column: SPANS[column] ** rng.uniform(0, 1, 20) for column in inputs})
    if name == "sparse":
        table["total"] *= SPANS["active"]  # never fewer than are active
    if name == "mixture":
        parts = list(inputs[1:])
        table[parts] = table[parts].div(table[parts].sum(axis=1), axis=0)
    drift = "default" if name == "chinchilla" else None  # one drift is enough
    law = law if law.inputs else law.name
    problem = pose(table.assign(loss=rng.uniform(2, 4, 20)), law, noise="normal", drift=drift)
    return Space.of(problem.model, problem.runs, weigh(problem.measured, problem.measured.mixtures))


@functools.cache
def tried(name):
    """Prior draws of the law's sites taken there and back, with volumes and potentials.

    One compiled program a law.
    """
    space = space_of(name)

    def one(prior):
        vector = space.coordinates(prior)
        values = space.constrained(vector)
        _, log_volume = jnp.linalg.slogdet(
            jax.jacfwd(lambda v: unconstrained(space, space.constrained(v)))(vector)
        )
        free = {site: bijection(space, site).inv(value) for site, value in values.items()}
        numpyros = potential_energy(space.model, (space.runs, space.measured), {}, free)
        return {
            "vector": vector,
            "values": values,
            "vector again": space.coordinates(values),
            "free": unconstrained(space, prior),
            "log volume": log_volume,
            "potential": space.potential(vector),
            "exact potential": numpyros,
        }

    draws = jax.vmap(lambda key: prior_draw(space, key))(jax.random.split(jax.random.key(0), DRAWS))
    prior = {site: draws[site] for site in space.sites}
    return {"prior": prior, **jax.jit(jax.vmap(one))(prior)}


def bijection(space, site):
    return biject_to(space.sites[site]["fn"].support)


def unconstrained(space, values):
    """NumPyro's unconstrained values `(d,)` of the sites' values, in the order of their names."""
    return ravel_pytree({site: bijection(space, site).inv(values[site]) for site in space.sites})[0]


@every_law
def test_coordinates_and_values_are_inverse(name):
    found = tried(name)
    assert set(found["values"]) == set(space_of(name).sites) >= {"sigma"}
    assert found["vector"].shape == (DRAWS, len(found["values"]))
    for site, value in found["values"].items():
        np.testing.assert_allclose(value, found["prior"][site], rtol=1e-9, err_msg=site)
    np.testing.assert_allclose(found["vector again"], found["vector"], rtol=1e-9, atol=1e-12)


@every_law
def test_the_coordinates_keep_the_volume(name):
    np.testing.assert_allclose(tried(name)["log volume"], 0.0, atol=1e-8)


@every_law
def test_the_potential_is_numpyros(name):
    np.testing.assert_allclose(tried(name)["potential"], tried(name)["exact potential"], rtol=1e-9)


@pytest.mark.parametrize("name", ["chinchilla", "coupled", "bounded exponent"])
def test_coordinates_are_the_level_the_slopes_and_the_shares(name):
    """As the module's docstring says."""
    prior, vector, typical = tried(name)["prior"], tried(name)["vector"], space_of(name).runs.unit.typical
    E, A, B = prior["E"], prior["A"], prior["B"]
    wanted = {"E": np.log((E + A + B) / typical), "B": np.log(prior["beta"] * B), "beta": np.log(B / E)}
    free = name == "bounded exponent"
    share = np.log(A / (B + E))
    wanted |= {"A": share} if free else {"A": np.log(prior["alpha"] * A), "alpha": share}
    for site, value in wanted.items():
        np.testing.assert_allclose(
            vector[:, sorted(prior).index(site)], value, rtol=1e-9, atol=1e-12, err_msg=site
        )


def test_what_has_no_exponent_has_a_share_alone_and_a_shift_flattens_the_slope():
    prior, vector, typical = (
        tried("annealed")["prior"],
        tried("annealed")["vector"],
        space_of("annealed").runs.unit.typical,
    )
    E, A, C, alpha = (prior[name] for name in ("E", "A", "C", "alpha"))
    wanted = {
        "E": np.log((E + A + C) / typical),
        "A": np.log(alpha * A),
        "alpha": np.log(A / (E + C)),
        "C": np.log(C / E),
    }
    for site, value in wanted.items():
        np.testing.assert_allclose(
            vector[:, sorted(prior).index(site)], value, rtol=1e-9, atol=1e-12, err_msg=site
        )
    prior, vector, space = (
        tried("power_shifted")["prior"],
        tried("power_shifted")["vector"],
        space_of("power_shifted"),
    )
    x0 = space.runs.tokens.centre
    slope = prior["alpha"] * prior["A"] * x0 / (x0 + prior["t"])
    np.testing.assert_allclose(vector[:, sorted(prior).index("A")], np.log(slope), rtol=1e-9)
    np.testing.assert_allclose(
        vector[:, sorted(prior).index("t")], np.log(prior["t"] * prior["A"] / slope), rtol=1e-9
    )


def test_the_last_term_takes_from_the_floor_alone():
    """As the loss due to loops does, which the data hardly tell from the floor: no other term is moved."""
    space, vector = space_of("looped"), tried("looped")["vector"][0]
    moved = vector.at[sorted(space.sites).index("gamma")].add(3.0)
    before, after = space.constrained(vector), space.constrained(moved)
    assert after["C"] > 1.5 * before["C"]
    for site in ("A", "alpha", "t1", "B", "beta", "t2"):
        np.testing.assert_allclose(after[site], before[site], rtol=1e-9, err_msg=site)
    np.testing.assert_allclose(after["C"] + after["E"], before["C"] + before["E"], rtol=1e-9)


def test_without_a_floor_in_logarithms_slopes_and_exponents_are_moved():
    prior, vector = tried("bounded floor")["prior"], tried("bounded floor")["vector"]
    place = {site: i for i, site in enumerate(sorted(prior))}
    np.testing.assert_allclose(vector[:, place["A"]], np.log(prior["alpha"] * prior["A"]), rtol=1e-9)
    np.testing.assert_allclose(vector[:, place["alpha"]], np.log(prior["alpha"]), rtol=1e-9)


def test_no_wall_is_near_however_the_loss_is_shared():
    """Where next to nothing of it is the floor's, the potential and its slope are finite."""
    space, prior, vector = (
        space_of("chinchilla"),
        tried("chinchilla")["prior"],
        tried("chinchilla")["vector"][0],
    )
    shares = jnp.array(
        [sorted(prior).index("alpha"), sorted(prior).index("beta")]
    )  # ln(A / (B + E)), ln(B / E)
    far = [vector.at[shares].add(out) for out in (-3.0, 3.0)]
    far = jnp.stack(far + [vector.at[shares[-1]].add(out) for out in (-3.0, 3.0, 30.0, 300.0)])
    heights, slopes = jax.jit(jax.vmap(jax.value_and_grad(space.potential)))(far)
    assert np.isfinite(heights).all() and np.isfinite(slopes).all()


def test_a_law_that_marks_nothing_is_sampled_in_numpyros_own_coordinates():
    np.testing.assert_allclose(tried("kaplan")["vector"], tried("kaplan")["free"], rtol=1e-12)
