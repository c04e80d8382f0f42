"""Diagnostics against ArviZ's: the same definitions, without the seconds that importing ArviZ takes."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from lossband.posterior.convergence import ess_bulk_tail, rank_rhat


def autoregressive(a, num_draws=1000, num_chains=4, num_sites=3):
    """AR(1) chains of unit variance, `(chain, draw, site)`; some draws repeat, as NUTS's do."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((num_draws, num_chains, num_sites)) * np.sqrt(1 - a**2)
    x = np.empty_like(noise)
    x[0] = rng.standard_normal(noise.shape[1:])
    for i in range(1, num_draws):
        x[i] = a * x[i - 1] + noise[i]
    x[5::17] = x[4:-1:17][: len(x[5::17])]
    return x.swapaxes(0, 1)


@pytest.mark.parametrize("a", [-0.3, 0.0, 0.9])
def test_ess_and_rhat_are_those_of_arviz(a):
    draws = autoregressive(a)
    axes = {"chain_axis": 0, "draw_axis": 1}
    bulk, tail = ess_bulk_tail(draws)
    np.testing.assert_allclose(bulk, array_stats.ess(draws, method="bulk", **axes), rtol=1e-9)
    theirs = array_stats.ess(draws, method="tail", prob=(0.11, 0.89), **axes)
    np.testing.assert_allclose(tail, theirs, rtol=1e-9)
    np.testing.assert_allclose(rank_rhat(draws), array_stats.rhat(draws, **axes), rtol=1e-10)


def test_an_ar1_chain_has_the_ess_that_it_must_have():
    a = 0.9  # integrated autocorrelation time (1 + a) / (1 - a) = 19
    draws = autoregressive(a, num_draws=20_000)
    np.testing.assert_allclose(ess_bulk_tail(draws)[0], 4 * 20_000 / 19, rtol=0.1)


@pytest.mark.parametrize("change", [lambda x: x + 1.0, lambda x: 3 * x], ids=["location", "spread"])
def test_a_chain_apart_is_seen(change):
    draws = autoregressive(0.0)
    draws[0] = change(draws[0])
    assert rank_rhat(draws).min() > 1.05
