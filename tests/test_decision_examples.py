"""The examples of decisions run, answer, and draw."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

QUICK = {"drift": None, "num_samples": 250}


@pytest.mark.parametrize("name", ["allocation", "recipes", "next_run"])
def test_an_example_answers_and_draws(name, tmp_path, capsys):
    import matplotlib.pyplot as plt

    example = __import__(name)
    quick = QUICK | ({"pool": 0.0} if name == "recipes" else {"law": "chinchilla"})
    answer = example.main(tmp_path, **quick)
    said = capsys.readouterr().out
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    if name == "allocation":
        assert (
            answer.frame["params_lo_90"] < answer.frame["params_hi_90"]
        ).all() and "exponent of N*" in said
    elif name == "recipes":
        assert "compute, new / old" in said and answer.prob_flip({"tokens": 1e15}) == 0
    else:
        assert len(answer.chosen) == 3 and "most per FLOP" in said
    plt.close("all")


def test_the_example_of_batch_and_rate_finds_the_valley(tmp_path, capsys):
    import batch_and_rate

    best = batch_and_rate.main(tmp_path, **QUICK)
    true_batch = 90 * 10**0.57
    true_rate = 2.2e-3 * 16**-0.6 * 10**0.25
    assert best.frame.loc["batch", "lo_90"] / 1.5 < true_batch < best.frame.loc["batch", "hi_90"] * 1.5
    assert best.frame.loc["lr", "lo_90"] / 1.5 < true_rate < best.frame.loc["lr", "hi_90"] * 1.5
    assert "expected regret" in capsys.readouterr().out
    assert (tmp_path / "batch_and_rate.png").stat().st_size > 10_000


def test_the_example_of_a_mixture_serves_both_losses(tmp_path, capsys):
    import mixture

    best = mixture.main(tmp_path, num_samples=250)
    chosen = best.frame["chosen"]  # books are worth most to prose, code to programs, and web less to either
    assert chosen["proportion_web"] < min(chosen["proportion_books"], chosen["proportion_code"])
    assert "gain over the best measured mixture" in capsys.readouterr().out
    assert (tmp_path / "mixture.png").stat().st_size > 10_000


def test_the_example_of_experts_tells_what_they_are_worth(tmp_path, capsys):
    import experts

    dense = experts.main(tmp_path, **QUICK)
    for count, worth in dense.items():
        assert worth["lo_90"] / 1.1 < 6.4e8 * count**0.35 < worth["hi_90"] * 1.1
    assert (tmp_path / "experts.png").stat().st_size > 10_000


def test_the_example_of_precision_tells_what_bits_are_worth(tmp_path, capsys):
    import precision

    best = precision.main(tmp_path, **QUICK)
    assert 2 < best.frame.near_lo.item() < 9 and "worth" in capsys.readouterr().out
    assert (tmp_path / "precision.png").stat().st_size > 10_000


def test_the_example_of_a_forecast_covers_and_draws(tmp_path, capsys, monkeypatch, grid):
    """On a simulated sweep of the same form: eight sizes at four budgets."""
    import forecast

    budgets = grid.assign(
        budget=[float(f"{10 ** round(x):.0e}") for x in np.log10(6 * grid.params * grid.tokens)]
    )
    monkeypatch.setattr(forecast, "sweep", lambda: budgets)
    post = forecast.main(tmp_path, law="chinchilla", drift=None, num_samples=250)
    said = capsys.readouterr().out
    assert (post.problem.frame.params * post.problem.frame.tokens).max() * 6 < budgets.budget.max() / 3
    covered, hidden = map(int, re.search(r"90 % band covers (\d+) of (\d+)", said).groups())
    assert hidden > 0 and covered / hidden > 0.6
    assert (tmp_path / "forecast.png").stat().st_size > 10_000


def test_the_example_of_a_against_b_is_not_sure_and_says_so(tmp_path, capsys):
    import a_against_b

    found = a_against_b.main(tmp_path)
    assert 0.05 < found.prob < 0.95 and found.more_seeds["median"] > 0
    assert found.steps_saved["lo_90"] > 0 and "new ends lower than old" in capsys.readouterr().out
    assert (tmp_path / "a_against_b.png").stat().st_size > 5_000


def test_the_example_of_a_tracked_run_trains_and_forecasts(tmp_path, capsys):
    import track_a_run

    tracker, final = track_a_run.main(tmp_path, steps=600)
    said = capsys.readouterr().out
    end = tracker.outlook.end().iloc[0]
    assert "at 600 the loss is" in said and "what came" in said
    assert end["lo_90"] * 0.9 < final < end["hi_90"] * 1.1
    assert (tmp_path / "track_a_run.png").stat().st_size > 10_000
