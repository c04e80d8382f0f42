"""Every score against a closed form, and against a forecast that must fail it."""

import doctest

import numpy as np
import pytest
from scipy.stats import beta, kstest, norm

from lossband import score

NUM_DRAWS, NUM_ROWS = 2000, 400
TAKES_OBSERVED = {
    "crps": score.crps,
    "log_score": score.log_score,
    "covered": lambda draws, observed: score.covered(draws, observed, 0.9),
    "coverage": score.coverage,
    "pit": score.pit,
    "interval_score": lambda draws, observed: score.interval_score(draws, observed, 0.9),
    "msce": score.msce,
}


@pytest.fixture(scope="module")
def world():
    """Normal rows, each with its own centre and scale, and four forecasts: one right, three wrong."""
    rng = np.random.default_rng(7)
    centre, scale = rng.normal(size=NUM_ROWS), rng.uniform(0.5, 2, size=NUM_ROWS)
    observed = centre + scale * rng.normal(size=NUM_ROWS)
    z = rng.normal(size=(NUM_DRAWS, NUM_ROWS))
    forecasts = {
        "right": centre + scale * z,
        "biased": centre + 1.5 * scale + scale * z,
        "overconfident": centre + 0.3 * scale * z,
        "timid": centre + 4 * scale * z,
    }
    return observed, forecasts, centre, scale


def test_docstring_examples():
    result = doctest.testmod(score)
    assert result.attempted >= 9 and result.failed == 0


def test_crps_of_a_normal(world):
    observed, forecasts, centre, scale = world
    z = (observed - centre) / scale
    exact = scale * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    # one draw moves the score by about scale / sqrt(sample); 5 of those over 400 rows
    assert np.all(np.abs(score.crps(forecasts["right"], observed) - exact) < 5 * scale / np.sqrt(NUM_DRAWS))


def test_crps_is_the_mean_distance_less_half_the_mean_spread():
    draws, y = np.random.default_rng(0).gamma(2, size=(7, 3)), np.array([0.3, 2.0, 9.0])
    by_hand = np.abs(draws - y).mean(0) - np.abs(draws[:, None] - draws[None]).mean((0, 1)) / 2
    np.testing.assert_allclose(score.crps(draws, y), by_hand, rtol=1e-12)


def test_log_score_of_a_normal():
    rng, y = np.random.default_rng(1), np.array([-1.5, -0.2, 0.0, 0.7, 2.0])
    draws = rng.normal(size=(50_000, len(y)))
    # a kernel of width h turns Normal(0, 1) into Normal(0, sqrt(1 + h^2)) exactly
    h = 0.9 * 50_000 ** (-1 / 5)
    exact = norm.logpdf(y, scale=np.hypot(1, h))
    # variance of a kernel density estimate: p(y) / (2 sqrt(pi) S h)
    standard_error = np.sqrt(1 / (2 * np.sqrt(np.pi) * 50_000 * h * np.exp(exact)))
    assert np.all(np.abs(score.log_score(draws, y) - exact) < 4 * standard_error)


def test_log_score_is_the_equation_at_a_generic_point():
    draws, y = np.array([[0.0], [1.0], [3.0], [7.0]]), 2.5
    sd, iqr = np.std(draws, ddof=1), 4.0 - 0.75
    h = 0.9 * min(sd, iqr / 1.34) * 4 ** (-1 / 5)
    assert score.log_score(draws, [y]).item() == pytest.approx(np.log(norm.pdf(y, draws[:, 0], h).mean()))


def test_log_score_survives_wild_draws_and_far_measurements():
    draws = np.random.default_rng(2).normal(size=(1000, 1))
    draws[0] = 1e6
    assert score.log_score(draws, [0.0]).item() == pytest.approx(norm.logpdf(0), abs=0.15)
    assert np.isfinite(score.log_score(draws, [-1e4])).all()


def test_mixture_is_the_density_of_a_mixture():
    rng = np.random.default_rng(4)
    centre, y = rng.normal(size=(5, 1)), np.array([-1.0, 0.3, 2.0, 40.0])
    exact = np.log(norm.pdf(y, centre, 0.7).mean(axis=0)[:3])
    got = score.mixture(norm.logpdf(y, centre, 0.7))
    np.testing.assert_allclose(got[:3], exact)
    assert np.isfinite(got[3])  # where every density underflows, its logarithm does not


