"""The default model, nothing integrated out and nothing mixed, by NumPyro's own NUTS: the same posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import MCMC, NUTS

import lossband as lb
from benchmarks.speed.quality import AGREE, disagreement, quality
from lossband.model.problem import pose

SITES = ("E", "A", "alpha", "B", "beta", "sigma", "tau")


def written_out(problem):
    """The drift's weights as sites of their own, and the Student-t as it stands: no Woodbury, no Gibbs sampling."""
    model, runs, rows = problem.model, problem.runs, problem.measured
    law = model.law(runs)
    sigma = model.noise.scales(runs.unit.spread)["sigma"]
    tau = model.drift.sample_scales()["tau"]
    pieces = rows.drift.shape[1]
    weights = numpyro.sample("weights", dist.Normal(jnp.zeros(pieces), 1.0).to_event(1))
    with numpyro.handlers.mask(mask=rows.mask > 0):
        location = jnp.log(law) + tau * jnp.asarray(rows.drift) @ weights
        numpyro.sample("ln_loss", dist.StudentT(4.0, location, sigma), obs=rows.log_loss)


@pytest.mark.slow
def test_numpyros_nuts_finds_the_same_posterior_with_drift_and_heavy_tails(grid):
    drift = lb.Drift(averaged=False)
    ours = lb.fit(grid, "chinchilla", drift=drift, num_samples=4000, seed=0)
    assert ours.health.rhat_max < 1.01
    problem = pose(grid, "chinchilla", drift=drift)
    with jax.enable_x64(True):
        mcmc = MCMC(
            NUTS(written_out, target_accept_prob=0.95),
            num_warmup=1500,
            num_samples=3000,
            num_chains=4,
            chain_method="sequential",
            progress_bar=False,
        )
        mcmc.run(jax.random.key(1), problem)
    theirs = mcmc.get_samples(group_by_chain=True)
    one, other = (
        quality({name: np.asarray(found[name]) for name in SITES}) for found in (ours.sites, theirs)
    )
    assert other["rhat"] < 1.01 and other["ess_bulk"] > 1000
    apart, where = disagreement(one["moments"], other["moments"])
    assert apart < AGREE, where
