"""Notes for data that contradict the law: each fires where it must, and is silent on ordinary sweeps."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.evaluation.against import against
from lossband.posterior.ahead import num_levels

QUICK = dict(num_warmup=100, num_samples=100, num_chains=2, progress=False)
ABOUT_DATA = {"rising", "families", "unread", "equal-inputs", "misfit"}


def sweep(seed=0, noise=0.005, sizes=6):
    """A full grid by Chinchilla's law."""
    params, tokens = (
        m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e9, 5e10, 6))
    )
    loss = 1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": loss * np.exp(rng.normal(0, noise, len(loss)))}
    )
    return table.assign(run=[f"r{i}" for i in range(len(table))])


def notes_of(table, law="chinchilla", **options):
    """Code -> text of the notes that speak of the data, and whether the fit may be used as far as they go."""
    health = lb.fit(table, law, **QUICK | dict(drift=None) | options).health
    return {note.code: note.text for note in health.notes if note.code in ABOUT_DATA}, health


def test_an_ordinary_sweep_with_columns_that_mean_nothing_draws_no_note():
    rng = np.random.default_rng(1)
    table = sweep().assign(
        flops=lambda t: 6 * t.params * t.tokens,
        d_model=lambda t: t.params ** (1 / 3),
        seed=lambda t: rng.integers(0, 3, len(t)),
        machine=lambda t: rng.choice(["a", "b"], len(t)),
        dropout=lambda t: rng.uniform(0, 0.3, len(t)),
        other_loss=lambda t: 1.1 * t.loss + rng.normal(0, 0.01, len(t)),
    )
    assert notes_of(table)[0] == {}


def test_an_accuracy_that_is_fitted_as_a_loss_is_said():
    table = sweep().assign(loss=lambda t: 1 - 0.2 * t.loss)
    notes, health = notes_of(table)
    assert "rises with params, tokens" in notes["rising"]
    assert not health.ok


def test_a_loss_that_rises_with_one_input_is_said():
    table = sweep().assign(loss=lambda t: t.loss * (t.params / 1e8) ** 0.3)
    assert "rises with params," in notes_of(table)[0]["rising"]


def test_a_law_that_can_rise_may_be_given_what_rises():
    @lb.law(inputs=("params", "tokens"), name="free")
    def free(runs):
        import jax.numpy as jnp
        import numpyro
        import numpyro.distributions as dist

        level = numpyro.sample("level", dist.Normal(0, 2))
        slope = numpyro.sample("slope", dist.Normal(0, 1).expand([2]).to_event(1))
        return jnp.exp(level + slope[0] * jnp.log(runs.params / 1e8) + slope[1] * jnp.log(runs.tokens / 1e10))

    try:
        assert "rising" not in notes_of(sweep().assign(loss=lambda t: 1 - 0.2 * t.loss), free)[0]
    finally:
        lb.laws.LAWS.pop("free")


@pytest.mark.parametrize("named", [True, False])
def test_two_families_in_one_table_are_said(named):
    both = pd.concat([sweep(0), sweep(1).assign(loss=lambda t: 0.8 * t.loss)], ignore_index=True)
    both = both.assign(run=[f"r{i}" for i in range(len(both))])
    both = both.assign(tokenizer=np.repeat(["ours", "theirs"], 36)) if named else both
    notes, health = notes_of(both)
    assert ("tokenizer parts" if named else "two surfaces 22% apart") in notes["families"]
    assert "unread" not in notes
    assert not health.ok


def test_a_column_that_is_not_read_and_explains_the_residuals_is_said():
    rate = np.random.default_rng(2).permutation(np.geomspace(1e-4, 1e-2, 36))
    table = sweep().assign(lr=rate, loss=lambda t: t.loss * np.exp(0.02 * np.log(t.lr / 1e-3) ** 2 / 4))
    notes, _ = notes_of(table)
    assert notes["unread"].startswith("lr varies") and "families" not in notes


