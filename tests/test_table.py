"""Bad input raises where it enters and says what is wrong; good input passes as it is."""

import pickle

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossband.errors import InputError
from lossband.laws.terms import floor
from lossband.model.problem import pose
from lossband.runs.table import check_runs, read_runs

INPUTS = ("params", "tokens")


def spoil(column, rows, value):
    """A change of a table: these rows of a column hold `value`."""

    def change(table):
        table[column] = table[column].astype(object if isinstance(value, str) else float)
        table.loc[rows, column] = value
        return table

    return change


def keep(table):
    return table


def repeat(table):
    return pd.concat([table, table.iloc[[3]]])


def reads_nothing(runs):
    return jnp.ones(36)


def reads_loops(runs):
    return runs.loops**-0.3


def reads_params(runs):
    return 3 + runs.params**-0.3


def reads_losses(runs):
    return runs.loss * runs.params**-0.3


def reads_heads(runs):
    return floor(runs) + runs.params**-0.3 + runs.heads**-0.3


def steps_of_runs(bad):
    """Two runs of 18 steps, row 3 with a bad one, and a law that reads the size alone."""
    return lambda t: t.drop(columns="tokens").assign(
        run=["a", "b"] * 18, step=[*range(1, 4), bad, *range(5, 37)]
    )


OU = {"law": reads_params, "noise": "normal+ou"}  # this noise needs to know the order of the rows of a run

