"""Families that are pooled and evaluation sets that are fitted together."""

import numpy as np
import pandas as pd
import pytest

import lossband as lb

QUICK = dict(num_samples=250, drift=None, progress=False)
TRUTH = {"code": (0.5, 0.35, 0.9), "web": (0.8, 0.30, 1.8), "wiki": (0.9, 0.28, 2.0)}


def law(family, params, tokens):
    """Chinchilla's law, each family with its own scale, exponent and floor."""
    A, alpha, floor = TRUTH[family]
    return floor + A * (params / 1e8) ** -alpha + 0.4 * (tokens / 1e10) ** -0.3


def inputs(seed, rows, largest=9.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"params": 10 ** rng.uniform(7, largest, rows), "tokens": 10 ** rng.uniform(9, 11, rows)}
    )


@pytest.fixture(scope="module")
def table():
    """Thirty rows of two families and seven of a third."""
    parts = []
    for seed, (name, rows) in enumerate({"web": 30, "code": 30, "wiki": 7}.items()):
        part = inputs(seed, rows)
        noise = np.random.default_rng(seed + 9).normal(0, 0.004, rows)
        parts.append(part.assign(family=name, loss=law(name, part["params"], part["tokens"]) * np.exp(noise)))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def pooled(table):
    return lb.fit(table, "chinchilla", pool="family", **QUICK)


@pytest.fixture(scope="module")
def wide():
    """Forty runs with three losses, which share an effect of the run of 1 % and have a noise of .4 % each."""
    table, rng = inputs(5, 40), np.random.default_rng(6)
    effect = rng.normal(0, 0.01, len(table))
    losses = {
        name: law(name, table["params"], table["tokens"]) * np.exp(effect + rng.normal(0, 0.004, len(table)))
        for name in TRUTH
    }
    return table.assign(**losses)


@pytest.fixture(scope="module")
def sets(wide):
    return lb.fit(wide, "chinchilla", targets=list(TRUTH), **QUICK)


def test_each_family_has_a_curve_of_its_own(pooled):
    new = pd.DataFrame({"params": 1e10, "tokens": 2e11, "family": list(TRUTH)})
    band = pooled.predict(new, kind="mean")
    truth = [law(name, 1e10, 2e11) for name in TRUTH]
    assert ((band["lo_95"] < truth) & (truth < band["hi_95"])).all()


def test_the_small_family_borrows_from_the_others(pooled, table):
    few = table[table.family == "wiki"].drop(columns="family")
    alone = lb.fit(few, "chinchilla", **QUICK)
    row = pd.DataFrame({"params": [1e10], "tokens": [2e11]})
    both = alone.predict(row), pooled.predict(row.assign(family="wiki"))
    width = [float(band["hi_90"][0] - band["lo_90"][0]) for band in both]
    assert width[1] < 0.6 * width[0]


def test_a_pooled_fit_is_saved_with_its_families(pooled, table, tmp_path):
    again = lb.load(pooled.save(tmp_path / "pooled.nc"))
    few = table[::9]
    assert np.array_equal(again.draws(few), pooled.draws(few))


def test_a_family_goes_by_its_name_whatever_the_order_of_the_rows(pooled, table):
    mixed = lb.fit(table.sample(frac=1, random_state=0), "chinchilla", pool="family", **QUICK)
    new = pd.DataFrame({"params": 1e9, "tokens": 2e10, "family": ["wiki", "code"]})
    np.testing.assert_allclose(mixed.predict(new)["median"], pooled.predict(new)["median"], rtol=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(family="books"), "no row of the family books was fitted"),
        (lambda t: t.drop(columns="family"), "Say whose curve"),
    ],
)
def test_new_rows_of_no_family_are_refused(pooled, table, change, words):
    with pytest.raises(lb.InputError, match=words):
        pooled.predict(change(table))


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        (lambda t: t, "recipe", "no column of the table"),
        (lambda t: t[t.family == "web"], "family", "nothing to pool"),
        (lambda t: t.assign(group=t["family"].where(t["params"] > 2e7)), "group", "rows have no group"),
    ],
)
def test_what_cannot_be_pooled_is_refused(table, change, column, words):
    with pytest.raises(lb.InputError, match=words):
        lb.fit(change(table), "chinchilla", pool=column)


