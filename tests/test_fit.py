"""Fitting: what a posterior holds, what it promises, and what it costs."""

from dataclasses import replace

import arviz as az
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from numpyro.infer import Predictive

import lossband as lb
from lossband.inference.batches import SHARPNESS, fit_weights
from lossband.inference.programs import TRACES
from lossband.laws import LAWS, coupled, find_law
from lossband.model.problem import components, pose
from lossband.posterior.forecast import drift_draws, law_losses
from lossband.posterior.health import SAMPLER_CODES
from lossband.posterior.posterior import mixture


def test_default_fit_is_healthy_and_finds_the_curve(default_post, grid, truth):
    assert default_post.law.name == "capped"
    assert default_post.health.rhat_max < 1.01
    assert default_post.health.ess_min > 400
    assert default_post.health.divergences == 0
    assert default_post.health.ok
    band = default_post.predict(grid.drop(columns="loss"), kind="mean", levels=(0.99,))
    law = (
        truth["E"]
        + truth["A_natural"] * grid.params ** -truth["alpha"]
        + truth["B_natural"] * grid.tokens ** -truth["beta"]
    )
    assert ((band["lo_99"] < law) & (law < band["hi_99"])).mean() > 0.9


def test_plain_fit_brackets_the_coefficients_that_made_the_data(plain_post, truth):
    for name, value in truth.items():
        low, high = np.quantile(plain_post.sites[name], [0.001, 0.999])
        assert low < value < high, name


def test_same_seed_gives_the_same_draws_and_another_seed_does_not(plain_post, grid):
    again = lb.fit(grid, "chinchilla", drift=None, seed=0)
    other = lb.fit(grid, "chinchilla", drift=None, seed=1)
    assert np.array_equal(again.sites["E"], plain_post.sites["E"])
    assert not np.array_equal(other.sites["E"], plain_post.sites["E"])


def test_new_data_of_the_same_size_class_compile_nothing(plain_post, grid):
    before = dict(TRACES)
    lb.fit(
        grid.iloc[:40].assign(loss=lambda t: 2 * t.loss, tokens=lambda t: t.tokens * 3),
        "chinchilla",
        drift=None,
        seed=5,
    )
    assert before == TRACES


@pytest.mark.parametrize(
    "change", [{"loss": 1 / np.log(2)}, {"tokens": 1e-9}], ids=["bits", "billions of tokens"]
)
def test_units_leave_forecasts_alone(default_post, grid, change):
    scaled = grid.assign(**{name: grid[name] * factor for name, factor in change.items()})
    band = lb.fit(scaled, seed=0).predict(scaled)
    ours = default_post.predict(grid)
    factor = change.get("loss", 1.0)
    for column in ("median", "lo_90", "hi_90"):
        np.testing.assert_allclose(band[column], factor * ours[column], rtol=2e-3)


def test_fit_many_gives_each_table_what_fit_gives_it(plain_post, grid):
    one, two = lb.fit_many([grid, grid.assign(loss=grid.loss**1.1)], "chinchilla", drift=None, seed=0)
    for name in ("E", "alpha", "sigma"):
        error = plain_post.sites[name].std() / np.sqrt(400)
        assert abs(one.sites[name].mean() - plain_post.sites[name].mean()) < 5 * error, name
    assert two.sites["E"].mean() > one.sites["E"].mean()


def test_laplace_agrees_with_nuts_where_its_pareto_k_says_so(plain_post, grid):
    quick = lb.fit(grid, "chinchilla", drift=None, method="laplace")
    assert quick.health.pareto_k < 0.7
    for name in ("E", "alpha", "beta", "sigma"):
        ours, theirs = quick.sites[name], plain_post.sites[name]
        assert abs(ours.mean() - theirs.mean()) < 5 * theirs.std() / np.sqrt(400), name
        assert ours.std() == pytest.approx(theirs.std(), rel=0.2), name


def test_a_narrow_prior_moves_its_coefficient(grid):
    law = lb.laws.chinchilla.with_priors(alpha=dist.LogNormal(np.log(0.5), 0.001))
    post = lb.fit(grid, law, drift=None, num_samples=200)
    assert np.abs(post.sites["alpha"] - 0.5).max() < 0.01


