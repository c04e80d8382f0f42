"""The next run: the Gaussian case in closed form, and what it says of a real fit."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.planning.next_run import observed
from lossband.posterior.identifiability import reduction_of

GRID = pd.DataFrame(
    [(N, D) for N in np.geomspace(1e7, 1e10, 4) for D in np.geomspace(1e9, 1e12, 4)],
    columns=["params", "tokens"],
)
FAR = {"params": 1e10, "tokens": 2e11}


def test_a_reduction_is_the_conjugate_normal_s():
    """q and y of a line with known noise: the posterior covariance by adding precisions instead."""
    rng = np.random.default_rng(0)
    prior = np.cov(rng.normal(size=(3, 50)))
    x = rng.normal(size=(4, 3))  # what the target and three candidates read of the coefficients
    joint, noise = x @ prior @ x.T, 0.3
    for c in range(1, 4):
        after = np.linalg.inv(np.linalg.inv(prior) + np.outer(x[c], x[c]) / noise)
        np.testing.assert_allclose(observed(joint, c, noise), x @ after @ x.T)
        np.testing.assert_allclose(reduction_of(joint, noise)[c - 1], joint[0, 0] - x[0] @ after @ x[0])


def test_a_batch_is_greedy_and_adds_up(plain_post):
    found = lb.next_run(plain_post, GRID, target=FAR, count=3)
    assert len(found.chosen) == 3 and found.candidates["chosen"].sum() == 3
    assert found.chosen.index[0] == found.candidates.index[0] and not found.chosen.index.has_duplicates
    after = found.sd * np.sqrt(1 - found.chosen["reduction"].cumsum())
    np.testing.assert_allclose(found.chosen["sd_after"], after)
    assert (found.chosen["sd_after"].diff().dropna() < 0).all()
    assert found.sd == pytest.approx(
        np.log(plain_post.draws(pd.DataFrame([FAR]), kind="mean")).std("sample").item(), rel=1e-3
    )
    assert "target's sd now" in repr(found)


def test_a_run_at_the_target_leaves_what_its_noise_hides(plain_post):
    """var q = v before, v s^2 / (v + s^2) after, with s^2 the inverse Fisher information of a Student-t with 4 degrees of freedom."""
    found = lb.next_run(plain_post, pd.DataFrame([FAR]), target=FAR)
    noise = 7 / 5 * np.mean(plain_post.sites["sigma"] ** 2)
    assert found.chosen["reduction"].iloc[0] == pytest.approx(found.sd**2 / (found.sd**2 + noise))


def test_cost_turns_the_choice(plain_post):
    free, dear = (lb.next_run(plain_post, GRID, target=FAR, cost=c).chosen.iloc[0] for c in (None, "6ND"))
    assert dear["cost"] == 6 * dear["params"] * dear["tokens"] < 6 * free["params"] * free["tokens"]
    hours = lb.next_run(
        plain_post, GRID.assign(hours=1 + np.arange(16)), target=FAR, cost="hours", budget=4.5, count=9
    )
    assert hours.chosen["cost"].sum() <= 4.5


def test_targets_of_all_three_forms(plain_post):
    size = np.log(plain_post.optimal(1e22).draws["params"].to_numpy()[:, 0])
    named, given = (lb.next_run(plain_post, GRID, target=t) for t in ({"flops": 1e22}, size))
    pd.testing.assert_frame_equal(named.candidates, given.candidates)
    assert named.sd == pytest.approx(size.std(ddof=1))


def test_with_a_drift_far_runs_tell_of_far_losses(default_post):
    """The drift's path is shared: a run near the target tells of its departure from the law.

    One at the centre of the data does not.
    """
    rows = pd.DataFrame([{"params": 8e9, "tokens": 1.5e11}, {"params": 1e8, "tokens": 7e9}])
    near, centre = lb.next_run(default_post, rows, target=FAR).candidates.sort_index()["reduction"]
    assert near > 0.5 and centre < 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": np.zeros(3)}, "expected a finite one for each of the 4000 draws"),
        ({"target": FAR, "budget": 0.5}, "no candidate costs 0.5 or less"),
        ({"target": FAR, "cost": "hours"}, "expected '6ND' or '6NDT'"),
        ({"target": {"params": 1e9}}, "no column 'tokens'"),
    ],
)
def test_what_cannot_be_answered_is_refused(plain_post, given, message):
    with pytest.raises(lb.InputError, match=message):
        lb.next_run(plain_post, GRID, **given)
