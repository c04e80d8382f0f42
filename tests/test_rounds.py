"""Rounds of draws: chains that did not mix draw again, smaller steps and more of them; others keep what they have."""

import functools

import numpy as np
import pytest

import lossband as lb
from lossband.inference import rounds as rounds_of
from lossband.inference.nuts import CAREFUL, KEEP, TUNE, Chains, whitened
from lossband.inference.rounds import BLOCK, finished, rounds
from lossband.inference.sampler import Sampler
from lossband.posterior.health import convergence, mixed

SAMPLER = Sampler(num_warmup=BLOCK, num_samples=2 * BLOCK, num_chains=4)


class Bar:
    """A progress bar that counts."""

    def __init__(self):
        self.moved, self.said = 0, []

    def update(self):
        self.moved += 1

    def set_description(self, text):
        self.said.append(text)


class Tables:
    """Chains of tables that draw noise; `slow` tables, and those that diverge, do so in their first round only."""

    def __init__(self, *kinds, mended=True):
        self.kinds, self.mended, self.rng, self.asked = kinds, mended, np.random.default_rng(0), []
        self.offset = {"slow": 0.4, "apart": 3.0}

    def draw(self, chains, adapt, length):
        self.asked.append(int(adapt))
        again = self.mended and CAREFUL in self.asked
        position = self.rng.normal(size=(len(self.kinds), 4, length, 2))
        diverging = np.zeros(position.shape[:3], bool)
        for i, kind in enumerate(self.kinds):
            if not again:
                position[i] += self.offset.get(kind, 0.0) * np.arange(4)[:, None, None]
            diverging[i, 0, 0] = kind == "diverges" and not again
        weights = np.full((*position.shape[:3], 1), len(self.asked))
        return chains, dict(position=position, weights=weights, diverging=diverging)

    @staticmethod
    def finish(position, weights):
        return {"alpha": position[..., 0], "beta": position[..., 1]}, weights

    def answer(self, sampler=SAMPLER):
        bar, count = Bar(), len(self.kinds)
        chains = Chains(*[None] * 6, centre=np.zeros((count, 2)), factor=np.tile(np.eye(2), (count, 1, 1)))
        gather = functools.partial(finished, self.finish, sampler.num_samples)
        return rounds(self.draw, gather, chains, sampler, bar), bar


def test_chains_that_mixed_draw_once():
    tables = Tables("good", "good")
    (stats, *_), bar = tables.answer()
    assert CAREFUL not in tables.asked
    assert stats["position"].shape == (2, 4, SAMPLER.num_samples, 2)
    assert bar.moved == 3  # a block of warm-up and two of draws


@pytest.mark.parametrize("kind", ["slow", "diverges"])
def test_chains_that_did_not_mix_draw_again_and_the_others_keep_their_draws(kind):
    tables = Tables("good", kind)
    (stats, (sites, weights), found), bar = tables.answer()
    assert tables.asked == [TUNE, KEEP, KEEP, CAREFUL, *[KEEP] * 4]
    rhat, ess = convergence({name: each[1] for name, each in sites.items()})
    assert mixed(rhat, ess, stats["diverging"][1])
    assert (found["rhat"][1], found["ess"][1]) == (rhat, ess)
    assert weights[0].max() == 3 and weights[1].min() > 4  # by the number of the block
    assert stats["position"].shape == (2, 4, SAMPLER.num_samples, 2)
    assert bar.moved == 3 and "drawing again" in bar.said


def test_chains_that_never_mix_end():
    tables = Tables("slow", mended=False)
    tables.answer()
    assert tables.asked.count(CAREFUL) == 2
    assert tables.asked.count(KEEP) == 2 * (1 + 2 + 4)


def test_chains_that_stand_apart_do_not_draw_again():
    tables = Tables("apart", "good")
    tables.answer()
    assert CAREFUL not in tables.asked


def test_a_fit_by_effective_draws_goes_by_them_alone():
    tables = Tables("slow")
    tables.answer(Sampler(num_warmup=BLOCK, num_samples=2 * BLOCK, num_chains=4, until_ess=1e9))
    assert CAREFUL not in tables.asked


def test_thinned_draws_are_the_first_of_each_group_and_diverged_if_any_did():
    number = np.arange(12.0).reshape(1, 1, 12, 1)
    diverging = (number[..., 0] == 4) | (number[..., 0] == 11)
    block = dict(position=number, weights=number, diverging=diverging)
    stats, (sites, _) = finished(lambda position, weights: ({"a": position[..., 0]}, weights), 3, [block], 4)
    assert stats["position"].ravel().tolist() == sites["a"].ravel().tolist() == [0, 4, 8]
    assert stats["diverging"].ravel().tolist() == [False, True, True]


@pytest.mark.parametrize(("count", "diverged"), [(1000, 3), (250, 1)])
def test_how_many_may_diverge_goes_by_the_number_of_draws(count, diverged):
    sites = {"alpha": np.random.default_rng(1).normal(size=(4, count))}
    diverging = np.zeros((4, count), bool)
    diverging[0, : diverged - 1] = True
    assert mixed(*convergence(sites), diverging)
    diverging[0, :diverged] = True
    assert not mixed(*convergence(sites), diverging)


def test_the_space_is_whitened_by_the_draws_and_stays_where_they_have_no_width():
    rng = np.random.default_rng(2)
    truth = np.array([[2.0, 0.0], [1.5, 0.3]])
    draws = np.stack([rng.normal(size=(4, 2000, 2)) @ truth.T + 5, np.zeros((4, 2000, 2))])
    before = Chains(*[None] * 6, centre=np.ones((2, 2)), factor=np.tile(np.eye(2), (2, 1, 1)))
    after = whitened(before, draws)
    np.testing.assert_allclose(after.factor[0], truth, atol=0.06)
    np.testing.assert_allclose(after.centre[0], 5, atol=0.1)
    assert np.array_equal(after.factor[1], np.eye(2)) and np.array_equal(after.centre[1], [1, 1])


def test_a_further_round_takes_smaller_steps_and_finds_the_same_posterior(monkeypatch, grid):
    said = []

    def watched(*about):
        said.append(mixed(*about) if said else False)
        return said[-1]

    options = dict(law="chinchilla", drift=None, num_chains=4, progress=False)
    plain = lb.fit(grid, **options)
    monkeypatch.setattr(rounds_of, "mixed", watched)
    again = lb.fit(grid, **options)
    assert said == [False, True]
    assert again.health.divergences == 0 and again.health.rhat_max < 1.01
    assert again.health.steps > plain.health.steps  # smaller steps
    one, other = (post.summary()["median"] for post in (plain, again))
    width = plain.summary()["hi_90"] - plain.summary()["lo_90"]
    assert (abs(one - other) < 0.1 * width).all()


@pytest.mark.parametrize("count", [30, 105, 130, 250])
def test_tables_that_draw_again_keep_as_much_as_the_others(monkeypatch, grid, count):
    options = dict(law="chinchilla", drift=None, num_warmup=100, num_samples=count, progress=False)
    plain = lb.fit(grid, **options)
    monkeypatch.setattr(rounds_of, "mixed", lambda *about: False)
    again = lb.fit(grid, **options)
    (one,), (other,) = (post.fits.values() for post in (plain, again))
    for site, draws in one.sites.items():
        assert other.sites[site].shape == draws.shape, site
    assert other.log_density.shape == one.log_density.shape
