"""The numbers of papers beside ours: parabolas and a Huber fit find the law that made the rows."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.evaluation.classic import METHODS, classic

A, ALPHA, B, BETA, E = 406.4, 0.34, 410.7, 0.28, 1.69
QUICK = dict(method="laplace", num_samples=200, num_warmup=50, progress=False)
BUDGETS = (1e18, 1e19, 1e20, 1e21)


def best(flops):
    """N* of Hoffmann's law, in closed form."""
    return (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA)) * (flops / 6) ** (BETA / (ALPHA + BETA))


def isoflops(noise, seed=0):
    """Nine sizes around the best of each of four budgets."""
    budgets = np.repeat(BUDGETS, 9)
    params = best(budgets) * np.tile(np.geomspace(0.3, 3.3, 9), 4)
    tokens = budgets / 6 / params
    loss = E + A * params**-ALPHA + B * tokens**-BETA
    loss *= np.exp(np.random.default_rng(seed).normal(0, noise, len(loss)))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


@pytest.fixture(scope="module")
def found():
    post = lb.fit(isoflops(0.002), "chinchilla", drift=None, **QUICK)
    return classic(post, [1e23], num_bootstraps=60)


def rows(found, method):
    return found.frame[found.frame.method == method].set_index("quantity")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_holds_the_truth_and_is_sharp(found, method):
    table, truth = rows(found, method), {"exponent": BETA / (ALPHA + BETA), "N* at 1e+23": best(1e23)}
    for quantity, value in truth.items():
        low, high = table.loc[quantity, ["lo_90", "hi_90"]]
        assert low - 0.3 * (high - low) < value < high + 0.3 * (high - low)
        assert high / low < 1.6
    assert table.loc["D* at 1e+23", "median"] * table.loc["N* at 1e+23", "median"] == pytest.approx(
        1e23 / 6, rel=0.03
    )


def test_without_noise_the_huber_fit_is_exact():
    post = lb.fit(isoflops(1e-7), "chinchilla", drift=None, **QUICK)
    table = rows(classic(post, [1e23], num_bootstraps=10), METHODS[2])["median"]
    found = table[["exponent", "E", "alpha", "beta"]]
    np.testing.assert_allclose(found, [BETA / (ALPHA + BETA), E, ALPHA, BETA], rtol=2e-3)
    assert table["N* at 1e+23"] == pytest.approx(best(1e23), rel=0.01)


def test_budgets_without_a_minimum_are_named_and_left_out():
    runs = isoflops(0.001)
    flops = 6 * runs.params * runs.tokens
    steep = (flops < 3e18) & (runs.params > best(flops))
    found = classic(lb.fit(runs[~steep], "chinchilla", drift=None, **QUICK), [1e22], num_bootstraps=20)
    assert any(note.code == "no-minimum" and "1e+18" in note.text for note in found.notes)
    assert METHODS[1] in set(found.frame.method)


def test_a_sweep_without_budgets_has_no_parabolas(sweep):
    found = classic(lb.fit(sweep, "chinchilla", drift=None, **QUICK), [1e22], num_bootstraps=10)
    assert [note.code for note in found.notes] == ["no-isoflop"]
    assert set(found.frame.method) == {METHODS[0], METHODS[2]}
    assert "lossband" in found._repr_html_() and "exponent" in repr(found)


def test_what_has_no_classical_fit_is_refused(sweep):
    post = lb.fit(sweep[["tokens", "loss"]].groupby("tokens", as_index=False).mean(), "power", **QUICK)
    with pytest.raises(lb.InputError, match="take params and tokens"):
        classic(post, [1e22])
    with pytest.raises(lb.InputError, match="post="):
        classic(sweep, [1e22])
