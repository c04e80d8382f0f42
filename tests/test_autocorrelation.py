"""The OU process at new rows, against the dense Gaussian conditional written out here."""

import numpy as np
import pandas as pd
import pytest

from lossband.posterior.autocorrelation import ou_draws, ou_moments

SIZE = 40_000
SCALE, LENGTH = 0.03, 0.8
SITES = {"sigma_ou": np.full(SIZE, SCALE), "length_ou": np.full(SIZE, LENGTH)}
SEEN = pd.DataFrame(
    {"run": ["a", "b", "a", "a", "b"], "tokens": [4e8, 1e8, 1e8, 2e8, 3e8]}, index=[7, 3, 5, 1, 0]
)
PATH = np.array([0.05, -0.02, 0.01, 0.03, -0.04])
NEW = pd.DataFrame(
    {
        "run": ["a", "new", "a", "b", "a", "a", "new"],
        "tokens": [9e8, 2e8, 3e8, 2e8, 5e7, 2e9, 5e8],
    }
)


def kernel(left, right):
    """Covariance between rows, `(left, right)`."""
    gap = np.abs(np.log(left.tokens.to_numpy())[:, None] - np.log(right.tokens.to_numpy()))
    same = left.run.to_numpy()[:, None] == right.run.to_numpy()
    return SCALE**2 * np.exp(-gap / LENGTH) * same


def dense():
    """Mean and covariance at the new rows given the path at the rows that were seen."""
    gain = np.linalg.solve(kernel(SEEN, SEEN), kernel(SEEN, NEW)).T
    return gain @ PATH, kernel(NEW, NEW) - gain @ kernel(SEEN, NEW)


def test_moments_are_those_of_the_dense_conditional():
    mean, variance = ou_moments(SEEN, SITES, np.tile(PATH, (SIZE, 1)), NEW)
    exact, covariance = dense()
    np.testing.assert_allclose(mean[0], exact, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(variance[0], np.diag(covariance), rtol=1e-9)


def test_draws_are_those_of_the_dense_conditional():
    draws = ou_draws(SEEN, SITES, np.tile(PATH, (SIZE, 1)), NEW, np.random.default_rng(0))
    mean, covariance = dense()
    scale = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(0) - mean) < 5 * scale / np.sqrt(SIZE)).all()
    error = np.sqrt((np.outer(scale, scale) ** 2 + covariance**2) / SIZE)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()


def test_a_training_row_has_the_state_that_was_fitted():
    draws = ou_draws(SEEN, SITES, np.tile(PATH, (SIZE, 1)), SEEN, np.random.default_rng(0))
    np.testing.assert_allclose(draws, np.tile(PATH, (SIZE, 1)), atol=1e-12)


@pytest.mark.parametrize("path", [None, np.tile(PATH, (SIZE, 1))])
def test_runs_of_no_known_state_start_afresh(path):
    new = NEW[NEW.run == "new"] if path is not None else NEW
    draws = ou_draws(SEEN, SITES, path, new, np.random.default_rng(1))
    covariance = kernel(new, new)
    error = np.sqrt((SCALE**4 + covariance**2) / SIZE)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()
    mean, variance = ou_moments(SEEN, SITES, path, new)
    assert (mean == 0).all() and np.allclose(variance, SCALE**2)