def test_a_numpyro_function_is_a_law(grid):
    def mine(runs):
        E = numpyro.sample("E", dist.Normal(1.7, 0.1))
        alpha = numpyro.sample("alpha", dist.HalfNormal(1.0))
        A = numpyro.sample("A", dist.HalfNormal(3.0))
        return E + A * (runs.params / 1e8) ** -alpha + A * (runs.tokens / 1e10) ** -alpha

    post = lb.fit(grid, mine, noise="normal", drift=None, num_samples=300)
    assert post.law.inputs == ("params", "tokens")
    assert set(post.coefficients) == {"E", "alpha", "A"}
    assert post.health.rhat_max < 1.05
    assert np.isfinite(post.predict(grid)["median"]).all()


def test_run_effects_and_autocorrelation_fit_curves_with_known_errors(curves):
    post = lb.fit(curves, "chinchilla", noise="student-t+run+ou", drift=None, num_samples=300)
    assert {"sigma_run", "sigma_ou", "length_ou"} <= set(post.sites)
    assert post.health.rhat_max < 1.05
    new = post.predict(curves.assign(run="new"), kind="run")
    known = post.predict(curves, kind="run")
    assert known["sd"].mean() < new["sd"].mean()  # a fitted run effect is known better than a new run's


def test_summary_prints_diagnostics_first(default_post):
    table = default_post.summary()
    assert str(table).startswith("R-hat max")
    assert {"E", "A", "alpha", "B", "beta", "g", "A_natural", "tau", "sigma"} <= set(
        table.index.get_level_values("site")
    )
    assert list(table.columns[:3]) == ["r_hat", "ess_bulk", "ess_tail"]


def test_data_has_arviz_groups_and_arviz_reads_them(default_post, grid):
    groups = {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "posterior_predictive",
        "prior",
        "observed_data",
        "constant_data",
    }
    assert groups <= set(default_post.data.children)
    assert np.array_equal(default_post.data["observed_data"]["loss"], grid["loss"])
    assert default_post.data["log_likelihood"]["loss"].dims == ("chain", "draw", "row")
    assert np.isfinite(az.loo(default_post.data).elpd)


def test_log_likelihood_is_that_of_the_loss_given_the_draw(plain_post, grid):
    sites = {name: value[0, :50] for name, value in plain_post.sites.items()}
    law = sites["E"] + sites["A_natural"] * grid.params.to_numpy()[:, None] ** -sites["alpha"]
    law = law + sites["B_natural"] * grid.tokens.to_numpy()[:, None] ** -sites["beta"]
    from scipy import stats

    log_loss = np.log(grid.loss.to_numpy())[:, None]
    expected = stats.t(4, np.log(law), sites["sigma"]).logpdf(log_loss) - log_loss
    (fit,) = plain_post.fits.values()
    np.testing.assert_allclose(fit.log_density[0, :50].T, expected, rtol=1e-8, atol=1e-8)


def test_numpyro_predictive_runs_on_the_model(grid):
    with jax.enable_x64(True):
        drawn = Predictive(lb.model(grid, "chinchilla", observe=False), num_samples=50)(jax.random.key(0))
    assert drawn["log_loss"].shape == (50, 64)
    assert np.isfinite(drawn["log_loss"]).all()
    assert {"E", "alpha", "tau"} <= set(drawn)


def test_one_tokens_per_parameter_ratio_is_said(grid):
    notes = {
        n.code
        for n in lb.fit(
            grid.assign(tokens=20 * grid.params), "chinchilla", drift=None, method="laplace"
        ).health.notes
    }
    assert "one-ratio" in notes


def test_two_sizes_are_said(grid):
    table = grid[grid.params.isin(np.unique(grid.params)[:2])]
    notes = lb.fit(table, "chinchilla", drift=None, method="laplace").health.notes
    assert any(n.code == "few-levels" and "params" in n.text for n in notes)


def blind(runs):
    """A law with a coefficient that it does not use."""
    numpyro.sample("blind", dist.LogNormal(0.0, 1.0))
    return lb.floor(runs) + lb.power(runs.params, "A", "alpha")


def test_a_coefficient_that_the_data_cannot_see_is_said(grid):
    notes = lb.fit(grid.iloc[:8], blind, drift=None, num_samples=200).health.notes
    assert any(n.code == "prior" and "blind" in n.text for n in notes)


