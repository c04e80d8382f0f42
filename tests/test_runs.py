"""Runs: centring, padding, the order of rows, and columns that calculate like arrays."""

import operator
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean

from lossband.model.measured import measured_of, weigh
from lossband.runs.arrays import FAR, Column, order_of, runs_of, size_class, unit_of
from lossband.runs.table import check_runs

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

INPUTS = ("params", "tokens")


@pytest.fixture
def frame(curves):
    """The curves as a checked frame, in the order of the model."""
    checked = check_runs(curves, INPUTS)
    return checked.iloc[order_of(checked)]


def test_the_centre_of_an_input_is_its_geometric_mean(frame):
    unit = unit_of(frame, INPUTS)
    for name in INPUTS:
        assert unit.centre[name] == pytest.approx(gmean(frame[name]), rel=1e-12)
        assert unit.least_input[name] == frame[name].min()


def test_the_unit_of_the_losses_is_least_median_and_spread(frame):
    unit = unit_of(frame, INPUTS)
    assert unit.least == pytest.approx(frame["loss"].min())
    assert unit.typical == pytest.approx(frame["loss"].median())  # 13 rows: the median is one of them
    assert unit.spread == pytest.approx(np.log(frame["loss"]).std(ddof=0))


def test_centred_logs_average_to_zero(frame):
    runs = runs_of(frame, unit_of(frame, INPUTS))
    for name in INPUTS:
        np.testing.assert_allclose(
            getattr(runs, name).log, np.log(frame[name] / gmean(frame[name])), atol=1e-12
        )
        assert abs(jnp.mean(getattr(runs, name).log)) < 1e-12


def test_a_new_frame_keeps_the_unit_of_the_training_rows(frame):
    unit = unit_of(frame, INPUTS)
    new = runs_of(frame.iloc[:2].assign(params=1e12), unit)
    assert new.params.centre == unit.centre["params"]
    np.testing.assert_array_equal(new.params.values, [1e12, 1e12])


def test_padding_rows_sit_at_the_centre(frame):
    runs = runs_of(frame, unit_of(frame, INPUTS), pad_to=32)
    for name in INPUTS:
        column = getattr(runs, name)
        assert column.values.shape == (32,)
        np.testing.assert_array_equal(column.values[:13], frame[name])
        np.testing.assert_allclose(column.log[13:], 0.0, atol=1e-15)


def test_padding_has_mask_zero_and_measurements_one(frame):
    basis = np.arange(26.0).reshape(13, 2)
    measured = measured_of(frame, basis)
    np.testing.assert_array_equal(measured.mask, [1.0] * 13 + [0.0] * 3)
    np.testing.assert_allclose(measured.log_loss[:13], np.log(frame["loss"]), rtol=1e-14)
    np.testing.assert_allclose(measured.log_loss_se[:13], frame["loss_se"] / frame["loss"], rtol=1e-14)
    np.testing.assert_array_equal(measured.drift, np.vstack([basis, np.zeros((3, 2))]))
    for leaf in jax.tree.leaves(measured):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("count", [1, 15, 16, 17, 31, 32, 33, 100, 1000, 1024, 1025])
def test_a_size_class_is_the_least_power_of_two_that_holds_the_rows(count):
    size = size_class(count)
    assert size >= count and size & (size - 1) == 0
    assert size == 16 or size < 2 * count


def test_a_size_class_starts_where_it_is_told():
    assert [size_class(n, 4) for n in (1, 4, 5, 8, 9)] == [4, 4, 8, 8, 16]


def test_the_rows_of_a_run_stand_together_in_the_order_of_tokens(curves):
    order = order_of(curves)
    assert sorted(order) == list(range(13)) and list(order) != list(range(13))
    ordered = curves.iloc[order]
    assert list(ordered["run"]) == ["a"] * 3 + ["b"] * 6 + ["c"] * 4
    assert all(run.is_monotonic_increasing for _, run in ordered.groupby("run")["tokens"])


def test_steps_order_the_rows_where_there_are_no_tokens(curves):
    steps = curves.rename(columns={"tokens": "step"})
    np.testing.assert_array_equal(order_of(steps), order_of(curves))


def test_rows_without_a_clock_keep_the_tables_order_in_each_run(curves):
    ordered = curves.iloc[order_of(curves[["run", "params", "loss"]])]
    assert all(run.index.is_monotonic_increasing for _, run in ordered.groupby("run"))


def test_a_gap_is_ln_time_since_the_row_before_and_far_at_the_start_of_a_run(frame):
    gap = measured_of(frame, np.zeros((13, 0))).gap
    by_hand = [np.append(FAR, np.diff(np.log(run))) for _, run in frame.groupby("run")["tokens"]]
    np.testing.assert_allclose(gap, np.concatenate([*by_hand, np.full(3, FAR)]), rtol=1e-9)


def test_a_table_is_padded_to_the_shape_of_another_but_for_a_drift_that_its_model_lacks(frame):
    assert measured_of(frame, np.zeros((13, 3)), least=(64, 8, 0)).shape == (64, 8, 0)
    assert measured_of(frame, np.zeros((13, 0)), run_effects=True, least=(64, 8, 16)).shape == (64, 0, 16)


def test_every_row_has_the_effect_of_its_run(frame):
    effect = measured_of(frame, np.zeros((13, 0)), run_effects=True).effect
    assert effect.shape == (16, 4)
    np.testing.assert_array_equal(effect[:13].argmax(1), [0] * 3 + [1] * 6 + [2] * 4)
    np.testing.assert_array_equal(effect.sum(1), [1] * 13 + [0] * 3)
    assert measured_of(frame, np.zeros((13, 0))).effect.shape == (16, 0)


