"""A run in progress: what is kept of its log, what is forecast, and that bands of a right law hold."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.live.ahead import crossing
from lossband.live.prepare import prepare
from lossband.runs.thin import drop_overtaken, drop_start, medians, point_scatter, spaced

END = 20_000.0


def schedule():
    """Warm-up to step 500, constant to 14,000, then linear decay to a tenth."""
    step = np.arange(50.0, END + 1, 50.0)
    lr = 3e-4 * np.clip(step / 500, 0, 1) * np.interp(step, [14_000, END], [1.0, 0.1])
    return pd.DataFrame({"step": step, "lr": lr})


def run_of(seed=0, noise=0.003, name="r", tail=0.1):
    """A run by the curve law: 2.5 + 0.9 (S / S at 1000)^-0.6 + 0.12 m / m max, with noise on ln loss."""
    table = schedule()
    area = np.cumsum(table.lr) * 50
    mean = table.lr.ewm(halflife=10).mean()
    loss = 2.5 + 0.9 * (area / area[19]) ** -0.6 + tail * mean / table.lr.max()
    return table.assign(
        run=name, loss=loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(table)))
    )


@pytest.fixture(scope="module")
def seen():
    return run_of().query("step <= 12_000")


@pytest.fixture(scope="module")
def outlook(seen):
    return lb.watch(seen, schedule=schedule(), target=2.75, num_samples=250)


# --- the log


def test_later_rows_of_a_restart_win():
    log = pd.DataFrame({"step": [1, 2, 3, 4, 3, 4, 5, 6.0], "loss": [4, 3.5, 9, 9, 3.2, 3.1, 3.0, 2.9]})
    kept, (note,) = drop_overtaken(log, "step")
    assert kept["step"].tolist() == [1, 2, 3, 4, 5, 6] and kept["loss"].max() == 4
    assert note.code == "restart" and "4 to 3" in note.text and "2 rows" in note.text


def test_a_repeated_step_is_a_restart_and_a_log_in_order_is_left_alone(seen):
    twice = pd.concat([seen, seen.tail(1).assign(loss=2.0)])
    kept, notes = drop_overtaken(twice, "step")
    assert kept["loss"].iloc[-1] == 2.0 and len(kept) == len(seen) and notes[0].code == "restart"
    assert drop_overtaken(seen, "step")[1] == ()


def test_a_shuffled_log_is_refused(seen):
    with pytest.raises(lb.InputError, match="log of one run in its order"):
        drop_overtaken(seen.sample(frac=1, random_state=0), "step")


def test_warm_up_and_the_first_steps_are_left_out_with_a_note(seen):
    kept, (note,) = drop_start(seen, "step")
    assert kept["step"].min() == 1000 and note.code == "warm-up"
    kept, (note,) = drop_start(seen.drop(columns="lr"), "step")
    assert kept["step"].min() == 400 and note.code == "early"  # 12,000 / 32 = 375


def test_scatter_is_the_noise_whatever_the_trend_and_the_spikes():
    rng = np.random.default_rng(0)
    log_loss = np.linspace(1.3, 1.0, 4000) + rng.normal(0, 0.01, 4000)
    log_loss[rng.integers(0, 4000, 100)] += 2.0
    assert point_scatter(log_loss) == pytest.approx(0.01, rel=0.1)


def test_thinned_points_have_the_medians_and_their_errors():
    rng = np.random.default_rng(1)
    step = np.arange(1000.0, 20_001)
    truth = 3.0 * (step / 1000) ** -0.05
    run = pd.DataFrame({"run": "r", "step": step, "loss": truth * np.exp(rng.normal(0, 0.02, len(step)))})
    run.loc[rng.integers(0, len(run), 400), "loss"] *= 3  # spikes
    points = medians(run, "step", 40)
    error = np.log(points["loss"] / (3.0 * (points["step"] / 1000) ** -0.05))
    assert len(points) == 40 and points["step"].is_monotonic_increasing
    assert error.abs().iloc[-5:].max() < 0.003 and error.abs().max() < 0.02
    counts = np.histogram(step, np.append(np.geomspace(1000, 20_000, 41)[:-1], 20_001))[0]
    errors = 0.02 * np.sqrt(np.pi / 2 / counts)
    expected = 1 / (errors**2 + np.median(errors) ** 2)
    np.testing.assert_allclose(points["precision"], expected / expected[-1], rtol=0.02)


def test_spaced_keeps_rows_of_every_run_evenly_in_the_log_and_the_last():
    tokens = np.arange(1.0, 1001)
    runs = pd.concat(
        [
            pd.DataFrame({"run": name, "tokens": scale * tokens, "loss": 1 / tokens})
            for name, scale in (("a", 1), ("b", 3))
        ]
    )
    kept = spaced(runs.sample(frac=1, random_state=0), keep=4)
    assert sorted(kept.loc[kept["run"] == "a", "tokens"]) == [1, 10, 100, 1000]
    assert sorted(kept.loc[kept["run"] == "b", "tokens"]) == [3, 30, 300, 3000] and kept.index.is_unique


def test_a_short_log_keeps_three_rows_a_point(seen):
    assert len(medians(seen.iloc[-60:], "step", 40)) == 20
    assert len(medians(seen.iloc[-9:], "step", 40)) == 9


# --- the forecast


def test_crossing_is_where_a_straight_curve_meets_the_target():
    clock = np.geomspace(100.0, 10_000.0, 5)
    losses = np.array([3.0 - 0.1 * np.log(clock), np.full(5, 3.0), 2.0 + 0 * clock])
    times = crossing(losses, clock, 3.0 - 0.1 * np.log(2000.0))
    assert times[0] == pytest.approx(2000.0)
    assert times[1] == np.inf and times[2] == 100.0


def test_the_decay_is_seen_coming(outlook):
    """The end lies below what the constant rate leads to, and the band holds the truth."""
    truth = run_of(noise=0.0)["loss"].iloc[-1]
    end = outlook.end().iloc[0]
    assert end["lo_90"] < truth < end["hi_90"]
    assert end["hi_90"] - end["lo_90"] < 0.4


def test_without_a_schedule_the_learning_rate_is_held_and_the_end_lies_higher(outlook, seen):
    held = lb.watch(seen, END, num_samples=250)
    assert held.end()["median"].iloc[0] > outlook.end()["median"].iloc[0]
    assert "lr-held" in {note.code for note in held.notes}


def test_reach_prob_and_curve_agree(outlook):
    reach = outlook.reach()
    assert reach["prob"] == pytest.approx(
        (outlook.draws(kind="run") <= 2.75).any("row").mean().item(), abs=1e-12
    )
    assert 12_000 <= reach["lo_90_if"] <= reach["median_if"] <= reach["hi_90_if"] <= END
    assert outlook.reach(99.0)[["prob", "median"]].tolist() == [1.0, 12_000.0]
    assert outlook.reach(0.5)[["prob", "median"]].tolist() == [0.0, np.inf]
    band = outlook.curve()
    assert band["step"].iloc[[0, -1]].tolist() == [12_000.0, END]
    assert outlook.end_below(band["median"].iloc[-1]) == pytest.approx(0.5, abs=0.02)
    assert "90 % band" in str(outlook) and "[warm-up]" in str(outlook)


def test_a_forecast_goes_on_from_where_the_run_is(outlook, seen):
    now = outlook.curve(kind="run").iloc[0]
    assert now["median"] == pytest.approx(np.median(seen["loss"].tail(11)), rel=0.003)
    assert now["sd"] < outlook.end(kind="run")["sd"].iloc[0]


def test_spikes_and_a_restart_do_not_move_the_forecast(outlook, seen):
    """A log that spikes in every twentieth row, goes up after row 140, and is started again from row 100."""
    rng = np.random.default_rng(2)
    spiky = seen.assign(loss=seen.loss * np.where(rng.random(len(seen)) < 0.05, 2.0, 1.0))
    gone_wrong = seen.iloc[100:140].assign(loss=seen.loss + 1)
    log = pd.concat([spiky.iloc[:100], gone_wrong, spiky.iloc[100:]])
    other = lb.watch(log, schedule=schedule(), num_samples=250)
    assert "restart" in {note.code for note in other.notes}
    moved = other.end()["median"].iloc[0] - outlook.end()["median"].iloc[0]
    assert abs(moved) < outlook.end()["sd"].iloc[0] / 2


def test_a_growing_log_compiles_nothing(outlook, seen):
    from lossband.inference.programs import TRACES

    before = dict(TRACES)
    lb.watch(seen.iloc[:200], schedule=schedule(), num_samples=250)
    assert before == TRACES


def test_without_lr_a_note_says_what_the_band_is_of(seen):
    asked = prepare(seen.drop(columns="lr"), END)
    assert "no-lr" in {note.code for note in asked.notes}
    assert asked.problem.model.law.inputs == ("step",)


def test_a_planned_schedule_stands_in_for_a_missing_lr(seen):
    own, planned = (prepare(log, schedule=schedule()) for log in (seen, seen.drop(columns="lr")))
    pd.testing.assert_frame_equal(own.problem.frame, planned.problem.frame)
    assert "lr-planned" in {note.code for note in planned.notes}


def test_earlier_runs_are_fitted_beside_this_one(seen):
    others = pd.concat([run_of(seed, name=f"e{seed}").assign(params=1e8 * seed) for seed in (1, 2)])
    same = prepare(seen, schedule=schedule(), earlier=others.drop(columns="params"))
    assert same.problem.model.law.name == "curve" and same.problem.model.noise.run
    assert same.problem.frame["run"].nunique() == 3 and len(same.problem.frame) <= 120
    sizes = prepare(seen.assign(params=3e8), schedule=schedule(), earlier=others)
    assert sizes.problem.model.law.inputs == ("params", "step", "lr_area", "lr_mean")
    assert (sizes.ahead["params"] == 3e8).all()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t, {}, "until= got None"),
        (lambda t: t, {"until": 100.0}, "expected a step beyond the last one seen, 12000"),
        (lambda t: t.drop(columns="step"), {"until": END}, "neither tokens nor step"),
        (
            lambda t: t.drop(columns="lr"),
            {"schedule": schedule().tail(9)},
            "the log has no lr, and the schedule starts",
        ),
        (lambda t: t, {"schedule": schedule().iloc[:300], "until": END}, "before until="),
        (lambda t: pd.concat([t, t.assign(run="s")]), {"until": END}, "follows one run"),
        (lambda t: t, {"until": END, "earlier": run_of(1)}, "is among the earlier ones"),
        (lambda t: t, {"until": END, "earlier": run_of(1, name="e").drop(columns="lr")}, "lack lr"),
        (lambda t: t.assign(loss=np.nan), {"until": END}, "missing value"),
    ],
)
def test_what_cannot_be_watched_is_refused(seen, change, options, message):
    with pytest.raises(lb.InputError, match=message):
        prepare(change(seen), **options)


def test_by_size_is_the_equation_of_its_docstring(x64):
    import numpyro

    from lossband.laws import trajectory
    from lossband.runs.arrays import runs_of, unit_of

    rows = (
        run_of()
        .head(20)
        .assign(params=np.geomspace(1e7, 1e9, 20), lr_area=np.arange(1, 21.0), lr_mean=np.linspace(2, 1, 20))
    )
    inputs = ("params", "step", "lr_area", "lr_mean")
    sites = {"E": 2.0, "A": 0.3, "alpha": 0.4, "B": 0.7, "beta": 0.6, "C": 0.2, "w": 0.5, "kappa": 0.1}
    with numpyro.handlers.block(), numpyro.handlers.substitute(data=sites):
        loss = trajectory(runs_of(rows, unit_of(rows, inputs)))
    x = {name: rows[name] / np.exp(np.log(rows[name]).mean()) for name in inputs}
    lost = 1.9 * 0.5 - 1  # of the first row's area, which is 1
    pace = (rows["lr_area"] - lost) / (np.exp(np.log(rows["lr_area"]).mean()) - lost)
    expected = 2.0 + 0.3 * x["params"] ** -0.4 + x["params"] ** 0.1 * (0.7 * pace**-0.6 + 0.2 * x["lr_mean"])
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_the_example_answers_its_question(tmp_path, capsys):
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[1] / "examples" / "watch.py"
    spec = importlib.util.spec_from_file_location("watch_example", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    outlook, run = example.main(tmp_path, num_samples=250)
    end = outlook.end().iloc[0]
    assert end["lo_90"] < run["loss"].iloc[-1] < end["hi_90"]
    printed = capsys.readouterr().out
    assert "90 % band" in printed and "what came" in printed
    assert (tmp_path / "watch.png").stat().st_size > 10_000


def test_a_run_of_unknown_schedule_may_follow_each_of_four():
    step = np.arange(1.0, 2001)
    log = pd.DataFrame({"step": step, "loss": 2 + 3 * step**-0.4 + 0.01 * np.sin(step)})
    mixed = lb.watch(log, until=4000, num_samples=300)
    assert len(mixed.others) == 3 and [note.code for note in mixed.notes if note.code == "no-lr"]
    ends = [each.posterior.draws(each.ahead.tail(1)).to_numpy() for each in (mixed, *mixed.others)]
    medians = [np.median(end) for end in ends]
    assert medians[3] == min(medians) and medians[3] < medians[0] - 0.02  # all of its decay is to come
    low, high = mixed.end(levels=(0.9,))[["lo_90", "hi_90"]].iloc[0]
    assert min(medians) > low and max(medians) < high
    (told,) = mixed.end()["median"]
    assert min(medians) < told < max(medians)
    known = lb.watch(log, schedule=lb.schedule("constant", until=4000), num_samples=300)
    assert not known.others
    at = {"step": [3000.0, 3500.0]}
    assert len(mixed.predict(at)) == 2 and mixed.prob(at, below=9.0).min() == 1
