"""Law choice: what is hidden, what the weights maximise, and that an average forecasts as its parts do."""

from dataclasses import replace

import numpy as np
import numpyro
import pandas as pd
import pytest
from scipy.optimize import minimize

import lossband as lb
from lossband import score
from lossband.evaluation.compare import averaged_many
from lossband.evaluation.refits import future, hidden_scores, runs_out
from lossband.evaluation.stacking import clustered_se, stacking_weights, weigh_laws
from lossband.inference.sampler import Sampler
from lossband.model.measured import weigh
from lossband.model.problem import pose

QUICK = dict(
    num_warmup=200, num_samples=200, batch=1
)  # one refit at a time: the programs of the fixtures' own fits


@pytest.fixture(scope="module")
def posteriors(default_post, plain_post):
    return {"default": default_post, "plain": plain_post}


@pytest.fixture(scope="module")
def table(posteriors):
    return lb.compare(posteriors, cuts=2, folds=2, **QUICK)


# --- the weights


def test_weights_of_laws_that_own_their_rows_are_counted():
    """Where one law alone has density the weights are shares: (sum of shares + 1 / K) / (cut-offs + 1)."""
    owner, cut = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1, 1])
    log_density = np.where(owner[:, None] == np.arange(2), -3.0, -900.0)
    np.testing.assert_allclose(stacking_weights(log_density, cut), [(0.75 + 0.5) / 3, (0.25 + 1 + 0.5) / 3])


def test_weights_maximise_the_log_score_under_the_prior():
    rng = np.random.default_rng(1)
    log_density, cut = rng.normal(size=(40, 3)) + [0.0, 0.3, -0.5], rng.integers(0, 4, 40)

    def objective(free):
        log_weights = free - np.logaddexp.reduce(free)
        mixed = np.logaddexp.reduce(log_density + log_weights, axis=1)
        return -sum(mixed[cut == o].mean() for o in range(4)) - log_weights.mean()

    best = minimize(objective, np.zeros(3), tol=1e-12).x
    np.testing.assert_allclose(
        stacking_weights(log_density, cut), np.exp(best - np.logaddexp.reduce(best)), atol=1e-5
    )


def test_many_rows_above_one_cut_off_are_one_piece_of_evidence():
    log_density, cut = np.random.default_rng(2).normal(size=(6, 2)), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(
        stacking_weights(np.repeat(log_density, 50, 0), np.repeat(cut, 50)),
        stacking_weights(log_density, cut),
    )


def scores_of(offsets, cuts=4, rows=30):
    """Log scores of laws that differ by these offsets."""
    rng = np.random.default_rng(3)
    parts = [
        pd.DataFrame(
            {
                "law": law,
                "scheme": "future",
                "cut": np.repeat(np.arange(cuts), rows),
                "row": np.tile(np.arange(rows), cuts),
            }
        ).assign(log_score=lambda t, o=offset: o + rng.normal(0, 0.1, len(t)))
        for law, offset in offsets.items()
    ]
    return pd.concat(parts)


def test_the_law_that_forecasts_better_weighs_more_but_never_all():
    weights, notes = weigh_laws(scores_of({"a": 0.0, "b": 2.0}), ["a", "b"])
    assert 0.8 < weights["b"] < 0.95
    assert not notes


def test_few_cut_offs_are_said_and_none_gives_equal_weights():
    _, (few,) = weigh_laws(scores_of({"a": 0.0, "b": 2.0}, cuts=2), ["a", "b"])
    weights, (none,) = weigh_laws(scores_of({"a": 0.0, "b": 2.0}).iloc[:0], ["a", "b"])
    assert few.code == "few-cuts" and none.code == "no-future"
    assert weights == {"a": 0.5, "b": 0.5}


def test_standard_errors_count_a_run_once():
    values = np.random.default_rng(4).normal(size=12)
    assert clustered_se(values, np.arange(12)) == pytest.approx(values.std(ddof=1) / np.sqrt(12))
    assert clustered_se(np.repeat(values, 9), np.repeat(np.arange(12), 9)) == pytest.approx(
        clustered_se(values, np.arange(12))
    )


# --- what is hidden


