"""Binning: means of bins that carry what the rows said about the law."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from benchmarks.speed.quality import AGREE, disagreement, moments


def curve(rows=3000, scatter=0.01):
    tokens = np.linspace(1e9, 1e12, rows)
    noise = np.random.default_rng(0).normal(0, scatter, rows)
    return pd.DataFrame(
        {"run": "one", "tokens": tokens, "loss": (1.8 + 1.1 * (tokens / 1e10) ** -0.35) * np.exp(noise)}
    )


def test_means_and_errors_are_those_of_the_rows():
    few = lb.thin(curve(), 64)
    assert 64 < len(few) < 130  # early bins hold few rows, which stay
    assert few.tokens.is_monotonic_increasing
    law = 1.8 + 1.1 * (few.tokens / 1e10) ** -0.35
    z = (few.loss - law) / few.loss_se
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert 0.8 < z.std() < 1.2
    np.testing.assert_allclose(few.loss_se.iloc[0] / few.loss.iloc[0], 0.01, rtol=0.1)  # a row that stayed
    assert few.loss_se.iloc[-1] < 0.1 * few.loss_se.iloc[0]


def test_runs_are_thinned_apart_and_columns_stay():
    one = curve(400)
    two = lb.thin(pd.concat([one, one.assign(run="two", tokens=one.tokens * 2)]).assign(params=1e8), 16)
    assert set(two["run"]) == {"one", "two"}
    np.testing.assert_allclose(two.params, 1e8)
    mine, other = (rows for _, rows in two.groupby("run"))
    np.testing.assert_allclose(mine.loss, other.loss)


def test_a_fit_of_the_means_is_that_of_the_rows():
    """Within Monte Carlo error.

    And a scatter of the means' own, which takes weight from the fullest bins, would be seen.
    """
    few = lb.thin(curve())
    known = lb.Noise("normal", sigma=1e-6)  # the errors of the means are all that they scatter by
    options = {"drift": None, "num_warmup": 200, "num_samples": 250}
    whole, means, wider = (
        lb.fit(table, "power", noise=noise, **options)
        for table, noise in ((curve(), "normal"), (few, known), (few.assign(loss_se=2 * few.loss_se), known))
    )

    def found(post):  # A itself is at the centre of the rows, which moves
        draws = {"E": post.sites["E"], "alpha": post.sites["alpha"], "ln A": np.log(post.sites["A_natural"])}
        return {name: moments(x) for name, x in draws.items()}

    assert disagreement(found(whole), found(means))[0] < AGREE
    assert disagreement(found(whole), found(wider))[0] > AGREE


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (curve(50).drop(columns="tokens"), "column tokens or step"),
        (curve(50).assign(loss=-1.0), "loss has 50 value"),
    ],
)
def test_a_curve_without_order_or_logarithm_is_refused(table, message):
    with pytest.raises(lb.InputError, match=message):
        lb.thin(table)
