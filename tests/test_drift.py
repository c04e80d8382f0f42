"""The drift's basis against the covariance of Brownian motion, and what it must not depend on."""

import numpy as np
import pandas as pd
import pytest

from lossband.errors import InputError
from lossband.model.drift import BEYOND, CELLS, LEVEL, Drift, Paths, find_drift
from lossband.model.problem import pose
from lossband.runs.arrays import unit_of

# log10 of an input: a grid around its centre, few levels off the centre, and more levels than cells
LEVELS = {
    "grid": np.linspace(7, 9, 5),
    "few": np.array([7.0, 7.3, 9.0]),
    "many": np.sort(np.random.default_rng(0).uniform(7, 9.5, 60)),
}
every_layout = pytest.mark.parametrize("layout", LEVELS)


def table_of(log10, power=1.0, unit=1.0):
    losses = np.random.default_rng(1).uniform(2.0, 4.0, len(log10))
    return pd.DataFrame({"tokens": unit * 10.0 ** (power * np.asarray(log10)), "loss": losses})


def paths_of(table, inputs=("tokens",)):
    return Paths.of(table, unit_of(table, inputs), table[list(inputs)].prod(axis=1))


def at_logs(paths, logs):
    """New rows at these log10(x / centre)."""
    return pd.DataFrame({"tokens": paths.centre["tokens"] * 10.0 ** np.asarray(logs)})


def unit2(paths, name="tokens"):
    """Variance a decade, spread^2 / range, from the docstring."""
    return paths.spread**2 / np.ptp(paths.knots[name])


def test_the_basis_has_the_covariance_of_two_sided_brownian_motion_at_the_knots():
    paths = paths_of(table_of(LEVELS["grid"]))
    x = paths.knots["tokens"]
    np.testing.assert_allclose(x, [-1, -0.5, 0, 0.5, 1], atol=1e-12)
    phi = paths.inside(at_logs(paths, x))[:, :-1]
    same_side = np.sign(x[:, None]) == np.sign(x)
    brownian = np.where(same_side, np.minimum(np.abs(x[:, None]), np.abs(x)), 0.0)
    np.testing.assert_allclose(phi @ phi.T, unit2(paths) * brownian, atol=1e-14)


@every_layout
def test_increments_between_knots_are_brownian_wherever_the_centre_lies(layout):
    paths = paths_of(table_of(LEVELS[layout]))
    steps = np.diff(paths.inside(at_logs(paths, paths.knots["tokens"])), axis=0)
    np.testing.assert_allclose(
        steps @ steps.T, unit2(paths) * np.diag(np.diff(paths.knots["tokens"])), atol=1e-14
    )


@every_layout
def test_the_whole_path_varies_by_the_spread_of_the_losses(layout):
    """tau is the share of the training variation that the law may miss.

    At tau = 1, all of it from end to end.
    """
    table = table_of(LEVELS[layout])
    phi = paths_of(table).inside(table.iloc[[table.tokens.argmin(), table.tokens.argmax()]])
    assert np.linalg.norm(phi[1] - phi[0]) == pytest.approx(np.log(table.loss).std(ddof=0), rel=1e-12)


@every_layout
def test_knots_are_the_levels_of_the_data_or_evenly_spaced(layout):
    table = table_of(LEVELS[layout])
    knots = paths_of(table).knots["tokens"]
    logs = np.log10(table.tokens) - np.log10(table.tokens).mean()
    expected = logs if len(logs) <= CELLS + 1 else np.linspace(logs.min(), logs.max(), CELLS + 1)
    np.testing.assert_allclose(knots, expected, atol=1e-12)


@every_layout
def test_at_the_centre_is_the_level_alone_and_the_path_is_linear_between_knots(layout):
    paths = paths_of(table_of(LEVELS[layout]))
    at_centre = paths.inside(at_logs(paths, [0.0]))[0]
    assert (at_centre[:-1] == 0).all() and at_centre[-1] == LEVEL * paths.spread
    knots = paths.knots["tokens"]
    phi, between = (
        paths.inside(at_logs(paths, knots)),
        paths.inside(at_logs(paths, 0.3 * knots[:-1] + 0.7 * knots[1:])),
    )
    np.testing.assert_allclose(between, 0.3 * phi[:-1] + 0.7 * phi[1:], atol=1e-13)


