"""Backtests: what is hidden stays hidden, and calibration says no when it should."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.holdout import _hidden


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


def forged(of_grid, *, offset, width, rows=200):
    """A backtest whose forecasts have this offset and width in true standard deviations, of 200 runs."""
    rng = np.random.default_rng(0)
    from lossband import score

    truth = rng.normal(0.0, 1.0, rows)
    draws = (
        offset
        + width * rng.normal(size=(2000, 1)) * np.ones((1, rows))
        + 1e-6 * rng.normal(size=(2000, rows))
    )
    frame = pd.DataFrame(
        {
            "run": [f"r{i}" for i in range(rows)],
            "median": np.median(draws, 0),
            "bias": np.median(draws, 0) - truth,
        }
    )
    frame = frame.assign(
        pit=score.pit(draws, truth), crps=score.crps(draws, truth), log_score=score.log_score(draws, truth)
    )
    for level in (0.5, 0.9):
        lo, hi = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        frame = frame.assign(
            **{
                f"lo_{100 * level:g}": lo,
                f"hi_{100 * level:g}": hi,
                f"inside_{100 * level:g}": score.covered(draws, truth, level),
            }
        )
    return replace(of_grid, frame=frame, levels=(0.5, 0.9))


def test_calibration_says_nothing_of_true_bands(of_grid):
    assert forged(of_grid, offset=0.0, width=1.0).calibration().attrs["notes"] == []


def test_calibration_catches_an_overconfident_band(of_grid):
    table = forged(of_grid, offset=0.0, width=0.3).calibration()
    assert table["cover_90_hi"].iloc[0] < 0.9
    assert "too narrow" in table.attrs["notes"][0]


@pytest.mark.parametrize(("offset", "words"), [(1.5, "below the forecast"), (-1.5, "above the forecast")])
def test_calibration_catches_a_biased_band(of_grid, offset, words):
    assert words in forged(of_grid, offset=offset, width=0.7).calibration().attrs["notes"][0]


def test_calibration_catches_a_band_wider_than_need_be(of_grid):
    assert (
        "wider than it need be" in forged(of_grid, offset=0.0, width=4.0).calibration().attrs["notes"][0]
    )


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
    ],
)
def test_impossible_cuts_are_refused(grid, options, message):
    with pytest.raises(lb.InputError, match=message):
        lb.backtest(grid, **options)