@pytest.mark.parametrize(
    ("densities", "message"),
    [([0.0, 1.0], r"shape \(2,\)"), ([[np.nan, 0.0]], r"1 value\(s\) that are NaN.*\[0, 0\]")],
)
def test_mixture_of_nothing_is_refused(densities, message):
    with pytest.raises(ValueError, match=message):
        score.mixture(densities)


def test_log_score_of_a_point_forecast_is_refused():
    with pytest.raises(ValueError, match=r"no spread \(rows 1\).*crps"):
        score.log_score(np.array([[0.0, 5.0], [1.0, 5.0]]), [0.0, 5.0])


def test_interval_score_by_hand():
    draws = np.linspace(0, 1, 101)[:, None]  # its 80 % band is [.1, .9]
    for y, fine in [(0.5, 0.0), (0.1, 0.0), (-0.3, 10 * 0.4), (1.15, 10 * 0.25)]:
        assert score.interval_score(draws, [y], 0.8).item() == pytest.approx(0.8 + fine)


def test_interval_score_punishes_both_ways_of_being_wrong(world):
    observed, forecasts, *_ = world
    means = {name: score.interval_score(draws, observed, 0.9).mean() for name, draws in forecasts.items()}
    assert means["right"] == min(means.values())


@pytest.mark.parametrize("rule, sign", [(score.crps, 1), (score.log_score, -1)])
def test_proper_scores_prefer_the_right_forecast(world, rule, sign):
    observed, forecasts, *_ = world
    means = {name: sign * rule(draws, observed).mean() for name, draws in forecasts.items()}
    assert means["right"] == min(means.values())


def test_coverage_of_the_right_forecast(world):
    observed, forecasts, *_ = world
    levels = np.array(score.LEVELS)
    error = score.coverage(forecasts["right"], observed, levels) - levels
    assert np.all(np.abs(error) < 4 * np.sqrt(levels * (1 - levels) / NUM_ROWS))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("biased", norm.cdf(1.645 + 1.5) - norm.cdf(-1.645 + 1.5)),
        ("overconfident", 2 * norm.cdf(0.3 * 1.645) - 1),
    ],
)
def test_coverage_exposes_a_wrong_forecast(world, name, expected):
    observed, forecasts, *_ = world
    got = score.coverage(forecasts[name], observed, [0.9]).item()
    assert got == pytest.approx(expected, abs=4 * np.sqrt(0.25 / NUM_ROWS))
    assert got < 0.75


def test_covered_counts_the_ends_as_inside():
    draws = np.linspace(0, 1, 101)[:, None] * np.ones(4)
    assert score.covered(draws, [0.25, 0.75, 0.2499, 0.7501], 0.5).tolist() == [True, True, False, False]


def test_msce_rings_for_every_wrong_forecast(world):
    observed, forecasts, *_ = world
    got = {name: score.msce(draws, observed) for name, draws in forecasts.items()}
    assert got["right"] < 0.002
    assert min(got["biased"], got["overconfident"], got["timid"]) > 0.02
    everything_missed = score.msce(forecasts["right"], observed + 1e3)
    assert everything_missed == pytest.approx(np.mean(np.square(score.LEVELS)))


def test_pit_is_uniform_only_for_the_right_forecast(world):
    observed, forecasts, *_ = world
    percentiles = {name: score.pit(draws, observed) for name, draws in forecasts.items()}
    p_value = {name: kstest(u, "uniform").pvalue for name, u in percentiles.items()}
    assert p_value["right"] > 0.01
    assert max(p_value[name] for name in ("biased", "overconfident", "timid")) < 1e-6


def test_pit_ranks_with_ties():
    draws = np.array([0.0, 1.0, 1.0, 2.0])[:, None] * np.ones(4)
    np.testing.assert_allclose(score.pit(draws, [-1.0, 0.0, 1.0, 9.0]), [0.1, 0.2, 0.5, 0.9])


