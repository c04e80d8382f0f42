"""Best inputs: against closed forms and brute force, from posteriors whose draws are given."""

import numpy as np
import pandas as pd
import pytest
from simulated import given_posterior

import lossband as lb
from lossband.model.problem import pose

PLACES = {"params": [1e8, 1e9], "tokens": [4e9, 2e10], "batch": [64, 256, 1024], "lr": [3e-4, 1e-3, 3e-3]}
AT = {"params": 4e8, "tokens": 9e9}


@pytest.fixture(scope="module")
def problem():
    """Any measured losses: the draws are given."""
    grid = pd.MultiIndex.from_product(PLACES.values(), names=PLACES).to_frame(index=False)
    return pose(
        grid.assign(loss=np.linspace(2.5, 2.9, len(grid)), run=range(len(grid))), "batch_rate", drift=None
    )


def sites(problem, count=400, seed=0):
    """Draws with parabolas in ln batch and ln rate, so that the best of both is known."""
    rng = np.random.default_rng(seed)
    fixed = {"E": 1.7, "A": 0.4, "alpha": 0.3, "B": 0.3, "beta": 0.3, "k_lr": 0.02, "k_b": 0.01, "s_lr": 0.0}
    fixed |= {
        "s_b": 0.0,
        "lr_params": -0.6,
        "lr_tokens": 0.2,
        "lr_batch": 0.3,
        "batch_tokens": 0.5,
        "sigma": 1e-4,
    }
    drawn = {name: np.full(count, value) for name, value in fixed.items()}
    drawn["lr_best"] = 1e-3 * np.exp(0.2 * rng.standard_normal(count))
    drawn["batch_best"] = 200 * np.exp(0.3 * rng.standard_normal(count))
    return drawn


def closed_form(problem, drawn, at):
    """Best batch and rate of each draw: the valley's own centre."""
    move = {name: np.log(at[name] / problem.unit.centre[name]) for name in at}
    batch = drawn["batch_best"] * np.exp(drawn["batch_tokens"] * move["tokens"])
    rate = drawn["lr_best"] * np.exp(
        drawn["lr_params"] * move["params"] + drawn["lr_tokens"] * move["tokens"]
    )
    return rate, batch


def test_the_best_of_each_draw_is_the_closed_form(problem):
    drawn = sites(problem)
    best = given_posterior(problem, drawn).optimum(("lr", "batch"), at=AT, bounds={"lr": (1e-5, 1e-1)})
    rate, batch = closed_form(problem, drawn, AT)
    np.testing.assert_allclose(best.draws["batch"], batch, rtol=0.02)
    np.testing.assert_allclose(best.draws["lr"], rate, rtol=0.04)
    assert best.frame.loc["lr", "lo_90"] < np.median(rate) < best.frame.loc["lr", "hi_90"]


def test_over_one_input_the_other_is_held(problem):
    drawn = sites(problem)
    best = given_posterior(problem, drawn).optimum("lr", at=AT | {"batch": 512.0})
    rate, batch = closed_form(problem, drawn, AT)
    np.testing.assert_allclose(best.draws["lr"], rate * (512 / batch) ** 0.3, rtol=1e-3)
    assert best.frame.loc["lr", "near_lo"] < best.frame.loc["lr", "chosen"] < best.frame.loc["lr", "near_hi"]


def test_near_and_regret_are_those_of_the_draws(problem):
    post = given_posterior(problem, sites(problem, 50))
    best = post.optimum(("lr", "batch"), at=AT, within=0.01)
    row = best.valley.sample(1, random_state=1).iloc[0]
    new = pd.DataFrame([{"lr": row.lr, "batch": row.batch, **AT}])
    here = post.draws(new, kind="mean").to_numpy()[:, 0]
    grid = best.valley[["lr", "batch"]].assign(**AT)
    regret = here / post.draws(grid, kind="mean").to_numpy().min(axis=1) - 1
    assert row.regret == pytest.approx(regret.mean(), rel=1e-6, abs=1e-9)
    assert row.near == pytest.approx(np.mean(regret <= 0.01))
    assert best.regret["mean"] == pytest.approx(best.valley.regret.min())


