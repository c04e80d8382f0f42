"""Allocation: closed forms, brute force, and notes that ring."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from simulated import given_posterior

import lossband as lb
from lossband.model.problem import pose
from lossband.planning.allocation import allocate
from lossband.planning.cost import Cost
from lossband.planning.optimum import golden_section
from lossband.posterior.forecast import drift_draws

BUDGETS = [1e18, 1e20]
OPTIONS = {"cost": None, "inference_tokens": 0.0, "bounds": None, "at": None, "levels": (0.9,)}


def post_of(problem, sites):
    """A posterior whose draws are given."""
    return given_posterior(problem, {name: np.asarray(value, dtype=float) for name, value in sites.items()})


@pytest.fixture(scope="module")
def plain_plan(plain_post):
    return plain_post.optimal(BUDGETS)


@pytest.fixture(scope="module")
def default_plan(default_post):
    return default_post.optimal(BUDGETS, levels=(0.5, 0.9))


def flat(post, *names):
    return [post.sites[name].ravel() for name in names]


def test_chinchilla_has_its_closed_form_in_every_draw(plain_post, plain_plan):
    """N* = [alpha A / (beta B)]^(1 / (alpha + beta)) (C / 6)^a (Hoffmann et al. 2022, eq. 4)."""
    A, alpha, B, beta, E = flat(plain_post, "A_natural", "alpha", "B_natural", "beta", "E")
    a = beta / (alpha + beta)
    for i, budget in enumerate(BUDGETS):
        N = (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (budget / 6) ** a
        D = budget / 6 / N
        drawn = plain_plan.draws.isel(budget=i)
        np.testing.assert_allclose(drawn["params"], N, rtol=1e-6)
        np.testing.assert_allclose(drawn["tokens"], D, rtol=1e-6)
        np.testing.assert_allclose(drawn["loss"], E + A * N**-alpha + B * D**-beta, rtol=1e-9)
    np.testing.assert_allclose(plain_plan.exponent, a, atol=1e-6)


def test_the_default_has_its_closed_form_in_every_draw(default_post, default_plan):
    """A ceiling moves no optimum: what is least is the sum under it, whose exponents it stretches."""
    A, alpha, B, beta, g = flat(default_post, "A_natural", "alpha", "B_natural", "beta", "g")
    excess = sum(flat(default_post, "A", "B"))
    (above,) = flat(default_post, "above")
    stretch = 1 + np.where(above > 0, excess / np.where(above > 0, above, 1.0), 0.0)
    alpha, beta = alpha * stretch, beta * stretch
    N = (alpha * A ** (1 / g) / (beta * B ** (1 / g))) ** (g / (alpha + beta))
    N = N * (BUDGETS[1] / 6) ** (beta / (alpha + beta))
    np.testing.assert_allclose(default_plan.draws["params"].isel(budget=1), N, rtol=1e-6)
    np.testing.assert_allclose(default_plan.exponent, beta / (alpha + beta), atol=1e-6)


def test_the_frame_sums_the_draws_up(default_plan):
    frame, drawn = default_plan.frame, default_plan.draws
    assert list(frame["flops"]) == BUDGETS
    for name in ("params", "tokens", "tokens_per_param", "loss"):
        np.testing.assert_allclose(frame[f"{name}_median"], np.median(drawn[name], axis=0))
        np.testing.assert_allclose(frame[f"{name}_lo_50"], np.quantile(drawn[name], 0.25, axis=0))
        np.testing.assert_allclose(frame[f"{name}_hi_90"], np.quantile(drawn[name], 0.95, axis=0))
    np.testing.assert_allclose(
        6 * drawn["params"] * drawn["tokens"], drawn["flops"].broadcast_like(drawn["params"])
    )
    assert "exponent of N* in C" in repr(default_plan)


def test_the_loss_there_holds_the_drift(default_post, default_plan):
    """Each draw's loss is that draw's forecast at its own optimum.

    The diagonal of all draws at all optima.
    """
    drawn, few = default_plan.draws.isel(budget=1), slice(0, 40)
    rows = pd.DataFrame({name: drawn[name].to_numpy() for name in ("params", "tokens")})
    whole = default_post.draws(rows[few], kind="mean").to_numpy()
    np.testing.assert_allclose(drawn["loss"][few], np.diag(whole), rtol=1e-9)
    paired = default_post.assembled(lambda *mine: drift_draws(*mine, paired=True), rows)
    assert paired.std() > 0.001


def test_low_regret_is_what_it_says(plain_post, plain_plan):
    """At the ends of the range the expected loss is that much above the best, and the probabilities are shares of draws."""
    A, alpha, B, beta, E = (
        v[:, None] for v in flat(plain_post, "A_natural", "alpha", "B_natural", "beta", "E")
    )

    def losses(N):
        return E + A * N**-alpha + B * (BUDGETS[1] / 6 / N) ** -beta

    best = minimize_scalar(
        lambda x: losses(np.exp(x)).mean(), bounds=np.log([1e6, 1e12]), method="bounded"
    ).fun
    row = plain_plan.frame.iloc[1]
    for name, within in {"0.1": 0.001, "0.5": 0.005, "1": 0.01}.items():
        for end in ("lo", "hi"):
            regret = losses(row[f"params_within_{name}_{end}"]).mean() / best - 1
            assert regret == pytest.approx(within, rel=0.02)
    table = plain_plan.regret[plain_plan.regret["flops"] == BUDGETS[1]]
    cell = table.iloc[(table["regret"] - 0.005).abs().argmin()]
    optimum = plain_plan.draws["loss"].isel(budget=1).to_numpy()[:, None]
    share = (losses(cell["params"]) <= 1.005 * optimum).mean()
    assert cell["prob_0.5"] == pytest.approx(share)
    assert 0.2 < cell["prob_0.5"] < 0.8 and cell["prob_0.1"] <= cell["prob_0.5"] <= cell["prob_1"]


def test_inference_is_paid_for(plain_post):
    """The optimum under 6 N D + 2 N I, by another optimiser; the same under a function that says so."""
    read = 5e11
    plan = plain_post.optimal(1e20, inference_tokens=read)
    same = plain_post.optimal(1e20, cost=lambda params, tokens: 6 * params * tokens + 2 * params * read)
    np.testing.assert_allclose(same.draws["params"], plan.draws["params"], rtol=1e-5)
    assert plan.frame["params_median"][0] < 0.7 * plain_post.optimal(1e20).frame["params_median"][0]
    A, alpha, B, beta, E = (v[7] for v in flat(plain_post, "A_natural", "alpha", "B_natural", "beta", "E"))

    def loss(x):
        N = np.exp(x)
        return E + A * N**-alpha + B * ((1e20 - 2 * N * read) / (6 * N)) ** -beta

    found = minimize_scalar(
        loss, bounds=np.log([1e6, 0.99e20 / 2 / read]), method="bounded", options={"xatol": 1e-9}
    )
    assert plan.draws["params"][7, 0] == pytest.approx(np.exp(found.x), rel=1e-5)


def looped_loss(sites, i, N, D, T):
    p = {name: value[i] for name, value in sites.items()}
    return (
        p["E"]
        + p["A"] * ((N + p["t1"]) / (1e8 + p["t1"])) ** -p["alpha"]
        + p["B"] * ((D + p["t2"]) / (1e10 + p["t2"])) ** -p["beta"]
        + p["C"] * ((T + p["t3"]) / (2 + p["t3"])) ** -p["gamma"]
    )


def test_loops_are_chosen_among_whole_numbers():
    """The looped law under 6NDT, against brute force over a fine grid of sizes and every number of loops."""
    table = pd.DataFrame(
        [(N, D, T) for N in (1e7, 1e9) for D in (1e9, 1e11) for T in (1, 4)] * 2,
        columns=["params", "tokens", "loops"],
    )
    table = table.assign(loss=np.linspace(2, 3, len(table)), run=[str(i) for i in range(len(table))])
    problem = pose(table, "looped", drift=None)
    rng = np.random.default_rng(0)
    medians = {
        "E": 1.7,
        "A": 0.3,
        "alpha": 0.35,
        "B": 0.3,
        "beta": 0.35,
        "C": 0.3,
        "gamma": 0.6,
        "t1": 1e7,
        "t2": 1e9,
        "t3": 0.5,
    }
    sites = {name: value * np.exp(rng.normal(0, 0.2, 12)) for name, value in medians.items()}
    plan = allocate(post_of(problem, sites), 1e20, **OPTIONS | {"bounds": {"loops": (1, 6)}})
    assert len(np.unique(plan.draws["loops"])) > 1
    sizes = np.geomspace(1e6, 1e12, 20001)
    for i in range(12):
        brute = {T: looped_loss(sites, i, sizes, 1e20 / (6 * sizes * T), T) for T in range(1, 7)}
        T = min(brute, key=lambda t: brute[t].min())
        drawn = plan.draws.isel(sample=i, budget=0)
        assert drawn["loops"] == T
        assert drawn["params"] == pytest.approx(sizes[brute[T].argmin()], rel=1e-3)
        assert drawn["loss"] == pytest.approx(brute[T].min(), rel=1e-7)
    tight = allocate(post_of(problem, sites), 1e20, **OPTIONS | {"bounds": {"loops": (1, 2)}})
    assert "most-loops" in {note.code for note in tight.notes}


def test_kaplan_s_exponent():
    """Without a name for it: alpha_D / (alpha_N + alpha_D)."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(np.exp(rng.normal(20, 2, (20, 2))), columns=["params", "tokens"]).assign(
        loss=np.linspace(2, 3, 20)
    )
    sites = {"R": [2.5, 2.6], "p": [0.4, 0.6], "alpha_N": [0.08, 0.1], "alpha_D": [0.1, 0.05]}
    plan = allocate(post_of(pose(table, "kaplan", drift=None), sites), 1e20, **OPTIONS)
    np.testing.assert_allclose(plan.exponent, [0.1 / 0.18, 0.05 / 0.15], atol=1e-6)