def test_sharpness_of_a_normal(world):
    _, forecasts, _, scale = world
    relative = score.sharpness(forecasts["right"], 0.8) / (2 * norm.ppf(0.9) * scale)
    assert np.mean(relative) == pytest.approx(1, abs=0.01)
    assert np.all(score.sharpness(forecasts["overconfident"]) < score.sharpness(forecasts["right"]))


def test_coverage_interval_counts_runs_and_not_rows():
    hit, run = np.array([True, False] * 10), np.arange(20)
    by_row = score.coverage_interval(hit, run, 0.9)
    assert by_row == pytest.approx(beta.ppf([0.05, 0.95], 10.5, 10.5))
    ten_times_the_rows = score.coverage_interval(np.repeat(hit, 10), np.repeat(run, 10), 0.9)
    assert ten_times_the_rows == pytest.approx(by_row)
    uneven = score.coverage_interval(np.array([True] * 8 + [False]), np.array(["a"] * 8 + ["b"]))
    assert uneven == pytest.approx(beta.ppf([0.05, 0.95], 1.5, 1.5))


def test_coverage_interval_at_the_ends():
    low, high = score.coverage_interval(np.ones(6, bool), np.arange(6))
    assert high == 1.0 and low == pytest.approx(beta.ppf(0.05, 6.5, 0.5))
    low, high = score.coverage_interval(np.zeros(6, bool), np.arange(6))
    assert low == 0.0 and high == pytest.approx(beta.ppf(0.95, 0.5, 6.5))


def test_coverage_interval_covers_when_runs_share_their_luck():
    rng, rate, num_runs = np.random.default_rng(3), 0.8, 25
    inside, naive = 0, 0
    for _ in range(300):
        hit, run = np.repeat(rng.random(num_runs) < rate, 20), np.repeat(np.arange(num_runs), 20)
        low, high = score.coverage_interval(hit, run)
        inside += low <= rate <= high
        low, high = score.coverage_interval(hit, np.arange(len(hit)))
        naive += low <= rate <= high
    assert inside / 300 > 0.9 - 4 * np.sqrt(0.09 / 300)
    assert naive / 300 < 0.5  # counting rows must be seen to fail


@pytest.mark.parametrize("name", TAKES_OBSERVED)
def test_bad_input_is_refused_where_it_enters(name):
    rule, draws, observed = TAKES_OBSERVED[name], np.random.default_rng(0).normal(size=(50, 3)), np.zeros(3)
    with pytest.raises(ValueError, match=r"observed has shape \(50,\), expected \(3,\).*transpose"):
        rule(draws, np.zeros(50))
    with pytest.raises(ValueError, match=r"draws have shape \(2, 50, 3\), expected \(sample, row\).*Flatten"):
        rule(np.zeros((2, 50, 3)), observed)
    with pytest.raises(ValueError, match=r"observed have 1 value\(s\) that are not finite \(at \[1\]\)"):
        rule(draws, [0, np.nan, 0])
    draws[4, 2] = np.inf
    with pytest.raises(ValueError, match=r"draws have 1 value\(s\) that are not finite \(at \[4, 2\]\)"):
        rule(draws, observed)


@pytest.mark.parametrize("level", [0.0, 1.0, 90, -0.1, np.nan])
def test_a_level_is_a_probability(level):
    draws, observed = np.array([[0.0], [1.0]]), [0.5]
    for call in (
        lambda: score.covered(draws, observed, level),
        lambda: score.coverage(draws, observed, [level]),
        lambda: score.interval_score(draws, observed, level),
        lambda: score.sharpness(draws, level),
        lambda: score.coverage_interval(np.array([True]), ["a"], level),
    ):
        with pytest.raises(ValueError, match="between 0 and 1"):
            call()


def test_rates_of_nothing_are_refused():
    with pytest.raises(ValueError, match="0 rows"):
        score.coverage(np.zeros((5, 0)), [])
    with pytest.raises(ValueError, match="0 rows"):
        score.coverage_interval(np.array([], bool), [])
    with pytest.raises(ValueError, match="dtype float64, expected bool"):
        score.coverage_interval([0.5], ["a"])
    with pytest.raises(ValueError, match="Name the run of every row"):
        score.coverage_interval([True, False], ["a"])
