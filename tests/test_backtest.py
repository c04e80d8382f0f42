"""Backtests: what is hidden stays hidden, and calibration says no when it should."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import lossband as lb
from lossband import score
from lossband.evaluation.backtest import _hidden


@pytest.fixture(scope="module")
def of_grid(grid):
    return lb.backtest(grid, by="params", hide=1, seed=0)


def test_hidden_rows_are_the_largest_and_never_fitted(of_grid, grid):
    (post,) = of_grid.posteriors
    assert set(of_grid.frame["params"]) == {grid.params.max()}
    assert post.problem.frame["params"].max() < grid.params.max()
    assert len(of_grid.frame) + len(post.problem.frame) == len(grid)


def test_bands_of_a_right_law_hold(of_grid):
    table = of_grid.calibration()
    assert table["cover_90"].iloc[-1] >= 0.8
    assert abs(table["bias"].iloc[-1]) < 0.02


def test_calibration_by_size_has_a_row_for_each_and_one_for_all(of_grid):
    table = of_grid.calibration(by="params")
    assert list(table["params"])[-1] == "all"
    assert {
        "rows",
        "runs",
        "cover_50",
        "cover_90",
        "cover_90_lo",
        "cover_90_hi",
        "pit_mean",
        "bias",
        "crps",
        "width_90",
    } <= set(table)
    assert (table["cover_90_lo"] <= table["cover_90"]).all()
    assert (table["cover_90"] <= table["cover_90_hi"]).all()


def forged(of_grid, *, offset=0.0, width=1.0, error=lambda far, run: 1.0, runs=200, rows=200, seed=0):
    """A backtest of 200 rows, one to four decades out, whose forecasts of ln loss have this offset and this width.

    The measurements lie around zero with a standard deviation of .01 times `error`, a function of the decades
    and the run.
    """
    rng = np.random.default_rng(seed)
    run, far = np.arange(rows) % runs, rng.uniform(1, 4, rows)
    truth = 0.01 * np.array([error(*each) for each in zip(far, run, strict=True)]) * rng.normal(size=rows)
    draws = 0.01 * (offset + width * rng.normal(size=(2000, rows)))
    frame = pd.DataFrame(
        {"run": [f"r{i}" for i in run], "extrapolation": far, "median": np.exp(np.median(draws, 0))}
    )
    frame = frame.assign(
        bias=np.median(draws, 0) - truth,
        pit=score.pit(draws, truth),
        crps=score.crps(draws, truth),
        log_score=score.log_score(draws, truth),
    )
    for level in (0.5, 0.9):
        name = f"{100 * level:g}"
        frame[f"lo_{name}"], frame[f"hi_{name}"] = np.exp(
            np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        )
        frame[f"inside_{name}"] = score.covered(draws, truth, level)
    return replace(of_grid, frame=frame, levels=(0.5, 0.9))


def note(test, **options):
    (text,) = test.calibration(**options).attrs["notes"]
    return text


def test_calibration_says_nothing_of_true_bands(of_grid):
    assert forged(of_grid).calibration().attrs["notes"] == []


def test_calibration_catches_an_overconfident_band(of_grid):
    test = forged(of_grid, width=0.3)
    assert test.calibration()["cover_90_hi"].iloc[0] < 0.9
    assert "all rows: the 90 % band covers 3" in note(test)
    assert "too narrow, alike near and far: more noise" in note(test)


@pytest.mark.parametrize(
    ("offset", "words"),
    [(1.5, "below the forecast, alike.*worse tuned"), (-1.5, "above the forecast, alike.*better tuned")],
)
def test_calibration_catches_a_biased_band(of_grid, offset, words):
    test = forged(of_grid, offset=offset, width=0.7)
    assert re.search(words, note(test))
    assert np.sign(test.calibration()["bias"].item()) == np.sign(offset)


def test_a_bias_that_grows_with_the_distance_is_a_law_too_rigid(of_grid):
    test = forged(of_grid)
    frame = test.frame.assign(bias=0.01 * test.frame["extrapolation"], pit=0.02, inside_90=False)
    assert "below the forecast, the more so the farther out: a law too rigid" in note(
        replace(test, frame=frame)
    )
    frame = frame.assign(bias=-frame["bias"], pit=0.98)
    assert "above the forecast, the more so the farther out: a law too steep" in note(
        replace(test, frame=frame)
    )


def test_misses_that_grow_with_the_distance_are_a_drift_too_tight(of_grid):
    assert "a drift prior too tight" in note(forged(of_grid, error=lambda far, run: 1.5 * far - 1))


def test_misses_of_some_runs_are_unequal_noise(of_grid):
    noisy = forged(of_grid, error=lambda far, run: 6.0 if run < 6 else 0.8, runs=20)
    assert "the noise is heteroscedastic" in note(noisy)


def test_true_bands_of_many_sizes_draw_few_notes(of_grid):
    """Ten sizes of twenty rows: by an interval for each alone, two tables of three would have a note."""
    tables = [forged(of_grid, seed=seed) for seed in range(30)]
    noted = sum(
        bool(
            replace(t, frame=t.frame.assign(params=np.arange(200) // 20))
            .calibration(by="params")
            .attrs["notes"]
        )
        for t in tables
    )
    assert noted <= 3 + 4 * np.sqrt(30 * 0.1 * 0.9)


def test_calibration_says_where_it_fails(of_grid):
    test = forged(of_grid, error=lambda far, run: 5.0 if run < 100 else 1.0)
    half = test.frame["run"].str[1:].astype(int).lt(100)
    test = replace(test, frame=test.frame.assign(family=np.where(half, "messy", "clean"), params=1e9))
    notes = test.calibration(by=["family", "params"]).attrs["notes"]
    assert [text.partition(":")[0] for text in notes] == ["family messy, params 1000000000.0", "all rows"]


def test_calibration_catches_a_band_wider_than_need_be(of_grid):
    assert "conservative, wider than needed" in note(forged(of_grid, width=4.0))


def test_figures_of_calibration_show_what_the_table_says(of_grid):
    plot = lb.plot
    true, narrow = forged(of_grid), forged(of_grid, width=0.3)
    for test, tall in ((true, False), (narrow, True)):
        ax = plot.pit(test)
        heights = np.array([bar.get_height() for bar in ax.patches[-10:]])
        assert heights.sum() == pytest.approx(10)  # a density on [0, 1]: bars of width a tenth
        assert (min(heights[0], heights[-1]) > 2) == tall
        observed = plot.reliability(test).lines[1]
        at_90 = np.interp(0.9, observed.get_xdata(), observed.get_ydata())
        assert at_90 == pytest.approx(test.frame["inside_90"].mean(), abs=0.02)
    once = narrow.frame[narrow.frame["pit"] < 0.1].iloc[[0] * 50]  # fifty rows of one run weigh what one does
    ax = plot.pit(replace(true, frame=pd.concat([true.frame, once.assign(run="again")])))
    assert ax.patches[-10].get_height() < 2.5
    plt.close("all")


def test_several_cut_offs_are_fitted_and_scored_at_once(grid):
    """Two cut-offs by a share of the sizes; every row says how far out it is, and its exact log score."""
    test = lb.backtest(
        grid, "chinchilla", drift=None, by="params", share=(0.125, 0.25), num_samples=250, batch=1
    )
    sizes = np.unique(grid.params)
    for cut, post, count in zip((0.125, 0.25), test.posteriors, (1, 2), strict=True):
        rows = test.frame[test.frame["hidden"] == cut]
        assert set(rows["params"]) == set(sizes[-count:])
        assert post.problem.frame["params"].max() == sizes[-count - 1]
        np.testing.assert_allclose(
            rows["extrapolation"], np.log10(rows["params"] / sizes[-count - 1]), atol=1e-9
        )
        np.testing.assert_allclose(rows["log_score"], post.log_score(rows) + np.log(rows["loss"]))
    assert set(test.calibration(by="hidden")["hidden"]) == {0.125, 0.25, "all"}


def test_a_run_is_never_on_both_sides(curves):
    mask = _hidden(curves, "tokens", 2, False)
    assert not set(curves["run"][mask]) & set(curves["run"][~mask])


def test_the_end_of_every_curve_can_be_hidden(curves):
    mask = _hidden(curves, "end", 0.34, True)
    for _, curve in curves.assign(hidden=mask).groupby("run"):
        assert curve["tokens"][curve.hidden].min() > curve["tokens"][~curve.hidden].max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hide": 8}, "8 distinct values"),
        ({"by": "width"}, "no column 'width'"),
        ({"hide": 1, "share": 0.5}, "both hide= and share="),
        ({"by": "end", "hide": 2}, "needs a share"),
        ({"by": "end", "share": 0.3, "columns": {"tokens": "flops"}}, "neither tokens nor step"),
    ],
)
def test_impossible_cuts_are_refused(grid, options, message):
    with pytest.raises(lb.InputError, match=message):
        lb.backtest(grid, **options)