def test_notes_ring_where_the_optimum_is_not_to_be_trusted(plain_post, plain_plan):
    assert not plain_plan.notes
    assert [note.code for note in plain_post.optimal(1e24).notes] == ["outside-data"]
    held = plain_post.optimal(1e20, bounds={"params": (1e7, 1e8)})
    assert held.notes[0].code == "no-interior" and "100%" in held.notes[0].text
    np.testing.assert_allclose(held.draws["params"], 1e8, rtol=1e-6)
    capped = plain_post.optimal(1e20, bounds={"tokens": (1e8, 1e10)})
    assert capped.notes[0].code == "no-interior"
    np.testing.assert_allclose(capped.draws["tokens"], 1e10, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flops": [-1.0]}, "expected positive numbers"),
        ({"flops": [1e20, 1e20]}, "twice"),
        ({"flops": 1e20, "cost": "6N"}, "expected '6ND' or '6NDT'"),
        ({"flops": 1e20, "bounds": {"loops": (1, 2)}}, "lowest, highest"),
        ({"flops": 1e20, "bounds": {"params": (1e7, 1e8), "tokens": (1e7, 1e8)}}, "no run within the bounds"),
        ({"flops": 1e20, "at": {"unique_tokens": 1e9}}, "none"),
        ({"flops": 1e20, "inference_tokens": -1.0}, "0 or more"),
        ({"flops": 1e20, "inference_tokens": 1.0, "cost": lambda n, d: n * d}, "cannot be combined"),
        ({"flops": 1e20, "levels": (90,)}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_planned_is_refused(plain_post, given, message):
    with pytest.raises(lb.InputError, match=message):
        plain_post.optimal(**given)


def test_a_law_without_tokens_is_refused():
    table = pd.DataFrame({"params": np.geomspace(1e7, 1e9, 9), "loss": np.linspace(3, 2, 9)})
    with pytest.raises(lb.InputError, match="needs params and tokens"):
        allocate(post_of(pose(table, "power", drift=None), {"E": [1.0]}), 1e20, **OPTIONS)


def test_costs_and_the_tokens_they_leave_are_inverse(x64):
    params, loops = jax.numpy.array([1e8, 3e9]), jax.numpy.array([1.0, 4.0])
    for cost in (
        Cost("6ND", 1e9),
        Cost("6NDT", 1e9, True),
        Cost(lambda n, d: 5 * n * d**1.1),
        Cost(lambda n, d, t: n * d * t, 0, True),
    ):
        tokens = cost.tokens(1e20, params, loops)
        np.testing.assert_allclose(cost.flops(params, tokens, loops), 1e20, rtol=1e-12)
    assert (Cost("6ND", 1e15).tokens(1e20, params, loops) <= 0).all()


def test_golden_section_finds_the_minimum_of_each_element(x64):
    at = jax.numpy.array([0.3, 0.71])
    found = golden_section(lambda x: jax.numpy.cosh(x - at), jax.numpy.zeros(2), jax.numpy.ones(2))
    np.testing.assert_allclose(found, at, atol=1e-6)