def test_health_rings_for_chains_that_disagree(plain_post):
    from lossband.inference.coordinates import Space  # noqa: F401  (the posterior's own problem is reused)
    from lossband.posterior.health import convergence, examine

    (fit,) = plain_post.fits.values()
    sites = {name: value.copy() for name, value in fit.sites.items()}
    sites["E"][0] += 1.0
    stats = fit.stats | {"diverging": fit.stats["diverging"] | True}
    rhat, ess = convergence(sites)
    found = {"agreed": 0.1, "curvature_min": -1.0, "rhat": rhat, "ess": ess}
    health = examine(sites, stats, found, fit.prior, fit.problem, plain_post.coefficients)
    assert {"rhat", "divergences", "modes", "curvature"} <= {note.code for note in health.notes}
    assert not health.ok
    assert "curvature" not in SAMPLER_CODES  # the warm-up mends it


@pytest.mark.parametrize(
    ("option", "message"), [({"num_samples": 0}, "num_samples="), ({"method": "vi"}, "method=")]
)
def test_bad_options_are_refused(grid, option, message):
    with pytest.raises(lb.InputError, match=message):
        lb.fit(grid, "chinchilla", **option)


def test_an_averaged_drift_is_a_mixture_of_two_honest_fits(grid):
    options = dict(num_chains=4, seed=0)
    along = dict(size=0.0, undertrained=(0.0, 0.0))  # the edge along the frontier alone
    averaged = lb.fit(grid, "coupled", drift=lb.Drift(**along), **options)
    drifting = lb.fit(grid, "coupled", drift=lb.Drift(averaged=False), **options)
    exact = lb.fit(grid, "coupled", drift=None, **options)
    assert list(averaged.fits) == ["drift", "no drift"] and set(averaged.weights.values()) == {0.5}
    for name, other in (("drift", drifting), ("no drift", exact)):
        np.testing.assert_array_equal(averaged.fits[name].sites["alpha"], other.sites["alpha"])
        assert averaged.fits[name].health == other.health
    assert averaged.health.rhat_max == max(drifting.health.rhat_max, exact.health.rhat_max)
    assert averaged.health.divergences == drifting.health.divergences + exact.health.divergences
    without = (averaged.sites["tau"] == 0).ravel()
    assert averaged.sites["tau"].shape == drifting.sites["tau"].shape and without.mean() == 0.5
    # as much compute as the data have: no continuation of a path; and a decade beyond: the edge in every
    # draw, and no path in the exact ones
    N, D = grid.params.max(), grid.tokens.max()
    beyond = pd.DataFrame({"params": [10 * N, 10 * N, 100 * N], "tokens": [D / 10, D, D]}).assign(run="new")
    drift = averaged.assembled(lambda problem, draws: drift_draws(problem, draws, beyond))
    np.testing.assert_allclose(drift[without, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(drift[without, 2], 2 * drift[without, 1], rtol=1e-9)
    assert (np.abs(drift[:, 1]) > 1e-12).all() and (np.abs(drift[~without, 0]) > 1e-12).all()
    edge = drift[without, 1] / averaged.problem.paths.edge(averaged.problem.compute(beyond))[1]
    assert abs(np.median(edge) - lb.Drift().mean) < 0.02
    curve = np.log(averaged.assembled(lambda problem, draws: law_losses(problem, draws, beyond)))
    np.testing.assert_allclose(np.log(averaged.draws(beyond, kind="mean")), curve + drift, rtol=1e-9)


def test_the_default_mixes_four_fits_by_their_weights(grid, default_post):
    names = ["capped, drift", "capped, no drift", "coupled, drift", "coupled, no drift"]
    assert list(default_post.fits) == names
    weights = fit_weights(default_post.fits)
    assert default_post.weights == pytest.approx(weights)
    found = default_post.sites["alpha"]
    for name, fit in default_post.fits.items():
        taken = np.isin(found, fit.sites["alpha"])
        assert abs(taken.sum(1) - weights[name] * found.shape[1]).max() <= 1  # of each chain alike
    uncapped = np.isin(found, [default_post.fits[name].sites["alpha"] for name in names[2:]])
    np.testing.assert_array_equal(default_post.sites["above"] == 0, uncapped)


def test_the_density_of_a_mixture_is_that_of_all_draws_of_its_fits(default_post, grid):
    parts = [weight * np.exp(fit.log_score(grid)) for weight, fit in default_post.parts.values()]
    np.testing.assert_allclose(np.exp(default_post.log_score(grid)), np.sum(parts, axis=0), rtol=1e-10)


def test_fits_weigh_by_what_they_expect_of_a_row(plain_post):
    (fit,) = plain_post.fits.values()
    weights = fit_weights({"it": fit, "worse": replace(fit, log_density=fit.log_density - 1.0)})
    assert weights["worse"] / weights["it"] == pytest.approx(np.exp(-SHARPNESS))
    assert sum(weights.values()) == pytest.approx(1.0)


def test_draws_of_a_mixture_are_picked_by_weight_and_never_by_parity(plain_post, grid):
    (fit,) = plain_post.fits.values()
    other = replace(fit, sites=fit.sites | {"E": fit.sites["E"] + 100.0})
    half = mixture({"it": fit, "other": other}, {"it": 3, "other": 1})
    far = half.sites["E"] > 50
    assert (far.mean(1) == 0.25).all()
    picked, _ = half._picked["it"]
    assert len(set(picked)) == len(picked) == 3000 and 0.4 < np.mean(picked % 2) < 0.6
    again = mixture({"it": fit, "other": other}, {"it": 3, "other": 1})
    np.testing.assert_array_equal(half.draws(grid), again.draws(grid))


def test_a_law_that_no_run_follows_exactly_has_the_drift_in_every_draw(grid):
    inexact = replace(coupled, exact=False)
    assert {law.name for law in LAWS.values() if not law.exact} >= {"curve", "position_by_step"}
    assert pose(grid, coupled).model.averaged and not pose(grid, inexact).model.averaged
    post = lb.fit(grid, inexact, num_chains=4, seed=0)
    assert list(post.fits) == ["drift"] and (post.sites["tau"] > 0).all()
    every = lb.fit(grid, coupled, drift=lb.Drift(averaged=False), num_chains=4, seed=0)
    np.testing.assert_array_equal(post.sites["alpha"], every.sites["alpha"])


def test_the_default_law_of_one_input_averages_with_its_simpler_one(grid):
    one = grid[grid.params == grid.params.min()][["tokens", "loss"]]
    law = find_law("power_shifted", one).with_priors(
        alpha=dist.LogNormal(-1.0, 0.3), t=dist.LogNormal(20.0, 1.0)
    )
    _, simpler = components(pose(one, law)).values()
    assert (simpler.model.law.name, simpler.model.law.inputs) == ("power", ("tokens",))
    assert set(simpler.model.law.priors) == {"alpha"}
    assert simpler.model.drift is not None and simpler.measured.shape == pose(one, law).measured.shape


@pytest.mark.parametrize("law", ["power", "curve"])
def test_a_short_smooth_curve_has_no_neck_in_its_posterior(law):
    """With no departure at the centre the level is known the better the smaller sigma is.

    30 draws of these diverged.
    """
    tokens = np.geomspace(1e8, 1e9, 10)
    wiggle = 5e-4 * np.cumsum(np.random.default_rng(0).normal(size=10))
    runs = pd.DataFrame({"tokens": tokens, "loss": (2.6 + 0.5 * (tokens / 3e8) ** -1.0) * np.exp(wiggle)})
    post = lb.fit(runs, law, drift=lb.Drift(averaged=False), seed=0)
    assert post.health.divergences <= 1 and post.health.rhat_max < 1.02


def test_sampling_stops_once_there_are_so_many_effective_draws(grid):
    """Fewer draws than asked for, of the same chains: a fit stopped early is the beginning of the whole."""
    options = dict(drift=None, seed=3, progress=False)
    whole = lb.fit(grid, "chinchilla", num_samples=1000, **options)
    early = lb.fit(grid, "chinchilla", num_samples=1000, until_ess=400, **options)
    count = next(iter(early.fits.values())).shape[1]
    assert count < 1000 and count % 100 == 0
    assert early.summary()["ess_bulk"].min() > 300
    first = whole.data.posterior["alpha"].to_numpy()[:, :count]
    np.testing.assert_array_equal(early.data.posterior["alpha"].to_numpy(), first)
    never = lb.fit(grid, "chinchilla", num_samples=200, until_ess=1e6, **options)
    assert next(iter(never.fits.values())).shape[1] == 200


@pytest.mark.parametrize(
    "options", [dict(until_ess=0), dict(until_ess="400"), dict(until_ess=400, method="laplace")]
)
def test_an_ess_that_cannot_be_reached_for_is_refused(grid, options):
    with pytest.raises(lb.InputError, match="until_ess"):
        lb.fit(grid, "chinchilla", **options)
