"""The benchmark of forecasts: overconfidence shows, honesty shows, and what is no forecast is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

import lossband as lb
from lossband.evaluation import public
from lossband.evaluation.splits import KINDS, cuts, splits_of

NOISE, LEVELS = 0.02, (0.05, 0.25, 0.5, 0.75, 0.95)


def law(rows):
    return 1.69 + 406.4 * rows["params"] ** -0.34 + 410.7 * rows["tokens"] ** -0.28


def sweep(seed, sizes=8):
    params, tokens = (
        m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e9, 5e10, 7))
    )
    rows = pd.DataFrame({"params": params, "tokens": tokens})
    return rows.assign(loss=law(rows) * np.exp(np.random.default_rng(seed).normal(0, NOISE, len(rows))))


def rival(scale):
    """Knows the law, and claims its noise to be `scale` times what it is."""

    def forecast(train, new):
        unit = np.random.default_rng(len(train)).normal(size=(2000, len(new)))
        return law(new).to_numpy() * np.exp(scale * NOISE * unit)

    return forecast


def quantiles(train, new):
    """The honest rival's quantiles."""
    return pd.DataFrame({str(q): law(new) * np.exp(NOISE * norm.ppf(q)) for q in LEVELS})


@pytest.fixture(scope="module")
def data():
    return {f"sim{i}": sweep(i) for i in range(6)}


@pytest.fixture(scope="module")
def honest(data):
    return lb.benchmark(rival(1.0), data=data)


def total(result):
    return result.table.set_index("part").loc["all"]


def test_an_honest_rival_is_covered_as_it_says(honest):
    of = total(honest)
    rows = honest.frame["rows"].sum() / 5  # a row stands in up to five splits
    for level in (0.5, 0.8, 0.9, 0.95):
        error = np.sqrt(level * (1 - level) / rows)
        assert of[f"c{100 * level:g}"] == pytest.approx(level, abs=4 * error)
    assert of["pit"] == pytest.approx(0.5, abs=4 * 12**-0.5 / np.sqrt(rows))
    assert of["below"] + of["above"] == pytest.approx(1 - of["c90"])
    assert of["c90_lo"] <= of["c90"] <= of["c90_hi"]


def test_an_overconfident_rival_shows(data, honest):
    of = total(lb.benchmark(rival(0.3), data=data))
    assert of["c90"] == pytest.approx(2 * norm.cdf(0.3 * norm.ppf(0.95)) - 1, abs=0.06)  # .38
    assert of["log_score"] < total(honest)["log_score"]
    assert of["crps"] > total(honest)["crps"]


def test_a_biased_rival_misses_to_one_side(data):
    of = total(lb.benchmark(lambda train, new: 1.05 * rival(1.0)(train, new), data=data))
    assert of["below"] > 0.5 and of["above"] < 0.01 and of["pit"] < 0.1


def test_quantiles_and_draws_agree(data, honest):
    other = lb.benchmark(quantiles, data=data)
    columns = ["c50", "c90", "pit", "crps", "log_score"]
    np.testing.assert_allclose(
        other.frame[columns].mean(), honest.frame[columns].mean(), rtol=0.02, atol=0.005
    )


def test_the_log_score_of_draws_is_a_student_t_around_them(data):
    """Draws at the quantiles of one normal: the t with the same median and 90 % interval, written out."""
    name, rows = "sim0", data["sim0"]
    (split,) = splits_of({name: rows}, kinds=("near",))
    (scored,) = lb.benchmark(quantiles, data={name: rows}, kinds=("near",)).frame["log_score"]
    scale = NOISE * norm.ppf(0.95) / t.ppf(0.95, 4)
    residual = np.log(split.hidden["loss"]) - np.log(law(split.hidden))
    assert scored == pytest.approx(t.logpdf(residual, 4, 0, scale).mean(), abs=1e-3)


def test_a_posterior_is_scored_by_its_exact_mixture(data):
    options = dict(drift=None, num_warmup=200, num_samples=200, num_chains=2, progress=False)
    kept = []

    def ours(train, new):
        assert "loss" not in new
        kept.append(lb.fit(train, "chinchilla", **options))
        return kept[-1]

    result = lb.benchmark(ours, data={"sim0": data["sim0"]}, kinds=("near",))
    (split,) = splits_of({"sim0": data["sim0"]}, kinds=("near",))
    exact = kept[0].log_score(split.hidden) + np.log(split.hidden["loss"])
    assert result.frame["log_score"].item() == pytest.approx(exact.mean())
    assert result.frame["c90"].item() > 0.7


