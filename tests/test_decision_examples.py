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