def test_equal_inputs_with_losses_far_apart_are_said():
    again = sweep(1).iloc[:1].assign(loss=lambda t: 1.1 * t.loss, run="again")
    notes, health = notes_of(pd.concat([sweep(), again], ignore_index=True))
    assert "rows 0, 36 have equal inputs" in notes["equal-inputs"]
    assert "misfit" not in notes
    same = pd.concat([sweep(0), sweep(1).assign(run=lambda t: t.run + "b")], ignore_index=True)
    assert notes_of(same)[0] == {}  # seeds that differ as the noise says


def test_rows_outside_their_own_bands_are_said():
    table = sweep()
    third = np.sort(table.params.unique())[2]
    table.loc[table.params == third, "loss"] *= 1.06
    notes, health = notes_of(table, num_samples=200)
    assert f"rows at params {third:.4g} lie inside" in notes["misfit"]
    assert not health.ok


@pytest.fixture(scope="module")
def three_sizes():
    table = sweep()
    return lb.fit(
        table[table.params.isin(np.unique(table.params)[:3])], "chinchilla", drift=None, **QUICK
    ), table


def test_a_forecast_beyond_few_levels_says_so(three_sizes):
    post, table = three_sizes
    ahead = post.predict(table[table.params > 1e8]).attrs
    (note,) = ahead["notes"]
    assert note.startswith("[few-levels] params is forecast") and "3 values" in note
    assert post.predict(post.problem.frame).attrs["notes"] == []


def test_a_forecast_in_other_units_is_said_and_not_ok(three_sizes):
    post, table = three_sizes
    band = post.predict(table.assign(params=table.params / 1e6))
    assert any(note.startswith("[far]") and "params (1e+07" in note for note in band.attrs["notes"])
    assert band.attrs["ok"] is False


def test_a_band_is_as_usable_as_its_fit(three_sizes):
    post, _ = three_sizes
    assert bool(post.predict(post.problem.frame).attrs["ok"]) == post.health.ok


def test_levels_are_counted_with_the_jitter_of_values_read_off_a_figure():
    sizes = np.repeat([1e7, 1e8, 1e9], 5) * np.exp(np.random.default_rng(0).normal(0, 0.01, 15))
    assert num_levels(pd.Series(sizes)) == 3


def hidden(pit, inside=None):
    inside = np.abs(pit - 0.5) < 0.45 if inside is None else inside
    return pd.DataFrame({"run": [f"r{i}" for i in range(len(pit))], "pit": pit, "inside_90": inside})


def codes(frame):
    return {note.code for note in against(frame, "90")}


def test_misses_all_on_one_side_are_said():
    pit = np.random.default_rng(0).uniform(0.1, 0.9, 30)
    assert codes(hidden(pit)) == set()
    assert "one-sided" in codes(hidden(np.where(np.arange(30) < 9, 0.01, pit)))
    both = np.where(np.arange(30) < 9, np.where(np.arange(30) % 2, 0.01, 0.99), pit)
    assert codes(hidden(both)) == {"narrow"}


def test_a_mean_pit_far_from_one_half_is_said():
    """All inside, and all in the lowest fifth."""
    pit = np.linspace(0.06, 0.2, 12)
    assert codes(hidden(pit)) == {"one-sided"}
    assert codes(hidden(pit).assign(run="one")) == set()  # one run is one piece of evidence


def test_calibrated_backtests_are_seldom_noted():
    rng = np.random.default_rng(0)
    noted = sum(bool(codes(hidden(rng.uniform(size=25)))) for _ in range(400))
    assert noted <= 400 * 0.02 + 3 * np.sqrt(400 * 0.02)


def test_a_backtest_beyond_few_levels_says_so_and_a_biased_one_is_not_ok():
    table = sweep(sizes=5)
    test = lb.backtest(table, "chinchilla", drift=None, hide=2, **QUICK)
    assert [note.code for note in test.notes] == ["few-levels"] and test.ok
    frame = test.frame.assign(pit=0.01, inside_90=False)
    assert not replace(test, frame=frame).ok