def test_every_set_is_forecast_in_its_place(sets):
    new = inputs(7, 5)
    band = sets.predict(new)
    assert list(band["metric"]) == sorted(TRUTH) * 5
    truth = [law(name, *row) for row in new.to_numpy() for name in sorted(TRUTH)]
    inside = (band["lo_95"] < truth) & (truth < band["hi_95"])
    assert inside.mean() > 0.8
    one = sets.predict(new.assign(metric="code"))
    np.testing.assert_allclose(one["median"], band.query("metric == 'code'")["median"], rtol=0.01)


def test_the_sets_of_a_run_move_together_and_so_does_their_mean(sets):
    new = inputs(8, 1)
    drawn = sets.draws(new).to_numpy()
    correlation = np.corrcoef(np.log(drawn).T)[np.triu_indices(3, 1)]
    assert (correlation > 0.7).all()  # 1 % shared beside .4 % of each alone: .86
    macro = sets.macro().draws(new).to_numpy()[:, 0]
    assert macro.std() > 1.3 * np.sqrt(drawn.var(axis=0).sum()) / 3  # what independence would say


def test_a_macro_average_is_the_weighted_mean_of_the_sets(sets):
    new = inputs(9, 4)
    weights = {"code": 3, "web": 1}
    band = sets.macro(weights).predict(new, kind="mean")
    each = sets.draws(new, kind="mean").to_numpy().reshape(-1, 4, 3)  # code, web, wiki
    by_hand = (3 * each[..., 0] + each[..., 1]) / 4
    np.testing.assert_allclose(band["mean"], by_hand.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(band["hi_90"], np.quantile(by_hand, 0.95, axis=0), rtol=1e-9)
    real = new.assign(**{name: law(name, new["params"], new["tokens"]) for name in TRUTH})
    assert sets.macro(weights).gap(real)["inside_90"].mean() > 0.7


def test_a_long_table_is_the_wide_one(sets, wide):
    long = wide.melt(["params", "tokens"], list(TRUTH), "metric", "loss")
    post = lb.fit(long, "chinchilla", targets="metric", **QUICK)
    new = inputs(10, 3)
    np.testing.assert_allclose(post.predict(new)["median"], sets.predict(new)["median"], rtol=0.003)
    assert list(post.predict(long[:4])["metric"]) == list(long["metric"][:4])


def test_sets_are_saved_as_sets(sets, tmp_path):
    again = lb.load(sets.save(tmp_path / "sets.nc"))
    new = inputs(11, 2)
    assert np.array_equal(again.macro().draws(new), sets.macro().draws(new))


@pytest.mark.parametrize(
    ("change", "targets", "words"),
    [
        (lambda w: w, ["web", "cod"], "did you mean 'code'"),
        (lambda w: w, ["web"], "two columns or more"),
        (lambda w: w, "web", "expected a list of two columns or more"),
        (lambda w: w, "metric", "no column 'metric'"),
        (
            lambda w: w.melt(["params", "tokens"], list(TRUTH), "metric", "loss")[1:],
            "metric",
            "without one of the sets",
        ),
    ],
)
def test_sets_that_are_not_there_are_refused(wide, change, targets, words):
    with pytest.raises(lb.InputError, match=words):
        lb.fit(change(wide), "chinchilla", targets=targets)


@pytest.mark.parametrize("weights", [{"web": 1, "book": 1}, {"web": -1}, {"web": 0}, [1, 2, 3]])
def test_weights_of_other_sets_are_refused(sets, weights):
    with pytest.raises(lb.InputError, match="weights="):
        sets.macro(weights)