@every_layout
@pytest.mark.parametrize(("power", "unit"), [(1, 1e-9), (2, 1.0), (0.5, 1e3)])
def test_powers_and_units_of_an_input_leave_the_basis_alone(layout, power, unit):
    plain, other = (table_of(LEVELS[layout], *change) for change in ((1, 1.0), (power, unit)))
    np.testing.assert_allclose(paths_of(other).inside(other), paths_of(plain).inside(plain), atol=1e-12)


def test_the_unit_of_the_losses_leaves_the_basis_alone():
    plain = table_of(LEVELS["few"])
    bits = plain.assign(loss=plain.loss / np.log(2))
    np.testing.assert_allclose(paths_of(bits).inside(bits), paths_of(plain).inside(plain), rtol=1e-12)


@every_layout
def test_beyond_the_data_the_inside_stands_still_and_inside_them_the_beyond_is_zero(layout):
    paths = paths_of(table_of(LEVELS[layout]))
    low, high = paths.knots["tokens"][[0, -1]]
    ends, out = at_logs(paths, [low, high]), at_logs(paths, [low - 1.3, high + 2.1])
    np.testing.assert_allclose(paths.inside(out), paths.inside(ends), atol=1e-12)
    np.testing.assert_allclose(paths.beyond(at_logs(paths, paths.knots["tokens"])), 0.0, atol=1e-12)


@every_layout
def test_a_continuation_is_brownian_from_the_edge_on_either_side_alone(layout):
    paths = paths_of(table_of(LEVELS[layout]))
    low, high = paths.knots["tokens"][[0, -1]]
    reach = np.cumsum(BEYOND)[:20]
    above, below = (paths.beyond(at_logs(paths, x)) for x in (high + reach, low - reach))
    brownian = unit2(paths) * np.minimum(reach[:, None], reach)
    np.testing.assert_allclose(above @ above.T, brownian, atol=1e-12)
    np.testing.assert_allclose(below @ below.T, brownian, atol=1e-12)
    np.testing.assert_array_equal(above @ below.T, 0.0)


def test_a_path_is_continuous_across_the_edge_of_the_data():
    paths = paths_of(table_of(LEVELS["few"]))
    for edge in paths.knots["tokens"][[0, -1]]:
        before, after = at_logs(paths, [edge * (1 - 1e-9)]), at_logs(paths, [edge * (1 + 1e-9)])
        for basis in (paths.inside, paths.beyond):
            np.testing.assert_allclose(basis(after), basis(before), atol=1e-6)


def test_a_continuation_still_moves_250_decades_out():
    paths = paths_of(table_of(LEVELS["grid"]))
    far, end = paths.beyond(at_logs(paths, [1 + 250.0, 1 + np.sum(BEYOND)]))
    assert np.sum(end**2) == pytest.approx(np.sum(BEYOND) * unit2(paths), rel=1e-9)
    assert np.sum(BEYOND) > 250 and np.linalg.norm(end - far) > 0


def two_inputs():
    rng = np.random.default_rng(2)
    inputs = {"params": 10 ** rng.uniform(7, 9, 30), "tokens": 10 ** rng.uniform(9, 12, 30)}
    return pd.DataFrame(inputs).assign(loss=rng.uniform(2, 4, 30))


def test_paths_of_two_inputs_are_independent_and_add():
    table = two_inputs()
    both, centre = paths_of(table, ("params", "tokens")), {n: np.exp(np.log(table[n]).mean()) for n in table}
    alone = [both.inside(table.assign(**{other: centre[other]})) for other in ("params", "tokens")]
    np.testing.assert_allclose(both.inside(table)[:, :-1], sum(alone)[:, :-1], atol=1e-12)
    alone = [basis[:, :-1] for basis in alone]
    np.testing.assert_allclose(alone[0] @ alone[1].T, 0.0, atol=1e-14)
    one = paths_of(table, ("tokens",)).inside(table)[:, :-1]
    share = both.share["tokens"]
    np.testing.assert_allclose(alone[0] @ alone[0].T, share**2 * one @ one.T, atol=1e-12)
    assert sum(value**2 for value in both.share.values()) == pytest.approx(1.0)


