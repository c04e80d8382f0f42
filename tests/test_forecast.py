"""Forecasts: what the three kinds mean, bands, gaps, probabilities."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband import score
from lossband.model.problem import pose
from lossband.posterior.forecast import Draws, draw_losses, log_densities


@pytest.fixture
def larger(grid):
    """The grid at ten times its sizes, with the losses that the law gives there."""
    return grid.assign(params=grid.params * 10, run=[f"big{i}" for i in range(len(grid))])


def test_bands_widen_from_mean_to_run_to_observation(default_post, larger):
    sd = {
        kind: default_post.predict(larger, kind=kind)["sd"].mean() for kind in ("mean", "run", "observation")
    }
    assert sd["mean"] <= sd["run"] < sd["observation"]


def test_bands_widen_beyond_the_data(default_post, grid, larger):
    inside, beyond = (
        default_post.predict(grid),
        default_post.predict(larger.assign(params=larger.params * 100)),
    )
    width = [((band["hi_90"] - band["lo_90"]) / band["median"]).iloc[-8:].mean() for band in (inside, beyond)]
    assert width[1] > 2 * width[0]
    assert (inside["extrapolation"] < 1e-9).all()
    assert beyond["extrapolation"].max() == pytest.approx(3.0, abs=1e-6)


def test_columns_and_levels_are_what_they_say(default_post, larger):
    band = default_post.predict(larger, levels=(0.5, 0.975))
    assert {
        "params",
        "tokens",
        "mean",
        "median",
        "sd",
        "lo_50",
        "hi_50",
        "lo_97.5",
        "hi_97.5",
        "extrapolation",
    } <= set(band)
    draws = default_post.draws(larger)
    assert draws.dims == ("sample", "row")
    np.testing.assert_allclose(band["lo_50"], np.quantile(draws, 0.25, axis=0))
    assert band.attrs["interval"] == "equal-tailed"
    assert band.attrs["kind"] == "observation"


def test_rows_are_forecast_alike_alone_and_together(default_post, larger):
    together = default_post.predict(larger, kind="mean")
    alone = default_post.predict(larger.iloc[[7]], kind="mean")
    assert alone["median"].iloc[0] == pytest.approx(together["median"].iloc[7], rel=1e-9)


def test_gap_is_predicted_minus_real(default_post, grid):
    real = grid.assign(run=np.where(grid.params > grid.params.median(), "large", "small"))
    gap = default_post.gap(real.assign(loss=real.loss - 0.3)).set_index("run")
    assert (gap["gap"] - 0.3).abs().max() < 0.02
    assert (gap["lo_90"] > 0.25).all()
    assert (gap["inside_90"] == 0).all()
    assert default_post.gap(real)["gap"].abs().max() < 0.02


def test_prob_is_the_share_of_draws_below(default_post, larger):
    prob = default_post.prob(larger, below=2.5)
    np.testing.assert_allclose(prob, (default_post.draws(larger) < 2.5).mean("sample"))
    assert ((prob >= 0) & (prob <= 1)).all()
    assert default_post.prob(larger, below=1e9).min() == 1


def test_drift_makes_the_forecast_wider_than_the_law_alone(default_post, plain_post, larger):
    outside = larger[larger.params > 5e9]
    wide, narrow = (p.predict(outside, kind="mean") for p in (default_post, plain_post))
    assert (wide["sd"] > narrow["sd"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="params"), "no column 'params'"),
        (lambda t: t.assign(tokens=-1.0), "value <= 0"),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_bad_new_rows_are_refused(default_post, grid, change, message):
    with pytest.raises(lb.InputError, match=message):
        default_post.predict(change(grid))


def test_bad_kind_and_level_are_refused(default_post, grid):
    with pytest.raises(lb.InputError, match="kind= got 'noise'"):
        default_post.predict(grid, kind="noise")
    with pytest.raises(lb.InputError, match="levels= has 90"):
        default_post.predict(grid, levels=(90,))


def test_columns_are_mapped(default_post, grid):
    mine = grid.rename(columns={"params": "N", "tokens": "D"})
    mapped = default_post.predict(mine, columns={"N": "params", "D": "tokens"})
    pd.testing.assert_series_equal(mapped["median"], default_post.predict(grid)["median"])


@pytest.mark.parametrize(
    "noise", ["student-t+run+ou", "normal", lb.Noise("normal", run=True, run_tails="student-t", width=1.0)]
)
@pytest.mark.parametrize("where", ["inside", "beyond", "known run"])
def test_log_density_is_the_density_of_the_draws(curves, noise, where):
    """Its integral up to each quantile of the draws is that quantile.

    The drift beyond, effects and noise, all of them.
    """
    problem = pose(curves, "chinchilla", noise=noise)
    rng, size = np.random.default_rng(0), 4000
    sites = {
        "E": 1.7,
        "A": 0.4,
        "alpha": 0.3,
        "B": 0.3,
        "beta": 0.3,
        "tau": 0.3,
        "sigma": 0.01,
        "sigma_run": 0.02,
    }
    sites |= {"sigma_ou": 0.015, "length_ou": 0.5}
    weights = np.tile(rng.normal(0, 0.1, problem.measured.drift.shape[1]), (size, 1))
    path = np.tile(rng.normal(0, 0.02, len(curves)), (size, 1)) if problem.model.noise.ou else None
    fixed = {n: np.full(size, v) for n, v in sites.items()}
    draws = Draws(fixed, weights, np.full((size, 4), 0.05), seed=1, path=path)
    far = 10.0 if where == "beyond" else 1.0
    row = pd.DataFrame(
        {"run": "a" if where == "known run" else "new", "params": far * 3e7, "tokens": far * 1e9}, index=[0]
    )
    losses = np.sort(draw_losses(problem, draws, row)[:, 0])
    cuts = np.quantile(losses, np.linspace(0.001, 0.999, 801))
    real = pd.concat([row] * len(cuts), ignore_index=True).assign(loss=cuts)
    density = np.exp(score.mixture(log_densities(problem, draws, real)))
    mass = np.append(0.001, 0.001 + np.cumsum(np.diff(cuts) * (density[1:] + density[:-1]) / 2))
    # sup of an empirical distribution's error: 1.63 / sqrt(draws) at 1 %, and the same again where the first
    # cut is estimated
    assert np.abs(mass - np.linspace(0.001, 0.999, 801)).max() < 2 * 1.63 / np.sqrt(size)


def test_log_score_of_a_posterior_is_near_the_kernel_estimate(default_post, larger):
    rows = larger.iloc[::8].assign(loss=default_post.predict(larger.iloc[::8])["hi_50"].to_numpy())
    kernel = score.log_score(default_post.draws(rows).to_numpy(), rows["loss"].to_numpy())
    # a kernel estimate from 4,000 draws is good to a few per cent in the body, and smooths it by about as
    # much
    np.testing.assert_allclose(default_post.log_score(rows), kernel, atol=0.12)


def test_new_rows_without_a_label_are_of_no_run_that_was_seen(curves):
    """Runs called 0, 1, 2 are not those of the first rows of a table without labels."""
    numbered = curves.assign(run=curves["run"].map({"a": "0", "b": "1", "c": "2"}))
    post = lb.fit(numbered, "chinchilla", noise="normal+run", drift=None, num_samples=100)
    new = curves[["params", "tokens"]].head(3)
    labelled = post.draws(new.assign(run=["x", "y", "z"]), kind="run")
    np.testing.assert_array_equal(post.draws(new, kind="run"), labelled)
    known = post.draws(new.assign(run=["0", "1", "2"]), kind="run")
    assert (known.std("sample") < labelled.std("sample")).all()
