"""Simulation-based calibration in small.

Uniform where all belongs together, and not where the noise is another one.
"""

import numpy as np
import pytest

from benchmarks import simulate
from benchmarks.simulate import Case

SIMS = 40  # two of the batches that the tests of recovery compile their programs for


@pytest.fixture(scope="module")
def right():
    return simulate.study(Case("power"), SIMS)


def test_ranks_and_bands_of_the_right_model(right):
    ranks, cases = simulate.report({"power": right})
    assert set(ranks.site) == {"E", "A", "alpha", "sigma"}
    assert (ranks.p_corrected > 0.01).all()
    assert (
        max(right["rhat"]) < 1.05 and min(right["ess"]) > 2 * simulate.THINNED
    )  # ranks are nearly independent
    # the four rows of one data set share its luck: at worst as much evidence as one row
    assert abs(cases.c90.item() - 0.9) < 4 * np.sqrt(0.09 / SIMS)


def test_the_alarm_rings_for_another_noise():
    """Normal data under Student-t noise: the scale is found too small, and so is its rank."""
    wrong = simulate.study(Case("power", "normal"), SIMS, fitted=Case("power"))
    ranks, _ = simulate.report({"wrong": wrong})
    row = ranks.set_index("site").loc["sigma"]
    assert row.p_corrected < 0.01 and row.mean_rank > 0.6


def test_a_simulated_table_keeps_its_unit_and_its_order():
    problem = Case("chinchilla", "student-t+run", "default").pose()
    made, truth, future = simulate.simulate(problem, 3, seed=1)
    assert {"E", "A", "alpha", "B", "beta", "sigma", "sigma_run", "tau"} == set(truth)
    assert future.shape == (3, len(simulate.REACH)) and len({p.frame.loss.iloc[0] for p in made}) == 3
    for simulated in made:
        assert simulated.unit is problem.unit and simulated.measured.drift is problem.measured.drift
        rows = len(problem.frame)
        np.testing.assert_allclose(
            simulated.measured.log_loss[:rows], np.log(simulated.frame.loss.to_numpy()[problem.order])
        )
        assert (simulated.measured.log_loss[rows:] == 0).all()


def test_uniformity_by_hand():
    assert simulate.uniformity(np.repeat(np.arange(64), 10)) == pytest.approx(1.0)
    assert simulate.uniformity(np.repeat(np.arange(32), 20)) < 1e-10  # never above the middle
    assert simulate.uniformity([0, 63] * 200) < 1e-10  # too narrow a posterior: the truth at the ends
    rng = np.random.default_rng(0)
    p = [simulate.uniformity(rng.integers(0, 64, 500)) for _ in range(400)]
    assert abs(np.mean(np.array(p) < 0.1) - 0.1) < 4 * np.sqrt(0.09 / 400)


def test_holm_by_hand():
    np.testing.assert_allclose(simulate.corrected([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(simulate.corrected([0.9, 0.5]), [1.0, 1.0])


def test_parts_of_a_case_are_joined():
    part = {
        "ranks": {"a": [1, 2]},
        "pit": [[0.5] * 4, [0.99] * 4],
        "rhat": [1.0, 1.2],
        "ess": [500.0, 300.0],
        "divergences": [0, 3],
    }
    ranks, cases = simulate.report({"x": simulate.merged([part] * 10)})
    assert ranks.sims.item() == 20 and ranks.mean_rank.item() == pytest.approx(1.5 / 63)
    assert (cases.c90.item(), cases.c95.item(), cases.rhat_max.item(), cases.divergences.item()) == (
        0.5,
        0.5,
        1.2,
        30,
    )


def test_every_law_and_noise_has_a_case():
    names = {str(case) for case in simulate.default_cases()}
    assert {f"{law}/student-t/none" for law in simulate.LAWS} <= names
    assert {f"chinchilla/{noise}/none" for noise in simulate.NOISES} <= names
    assert "coupled/student-t/default" in names
