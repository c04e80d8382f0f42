"""A run that has not begun: its curve, its end, its seeds, and what is refused."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.runs.schedule import add_lr_areas

matplotlib.use("Agg")

SIZES, STEPS = (1e7, 3e7, 1e8, 3e8), 4000.0


def runs_of(sizes=SIZES, seeds=2, noise=0.002, spread=0.004, seed=0):
    """Runs of the law itself, some constant and some on a cosine."""
    rng, parts = np.random.default_rng(seed), []
    for size in sizes:
        for i in range(seeds):
            name = ("cosine", "constant")[i % 2]
            step = np.geomspace(STEPS / 20, STEPS, 16)
            rows = pd.DataFrame({"run": f"{size:g}-{i}", "params": size, "step": step})
            rows["lr"] = lb.schedule(name, peak=1e-3, until=STEPS)(step)
            rows = add_lr_areas(rows)
            loss = 1.8 + 0.5 * (size / 5e7) ** -0.3 + 0.6 * (rows.lr_area / 1000) ** -0.5 + 0.5 * rows.lr_mean
            shift = spread * rng.normal()
            parts.append(rows.assign(loss=loss * np.exp(shift + noise * rng.normal(size=len(rows)))))
    return pd.concat(parts, ignore_index=True)[["run", "params", "step", "lr", "loss"]]


@pytest.fixture(scope="module")
def post():
    return lb.fit(runs_of(), "trajectory", noise="normal+run", num_samples=300)


def forecast_of(post, name="cosine", **options):
    return lb.forecast_run(
        post, params=1e9, step=STEPS, schedule=lb.schedule(name, peak=1e-3, until=STEPS), **options
    )


@pytest.mark.parametrize("name", ["cosine", "constant"])
def test_the_curve_of_a_larger_run_is_in_its_band(post, name):
    (real,) = (
        run
        for _, run in runs_of((1e9,), seeds=2, seed=5).groupby("run")
        if (run.lr.iloc[-1] > 0) == (name == "constant")
    )
    forecast = forecast_of(post, name)
    curve, envelope = forecast.curve(levels=(0.9,)), forecast.envelope()
    at = [np.interp(np.log(real.step), np.log(curve.step), band) for band in (curve.lo_90, curve.hi_90)]
    assert np.mean((real.loss > at[0]) & (real.loss < at[1])) > 0.7
    assert (envelope.lo_90 <= curve.lo_90 * 1.0005).all() and (envelope.hi_90 >= curve.hi_90 * 0.9995).all()
    draws = forecast.draws().to_numpy()
    inside = (draws > envelope.lo_90.to_numpy()) & (draws < envelope.hi_90.to_numpy())
    assert np.all(inside, axis=1).mean() == pytest.approx(0.9, abs=0.01)
    pointwise = (draws > curve.lo_90.to_numpy()) & (draws < curve.hi_90.to_numpy())
    assert np.all(pointwise, axis=1).mean() < 0.85


def test_the_schedule_matters_and_may_be_a_name(post):
    decayed, held = forecast_of(post), forecast_of(post, "constant")
    assert decayed.final()["median"] < held.final()["median"] - 0.05
    named = lb.forecast_run(post, params=1e9, step=STEPS, schedule="cosine")
    assert named.final()["median"] == pytest.approx(decayed.final()["median"], abs=0.01)


def test_more_seeds_narrow_the_mean_and_say_what_a_decision_needs(post):
    one, many = forecast_of(post), forecast_of(post, seeds=8)
    width = [each.final()["hi_90"] - each.final()["lo_90"] for each in (one, many)]
    assert width[1] <= width[0]
    spread = one.spread()
    assert np.quantile(spread, 0.05) < 0.004 * one.final()["median"] < np.quantile(spread, 0.95)
    wide, narrow = one.seeds_for(0.05), one.seeds_for(0.005)
    assert 1 <= wide["median"] < narrow["median"] and narrow["lo_90"] < narrow["hi_90"]
    needed = 2 * ((1.645 + 0.842) * np.median(spread) / 0.005) ** 2
    assert narrow["median"] == pytest.approx(needed, rel=0.1, abs=1)


def test_it_says_when_a_target_is_reached_prints_and_draws(post, tmp_path):
    forecast = forecast_of(post, target=2.9)
    when = forecast.reach()
    assert 0 < when["prob"] <= 1 and STEPS / 20 < when["median_if"] < STEPS
    assert forecast.end_below(2.3) < forecast.end_below(2.9)
    assert "is reached with probability" in str(forecast) and "final loss" in forecast._repr_html_()
    forecast.plot(real=runs_of((1e9,), seeds=1)).figure.savefig(tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_without_a_learning_rate_none_is_read_and_tokens_will_do():
    runs = runs_of().drop(columns="lr").rename(columns={"step": "tokens"})
    plain = lb.fit(runs, "trajectory", noise="normal", method="laplace")
    forecast = lb.forecast_run(plain, params=1e9, tokens=2 * STEPS, seeds=2)
    assert forecast.clock == "tokens" and forecast.curve()["tokens"].iloc[-1] == pytest.approx(2 * STEPS)
    assert [note.code for note in forecast.notes] == ["no-seeds"]
    with pytest.raises(lb.InputError, match="no run effect"):
        forecast.spread()
    with pytest.raises(lb.InputError, match="leave out schedule"):
        lb.forecast_run(plain, params=1e9, tokens=STEPS, schedule="cosine")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"params": 1e9}, "reads"),
        ({"params": 1e9, "step": STEPS, "loops": 2}, "reads"),
        ({"params": -1, "step": STEPS, "schedule": "cosine"}, "params="),
        ({"params": 1e9, "step": STEPS}, "give schedule="),
        (
            {"params": 1e9, "step": STEPS, "schedule": {"step": [1, 100], "lr": [1e-3, 1e-3]}},
            "ends at step 100",
        ),
        ({"params": 1e9, "step": STEPS, "schedule": "cosine", "seeds": 0}, "seeds="),
    ],
)
def test_what_makes_no_run_is_refused(post, options, said):
    with pytest.raises(lb.InputError, match=said):
        lb.forecast_run(post, **options)


def test_a_fit_without_a_clock_is_refused():
    runs = pd.DataFrame({"params": [1e7, 1e8, 1e9, 1e10], "loss": [3.0, 2.7, 2.5, 2.4]})
    post = lb.fit(runs, "power", method="laplace", drift=None)
    with pytest.raises(lb.InputError, match="no clock"):
        lb.forecast_run(post, params=1e11)