def test_the_edge_is_zero_inside_the_compute_of_the_data_and_linear_beyond():
    table = two_inputs()
    paths = paths_of(table, ("params", "tokens"))
    compute = table.params * table.tokens
    np.testing.assert_array_equal(paths.edge(compute), 0.0)
    slope = np.log(table.loss).std(ddof=0) / np.ptp(np.log10(compute))  # of ln loss a decade of compute
    beyond = compute.max() * 10.0 ** np.array([0.0, 0.5, 1.0, 3.0])
    np.testing.assert_allclose(
        paths.edge(beyond), slope * np.array([0.0, 0.5, 1.0, 3.0]), rtol=1e-9, atol=1e-12
    )


def test_the_edge_of_a_sweep_of_one_budget_is_measured_by_the_decades_that_its_inputs_span():
    """Its compute spans next to nothing.

    A slope over that would put forecasts a decade beyond at infinity.
    """
    params = 10.0 ** np.linspace(7, 8.5, 6)
    table = pd.DataFrame(
        {"params": params, "tokens": 1e17 / params * np.linspace(1, 1.001, 6), "loss": np.linspace(3, 4, 6)}
    )
    paths = paths_of(table, ("params", "tokens"))
    beyond = paths.edge([10 * (table.params * table.tokens).max()])
    np.testing.assert_allclose(beyond, paths.spread / 1.5, rtol=1e-3)


def test_extrapolation_is_the_distance_from_the_ranges_in_decades():
    table = two_inputs()
    problem = pose(table.assign(loss=np.linspace(2, 3, len(table))), "chinchilla")
    assert (problem.extrapolation(table) == 0).all()
    far = pd.DataFrame(
        {"params": [table.params.max() * 1e3, 1e8], "tokens": [table.tokens.min() / 1e4, 1e10]}
    )
    np.testing.assert_allclose(problem.extrapolation(far), [5.0, 0.0], atol=1e-9)


def test_drift_is_found_by_its_name():
    assert find_drift("default") == Drift() and find_drift(None) is None
    mine = Drift(tau=(0.3, 0.5), edge=0.2)
    assert find_drift(mine) is mine and mine != Drift()
    with pytest.raises(InputError, match="drift= takes"):
        find_drift("wide")


def test_departures_by_direction_grow_with_size_and_with_too_few_tokens_per_parameter():
    """A decade of size, a decade of tokens per parameter below those seen, both, and neither: stated means and scales."""
    table = two_inputs()
    paths = paths_of(table, ("params", "tokens"))
    N, D = table.params.max(), table.tokens
    ratio = (D / table.params).min()
    rows = pd.DataFrame(
        {"params": [10 * N, N, 10 * N, N], "tokens": [10 * N * ratio, N * ratio / 10, N * ratio, D.max()]}
    )
    slope = paths.spread / paths.span
    decades = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(paths.directions(rows), slope * decades, atol=1e-9)
    weights, inside = np.zeros((20_000, paths.inside(rows).shape[1])), np.full(len(rows), 10.0**paths.top)
    drawn = paths.draw({}, weights, rows, inside, np.random.default_rng(0))
    mean, variance = paths.moments({}, weights, rows, inside, np.random.default_rng(0))
    assert (drawn[:, 3] == 0).all() and (variance[:, 3] == 0).all()
    np.testing.assert_allclose(
        np.median(drawn[:, :2], axis=0), slope * np.array([0.0, 0.33]), atol=0.03 * slope
    )
    t5 = 1.4759  # the upper decile of a Student-t with 5 degrees of freedom
    high = np.quantile(drawn[:, :2], 0.9, axis=0)
    np.testing.assert_allclose(high, slope * (np.array([0.0, 0.33]) + np.array([0.45, 0.9]) * t5), rtol=0.06)
    assert (
        paths_of(
            table[["tokens"]].assign(loss=2.0) if "loss" not in table else table, ("tokens",)
        ).least_ratio
        == -np.inf
    )
