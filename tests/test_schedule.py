"""The areas under a learning rate.

Closed forms, the published sums, and a schedule that goes on after the fit.
"""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.errors import InputError
from lossband.laws import LAWS, find_law
from lossband.runs.schedule import MEMORIES, add_lr_areas


def cosine(steps, peak=3e-4, total=20_000):
    return peak * (0.55 + 0.45 * np.cos(np.pi * steps / total))


@pytest.fixture
def run():
    step = np.arange(100.0, 20_001, 20)
    return pd.DataFrame({"run": "a", "step": step, "lr": cosine(step)})


def test_of_a_constant_learning_rate():
    rows = pd.DataFrame({"tokens": [10.0, 40.0, 20.0], "lr": 0.02})
    areas = add_lr_areas(rows)
    np.testing.assert_allclose(areas["lr_area"], [10, 40, 20], rtol=1e-14)
    np.testing.assert_allclose(areas["lr_mean"], 1.0, rtol=1e-14)


def test_the_area_is_the_integral(run):
    at = run["step"].to_numpy()
    area = 0.55 * at + 0.45 * 20_000 / np.pi * np.sin(np.pi * at / 20_000)  # over the peak, 3e-4
    np.testing.assert_allclose(
        add_lr_areas(run)["lr_area"], area, rtol=1e-4
    )  # before the first row lr is that row's


def test_the_mean_is_that_of_averages_which_solve_their_equations(run):
    """d m / d ln t = sqrt(lr / peak) (lr - m) / memory, each integrated by Euler's method on a fine grid."""
    clock = np.geomspace(100, 20_000, 400_001)
    lr, step = cosine(clock) / cosine(clock[0]), np.log(clock[1] / clock[0])
    wanted = []
    for memory in MEMORIES:
        m = [lr[0]]
        for rate in lr[:-1]:
            m.append(m[-1] + step / memory * np.sqrt(rate) * (rate - m[-1]))
        wanted.append(np.interp(run["step"], clock, m))
    np.testing.assert_allclose(add_lr_areas(run)["lr_mean"], np.mean(wanted, axis=0), rtol=1e-3)


def test_a_drop_is_forgotten_at_every_time_scale():
    after, low = np.array([0, *MEMORIES]), 0.25
    t = 1000 * np.exp([-1.0, 0.0, *(1e-9 + after)])
    rates = [1.0, 1.0, *np.full(len(after), low)]
    mean = add_lr_areas(pd.DataFrame({"tokens": t, "lr": rates}))["lr_mean"]
    left = [np.mean(np.exp(-past * np.sqrt(low) / np.array(MEMORIES))) for past in after]
    np.testing.assert_allclose(mean, [1, 1, *(low + (1 - low) * np.array(left))], rtol=1e-5)
    assert left[1] > 0.8 and left[-1] < 0.15  # fast at first, and for long a little
    rates = [1.0, 1.0, *np.zeros(len(after))]
    stopped = add_lr_areas(pd.DataFrame({"tokens": t, "lr": rates}))["lr_mean"]
    assert np.isfinite(stopped).all() and (np.diff(stopped) <= 0).all()


def test_published_momentum_is_the_fall_of_an_average(run):
    """Tissue et al. 2024, eq. 1.

    S2 = sum_i m_i, m_i = decay m_(i-1) + lr_(i-1) - lr_i, is (lr_0 - average) / (1 - decay).
    """
    lr, decay = run["lr"].to_numpy(), 0.999
    momentum = s2 = 0.0
    average = lr[0]
    for before, now in zip(lr[:-1], lr[1:], strict=True):
        momentum = decay * momentum + before - now
        s2 += momentum
        average = decay * average + (1 - decay) * now
    assert s2 == pytest.approx((lr[0] - average) / (1 - decay), rel=1e-9)


