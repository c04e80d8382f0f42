"""A against B: exact where an exact answer is known, true by simulation, and honest about what is missing."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind_from_stats

import lossband as lb
from lossband.cli import main
from lossband.planning.seeds import final_of

STEP = np.arange(100.0, 3001, 100)


def recipe(finals, length=3000, name="s"):
    """Curves 2 + 1.3 (t / end)^-.5 less the difference to the final that each is given."""
    step = STEP * length / 3000
    parts = [
        pd.DataFrame({"run": f"{name}{i}", "step": step, "loss": y - 1.3 + 1.3 * (step / length) ** -0.5})
        for i, y in enumerate(finals)
    ]
    return pd.concat(parts, ignore_index=True)


def test_with_many_seeds_the_probability_is_that_of_a_t_test():
    rng = np.random.default_rng(0)
    a, b = 3.2790 + 0.0012 * rng.normal(size=40), 3.2796 + 0.0012 * rng.normal(size=40)
    found = lb.better(recipe(a), recipe(b))
    p = ttest_ind_from_stats(
        a.mean(), a.std(ddof=1), 40, b.mean(), b.std(ddof=1), 40, alternative="less"
    ).pvalue
    assert found.prob == pytest.approx(1 - p, abs=0.005)
    means, _ = found.draws
    assert np.mean(means[0] < means[1]) == pytest.approx(found.prob, abs=0.02)
    back = lb.better(recipe(b), recipe(a))
    assert back.prob == pytest.approx(1 - found.prob, abs=1e-9)


@pytest.mark.parametrize("seeds", [(1, 1), (2, 3), (5, 4)])
def test_bands_cover_where_the_spread_is_drawn_from_its_prior(seeds):
    """Spreads from the prior, means anything: 90 % intervals of the difference and of a new seed cover 90 %."""
    rng, inside, new = np.random.default_rng(1), [], []
    for _ in range(300):
        s = 5e-4 * 3 * np.exp(0.7 * rng.normal() + 0.2 * rng.normal(size=2))
        mean = 3 + 0.01 * rng.normal(size=2)
        a, b = (m + each * rng.normal(size=n) for m, each, n in zip(mean, s, seeds, strict=True))
        found = lb.better(recipe(a), recipe(b), spread=1.5e-3)
        inside.append(found.difference["lo_90"] < mean[0] - mean[1] < found.difference["hi_90"])
        low, high = found.finals(kind="run").loc["a", ["lo_90", "hi_90"]]
        new.append(low < mean[0] + s[0] * rng.normal() < high)
    for share in (np.mean(inside), np.mean(new)):
        assert 0.845 < share < 0.95  # 90 % +- three standard errors


def test_steps_saved_are_those_between_the_curves():
    a, b = recipe([3.2, 3.2002]), recipe([3.3, 3.3002])
    found = lb.better(a, b, target=3.5, spread=1e-4)
    reach = [3000 / (1 + (3.5 - y) / 1.3) ** 2 for y in (3.2001, 3.3001)]
    assert found.steps_saved["median"] == pytest.approx(reach[1] - reach[0], rel=0.02)
    assert found.steps_saved["prob"] == 1
    only_a = lb.better(a, b, target=3.25, spread=1e-4).steps_saved
    assert only_a["prob"] == 0 and only_a["median"] == np.inf
    neither = lb.better(a, b, target=3.0, spread=1e-4).steps_saved
    assert neither["prob"] == 0 and np.isnan(neither["median"])


def test_more_seeds_shrink_with_the_difference_and_vanish_when_it_is_settled():
    near = lb.better(recipe([3.2790, 3.2802]), recipe([3.2794, 3.2806]))
    far = lb.better(recipe([3.2780, 3.2792]), recipe([3.2794, 3.2806]))
    settled = lb.better(recipe([3.2, 3.2002]), recipe([3.3, 3.3002]))
    assert near.more_seeds["median"] > far.more_seeds["median"] > 0
    assert near.more_seeds["lo_90"] < near.more_seeds["median"] < near.more_seeds["hi_90"]
    assert not settled.more_seeds.any() and settled.prob > 0.999


def test_a_final_is_the_last_point_of_a_curve_and_the_end_of_a_line_through_noise():
    clock = np.arange(1.0, 2001)
    curve = 3 + 2 * clock**-0.5
    assert final_of(clock, curve) == curve[-1]
    rng = np.random.default_rng(0)
    ends = [final_of(clock, curve + 0.05 * rng.normal(size=2000)) for _ in range(50)]
    assert np.std(ends) < 0.02 and abs(np.mean(ends) - curve[-1]) < 0.006
    assert final_of(clock[::100], curve[::100] + 1) == curve[1900] + 1


def test_notes_say_what_the_answer_rests_on():
    codes = [note.code for note in lb.better(recipe([3.2]), recipe([3.3], 2500)).notes]
    assert codes == ["one-seed", "unequal-lengths"]
    assert not lb.better(recipe([3.2]), recipe([3.3]), spread=0.001).notes
    far = lb.better(recipe([3.2, 3.2001, 3.1999, 3.9]), recipe([3.3]))
    assert [note.code for note in far.notes] == ["far-seed"] and "s3 of a" in str(far)


@pytest.mark.parametrize(
    "spoil, options, said",
    [
        (lambda t: t.drop(columns="step"), {}, "neither tokens nor step"),
        (lambda t: t.rename(columns={"step": "tokens"}), {}, "counts tokens"),
        (lambda t: t.head(1), {}, "expected at least two"),
        (lambda t: t.assign(loss=-t.loss), {}, "loss"),
        (lambda t: t, {"target": -1}, "target"),
        (lambda t: t, {"spread": 0}, "spread"),
        (lambda t: t, {"names": ("x", "x")}, "names="),
    ],
)
def test_what_cannot_be_compared_is_refused(spoil, options, said):
    with pytest.raises(lb.InputError, match=said):
        lb.better(spoil(recipe([3.2, 3.21])), recipe([3.3, 3.31]), **options)


def test_it_prints_draws_and_answers_from_a_shell(tmp_path, capsys):
    recipe([3.27, 3.272]).to_csv(tmp_path / "new.csv", index=False)
    recipe([3.28, 3.281, 3.279]).to_csv(tmp_path / "old.csv", index=False)
    paths = [str(tmp_path / "new.csv"), str(tmp_path / "old.csv")]
    assert main(["better", *paths, "--target", "3.4", "--plot", str(tmp_path / "p.png"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["prob"] > 0.99 and said["finals"]["new"]["seeds"] == 2
    assert (tmp_path / "p.png").stat().st_size > 5_000
    assert main(["better", *paths]) == 0
    assert "new ends lower than old" in capsys.readouterr().out
    found = lb.better(*map(pd.read_csv, paths))
    assert "ends lower" in found._repr_html_() and len(found.plot().patches) == 2
