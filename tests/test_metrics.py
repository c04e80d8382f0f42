"""Bounded metrics and links: between their bounds, of one density, the same from either side."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.runs.loss_scale import Bounded, find_scale, scale_of

QUICK = dict(num_samples=300, drift=None, progress=False)


@pytest.fixture(scope="module")
def table(grid):
    """Accuracies between a chance level of .25 and 1, whose minus ln share right follows Chinchilla's law."""
    params, tokens = grid["params"].to_numpy(), grid["tokens"].to_numpy()
    law = 0.2 + 0.5 * (params / 1e8) ** -0.4 + 0.3 * (tokens / 7e9) ** -0.3
    law = law * np.exp(np.random.default_rng(1).normal(0, 0.03, len(grid)))
    accuracy = 0.25 + 0.75 * np.exp(-law)
    return pd.DataFrame({"params": params, "tokens": tokens, "accuracy": accuracy})


@pytest.fixture(scope="module")
def post(table):
    return lb.fit(table, "chinchilla", metric="accuracy", bounds=(0.25, 1), seed=1, **QUICK)


@pytest.mark.parametrize("metric", ["error", "accuracy"])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.25, 0.9), (0.0, 100.0)])
def test_a_scale_goes_there_and_back_and_its_slope_is_that_of_its_map(metric, bounds):
    low, high = bounds
    scale = find_scale(scale_of(metric, bounds))
    y = low + (high - low) * np.linspace(0.001, 0.999, 200)
    fitted = scale.fitted(y)
    np.testing.assert_allclose(scale.loss(fitted), y, rtol=1e-12)
    step = 1e-6 * (high - low)
    slope = (scale.fitted(y + step) - scale.fitted(y - step)) / (2 * step)
    np.testing.assert_allclose(scale.log_slope(fitted), np.log(np.abs(slope)), rtol=1e-4)
    np.testing.assert_allclose(scale.error(0.01, y), 0.01 * np.abs(slope), rtol=1e-4)
    np.testing.assert_allclose(scale.of_law(scale.value(fitted)), fitted, atol=1e-12)
    assert (np.diff(fitted) < 0).all() if metric == "accuracy" else (np.diff(fitted) > 0).all()
    far = scale.loss(np.array([-1e6, 1e6]))
    assert ((low <= far) & (far <= high)).all()


def test_the_coefficients_that_made_a_metric_are_found(post, table):
    rows = post.summary()
    for name, truth in {"alpha": 0.4, "beta": 0.3}.items():
        assert rows.loc[name, "lo_90"] < truth < rows.loc[name, "hi_90"]
    band = post.predict(table)
    inside = (band["lo_90"] <= table["accuracy"]) & (table["accuracy"] <= band["hi_90"])
    assert 0.8 <= inside.mean() <= 1


def test_bands_stay_within_the_bounds_however_far(post):
    far = pd.DataFrame({"params": [1e3, 1e16], "tokens": [1e5, 1e17]})
    drawn = post.draws(far).to_numpy()
    assert drawn.min() >= 0.25 and drawn.max() <= 1
    assert np.median(drawn[:, 0]) < 0.3 and np.median(drawn[:, 1]) > 0.8


def test_an_accuracy_and_its_error_are_one_fit(post, table):
    errors = table.assign(error=1 - table["accuracy"]).drop(columns="accuracy")
    mirrored = lb.fit(errors, "chinchilla", metric="error", bounds=(0, 0.75), seed=1, **QUICK)
    np.testing.assert_allclose(mirrored.draws(table), 1 - post.draws(table), rtol=1e-6)
    np.testing.assert_allclose(mirrored.log_score(errors), post.log_score(table), rtol=1e-6)


def test_the_density_of_a_metric_is_one_over_its_bounds(post):
    y = np.linspace(0.25, 1, 2002)[1:-1]
    row = pd.DataFrame({"params": 1e8, "tokens": 7e9, "accuracy": y, "run": [f"r{i}" for i in range(len(y))]})
    density = np.exp(post.log_score(row))
    assert np.trapezoid(density, y) == pytest.approx(1, abs=2e-3)
    drawn = post.draws(row[:1]).to_numpy()[:, 0]
    mean = np.trapezoid(density * y, y)
    assert mean == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(len(drawn)))


def test_it_is_saved_backtested_planned_and_scored_in_its_own_unit(post, table, tmp_path):
    again = lb.load(post.save(tmp_path / "accuracy.nc"))
    assert isinstance(again.problem.scale, Bounded)
    assert np.array_equal(again.draws(table), post.draws(table))
    best = post.optimal([1e19]).frame
    assert 0.25 < best["loss_median"][0] < 1
    test = lb.backtest(table, "chinchilla", metric="accuracy", bounds=(0.25, 1), hide=2, **QUICK)
    assert test.frame["median"].between(0.25, 1).all() and test.calibration()["cover_90"].iloc[0] > 0.6
    gaps = post.gap(table, by="params")
    assert np.abs(gaps["gap"]).max() < 0.05