def test_runs_are_kept_apart_and_the_order_of_the_rows_kept(run):
    other = run.assign(run="b", lr=1e-4)
    both = add_lr_areas(pd.concat([run, other], ignore_index=True).sample(frac=1, random_state=0))
    for name, alone in (("a", run), ("b", other)):
        mine = both[both["run"] == name].sort_values("step")
        np.testing.assert_allclose(mine["lr_area"], add_lr_areas(alone)["lr_area"], rtol=1e-12)
        np.testing.assert_allclose(mine["lr_mean"], add_lr_areas(alone)["lr_mean"], rtol=1e-12)
    assert (both["lr"] == cosine(both["step"])).where(both["run"] == "a", True).all()


def test_a_forecast_goes_on_from_the_training_rows(run):
    whole = add_lr_areas(run)
    past, rest = whole.iloc[:500], run.iloc[500:]
    pd.testing.assert_frame_equal(add_lr_areas(rest, past), whole.iloc[500:], rtol=1e-9)
    with pytest.raises(InputError, match="the learning rate of c is given from step = 10100 only"):
        add_lr_areas(rest.assign(run="c"), past)


def test_areas_of_ones_own_are_left_alone(run):
    mine = run.assign(lr_area=1.0, lr_mean=2.0)
    assert add_lr_areas(mine) is mine and add_lr_areas(run[["step"]]).columns.tolist() == ["step"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"lr": -1.0}, "lr has 996 value"), ({"lr": np.nan}, "missing"), ({"step": 0.0}, "step has")],
)
def test_what_cannot_be_read_is_refused(run, change, said):
    with pytest.raises(InputError, match=said):
        add_lr_areas(run.assign(**change))
    with pytest.raises(InputError, match="neither tokens nor step"):
        add_lr_areas(run[["run", "lr"]])


@pytest.mark.parametrize(
    ("columns", "inputs"),
    [
        (["tokens"], ("tokens",)),
        (["step", "lr"], ("step", "lr_area", "lr_mean")),
        (["tokens", "step", "lr"], ("tokens", "lr_area", "lr_mean")),
        (["position"], ("position",)),
    ],
)
def test_curve_takes_its_inputs_from_the_table(columns, inputs):
    table = pd.DataFrame({name: np.arange(1.0, 9) for name in columns}).assign(loss=np.arange(8, 0, -1.0))
    assert find_law("curve", table).inputs == inputs and LAWS["curve"].inputs == ()


@pytest.fixture(scope="module")
def annealed():
    """A fit of `curve` to 40 rows before the learning rate falls, and the whole run.

    E + A (S/S0)^-.6 + C lr.
    """
    tokens = np.geomspace(1e6, 1e9, 60)
    lr = 1e-3 * np.clip((1.05e9 - tokens) / 7e8, 0, 1)
    whole = add_lr_areas(pd.DataFrame({"run": "a", "tokens": tokens, "lr": lr}))
    law = 2.0 + 0.6 * (whole["lr_area"] / 1e8) ** -0.4 + 0.12 * whole["lr_mean"]
    whole["loss"] = law * np.exp(np.random.default_rng(0).normal(0, 1e-3, 60))
    whole = whole.drop(columns=["lr_area", "lr_mean"])
    return lb.fit(whole.iloc[:58], "curve", num_samples=250), whole


def test_a_falling_learning_rate_lowers_the_forecast(annealed):
    post, whole = annealed
    rest = post.predict(whole.iloc[58:])
    kept = post.predict(whole.iloc[58:].assign(lr=whole["lr"].iloc[57]))
    assert (rest["median"] < kept["median"]).all()
    assert post.health.rhat_max < 1.03 and post.health.divergences < 10
    truth = whole["loss"].iloc[58:].to_numpy()
    assert ((rest["lo_95"] <= truth) & (truth <= rest["hi_95"])).all()


def test_the_schedule_survives_saving(annealed, tmp_path):
    post, whole = annealed
    again = lb.load(post.save(tmp_path / "curve.nc"))
    pd.testing.assert_frame_equal(again.predict(whole.iloc[55:]), post.predict(whole.iloc[55:]))


