"""Malformed tables.

Each ends in a typed error that says what and what to do, or in a checked problem with every row.

The quick search runs always, the full one with `-m slow`: 10,000 tables, of which every 500th usable one is
fitted.
"""

import datetime
import decimal
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lossband as lb
from lossband.model.problem import pose

NUMBERS = ("params", "tokens", "loss")
SPOILT = st.sampled_from(
    [
        0,
        -0.0,
        -1,
        -2.5,
        np.nan,
        None,
        pd.NA,
        pd.NaT,
        np.inf,
        -np.inf,
        1e308,
        1e-308,
        5e-324,
        2**63,
        2**64,
        10**400,
        True,
        "",
        " ",
        "3",
        "3,5",
        "1e9",
        "nan",
        "-inf",
        "loss",
        "\x00",
        "北",
        "🙂",
        b"3",
        1 + 2j,
        (1, 2),
        [],
        {},
        {"a": 1},
        decimal.Decimal("1.5"),
        decimal.Decimal("NaN"),
        datetime.date(2026, 1, 1),
        pd.Timestamp(0),
        pd.Timedelta(1),
        object(),
        np.float32(1.5),
        np.int8(3),
        np.datetime64("2026"),
        float,
        print,
    ]
)
NAMES = st.one_of(
    st.sampled_from(
        ["loss", "Loss", " loss", "params", "tokens", "run", "loss_se", "family", "", "北", "🙂", "lo\x00ss"]
    ),
    st.sampled_from([0, 1.5, None, np.nan, ("a", "b"), True, b"loss"]),
    st.text(max_size=4),
)


def cell(table, draw):
    name = draw(st.sampled_from(list(table.columns)))
    table[name] = table[name].astype(object)
    for _ in range(draw(st.integers(1, 3))):
        table.iat[draw(st.integers(0, len(table) - 1)), table.columns.get_loc(name)] = draw(SPOILT)
    return table


def column(table, draw):
    value = draw(SPOILT)
    return table.assign(**{draw(st.sampled_from([*NUMBERS, "run", "loss_se", "step"])): [value] * len(table)})


def dtype(table, draw):
    kind = draw(
        st.sampled_from(
            ["str", "string", "category", "Int64", "Float32", "object", "int8", "float16", "bool", "complex"]
        )
    )
    name = draw(st.sampled_from(NUMBERS))
    return table.astype({name: kind})


def drop(table, draw):
    return table.drop(columns=draw(st.sampled_from(list(table.columns))))


def rename(table, draw):
    return table.rename(columns={draw(st.sampled_from(list(table.columns))): draw(NAMES)})


def reorder(table, draw):
    return table[draw(st.permutations(list(table.columns)))]


def repeat_rows(table, draw):
    return table.iloc[draw(st.lists(st.integers(0, len(table) - 1), max_size=20))]


def one_value(table, draw):
    name = draw(st.sampled_from(NUMBERS))
    return table.assign(**{name: table[name].iloc[0]})


def scale(table, draw):
    name, by = (
        draw(st.sampled_from(NUMBERS)),
        draw(st.sampled_from([1e-300, 1e-20, 1e20, 1e150, 1e290, -1.0])),
    )
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce").astype(float) * by})


def labels(table, draw):
    return table.assign(
        run=draw(st.lists(st.one_of(st.text(max_size=3), SPOILT), min_size=len(table), max_size=len(table)))
    )


def index(table, draw):
    kind = draw(st.sampled_from(["same", "pairs", "dates", "unicode"]))
    return table.set_index(
        {
            "same": pd.Index([0] * len(table)),
            "pairs": pd.MultiIndex.from_arrays([range(len(table)), ["x"] * len(table)]),
            "dates": pd.date_range("2026", periods=len(table)),
            "unicode": pd.Index([f"北{i}" for i in range(len(table))]),
        }[kind]
    )


def form(table, draw):
    kind = draw(
        st.sampled_from(
            ["dict", "records", "array", "series", "lists", "nothing", "tuples", "number", "wide"]
        )
    )
    return {
        "dict": lambda: table.to_dict("list"),
        "records": lambda: table.to_dict("records"),
        "array": lambda: table.to_numpy(),
        "series": lambda: table.iloc[:, 0],
        "lists": lambda: [1, 2, [3]],
        "nothing": lambda: None,
        "tuples": lambda: table.set_axis(pd.MultiIndex.from_product([["a"], table.columns]), axis=1),
        "number": lambda: 3,
        "wide": lambda: table.T,
    }[kind]()


CHANGES = (
    cell,
    cell,
    column,
    dtype,
    drop,
    rename,
    reorder,
    repeat_rows,
    one_value,
    scale,
    labels,
    index,
    form,
)


