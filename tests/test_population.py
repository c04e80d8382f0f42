"""The hierarchical fit of a scale against a population that it is drawn from."""

import numpy as np
import pytest

from benchmarks.population import population


def test_a_population_is_found_through_its_sweeps_posteriors():
    """60 sweeps, each seen with error.

    The normal posteriors under a wide interim prior are known in closed form.
    """
    rng, interim, error = np.random.default_rng(0), (0.0, 2.0), 0.3
    truths = rng.normal(-0.6, 0.4, 60)
    seen = truths + rng.normal(0, error, 60)
    precision = 1 / interim[1] ** 2 + 1 / error**2
    draws = [rng.normal(y / error**2 / precision, precision**-0.5, 2000) for y in seen]
    mu, s = population(draws, interim, np.ones(60))
    assert mu == pytest.approx(seen.mean(), abs=0.02)
    assert s == pytest.approx(np.sqrt(seen.var() - error**2), abs=0.05)


def test_a_sweep_of_no_weight_is_left_out():
    draws = [
        np.random.default_rng(i).normal(place, 0.1, 500) for i, place in enumerate((0.0, 0.1, -0.1, 9.0))
    ]
    mu, _ = population(draws, (0.0, 5.0), np.array([1.0, 1.0, 1.0, 0.0]))
    assert abs(mu) < 0.2