def test_leave_future_out_hides_the_most_compute_and_leaves_enough(posteriors):
    problems = [post.problem for post in posteriors.values()]
    frame = problems[0].frame
    masks, compute = future(problems, 4), frame["params"] * frame["tokens"]
    assert len(masks) == 4
    assert all(compute[mask].min() > compute[~mask].max() for mask in masks)
    assert np.all(np.diff([mask.sum() for mask in masks]) < 0)
    assert all(frame[~mask][["params", "tokens"]].nunique().min() >= 3 for mask in masks)


def test_a_table_of_one_budget_has_no_future(grid):
    one = grid[np.isclose(np.log10(grid.params * grid.tokens), 17.0, atol=0.25)].head(9)
    assert future([pose(one, "chinchilla")], 4) == []


def test_leave_run_out_hides_every_row_once_and_runs_whole(posteriors):
    problem = posteriors["plain"].problem
    assert np.sum(runs_out(problem.frame, [problem], "params", 4, 0), 0).tolist() == [1] * len(problem.frame)
    runs = np.repeat([f"r{i}" for i in range(14)], 4)
    frame = problem.frame.assign(run=runs)
    for mask in runs_out(frame, [problem], "run", 4, 0):
        assert not set(runs[mask]) & set(runs[~mask])


def test_a_refit_is_the_fit_of_what_was_left(posteriors, grid):
    """Hidden rows are not fitted, and padding to the whole table's shape changes nothing."""
    mask = (grid["params"] == grid["params"].max()).to_numpy()
    problem = posteriors["plain"].problem
    (scores,), _ = hidden_scores([{"plain": problem}], [{"future": [mask]}], Sampler(200, 200), batch=1)
    post = lb.fit(problem.frame[~mask], "chinchilla", drift=None, num_warmup=200, num_samples=200)
    hidden = problem.frame[mask]
    losses, truth = np.log(post.draws(hidden)), np.log(grid["loss"][mask])
    np.testing.assert_allclose(scores["crps"], score.crps(losses, truth), rtol=1e-6)
    np.testing.assert_allclose(scores["log_score"], post.log_score(hidden) + truth, rtol=1e-6)  # of ln loss


def test_padding_changes_no_density(grid, x64):
    """The same table in a larger shape: one log density, whatever the drift and the runs."""
    few = grid.iloc[:14].assign(run=np.repeat([f"r{i}" for i in range(7)], 2))
    sites = {
        "E": 1.6,
        "A": 0.5,
        "B": 0.4,
        "alpha": 0.3,
        "beta": 0.3,
        "g": 0.7,
        "sigma": 0.01,
        "tau": 0.2,
        "sigma_run": 0.01,
    }

    def density(problem):
        measured = weigh(problem.measured, problem.measured.mixtures)
        with numpyro.handlers.block(), numpyro.handlers.substitute(data=sites):
            return float(problem.model.likelihood(problem.runs, measured).log_prob(measured.log_loss))

    plain, padded = (
        pose(few, "coupled", noise="normal+run", least=least) for least in ((0, 0, 0), (64, 32, 16))
    )
    assert padded.measured.shape == (64, 32, 16) != plain.measured.shape
    assert density(padded) == pytest.approx(density(plain), rel=1e-12)
    assert padded.pieces == plain.pieces == plain.measured.shape[1]


# --- compare


def test_compare_has_a_row_for_each_law(table, posteriors):
    assert set(table.index) == set(posteriors)
    assert table["weight"].sum() == pytest.approx(1) and (table["weight"] > 0.1).all()
    assert table["weight"].is_monotonic_decreasing
    assert table["run_rows"].tolist() == [56, 56]
    assert (table["run_cover_90"] > 0.75).all() and (table["future_cover_90"] > 0.6).all()
    for scheme in ("future", "run"):
        assert table[f"{scheme}_behind"].min() == 0
        np.testing.assert_allclose(
            table[f"{scheme}_elpd"].max() - table[f"{scheme}_elpd"], table[f"{scheme}_behind"]
        )
    assert [note.code for note in table.attrs["notes"]] == ["few-cuts"]