PEAK = dict(peak=2e-3, warmup=100, until=1000)
KNOWN = {  # name: (options, clock, rate)
    "cosine": ({"final": 2e-4}, [50, 100, 550, 1000], [1e-3, 2e-3, 1.1e-3, 2e-4]),
    "linear": ({}, [50, 100, 550, 1000], [1e-3, 2e-3, 1e-3, 0]),
    "wsd": ({"decay": 0.4}, [100, 600, 800, 1000], [2e-3, 2e-3, 1e-3, 0]),
    "constant": ({}, [100, 999], [2e-3, 2e-3]),
    "inverse_sqrt": ({}, [100, 400, 900], [2e-3, 1e-3, 2e-3 / 3]),
    "step": ({"at": [500, 800], "factor": 0.5}, [500, 501, 801], [2e-3, 1e-3, 5e-4]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_schedule_by_name_has_its_rates(name):
    options, clock, rates = KNOWN[name]
    plan = lb.schedule(name, **PEAK, **options)
    np.testing.assert_allclose(plan(clock), rates, rtol=1e-12, atol=1e-18)
    table = plan.table("tokens")
    np.testing.assert_allclose(np.interp(clock, table["tokens"], table["lr"]), rates, rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize(
    "name, options, said",
    [
        ("cosin", {"until": 10}, "name="),
        ("cosine", {"until": 10, "warmup": 20}, "not before until"),
        ("cosine", {"until": 10, "peak": 1.0, "final": 2.0}, "above the peak"),
        ("step", {"until": 10}, "needs at="),
        ("inverse_sqrt", {"until": 10}, "needs warmup="),
        ("wsd", {"until": 10, "decay": 1.5}, "above 1"),
        ("linear", {"until": -1}, "until="),
    ],
)
def test_numbers_that_make_no_schedule_are_refused(name, options, said):
    with pytest.raises(InputError, match=said):
        lb.schedule(name, **options)


def ahead(schedule, with_lr=True, **options):
    """The rates that `watch` sees ahead of a log of 400 of 1,000 steps."""
    from lossband.live.prepare import prepare

    step = np.arange(1.0, 401)
    log = pd.DataFrame({"step": step, "loss": 3 + 5 * step**-0.5})
    if with_lr:
        log["lr"] = lb.schedule("cosine", **PEAK)(step)
    asked = prepare(log, schedule=schedule, **options)
    return asked.ahead.set_index("step")["lr"].iloc[1:], asked.seen


@pytest.mark.parametrize("with_lr", [True, False])
def test_a_run_takes_its_schedule_as_a_table_a_name_or_a_function(with_lr):
    whole = lb.schedule("cosine", **PEAK)
    wanted, _ = ahead(whole, with_lr)
    table, _ = ahead(whole.table(), with_lr)
    function, _ = ahead(lambda step: whole(step), with_lr, until=1000)
    for found in (wanted, table, function):
        np.testing.assert_allclose(found, whole(found.index), rtol=1e-3, atol=1e-8)
    named, seen = ahead("cosine", with_lr, until=1000)
    unit = 1.0 if with_lr else 1 / 2e-3  # without rates in the log they are relative to the peak
    assert named.iloc[0] == pytest.approx(unit * whole(named.index[0]), rel=0.15)
    assert seen["lr"].max() == pytest.approx(unit * 2e-3, rel=1e-4)


def test_a_schedule_that_is_zero_or_ends_early_is_refused():
    with pytest.raises(InputError, match="0 throughout"):
        ahead(pd.DataFrame({"step": [1, 1000], "lr": [0.0, 0.0]}))
    with pytest.raises(InputError, match="before until=2000"):
        ahead(lb.schedule("cosine", **PEAK), until=2000)
    with pytest.raises(InputError, match="needs until="):
        ahead("cosine")
