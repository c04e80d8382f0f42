"""The areas under a learning rate.

Closed forms, the published sums, and a schedule that goes on after the fit.
"""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.errors import InputError
from lossband.laws import LAWS, find_law
from lossband.runs.schedule import MEMORY, add_lr_areas


def cosine(steps, peak=3e-4, total=20_000):
    return peak * (0.55 + 0.45 * np.cos(np.pi * steps / total))


@pytest.fixture
def run():
    step = np.arange(100.0, 20_001, 20)
    return pd.DataFrame({"run": "a", "step": step, "lr": cosine(step)})


def test_of_a_constant_learning_rate():
    rows = pd.DataFrame({"tokens": [10.0, 40.0, 20.0], "lr": 0.02})
    areas = add_lr_areas(rows)
    np.testing.assert_allclose(areas["lr_area"], [0.2, 0.8, 0.4], rtol=1e-14)
    np.testing.assert_allclose(areas["lr_mean"], 0.02, rtol=1e-14)


def test_the_area_is_the_integral(run):
    at = run["step"].to_numpy()
    area = 3e-4 * (0.55 * at + 0.45 * 20_000 / np.pi * np.sin(np.pi * at / 20_000))
    np.testing.assert_allclose(
        add_lr_areas(run)["lr_area"], area, rtol=1e-4
    )  # before the first row lr is that row's


def test_the_mean_solves_its_equation(run):
    """d mean / d ln t = (lr - mean) / MEMORY, by central differences."""
    areas = add_lr_areas(run)
    slope = np.gradient(areas["lr_mean"], np.log(areas["step"]))
    wanted = (areas["lr"] - areas["lr_mean"]) / MEMORY
    np.testing.assert_allclose(slope[5:-5], wanted[5:-5], atol=2e-3 * wanted.abs().max())


def test_a_drop_is_forgotten_exponentially():
    t = 1000 * np.exp([-1.0, 0.0, 1e-9, MEMORY, 3 * MEMORY])
    mean = add_lr_areas(pd.DataFrame({"tokens": t, "lr": [1.0, 1.0, 0.0, 0.0, 0.0]}))["lr_mean"]
    np.testing.assert_allclose(mean, [1, 1, 1, np.exp(-1), np.exp(-3)], rtol=1e-6)


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
    law = 2.0 + 0.6 * (whole["lr_area"] / 1e5) ** -0.4 + 120 * whole["lr_mean"]
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
