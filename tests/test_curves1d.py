"""The one-variable benchmark.

Its scores by hand, and its rivals against what they should say of known data.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t as student

from benchmarks import delta
from benchmarks.curves1d import DOMAINS, VARIANTS, Forecast, score_curves, tables
from benchmarks.m4_nuts import m4
from benchmarks.sets import Curve
from lossband import score


@pytest.fixture
def curve():
    x = np.geomspace(1e2, 1e5, 40)
    loss = (0.1 + 2 * x**-0.4) * np.exp(np.random.default_rng(0).normal(0, 0.01, 40))
    return Curve("c", "IC", x, loss, x < 5e3)


def test_scores_of_a_curve_by_hand(curve):
    rng, observed = np.random.default_rng(1), curve.loss[~curve.train]
    draws = observed * np.exp(0.1 + 0.045 * rng.normal(size=(4000, len(observed))))
    (row,) = score_curves([Forecast(curve, draws, np.linspace(1, 3, len(observed)))]).to_dict("records")
    assert row["domain"] == "vision" and row["rows"] == len(observed) == (~curve.train).sum()
    assert row["rmsle"] == pytest.approx(0.1, abs=0.003) and row["bias"] == pytest.approx(0.1, abs=0.003)
    assert row["log_density"] == pytest.approx(2.0)
    assert row["width_90"] == pytest.approx(2 * 1.645 * 0.045, rel=0.03)
    # 2.2 standard deviations off: inside from the 97 % band on, so only in the last of the seven
    missed = np.array(score.LEVELS) < 0.97
    assert row["msce"] == pytest.approx(np.mean((~missed - np.array(score.LEVELS)) ** 2), abs=0.03)
    assert row["c50"] == row["c90"] == 0


def test_every_curve_becomes_tables_that_lossband_reads(curve):
    train, test = tables(curve)
    assert len(train) == curve.train.sum() and len(test) == (~curve.train).sum()
    assert train["tokens"].max() < test["tokens"].min()
    assert "default" in VARIANTS and len(DOMAINS) == 6


def test_delta_method_covers_and_its_density_is_that_of_its_draws(curve):
    train = curve.train
    draws, density = delta.forecast(
        curve.x[train], curve.loss[train], curve.x[~train], curve.loss[~train], num_samples=20_000
    )
    assert np.abs(np.log(np.median(draws, 0) / curve.loss[~train])).max() < 0.1
    # a kernel estimate of 20,000 draws, blurred by its own width
    np.testing.assert_allclose(score.log_score(draws, curve.loss[~train]), density, atol=0.1)


def test_delta_method_is_least_squares_of_a_line_where_there_is_no_floor():
    """With E = 0 the law is a line in logarithms, whose band is a closed form."""
    rng, x = np.random.default_rng(2), np.geomspace(1, 100, 30)
    log_y = 1 - 0.5 * np.log(x) + rng.normal(0, 0.1, 30)
    log_y[-6:] -= 0.5  # bent down: the best floor is none
    new = np.array([1e3])
    _, density = delta.forecast(x, np.exp(log_y), new, np.exp([-2.0]))
    X = np.column_stack([np.ones(30), np.log(x)])
    best, rss = np.linalg.lstsq(X, log_y)[:2]
    j = np.array([1, np.log(1e3)])
    variance = rss[0] / 27
    scale = np.sqrt(variance * (1 + j @ np.linalg.inv(X.T @ X) @ j))
    assert density[0] == pytest.approx(student.logpdf(-2.0, 27, j @ best, scale) + 2.0, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_m4_solves_its_equation(alpha):
    E, e0, beta, c, x = 0.2, 1.1, 0.7, 0.4, np.geomspace(1e-3, 1e3, 13)
    loss = np.asarray(m4(jnp.asarray(x), E, e0, alpha, beta, c), float)
    inside = (loss > E + 1e-3) & (loss < e0 - 1e-3)
    left = (loss - E) / (e0 - loss) ** alpha
    np.testing.assert_allclose(
        left[inside], (beta * x**-c)[inside], rtol=5e-3
    )  # single precision, as NumPyro has it
    assert inside.sum() > 8 and (np.diff(loss) < 0).all()