def test_an_unhealthy_law_is_left_out_with_a_note(posteriors):
    ill = posteriors["plain"]
    ((name, fit),) = ill.fits.items()
    ill = replace(ill, fits={name: replace(fit, health=replace(fit.health, rhat_max=1.3))})
    mixed = lb.average(posteriors | {"plain": ill}, cuts=1, **QUICK)
    assert mixed.weights == {"default": 1.0, "plain": 0.0}
    assert mixed.notes[0].code == "unhealthy" and "R-hat 1.300" in mixed.notes[0].text


# --- average


def test_an_average_of_one_law_is_that_law(posteriors, grid):
    mixed = lb.average(posteriors, weights={"default": 1.0, "plain": 0.0})
    pd.testing.assert_frame_equal(mixed.predict(grid * 3), posteriors["default"].predict(grid * 3))
    pd.testing.assert_frame_equal(mixed.gap(grid), posteriors["default"].gap(grid))


def test_an_average_mixes_by_weight(posteriors, grid):
    new, weights = grid.tail(8) * 4, {"default": 3.0, "plain": 1.0}
    mixed = lb.average(posteriors, weights=weights)
    assert mixed.weights == {"default": 0.75, "plain": 0.25}
    assert dict(mixed.draws(new).sizes) == {"sample": 4000, "row": 8}
    below = posteriors["default"].predict(new)["lo_80"].iloc[0]
    parts = {name: post.prob(new, below=below) for name, post in posteriors.items()}
    expected = 0.75 * parts["default"] + 0.25 * parts["plain"]
    np.testing.assert_allclose(mixed.prob(new, below=below), expected, atol=4 * np.sqrt(0.25 / 1000))
    density = {name: np.exp(post.log_score(new)) for name, post in posteriors.items()}
    expected = 0.75 * density["default"] + 0.25 * density["plain"]
    np.testing.assert_allclose(np.exp(mixed.log_score(new)), expected, rtol=1e-10)
    assert list(mixed.predict(new)) == list(posteriors["plain"].predict(new))


def test_an_average_is_a_posterior_whose_fits_are_the_laws(posteriors, tmp_path, grid):
    mixed = lb.average(posteriors, weights={"default": 1.0, "plain": 1.0})
    assert isinstance(mixed, lb.Posterior) and dict(mixed.fits) == posteriors
    assert [name for name in mixed.parts if name.startswith("default, ")] and "plain" in mixed.parts
    assert set(mixed.summary().index.get_level_values("fit")) == set(mixed.parts)
    again = lb.load(mixed.save(tmp_path / "mixed.nc"))
    assert again.weights == mixed.weights and np.array_equal(again.draws(grid), mixed.draws(grid))
    exact, share = (mixed.sites["tau"] == 0).mean(), (posteriors["default"].sites["tau"] == 0).mean()
    assert exact == pytest.approx(0.5 + 0.5 * share, abs=0.01)


def test_many_tables_are_averaged_in_one_call(grid, posteriors):
    laws = {"default": {}, "plain": {"law": "chinchilla", "drift": None}}
    small, large = averaged_many([grid[grid.params < 9e8], grid], laws, cuts=1, **QUICK)
    assert sum(small.weights.values()) == pytest.approx(1) and set(small.weights) == set(laws)
    assert len(small.problem.frame) == 49 and len(large.problem.frame) == 56
    whole = posteriors["default"].predict(grid * 2)
    np.testing.assert_allclose(large.predict(grid * 2)["median"], whole["median"], rtol=0.01)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"default": -1.0, "plain": 2.0}, "none below zero"),
        ({"kaplan": 1.0}, "expected weights of default, plain"),
    ],
)
def test_weights_that_are_none_are_refused(posteriors, weights, message):
    with pytest.raises(lb.InputError, match=message):
        lb.average(posteriors, weights=weights)


def test_laws_of_other_measurements_are_refused(posteriors):
    other = posteriors["plain"]
    frame = other.problem.frame.assign(loss=other.problem.frame["loss"] * 1.01)
    ((name, fit),) = other.fits.items()
    other = replace(other, fits={name: replace(fit, problem=replace(fit.problem, frame=frame))})
    with pytest.raises(lb.InputError, match="different measurements"):
        lb.compare(posteriors | {"plain": other})
    with pytest.raises(lb.InputError, match="at least two laws"):
        lb.compare({"plain": other})