@st.composite
def malformed(draw):
    """A good table of two to twenty rows, changed up to four times, and the options it comes with."""
    rows = draw(st.integers(2, 20) | st.integers(8, 20))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    params, tokens = 10 ** rng.uniform(7, 10, rows), 10 ** rng.uniform(9, 12, rows)
    table = pd.DataFrame(
        {"params": params, "tokens": tokens, "loss": 1.7 + 400 * params**-0.34 + 410 * tokens**-0.28}
    )
    for name, values in {
        "run": [f"r{i // 3}" for i in range(rows)],
        "loss_se": 0.01,
        "step": range(1, rows + 1),
    }.items():
        if draw(st.booleans()):
            table[name] = values
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 4]))):
        if (
            not isinstance(table, pd.DataFrame)
            or not len(table)
            or table.columns.nlevels > 1
            or not table.columns.is_unique
        ):
            break
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                table = draw(st.sampled_from(CHANGES))(table, draw)
        except (
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            NotImplementedError,
        ):  # pandas will not make this table
            continue
    columns = draw(
        st.sampled_from(
            [*[None] * 9, {}, {"N": "params"}, {"params": "tokens"}, {"params": "N"}, {None: "loss"}]
        )
    )
    law = draw(st.sampled_from([None, None, "chinchilla", "power", "coupled"]))
    noise = draw(st.sampled_from(["student-t", "student-t", "normal", "student-t+run", "student-t+run+ou"]))
    return table, law, {"columns": columns, "noise": noise}


def outcome(table, law, options, *, fit=False):
    """ "refused" or "checked"; anything else is a failure."""
    try:
        problem = pose(table, law, **options)
    except lb.InputError as error:
        assert error.what and error.hint
        if re.search(
            r"\d (missing|infinite|non-numeric) (value|label)|value <= 0|repeat a measurement", error.what
        ):
            assert re.search(r"\(rows? \d", error.what), error.what
        return "refused"
    frame = problem.frame
    numbers = frame.drop(columns="run").to_numpy(float)
    assert np.isfinite(numbers).all() and (numbers > 0).all()
    begun = [int(note.text.split()[0]) for note in problem.notes if note.code == "start"]  # counted in a note
    assert isinstance(table, dict) or len(frame) + sum(begun) == len(table)
    if isinstance(table, pd.DataFrame) and not options["columns"] and not begun:
        for name in {"loss", *problem.model.law.inputs} & set(frame):
            assert list(frame[name]) == [float(value) for value in table[name]]
    if fit:
        fitted(table, law, options)
    return "checked"


def fitted(table, law, options):
    """A usable table is fitted: numbers throughout, and what is doubtful is said in notes."""
    post = lb.fit(table, law, **options, method="laplace", num_samples=50, num_warmup=50)
    assert all(np.isfinite(value).all() for value in post.sites.values())
    assert all(note.code and note.text for note in post.health.notes)


def search(count, *, every=0):
    """How often tables were refused and checked; every so many'th usable one is fitted."""
    found = {"refused": 0, "checked": 0}

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(malformed())
    def check(case):
        fit = every and found["checked"] % every == every - 1
        found[outcome(*case, fit=fit)] += 1

    check()
    return found


def test_malformed_tables_end_in_a_typed_error_or_a_checked_problem():
    found = search(500)
    assert min(found.values()) >= 30, found  # the search reached both sides


def test_a_cell_that_is_a_pair_is_refused_among_others():
    with pytest.raises(lb.InputError, match="non-numeric"):
        pose({"params": [1e8, 2e8, (1, 2)], "tokens": [1e9, 2e9, 3e9], "loss": [3.0, 2.9, 2.8]}, "coupled")


def test_a_run_without_a_label_among_steps_from_zero_is_refused():
    runs = {"params": [0.0, 7e9, 3e7, 7e9], "tokens": [3, 4, 5, 6], "loss": [2.6, 3.1, 3.2, 2.3]}
    runs["run"] = ["a", float("nan"), "", (1, 2)]
    with pytest.raises(lb.InputError):
        pose(pd.DataFrame(runs).astype({"params": object}))
    steps = pd.DataFrame({"step": [0, 1, 2], "loss": [4.0, 3.0, 2.5], "run": ["a", float("nan"), "a"]})
    with pytest.raises(lb.InputError, match="missing label"):
        pose(steps)


def test_a_folder_that_is_a_file_is_refused_before_the_fit(tmp_path):
    (tmp_path / "file").write_text("x")
    table = pd.DataFrame({"tokens": [1e8, 1e9, 1e10, 1e11, 1e12], "loss": [4.0, 3.2, 2.8, 2.6, 2.5]})
    with pytest.raises(lb.InputError, match="folder= .* cannot be made"):
        lb.fit_many([table], "power", folder=tmp_path / "file")


def test_a_law_without_coefficients_is_refused_before_the_fit():
    runs = {"params": [1e8, 2e8, 3e8], "loss": [3.0, 2.9, 2.8]}
    with pytest.raises(lb.InputError, match="samples no coefficient"):
        pose(runs, lambda runs: 2.0 + 0.0 * runs.params.log)


@pytest.mark.slow
def test_ten_thousand_malformed_tables():
    found = search(10_000, every=500)
    print(found)
    assert sum(found.values()) >= 10_000 and min(found.values()) >= 1000


def test_the_search_would_see_an_untyped_error(monkeypatch):
    """The alarm rings: a table check that trips over a cell fails the search."""
    import lossband.model.problem

    def careless(frame, *args, **kwargs):
        return frame.astype(float)

    monkeypatch.setattr(lossband.model.problem, "check_runs", careless)
    with pytest.raises(BaseException) as raised:  # noqa: PT011  (one error, or a group of several)
        search(100)
    assert not isinstance(raised.value, lb.InputError)
