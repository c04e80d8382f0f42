"""What past sweeps teach: closed forms of the population, and a round from sweeps to bands and files."""

from dataclasses import replace

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import lossband as lb
from lossband.evaluation.learn import predictive
from lossband.evaluation.splits import KINDS, cuts
from lossband.laws import LAWS
from lossband.laws.priors import Learnt, prior_from, prior_spec

QUICK = dict(num_samples=60, num_chains=2, num_warmup=100, method="laplace", progress=False)


def sweep(seed, alpha=0.34, noise=0.002, sizes=4):
    """A sweep of Chinchilla's law with an exponent of its own."""
    rng = np.random.default_rng(seed)
    params, tokens = (
        m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e9, 5e10, 4))
    )
    loss = 1.69 + 0.4 * (params / 1e8) ** -alpha + 0.5 * (tokens / 7e9) ** -0.28
    return pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": loss * np.exp(rng.normal(0, noise, len(params)))}
    )


def test_the_predictive_of_many_sweeps_is_their_population():
    """Sixty sweeps drawn from Normal(-.6, .4), each seen with error, under a wide prior: known in closed form."""
    rng, width, error = np.random.default_rng(0), 2.0, 0.3
    seen = rng.normal(-0.6, 0.4, 60) + rng.normal(0, error, 60)
    precision = 1 / width**2 + 1 / error**2
    draws = [rng.normal(y / error**2 / precision, precision**-0.5, 400) for y in seen]
    mean, sd = predictive(draws, width, np.ones(60))
    assert mean == pytest.approx(seen.mean(), abs=0.04)
    assert sd == pytest.approx(np.sqrt(seen.var() - error**2), abs=0.08)


def test_two_sweeps_leave_a_prior_wide_and_sixty_make_it_narrow():
    rng = np.random.default_rng(1)
    draws = [rng.normal(0.5, 0.1, 400) for _ in range(60)]
    (_, two), (_, sixty) = predictive(draws[:2], 1.0, [1, 1]), predictive(draws, 1.0, [1] * 60)
    assert sixty < 0.2 < 0.4 < two


def test_sweeps_that_say_nothing_leave_the_prior_where_it_is():
    rng = np.random.default_rng(2)
    mean, sd = predictive([rng.normal(0, 1.0, 400) for _ in range(3)], 1.0, [1, 1, 1])
    assert abs(mean) < 0.15 and 0.8 < sd < 1.5


def test_a_group_counts_once():
    rng = np.random.default_rng(3)
    one, other = rng.normal(1.0, 0.05, 400), rng.normal(-1.0, 0.05, 400)
    mean, _ = predictive([one, one, one, other], 1.0, [1 / 3, 1 / 3, 1 / 3, 1])
    assert abs(mean) < 0.1 < predictive([one, one, one, other], 1.0, [1, 1, 1, 1])[0]


def test_a_learnt_prior_moves_the_laws_own_and_is_saved_by_its_numbers():
    prior = Learnt(0.3, 0.2)
    moved = prior.of(dist.LogNormal(1.0, 0.9))
    assert (float(moved.loc), float(moved.scale)) == pytest.approx((1.3, 0.2))
    assert prior_from(prior_spec(prior)) == prior
    with pytest.raises(lb.InputError, match="log-normal"):
        prior.of(dist.Beta(2.0, 5.0))


def test_a_prior_named_by_the_simpler_law_is_that_laws_alone():
    law = LAWS["capped"].with_priors(**{"alpha": Learnt(0.1, 0.2), "coupled.E": Learnt(0.5, 0.1)})
    assert law.simplest().priors == {"alpha": Learnt(0.1, 0.2), "E": Learnt(0.5, 0.1)}
    assert {"alpha", "E"} <= set(law.sites)  # and the law itself runs


def test_splits_hide_by_level_and_never_by_loss():
    rows = sweep(0, sizes=8)
    found = {kind: (train, hidden) for kind, train, hidden in cuts(rows)}
    assert tuple(found) == KINDS
    shuffled = rows.assign(loss=rows.loss.to_numpy()[::-1])
    for kind, train, _ in cuts(shuffled):
        assert list(train.index) == list(found[kind][0].index)
    assert (
        found["few"][0].params.nunique() == 3
        and found["size"][1].params.min() > found["size"][0].params.max()
    )


@pytest.fixture(scope="module")
def past():
    sweeps = {f"alpha {a}": sweep(i, a) for i, a in enumerate((0.22, 0.3, 0.4))}
    return sweeps, lb.learn(sweeps, "chinchilla", num_samples=60, method="laplace", progress=False)


def test_a_population_says_what_the_sweeps_had_in_common(past):
    sweeps, found = past
    assert found.law == "chinchilla" and [s["name"] for s in found.sweeps] == list(sweeps)
    assert set(found.priors) == {"E", "A", "alpha", "B", "beta"}
    assert all(0 < prior.width for prior in found.priors.values())
    assert found.priors["beta"].width < 0.45  # all three have beta .28; its own prior is .45 wide
    assert found.sigma[1] < 1.2 and found.sigma[0] < 0.03  # they scatter by .2 % of loss
    assert found.drift.tau[0] < 0.15  # and follow the law
    assert "3 sweeps" in str(found) and "alpha" in str(found)


def test_a_population_is_read_as_it_was_written(past, tmp_path):
    found = past[1]
    found.save(tmp_path / "past.json")
    assert lb.Population.load(tmp_path / "past.json") == found
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(lb.InputError, match="no population"):
        lb.Population.load(tmp_path / "none.json")


def test_bands_under_a_population_are_narrower_and_hold_the_next_sweep(past, tmp_path):
    found, rows = past[1], sweep(9, 0.34)
    kept = rows.params * rows.tokens <= 1e18
    plain, taught = (lb.fit(rows[kept], "chinchilla", **QUICK), lb.fit(rows[kept], population=found, **QUICK))
    hidden = rows[~kept]
    bands = [post.predict(hidden, levels=(0.9,)) for post in (plain, taught)]
    widths = [np.mean(np.log(band.hi_90 / band.lo_90)) for band in bands]
    spreads = [np.std(np.log(post.sites["beta"])) for post in (plain, taught)]  # all past sweeps had beta .28
    assert widths[1] < widths[0] and spreads[1] < 0.8 * spreads[0]
    assert (
        np.mean((bands[1].lo_90 <= hidden.loss.to_numpy()) & (hidden.loss.to_numpy() <= bands[1].hi_90))
        > 0.75
    )
    taught.save(tmp_path / "taught.nc")
    again = lb.load(tmp_path / "taught.nc")
    pd.testing.assert_frame_equal(again.predict(hidden), taught.predict(hidden))


def test_what_cannot_be_is_refused(past):
    found, rows = past[1], sweep(0)
    with pytest.raises(lb.InputError, match="at least two"):
        lb.learn([rows])
    with pytest.raises(lb.InputError, match="label"):
        lb.learn([rows, rows], groups=["one"])
    with pytest.raises(lb.InputError, match="chinchilla"):
        lb.fit(rows, "kaplan", population=found, **QUICK)
    with pytest.raises(lb.InputError, match="drift"):
        lb.fit(rows, population=found, drift=None, **QUICK)
    other = replace(found, drift=lb.Drift())
    assert other.applied(None, "normal", "default")[1].sigma == found.sigma[0]