def test_crps_over_plain_is_the_geometric_mean_over_sets(data):
    two = {name: data[name] for name in ("sim0", "sim1")}
    result = lb.benchmark(rival(1.0), data=two, kinds=("size",), plain=True)
    ratio = result.frame["crps"] / result.frame["crps_plain"]
    assert total(result)["crps_ratio"] == pytest.approx(np.exp(np.log(ratio).mean()))
    assert 0.3 < total(result)["crps_ratio"] < 1.3
    assert total(result)["crps_ratio_lo"] <= total(result)["crps_ratio"] <= total(result)["crps_ratio_hi"]


def test_every_set_weighs_the_same_and_groups_are_drawn_whole(data):
    few = {"sim0": data["sim0"], "small": sweep(9, sizes=4)}  # four sizes: no split "few"
    result = lb.benchmark(rival(1.0), data=few, groups={"sim0": "one", "small": "one"})
    assert len(result.frame) == 9
    assert total(result)["c50"] == pytest.approx(result.frame.groupby("set")["c50"].mean().mean())
    assert "c50_lo" not in result.table  # one group: there is nothing to draw
    parts = result.table.groupby("part", sort=False)["name"].agg(list)
    assert parts["kind"] == list(KINDS) and parts["set"] == ["sim0", "small"]
    assert str(result).startswith("9 splits of 2 sets in 1 groups") and "c90" in str(result)


def test_splits_hide_what_they_say():
    rows = sweep(0)
    parts = {kind: (train, hidden) for kind, train, hidden in cuts(rows)}
    assert tuple(parts) == KINDS
    for kind, (train, hidden) in parts.items():
        assert not set(train.index) & set(hidden.index)
        column = {"size": "params", "few": "params", "tokens": "tokens"}.get(kind)
        values = [part[column] if column else part.params * part.tokens for part in (train, hidden)]
        assert values[0].max() < values[1].min()
    assert parts["few"][0].params.nunique() == 3
    assert len(parts["far"][1]) > len(parts["near"][1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda train, new: law(new).to_numpy(), "an array of shape"),
        (lambda train, new: np.ones((100, len(new) + 1)), "for .* new rows"),
        (lambda train, new: -np.ones((100, len(new))), "not finite and positive"),
        (lambda train, new: np.ones((100, len(new))), "without spread"),
        (lambda train, new: np.ones((5, len(new))), "5 draws; expected at least 20"),
        (lambda train, new: "no idea", "holds no numbers"),
        (lambda train, new: quantiles(train, new).rename(columns={"0.5": "median"}), "with the columns"),
        (lambda train, new: quantiles(train, new)[["0.25", "0.5", "0.75"]], "from 0.1 or below"),
        (lambda train, new: quantiles(train, new).set_axis(LEVELS[::-1], axis=1), "quantiles that cross"),
    ],
)
def test_what_is_no_forecast_is_refused(answer, message, data):
    with pytest.raises(lb.InputError, match=message):
        lb.benchmark(answer, data={"sim0": data["sim0"]}, kinds=("near",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("nearest",)}, "did you mean 'near'"),
        ({"data": {"tiny": sweep(0).iloc[:6]}}, "no split of tiny"),
        ({"data": sweep(0).drop(columns="loss")}, "sweeps by name|no column 'params'"),
        ({"data": {}}, "sweeps by name"),
        ({"data": {"a": sweep(0).drop(columns="tokens")}}, "no column 'tokens'"),
    ],
)
def test_what_is_no_sweep_is_refused(options, message, data):
    with pytest.raises(lb.InputError, match=message):
        lb.benchmark(rival(1.0), **{"data": {"sim0": data["sim0"]}} | options)
    with pytest.raises(lb.InputError, match="expected a function"):
        lb.benchmark("chinchilla", data=data)


def test_the_public_sweeps_are_those_of_the_data_sets(shared_data, monkeypatch):
    monkeypatch.setenv("LOSSBAND_DATA", str(shared_data))
    sweeps, groups = public.public_sweeps()
    assert len(sweeps) == 7 and set(sweeps) == set(groups)
    assert len(splits_of(sweeps, groups=groups)) > 20
