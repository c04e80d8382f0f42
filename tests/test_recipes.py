"""Recipes: the identity of the multiplier, brute force, and what a joint fit finds."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from simulated import given_posterior

import lossband as lb
from lossband.laws import LAWS
from lossband.laws.recipe import PerRecipe, per_recipe
from lossband.model.problem import pose
from lossband.planning.recipes import Comparison, compare_recipes

E, A, B, ALPHA = 1.8, 1.2, 0.9, 0.3  # recipe b needs (.9 / 1.2)^(1 / .3) = .38 times the compute of a


def curve(weight, seed):
    tokens = np.geomspace(1e8, 3e10, 14)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.003, 14))
    return pd.DataFrame({"tokens": tokens, "loss": (E + weight * (tokens / 1e9) ** -ALPHA) * noise})


@pytest.fixture(scope="module")
def shared():
    return compare_recipes(
        curve(A, 1), curve(B, 2), law="power", names=("old", "new"), pool=0.0, drift=None, num_samples=250
    )


def test_the_identity_of_the_multiplier(shared):
    """((L_b - E) / (L_a - E))^(1 / alpha), draw by draw, for one power law with a shared floor and exponent."""
    new = pd.DataFrame({"tokens": [3e9, 1e11]})
    old, better = shared.draws(new).to_numpy()
    floor, alpha = (shared.posterior.sites[name].reshape(-1, 1) for name in ("E", "alpha"))
    expected = ((better - floor) / (old - floor)) ** (1 / alpha)
    np.testing.assert_allclose(shared.multiplier_draws(new), expected, rtol=1e-9)
    inverse = shared.multiplier_draws(new, pair=("new", "old"))
    np.testing.assert_allclose(inverse * expected, 1, rtol=1e-9)


def test_the_truth_is_found(shared):
    new = {"tokens": 1e11}
    row = shared.multiplier(new).iloc[0]
    assert row["lo_90"] < (B / A) ** (1 / ALPHA) < row["hi_90"]
    assert row["hi_90"] / row["lo_90"] < 1.5 and row["prob_a_better"] < 0.01
    gap = shared.difference(new).iloc[0]
    assert gap["lo_90"] < (B - A) * 100**-ALPHA < gap["hi_90"] < 0 and gap["prob_b_better"] > 0.99
    assert shared.prob_flip({"tokens": 1e14}) == 0
    assert shared.posterior.health.rhat_max < 1.03 and shared.posterior.health.divergences == 0


def fixed(sites, base="chinchilla", **apart):
    """A comparison whose draws are given, without a fit."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"params": np.exp(rng.normal(18, 1, 16)), "tokens": np.exp(rng.normal(22, 1, 16))})
    table = rows.assign(loss=np.linspace(2, 3, 16), recipe=1.0 + np.arange(16) % 2)
    problem = pose(table, per_recipe(LAWS[base], 2, pool=0.1, floor=0.0, apart=apart or None), drift=None)
    sites = {name: np.asarray(value, dtype=float) for name, value in sites.items()}
    return Comparison(given_posterior(problem, sites), ("a", "b"))


SITES = {
    "E": [1.7, 1.8],
    "A": [0.4, 0.3],
    "alpha": [0.3, 0.35],
    "B": [0.3, 0.4],
    "beta": [0.3, 0.25],
    "A_ratio_2": [1.2, 0.9],
    "alpha_ratio_2": [1.05, 0.95],
    "B_ratio_2": [0.9, 0.8],
    "beta_ratio_2": [1.0, 1.1],
}


def loss(found, i, recipe, N, D):
    centre = found.posterior.problem.unit.centre
    p = {
        n: v[i] * SITES.get(f"{n}_ratio_2", [1, 1])[i] ** (recipe == "b")
        for n, v in SITES.items()
        if "_" not in n
    }
    return (
        p["E"]
        + p["A"] * (N / centre["params"]) ** -p["alpha"]
        + p["B"] * (D / centre["tokens"]) ** -p["beta"]
    )


def test_two_inputs_grow_together():
    """m times the compute is sqrt(m) times the params and tokens: by hand, with another root finder."""
    found, row = fixed(SITES), {"params": 1e9, "tokens": 2e10}
    drawn = found.multiplier_draws(row)[:, 0]
    for i in range(2):
        np.testing.assert_allclose(found.draws(row).sel(recipe="b")[i, 0], loss(found, i, "b", 1e9, 2e10))
        wanted = loss(found, i, "a", 1e9, 2e10)
        log_m = brentq(
            lambda x, i=i, w=wanted: loss(found, i, "b", 1e9 * np.exp(x / 2), 2e10 * np.exp(x / 2)) - w,
            -20,
            20,
        )
        assert drawn[i] == pytest.approx(np.exp(log_m), rel=1e-8)


def test_what_cannot_be_reached_takes_infinite_compute():
    found = fixed(SITES | {"E_ratio_2": [2.0, 0.5]}, E=0.3, A=0.3, alpha=0.3, B=0.3, beta=0.3)
    never, soon = found.multiplier_draws({"params": 1e12, "tokens": 1e13})[:, 0]
    assert never == np.inf and 0 < soon < 1e-6
    assert np.isinf(found.multiplier({"params": 1e12, "tokens": 1e13}).loc[0, "hi_90"])


def test_an_order_that_flips_is_counted():
    """Draw 0: b starts worse and its larger exponent wins in the end; draw 1: b is better all along."""
    sites = SITES | {
        "A_ratio_2": [1.2, 0.8],
        "alpha_ratio_2": [1.4, 1.0],
        "B_ratio_2": [1.0, 1.0],
        "beta_ratio_2": [1.0, 1.0],
    }
    found = fixed(sites)
    near, far = (
        {"params": found.posterior.problem.unit.centre["params"] * k, "tokens": 1e10} for k in (1.1, 100.0)
    )
    assert (found.prob_flip(near), found.prob_flip(far)) == (0, 0.5)


def test_equal_recipes_are_equal_laws():
    one, two = (per_recipe(LAWS["coupled"], 2, pool=0.1, floor=0.0) for _ in range(2))
    assert one == two and hash(one) == hash(two) and isinstance(one.curve, PerRecipe)
    assert dict(one.curve.widths) == {"A": 0.5, "B": 0.5, "alpha": 0.1, "beta": 0.1}
    assert one != per_recipe(LAWS["coupled"], 2, pool=0.2, floor=0.0)
    assert one != per_recipe(LAWS["coupled"], 3, pool=0.1, floor=0.0)


def test_the_drift_has_no_path_between_recipes():
    fitted = fixed(SITES).posterior.problem
    problem = pose(fitted.frame, fitted.model.law)
    assert set(problem.paths.knots) == {"params", "tokens"}
    rows = problem.frame.assign(recipe=2.0)
    np.testing.assert_allclose(problem.compute(rows), problem.compute(problem.frame))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"names": ("a",)}, "Give each recipe its own name|for 2 recipes"),
        ({"law": "power", "apart": {"gamma": 0.1}}, "differ in gamma"),
        ({"law": "kaplan"}, "differ in nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, message):
    with pytest.raises(lb.InputError, match=message):
        compare_recipes(curve(A, 1), curve(B, 2), **given)