# name: (what spoils the table, options of `pose`, what the message says)
BAD = {
    "a missing column": (
        lambda t: t.drop(columns="tokens"),
        {},
        r"no column 'tokens' \(it has params, loss\)",
    ),
    "a column nearly named": (
        lambda t: t.rename(columns={"tokens": "token"}),
        {},
        "'tokens' .*; did you mean 'token'",
    ),
    "no losses": (lambda t: t.drop(columns="loss"), {}, "no column 'loss'"),
    "text": (spoil("tokens", [2], "many"), {}, r"tokens has 1 non-numeric value \(row 2\); expected numbers"),
    "truth values": (lambda t: t.assign(tokens=t.tokens > 2e9), {}, "tokens has 36 non-numeric values"),
    "NaN": (spoil("loss", [4, 9], np.nan), {}, r"loss has 2 missing values \(rows 4, 9\).*dropna"),
    "infinity": (
        spoil("loss", [0], np.inf),
        {},
        r"loss has 1 infinite value \(row 0\); expected finite numbers",
    ),
    "minus infinity": (spoil("params", [0], -np.inf), {}, "params has 1 infinite value"),
    "zero": (
        spoil("params", [7], 0.0),
        {},
        r"params has 1 value <= 0 \(row 7\).*runs\[runs\['params'\] > 0\]",
    ),
    "negative": (spoil("loss", [5, 6], -2.0), {}, r"loss has 2 values? <= 0 \(rows 5, 6\)"),
    "dates": (
        lambda t: t.assign(tokens=pd.date_range("2024", periods=36)),
        {},
        "tokens has 36 non-numeric values",
    ),
    "many bad rows": (spoil("loss", range(9), -2.0), {}, r"\(rows 0, 1, 2, 3, 4, 5 and 3 more\)"),
    "a bad known error": (lambda t: t.assign(loss_se=0.0), {}, "loss_se has 36 values? <= 0"),
    "no rows": (lambda t: t[t.loss < 0], {}, "the table has no rows"),
    "a repeat": (repeat, {}, r"2 rows repeat a measurement \(rows 3, 36 agree in params, tokens, loss\)"),
    "a repeat in one run": (
        lambda t: repeat(t.assign(run="x")).assign(loss=np.arange(1, 38)),
        {},
        "rows 3, 36 agree in params, tokens, run",
    ),
    "one single value": (
        lambda t: t.assign(params=3e8),
        {},
        r"params has one single value \(3e\+08\) in all 36 rows",
    ),
    "losses that do not vary": (lambda t: t.assign(loss=2.5), {}, r"loss has one single value \(2.5\)"),
    "a run without a label": (
        lambda t: t.assign(run=["a", None] * 18),
        {},
        r"run has 18 missing labels \(rows 1, 3,",
    ),
    "two columns of one name": (
        lambda t: t.assign(N=1).rename(columns={"N": "loss"}),
        {},
        "more than one column loss",
    ),
    "columns= onto a column": (
        lambda t: t.assign(N=1),
        {"columns": {"N": "params"}},
        "more than one column params",
    ),
    "columns= from nowhere": (keep, {"columns": {"parms": "params"}}, "names 'parms'.*did you mean 'params'"),
    "columns= to nowhere": (
        keep,
        {"columns": {"params": "parms"}},
        "to 'parms', which is no column.*mean 'params'",
    ),
    "too few rows": (
        lambda t: t[::8],
        {},
        "has 5 rows, and the law 'chinchilla' has 5 coefficients; expected at least 6",
    ),
    "an unknown law": (keep, {"law": "chinchila"}, "no law 'chinchila'; did you mean 'chinchilla'"),
    "bad noise": (keep, {"noise": "studentt"}, "noise= got 'studentt'; expected 'student-t'"),
    "a bad part of the noise": (keep, {"noise": "normal+ar1"}, r"noise= got 'normal\+ar1'"),
    "bad drift": (
        keep,
        {"drift": "none"},
        "drift= takes 'default', None or a lossband.Drift, and got 'none'",
    ),
    "a law that reads nothing": (
        keep,
        {"law": reads_nothing},
        r"law 'reads_nothing' reads no column.*params, tokens",
    ),
    "a law of a missing column": (keep, {"law": reads_loops}, "no column 'loops'"),
    "a law of zeros": (
        lambda t: t.assign(loops=[0, 1] * 18),
        {"law": reads_loops},
        "loops has 18 values? <= 0",
    ),
    "no law at all": (keep, {"law": 3}, "law= got 3; expected a name, a Law or a function"),
    "a step that is missing": (steps_of_runs(np.nan), OU, "step has 1 missing value"),
    "a step zero": (steps_of_runs(0), OU, "step has 1 value <= 0"),
    "power of two inputs": (
        keep,
        {"law": "power"},
        r"takes one input, and the table has 2 that vary \(params, tokens\)",
    ),
    "power of no input": (
        lambda t: t[["loss"]],
        {"law": "power"},
        "takes one input, and the table has 0 that vary",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_raises_and_says_what_is_wrong(case, sweep):
    change, options, message = BAD[case]
    with pytest.raises(InputError, match=message) as raised:
        pose(change(sweep), **{"law": "chinchilla", **options})
    assert (
        raised.value.hint.endswith((".", "?"))
        and str(raised.value) == f"{raised.value.what} {raised.value.hint}"
    )


def test_the_table_that_the_bad_cases_spoil_is_good(sweep):
    assert len(pose(sweep, "chinchilla").frame) == 36


def test_few_rows_are_enough_with_one_more_than_coefficients(sweep):
    assert len(pose(sweep.sample(6, random_state=0), "chinchilla").frame) == 6


def test_an_error_survives_pickling():
    error = InputError("the loss is blue.", "Paint it.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.what, again.hint) == (InputError, "the loss is blue.", "Paint it.")
    assert isinstance(again, ValueError) and str(again) == "the loss is blue. Paint it."


def test_good_input_passes_unchanged(sweep):
    table = sweep.assign(params=np.arange(1, 37) ** 2, note="mine").set_index(np.arange(100, 136))
    before = table.copy()
    read = read_runs(table)
    checked = check_runs(read, INPUTS)
    pd.testing.assert_frame_equal(table, before)
    assert list(read.index) == list(range(36)) and list(read["note"]) == ["mine"] * 36
    assert list(checked.columns) == ["run", "params", "tokens", "loss"] and list(checked.index) == list(
        range(36)
    )
    assert all(checked[name].dtype == np.float64 for name in ("params", "tokens", "loss"))
    np.testing.assert_array_equal(checked[["params", "tokens", "loss"]], table[["params", "tokens", "loss"]])


def test_rows_without_run_labels_are_runs_of_their_own(sweep):
    assert check_runs(read_runs(sweep), INPUTS)["run"].nunique() == 36
    assert set(check_runs(read_runs(sweep.assign(run=[1, 2] * 18)), INPUTS)["run"]) == {"1", "2"}


def test_repeats_with_other_losses_or_other_runs_are_measurements(sweep):
    noisy = pd.concat([sweep, sweep.assign(loss=sweep.loss + 0.01)])
    assert len(check_runs(read_runs(noisy), INPUTS)) == 72
    seeds = pd.concat([sweep.assign(run="seed 0"), sweep.assign(run="seed 1")])
    assert len(check_runs(read_runs(seeds), INPUTS)) == 72


def test_a_forecast_needs_no_losses_and_no_variation(sweep):
    new = sweep[["params", "tokens"]].iloc[[0, 0]]
    assert list(check_runs(read_runs(new), INPUTS, loss=False).columns) == ["run", "params", "tokens"]


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_the_path_of_a_csv_is_a_table(kind, sweep, tmp_path):
    sweep.to_csv(tmp_path / "runs.csv", index=False)
    pd.testing.assert_frame_equal(read_runs(kind(tmp_path / "runs.csv")), sweep, rtol=1e-14)


def test_columns_maps_the_users_names(sweep):
    mine = sweep.rename(columns={"params": "N", "tokens": "D"})
    pd.testing.assert_frame_equal(read_runs(mine, columns={"N": "params", "D": "tokens"}), sweep)


def test_columns_may_swap_two_names(sweep):
    swapped = read_runs(sweep, columns={"params": "tokens", "tokens": "params"})
    np.testing.assert_array_equal(swapped["params"], sweep["tokens"])


GOOD = st.one_of(st.floats(1e-300, 1e300), st.integers(1, 4))
SPOILT = st.sampled_from([0, -0.0, -1, -2.5, np.nan, np.inf, -np.inf, None, "", "loss", "3", "-3", "nan"])


@st.composite
def tables(draw):
    """A table of up to five rows: mostly numbers, up to two spoilt cells, now and then a column too few."""
    rows = draw(st.integers(0, 5))
    columns = [*INPUTS, "loss", *draw(st.lists(st.sampled_from(["loss_se", "run"]), unique=True))]
    table = {name: draw(st.lists(GOOD, min_size=rows, max_size=rows)) for name in columns}
    for _ in range(draw(st.sampled_from([0, 0, 1, 2])) if rows else 0):
        table[draw(st.sampled_from(columns))][draw(st.integers(0, rows - 1))] = draw(SPOILT)
    if draw(st.integers(0, 9)) == 9:
        del table[draw(st.sampled_from(columns))]
    return pd.DataFrame(table)


def test_any_table_is_either_checked_whole_or_refused():
    outcomes = []

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(tables())
    def check(table):
        try:
            checked = check_runs(read_runs(table), INPUTS)
        except InputError:
            outcomes.append("refused")
            return
        outcomes.append("checked")
        numbers = checked.drop(columns="run")
        assert len(checked) == len(table) and {*INPUTS, "loss"} <= set(numbers.columns)
        assert np.isfinite(numbers).all(axis=None) and (numbers > 0).all(axis=None)
        for name in numbers:
            assert list(numbers[name]) == [float(cell) for cell in table[name]]

    check()
    assert min(outcomes.count("checked"), outcomes.count("refused")) >= 20  # the search reached both sides


@pytest.mark.parametrize("name", ["nowhere.csv", "empty.csv"])
def test_a_csv_that_cannot_be_read_is_bad_input(name, tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match=f"{name}' cannot be read as a CSV table"):
        read_runs(tmp_path / name)


def test_a_column_that_nothing_reads_may_hold_anything(sweep):
    assert len(pose(sweep.assign(step=0, note=None), "chinchilla").frame) == 36


UNUSABLE = {
    "a law of the losses": (keep, {"law": reads_losses}, "reads .*loss"),
    "autocorrelation without a clock": (
        lambda t: steps_of_runs(1)(t).drop(columns="step"),
        OU,
        "tokens|step",
    ),
    "autocorrelation without runs": (lambda t: steps_of_runs(4)(t).drop(columns="run"), OU, "run"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_a_model_cannot_use_is_refused(case, sweep):
    change, options, message = UNUSABLE[case]
    with pytest.raises(InputError, match=message):
        pose(change(sweep), **options)


def test_a_law_reads_any_column_of_the_table(sweep):
    assert pose(sweep.assign(heads=np.arange(1, 37)), reads_heads).model.law.inputs == ("params", "heads")
    with pytest.raises(InputError, match="reads runs.heads, which is no column of the table .it has params"):
        pose(sweep, reads_heads)


def test_columns_map_onto_the_inputs_of_any_law(sweep):
    renamed = pose(sweep.assign(H=np.arange(1, 37)), reads_heads, columns={"H": "heads"})
    assert list(renamed.frame["heads"]) == list(range(1, 37))
    with pytest.raises(InputError, match="maps 'H' to 'tokns', which is no column of lossband; did you mean"):
        pose(sweep.assign(H=1.0), reads_heads, columns={"H": "tokns"})
