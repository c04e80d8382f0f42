"""ArviZ and NumPyro read what lossband makes as it is."""

import arviz as az
import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpyro.infer import Predictive

import lossband as lb

VARIABLES = ["alpha", "beta"]
PLOTS = {
    "plot_trace": {"var_names": VARIABLES},
    "plot_trace_dist": {},
    "plot_prior_posterior": {},
    "plot_forest": {},
    "plot_dist": {},
    "plot_rank": {},
    "plot_ess": {"var_names": VARIABLES},
    "plot_energy": {},
    "plot_pair": {"var_names": VARIABLES},
    "plot_ppc_dist": {},
    "plot_loo_pit": {},
}


def test_arviz_extracts_draws_of_all_fits(default_post):
    drawn = az.extract(default_post.data)
    assert drawn.sizes["sample"] == 4 * default_post.sites["E"].size and "E" in drawn


@pytest.mark.filterwarnings("ignore")  # ArviZ's own
@pytest.mark.parametrize("name", PLOTS)
def test_arviz_plots_the_data_as_it_is(name, default_post):
    getattr(az, name)(default_post.data, backend="matplotlib", **PLOTS[name])
    assert plt.get_fignums()
    plt.close("all")


def test_arviz_compares_two_fits(default_post, plain_post):
    table = az.compare({"default": default_post.data, "plain": plain_post.data}, round_to="none")
    assert set(table.index) == {"default", "plain"}
    assert table["weight"].sum() == pytest.approx(1)
    assert table.loc["plain", "elpd"] == pytest.approx(az.loo(plain_post.data).elpd)


def test_the_diagnostics_are_those_that_arviz_gives_of_each_fit(default_post):
    """Per fit, R-hat and ESS of the summary and all of the health are what ArviZ says of that fit's chains in `data`."""
    tree, summary = default_post.data, default_post.summary()
    assert list(tree["posterior"]["fit"].to_numpy()) == np.repeat(list(default_post.fits), 4).tolist()
    for name, fit in default_post.fits.items():
        mine = tree.sel(chain=tree["posterior"]["chain"][tree["posterior"]["fit"] == name])
        theirs = az.summary(mine, var_names=list(fit.sites), round_to="none")
        ours = summary.xs(name, level="fit")
        for column in ("r_hat", "ess_bulk", "ess_tail", "mean"):
            np.testing.assert_allclose(ours[column], theirs.loc[ours.index, column], rtol=1e-6)
        health = fit.health
        assert theirs["r_hat"].max() == pytest.approx(health.rhat_max, rel=1e-3)
        least = min(theirs["ess_bulk"].min(), theirs["ess_tail"].min())
        assert least == pytest.approx(health.ess_min, rel=1e-3)
        ebfmi = az.bfmi(mine).to_dataset() if hasattr(az.bfmi(mine), "to_dataset") else az.bfmi(mine)
        assert float(np.min(ebfmi["energy"])) == pytest.approx(health.ebfmi_min, rel=2e-3)
        assert (summary.xs(name, level="fit")["ess_bulk"] < 1.5 * 4000).all()


def test_numpyro_predicts_from_the_posterior(grid, plain_post):
    """Predictive with the posterior's own draws gives the losses that `draws` gives, up to the noise's draws."""
    sites = {name: plain_post.sites[name].ravel()[:500] for name in (*plain_post.coefficients, "sigma")}
    model = lb.model(grid, "chinchilla", drift=None, observe=False)
    with jax.enable_x64(True):
        drawn = Predictive(model, posterior_samples=sites)(jax.random.key(0))["log_loss"]
    order = plain_post.problem.order
    here = np.asarray(drawn)[:, : len(grid)]
    ours = np.log(plain_post.draws(grid).to_numpy())[:, order]
    scatter = ours.std(0) / np.sqrt(500)
    assert (np.abs(here.mean(0) - ours.mean(0)) < 6 * scatter).all()
    # not the standard deviations: a Student-t with 4 degrees of freedom has no fourth moment, so theirs are wild
    middle = [np.subtract(*np.quantile(each, [0.75, 0.25], axis=0)) for each in (here, ours)]
    np.testing.assert_allclose(*middle, rtol=0.25)