def test_of_given_candidates_the_region_holds_the_best_as_often_as_it_says(problem):
    """Worlds drawn from the posterior itself: the best measured point lies in the 80 % region in 80 % of them."""
    drawn = sites(problem, 2000) | {"sigma": np.full(2000, 0.002)}
    post = given_posterior(problem, drawn)
    points = pd.DataFrame(
        [(a, b) for a in np.geomspace(3e-4, 3e-3, 7) for b in (64, 128, 256, 512)], columns=["lr", "batch"]
    )
    region = post.optimum(("lr", "batch"), at=AT, candidates=points, kind="observation").region(0.8)
    worlds = given_posterior(problem, sites(problem, 2000, seed=1) | {"sigma": drawn["sigma"]})
    measured = worlds.draws(points.assign(**AT)).to_numpy().argmin(axis=1)
    inside = np.isin(measured, region.index).mean()
    assert 0.75 < inside < 0.9 and len(region) < len(points)


def test_a_best_at_the_end_is_said(problem):
    best = given_posterior(problem, sites(problem)).optimum(
        "lr", at=AT | {"batch": 256}, bounds={"lr": (1e-5, 1e-4)}
    )
    assert [note.code for note in best.notes] == ["at-bound"] and "the highest" in str(best.notes[0])
    assert "at-bound" in repr(best) or "Widen bounds=" in repr(best)


@pytest.mark.parametrize(
    ("over", "options", "match"),
    [
        ("speed", {}, "over= names speed"),
        (("lr", "lr"), {}, "each once"),
        ("lr", {"at": {"params": 1e9}}, "a value for each input that over= leaves: params, tokens, batch"),
        ("lr", {"at": AT | {"batch": 256}, "bounds": {"lr": (1e-3, 1e-4)}}, r"expected \(lowest, highest\)"),
        ("lr", {"at": AT | {"batch": 256}, "bounds": {"batch": (1, 2)}}, "bounds= names batch"),
        ("lr", {"at": AT | {"batch": 256}, "within": 0}, "within= got 0"),
        (("lr", "batch"), {"at": AT, "candidates": pd.DataFrame({"lr": [1e-3]})}, "has no column batch"),
        (("params", "tokens", "lr", "batch"), {}, "at most 3"),
    ],
)
def test_what_cannot_be_asked_is_refused(problem, over, options, match):
    with pytest.raises(lb.InputError, match=match):
        given_posterior(problem, sites(problem, 8)).optimum(over, **options)


def test_a_mixture_is_chosen_among_shares_of_one_whole():
    rng = np.random.default_rng(0)
    names = ["proportion_web", "proportion_code", "proportion_books"]
    shares = rng.dirichlet([2, 2, 2], 24)
    worth = 0.2 + shares @ [1.0, 0.6, 0.1]
    runs = pd.DataFrame(shares, columns=names).assign(loss=1.5 + 0.8 * worth**-0.4)
    post = lb.fit(runs, "mixture", drift=None, num_samples=200, seed=0)
    best = post.optimum(names)
    assert (
        best.frame["chosen"].sum() == pytest.approx(1) and best.frame["chosen"].idxmax() == "proportion_web"
    )
    seen = runs[names]
    assert (best.draws.min() >= seen.min() - 1e-9).all() and (best.draws.max() <= seen.max() + 1e-9).all()
    with pytest.raises(lb.InputError, match="chosen together"):
        post.optimum(names[:2], at={names[2]: 0.2})
    ax = best.plot() if len(best.over) <= 2 else None
    assert ax is None


def test_the_valley_is_drawn(problem, tmp_path):
    post = given_posterior(problem, sites(problem))
    for over, at in ((("lr", "batch"), AT), ("lr", AT | {"batch": 256})):
        ax = post.optimum(over, at=at).plot()
        ax.figure.savefig(tmp_path / "valley.png")
        assert (tmp_path / "valley.png").stat().st_size > 5000
    with pytest.raises(lb.InputError, match="one or two"):
        post.optimum(("tokens", "lr", "batch"), at={"params": 1e9}).plot()