def test_a_metric_that_rises_is_no_contradiction(post, table):
    assert not [note for note in post.health.notes if note.code == "rising"]
    as_loss = lb.fit(table.rename(columns={"accuracy": "loss"}), "chinchilla", **QUICK)
    assert [note for note in as_loss.health.notes if note.code == "rising"]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t: t.assign(accuracy=100 * t["accuracy"]), dict(metric="accuracy"), r"bounds=\(0, 100\)"),
        (
            lambda t: t.assign(accuracy=t["accuracy"].clip(upper=0.6)),
            dict(metric="accuracy", bounds=(0.3, 0.6)),
            "outside its bounds",
        ),
        (lambda t: t, dict(metric="accuracy", bounds=(1, 0)), "the lower first"),
        (lambda t: t, dict(metric="accuracy", bounds=0.5), "two numbers"),
        (lambda t: t, dict(metric="accuracy", bounds=(0, np.inf)), "two numbers"),
        (lambda t: t, dict(metric="loss", bounds=(0, 1)), "of a loss, which has none"),
        (lambda t: t, dict(metric="f1"), "'error', 'accuracy'"),
        (lambda t: t.drop(columns="accuracy"), dict(metric="accuracy"), "no column 'loss'"),
    ],
)
def test_what_is_no_metric_is_refused_with_what_to_do(table, change, options, words):
    with pytest.raises(lb.InputError, match=words):
        lb.fit(change(table), "chinchilla", **options)


@pytest.fixture(scope="module")
def models(grid):
    """Losses by the grid's law, and accuracies by a sigmoid of the loss from .25 to .95."""
    rng = np.random.default_rng(2)
    accuracy = 0.25 + 0.7 / (1 + np.exp(3 * (grid["loss"] - 2.9)))
    logit = np.log(accuracy / (1 - accuracy)) + rng.normal(0, 0.04, len(grid))
    return grid.assign(accuracy=1 / (1 + np.exp(-logit)), run=[f"m{i}" for i in range(len(grid))])


@pytest.fixture(scope="module")
def linked(models):
    small = models[models["params"] < 3e8]
    post = lb.fit(small.drop(columns="accuracy"), "chinchilla", **QUICK)
    return lb.link(post, small, metric="accuracy", num_samples=300, progress=False)


def test_a_link_holds_larger_models_and_says_where_it_is_extrapolated(linked, models):
    large = models[models["params"] > 3e8]
    band = linked.predict(large)
    inside = (band["lo_90"] <= large["accuracy"].to_numpy()) & (large["accuracy"].to_numpy() <= band["hi_90"])
    assert inside.mean() > 0.7
    best = linked.predict({"params": 1e12, "tokens": 1e13})
    assert any("[beyond-link]" in note for note in best.attrs["notes"])
    assert not any("[beyond-link]" in note for note in linked.predict(models[20:23]).attrs["notes"])
    assert linked.gap(large)["inside_90"].mean() == pytest.approx(inside.mean())
    assert (linked.prob(large, below=1.0) == 1).all()
    assert repr(linked).startswith("Link from the loss to accuracy")


def test_the_uncertainty_of_both_steps_is_in_a_link(linked, models):
    """By hand: a draw of the loss into the second posterior's forecast at that very loss."""
    row = {"params": 5e8, "tokens": 2e10}
    drawn = linked.draws(row).to_numpy()[:, 0]
    losses = linked.first.draws(row).to_numpy()[:, 0]
    few = np.quantile(losses, (np.arange(200) + 0.5) / 200)
    given = linked.second.draws({"confidence": np.exp(-few)}).to_numpy()
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(given, share), abs=0.012)
    alone = linked.second.draws({"confidence": np.exp(-np.median(losses))}).to_numpy()
    assert drawn.std() > alone.std()


def test_two_rows_of_a_link_share_the_sigmoid_and_not_the_noise(linked):
    rows = {"params": [5e8, 5e8], "tokens": [2e10, 2e10]}
    mean, observed = (np.corrcoef(linked.draws(rows, kind=kind).T)[0, 1] for kind in ("mean", "observation"))
    assert mean > 0.99 and observed < 0.9


def test_the_picture_of_a_link_has_the_models_the_band_and_the_forecasts(linked, models):
    axes = linked.plot(models[models["params"] > 3e8])
    assert axes.get_xlabel() == "loss" and axes.get_ylabel() == "accuracy"
    assert len(axes.containers) == 1 and len(axes.collections) >= 2


def test_a_table_without_the_metric_is_refused(linked, models):
    with pytest.raises(lb.InputError, match="column 'accuracy'"):
        lb.link(linked.first, models.drop(columns="accuracy"))
    with pytest.raises(lb.InputError, match="outside its bounds"):
        lb.link(linked.first, models.assign(accuracy=2 * models["accuracy"]))
    with pytest.raises(lb.InputError, match="no column 'loss'"):
        lb.link(linked.first, models.drop(columns="loss"))