@pytest.mark.parametrize("run_effects", [False, True])
def test_weighing_gives_the_gram_matrix_and_without_run_effects_its_axes(run_effects, frame):
    rng = np.random.default_rng(0)
    basis, mixture = rng.normal(size=(13, 4)), rng.uniform(0.2, 1.5, 16)
    plain = measured_of(frame, basis, run_effects=run_effects)
    of_runs = np.ones(len(plain.run_mixture))
    weighed = weigh(
        weigh(plain, plain.mixtures), np.append(mixture, of_runs)
    )  # twice: nothing is left of the first
    gram = plain.loadings.T @ (plain.loadings * (plain.mask * mixture)[:, None])
    np.testing.assert_allclose(weighed.gram, gram, atol=1e-10)
    if not run_effects:
        np.testing.assert_allclose(weighed.axes * weighed.lengths @ weighed.axes.T, gram, atol=1e-10)
        np.testing.assert_allclose(weighed.axes @ weighed.axes.T, np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(weighed.drift, plain.drift)
    np.testing.assert_array_equal(weighed.mixture, mixture)


OPERATORS = ("add", "sub", "mul", "truediv", "pow")
FUNCTIONS = ("log", "exp", "sqrt", "square", "negative", "sum", "cumsum")
VALUES = np.array([0.5, 2.0, 3.0])


@pytest.fixture
def column():
    return Column(VALUES, np.float64(2), np.float64(0.5), np.float64(3))


@pytest.fixture(params=["plain", "jit"])
def run(request):
    """Call a function of a column as it is, and with the column traced."""
    return (
        (lambda f, column: f(column)) if request.param == "plain" else (lambda f, column: jax.jit(f)(column))
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_arithmetic_of_columns_is_numpys(name, run, column):
    op, other = getattr(operator, name), jnp.array([1.5, 0.3, 2.0])
    pairs = {
        "column and number": (lambda c: op(c, 1.7), op(VALUES, 1.7)),
        "number and column": (lambda c: op(1.7, c), op(1.7, VALUES)),
        "column and array": (lambda c: op(c, other), op(VALUES, np.asarray(other))),
        "array and column": (lambda c: op(other, c), op(np.asarray(other), VALUES)),
        "column and column": (lambda c: op(c, c), op(VALUES, VALUES)),
    }
    for pair, (calculate, expected) in pairs.items():
        np.testing.assert_allclose(run(calculate, column), expected, rtol=1e-14, err_msg=pair)


def test_columns_are_negated_and_indexed_as_arrays(run, column):
    np.testing.assert_array_equal(run(lambda c: -c, column), -VALUES)
    np.testing.assert_array_equal(run(lambda c: c[1:], column), VALUES[1:])
    np.testing.assert_array_equal(run(lambda c: c[jnp.array([2, 0])], column), VALUES[[2, 0]])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jnp_functions_take_columns(name, run, column):
    np.testing.assert_allclose(run(getattr(jnp, name), column), getattr(np, name)(VALUES), rtol=1e-14)


def test_jnp_functions_of_two_take_columns(run, column):
    np.testing.assert_array_equal(run(lambda c: jnp.maximum(c, 1.0), column), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(
        run(lambda c: jnp.where(jnp.greater(c, 1.0), c, 0.0), column), [0.0, 2.0, 3.0]
    )


def test_numpy_takes_columns_that_hold_numbers(column):
    np.testing.assert_array_equal(np.log(column), np.log(VALUES))
    assert np.asarray(column, dtype=np.float32).dtype == np.float32


def test_gradients_flow_through_columns(column):
    slope = jax.grad(lambda a: jnp.sum(column**-a * a + a / column))(0.3)
    by_hand = np.sum(VALUES**-0.3 * (1 - 0.3 * np.log(VALUES)) + 1 / VALUES)
    assert float(slope) == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize("left", [np.float64(2.0), np.array([1.0, 2.0, 3.0])])
@pytest.mark.parametrize("name", OPERATORS)
def test_numpy_numbers_stand_left_of_traced_columns(name, left, column):
    op = getattr(operator, name)
    np.testing.assert_allclose(jax.jit(lambda c: op(left, c))(column), op(left, VALUES), rtol=1e-14)


@pytest.mark.parametrize("name", ["gt", "ge", "lt", "le"])
def test_columns_compare_as_arrays(name, run, column):
    op = getattr(operator, name)
    np.testing.assert_array_equal(run(lambda c: op(c, 2.0), column), op(VALUES, 2.0))


def test_going_through_a_traced_column_ends(column):
    rows = jax.jit(lambda c: list(islice(iter(c), 10)))(column)
    np.testing.assert_array_equal(rows, VALUES)


def test_an_input_that_is_not_there_is_named_with_those_that_are(frame):
    with pytest.raises(AttributeError, match=r"no input 'loops' \(they have params, tokens\)"):
        runs_of(frame, unit_of(frame, INPUTS)).loops


def test_runs_cross_a_compiled_function(frame):
    runs = runs_of(frame, unit_of(frame, INPUTS), pad_to=32)
    logs = jax.jit(lambda runs: runs.tokens.log)(runs)
    np.testing.assert_allclose(logs[:13], np.log(frame["tokens"] / gmean(frame["tokens"])), atol=1e-12)


def test_one_row_makes_a_unit_of_no_spread():
    unit = unit_of(pd.DataFrame({"params": [3e7], "loss": [2.5]}), ("params",))
    assert (unit.least, unit.typical, unit.centre["params"]) == pytest.approx((2.5, 2.5, 3e7))
    assert unit.spread == 0.0
