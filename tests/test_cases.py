"""Inputs that people bring, by kind: each is read right, or refused with a hint that works."""

import gzip
import io
import re

import numpy as np
import pandas as pd
import pytest
import simulated

import lossband as lb
from lossband.cli import main
from lossband.model.problem import NewRows, pose
from lossband.runs.table import read_runs

QUICK = dict(method="laplace", num_samples=50, num_warmup=50, num_chains=2, progress=False)


@pytest.fixture(scope="module")
def table():
    """30 rows by Chinchilla's law, five sizes and six budgets."""
    return simulated.chinchilla()


@pytest.fixture(scope="module")
def post(table):
    return lb.fit(table.assign(family="x"), "chinchilla", **QUICK)


# --- a table is read once -------------------------------------------------------------------------------

FORMS = {
    "text": lambda t: t.astype(str),
    "category": lambda t: t.astype("category"),
    "text categories": lambda t: t.astype(str).astype("category"),
    "Float64": lambda t: t.astype("Float64"),
    "string": lambda t: t.astype("string"),
    "Arrow dtype": lambda t: t.astype("double[pyarrow]"),
    "object": lambda t: t.astype(object),
    "dict of lists": lambda t: t.to_dict("list"),
    "records": lambda t: t.to_dict("records"),
    "dict of arrays": lambda t: {name: t[name].to_numpy() for name in t},
    "polars": lambda t: pytest.importorskip("polars").DataFrame(t.to_dict("list")),
    "polars, lazily": lambda t: pytest.importorskip("polars").DataFrame(t.to_dict("list")).lazy(),
    "Arrow": lambda t: pytest.importorskip("pyarrow").Table.from_pandas(t),
    "structured array": lambda t: t.to_records(index=False),
    "open text": lambda t: io.StringIO(t.to_csv(index=False)),
    "open bytes": lambda t: io.BytesIO(t.to_csv(index=False).encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_any_form_is_one_table(form, table):
    read = read_runs(FORMS[form](table))
    pd.testing.assert_frame_equal(read, table, rtol=1e-15)
    said = {note.code for note in read.attrs.get("notes", ())}
    assert said == ({"text"} if form in ("text", "text categories", "string") else set())


FILES = {
    "runs.csv": lambda t: t.to_csv(index=False),
    "bom.csv": lambda t: "\ufeff" + t.to_csv(index=False),
    "semicolons.csv": lambda t: t.to_csv(index=False, sep=";"),
    "tabs.tsv": lambda t: t.to_csv(index=False, sep="\t"),
    "spaces.csv": lambda t: t.to_csv(index=False).replace(",", ", "),
    "bars.txt": lambda t: t.to_csv(index=False, sep="|"),
    "windows.csv": lambda t: t.to_csv(index=False, lineterminator="\r\n"),
    "quoted.csv": lambda t: t.to_csv(index=False, quoting=1),
    "blank-lines.csv": lambda t: t.to_csv(index=False).replace("\n", "\n\n"),
    "records.jsonl": lambda t: t.to_json(orient="records", lines=True, double_precision=15),
    "records.json": lambda t: t.to_json(orient="records", double_precision=15),
    "columns.json": lambda t: t.to_json(orient="columns", double_precision=15),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_a_table_in_any_file_is_one_table(name, packed, table, tmp_path):
    content = FILES[name](table).encode()
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    pd.testing.assert_frame_equal(read_runs(path), table, rtol=1e-14, check_index_type=False)


@pytest.mark.parametrize("name", ["runs.parquet", "runs.csv.bz2", "runs.csv.xz", "runs.zip", "utf16.csv"])
def test_a_table_in_other_files_is_one_table(name, table, tmp_path):
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    elif name.startswith("utf16"):
        path.write_text(table.to_csv(index=False), encoding="utf-16")
    else:
        table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_runs(path), table, rtol=1e-14)


def test_a_frame_comes_back_from_a_file_as_it_was(tmp_path):
    frame = pd.DataFrame(
        {
            "run": ["a", "b"],
            "inside_90": [True, False],
            "step": [1, 2],
            "loss": [0.1 + 0.2, np.nan],
            "note": ["x, y", None],
            "tag": ["2024_01", "2024_02"],
            "empty": [np.nan, np.nan],
        }
    )
    frame.to_csv(tmp_path / "frame.csv", index=False)
    pd.testing.assert_frame_equal(read_runs(tmp_path / "frame.csv"), frame, check_dtype=False)
    assert read_runs(tmp_path / "frame.csv")["inside_90"].dtype == bool


NUMBERS = {
    "124M": 124e6,
    "1.4T": 1.4e12,
    "7B": 7e9,
    "300k": 3e5,
    "1e9": 1e9,
    "1.5e3 M": 1.5e9,
    " 70b ": 70e9,
    "1_000_000": 1e6,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_counts_as_people_write_them_are_numbers_with_a_note(text, table):
    read = read_runs(table.assign(tokens=[text, *map(str, table.tokens[1:])]))
    assert read["tokens"].iloc[0] == pytest.approx(NUMBERS[text])
    (note,) = read.attrs["notes"]
    assert repr(text) in note.text and "tokens" in note.text
    problem = pose(table.assign(tokens=table.tokens.map("{:.6e}".format)), "chinchilla")
    assert [note.code for note in problem.notes] == ["text"]


@pytest.mark.parametrize("cell", ["1,234", "12,345,678", "3,59", "about 3", "1.2.3", "5X", "M", "0x10"])
def test_what_is_no_number_is_refused_with_a_hint_that_works(cell, table):
    runs = table.assign(tokens=[cell, *map(str, table.tokens[1:])])
    with pytest.raises(lb.InputError, match=r"tokens has 1 non-numeric value \(row 0\)") as raised:
        pose(runs, "chinchilla")
    assert repr(cell) in raised.value.what
    hint = raised.value.hint.rstrip(".").partition(": ")[2]
    if " = " in hint:
        exec(hint, {"runs": runs})
    else:
        runs = eval(hint, {"runs": runs, "pd": pd})
    assert len(pose(runs, "chinchilla").frame) >= 29


def test_a_loss_with_a_comma_is_refused_however_it_looks(table):
    for cell in ("3,59", "3,591", "1,234.5", "124M"):
        with pytest.raises(lb.InputError, match="loss has 1 non-numeric value"):
            pose(table.assign(loss=[cell, *map(str, table.loss[1:])]), "chinchilla")


def test_hints_for_a_shell_work_in_a_shell(table, tmp_path):
    runs = table.assign(tokens=table.tokens.map("{:,.0f}".format))
    runs.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(lb.InputError) as raised:
        pose(tmp_path / "runs.csv", "chinchilla")
    code = re.search(r'python -c "(.*)"', raised.value.shell)[1]
    exec(
        code.replace("'runs.csv'", repr(str(tmp_path / "runs.csv"))).replace(
            "'plain.csv'", repr(str(tmp_path / "p.csv"))
        ),
        {},
    )
    assert len(pose(tmp_path / "p.csv", "chinchilla").frame) == 30


def test_the_text_of_sizes_hides_the_largest_size(table):
    for form in (
        lambda s: s.map("{:.0e}".format),
        lambda s: s.astype("category"),
        lambda s: s.astype(object),
    ):
        test = lb.backtest(table.assign(params=form(table.params.round(-6))), "chinchilla", **QUICK)
        assert list(test.frame["params"].unique()) == [1e9]
        assert test.calibration(by="params")["rows"].tolist() == [6, 6]


def test_backtest_refuses_what_fit_refuses(table):
    twice = pd.concat([table, table])
    for call in (lb.fit, lb.backtest):
        with pytest.raises(lb.InputError, match="60 rows repeat a measurement"):
            call(twice, "chinchilla", **QUICK)


LABELS = {
    "int8": np.int8,
    "Int64": "Int64",
    "float": float,
    "object": object,
    "category": "category",
    "text": lambda s: s.astype(str),
}


@pytest.mark.parametrize("kind", LABELS)
def test_a_whole_number_is_one_label_whatever_its_type(kind):
    numbers = pd.Series([1, 7, 120])
    change = LABELS[kind]
    cells = change(numbers) if callable(change) and kind == "text" else numbers.astype(change)
    frame = pd.DataFrame({"run": cells, "params": [1.0, 2, 3]})
    assert list(read_runs(frame)["run"]) == ["1", "7", "120"]


def test_labels_of_a_file_are_text(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("run,family,params\nNA,007,1\nnan,1.10,2\nNone,2e3,3\n")
    read = read_runs(path)
    assert list(read["run"]) == ["NA", "nan", "None"] and list(read["family"]) == ["007", "1.10", "2e3"]
    path.write_text("name,params\nNA,1\n7,2\n")
    assert list(read_runs(path, columns={"name": "run"})["run"]) == ["NA", "7"]
    path.write_text("run,params\n7.0,1\n8.0,2\n")  # as pandas writes whole numbers beside an empty cell
    assert list(read_runs(path)["run"]) == ["7", "8"]
    path.write_text("run,params,loss\n,1,2\n8,2,1\n")
    with pytest.raises(lb.InputError, match=r"run has 1 missing label \(row 0\)"):
        lb.fit(path, "power")


def test_a_known_run_is_known_by_its_number(table):
    runs = table.assign(run=table.params.rank(method="dense").astype(int))
    post = lb.fit(runs, "chinchilla", noise="student-t+run", **QUICK)
    rows = runs.tail(2).drop(columns="loss")
    bands = [post.predict(rows.assign(run=rows.run.astype(kind))) for kind in (int, float, object, str)]
    for band in bands[1:]:
        pd.testing.assert_frame_equal(band, bands[0])


def test_loss_twice_is_refused_in_a_file_too(table, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("params,tokens,loss,loss\n1e7,1e9,3,2\n")
    with pytest.raises(lb.InputError, match="more than one column loss"):
        read_runs(path)


ROWS = {
    "a dict": {"params": 7e10, "tokens": 1.4e12},
    "text": {"params": "70B", "tokens": "1.4T"},
    "lists": {"params": [7e10], "tokens": [1.4e12]},
    "one for many": {"params": [7e10], "tokens": 1.4e12},
    "a row of a frame": pd.Series({"params": 7e10, "tokens": 1.4e12}),
    "records": [{"params": 7e10, "tokens": 1.4e12}],
    "FLOPs": {"params": 7e10, "flops": 6 * 7e10 * 1.4e12},
    "integers": {"params": 70_000_000_000, "tokens": np.int64(1_400_000_000_000)},
}


@pytest.mark.parametrize("row", ROWS)
def test_one_row_is_a_table_for_a_forecast(row, post):
    band = post.predict(ROWS[row])
    assert band[["params", "tokens"]].to_numpy().tolist() == [[7e10, 1.4e12]]
    assert band["lo_90"].iloc[0] < band["median"].iloc[0] < band["hi_90"].iloc[0]
    assert post.prob(ROWS[row], below=9.0) == pytest.approx(1.0)


def test_the_gap_of_any_column_of_the_table(table, post):
    runs = table.assign(family="x", **{"data set": ["a", "b"] * 15})
    assert list(post.gap(runs, by="family")["family"]) == ["x"]
    assert list(post.gap(runs, by="data set")["rows"]) == [15, 15]
    assert len(post.gap(runs, by=("params", "data set"))) == 10
    with pytest.raises(lb.InputError, match="by= names colour"):
        post.gap(runs, by="colour")


def test_a_learning_rate_as_text_is_a_number():
    step = np.arange(1, 200)
    log = pd.DataFrame({"step": step, "loss": 2 + 3 * step**-0.4, "lr": "1e-3"})
    outlook = lb.watch(log, 900, **QUICK)
    assert (outlook.seen["lr"] == 1e-3).all()
    assert {"text", "lr-held"} <= {note.code for note in outlook.notes}


def test_params_and_flops_give_tokens_with_a_note(table):
    runs = table.assign(flops=6 * table.params * table.tokens).drop(columns="tokens")
    problem = pose(runs)
    np.testing.assert_allclose(problem.frame["tokens"], table["tokens"], rtol=1e-9)
    assert [note.code for note in problem.notes] == ["tokens"] and "flops / (6 params)" in problem.notes[
        0
    ].text
    looped = runs.assign(loops=2)
    with pytest.raises(lb.InputError, match="no column 'tokens'"):
        pose(looped, "chinchilla")
    one_size = runs[runs.params == runs.params.iloc[0]].drop(columns="params")
    assert "tokens" not in pose(one_size, "power").frame


LOG = pd.DataFrame({"step": np.arange(100), "loss": 2 * (1 + np.arange(100) / 30) ** -0.5})


def test_step_zero_is_left_out_with_a_note():
    problem = pose(LOG, "power")
    assert len(problem.frame) == 99 and [note.code for note in problem.notes] == ["start"]
    assert "1 row at step 0 (row 0)" in problem.notes[0].text
    two = pd.concat([LOG.assign(run=name) for name in "ab"], ignore_index=True)
    assert len(pose(two, "power").frame) == 198
    by_size = pd.concat([LOG.assign(params=10.0**n, loss=LOG.loss / n) for n in (7, 8)])
    assert (
        len(pose(by_size.rename(columns={"step": "tokens"}).assign(run=by_size.params), "chinchilla").frame)
        == 198
    )
    outlook = lb.watch(LOG, 900, **QUICK)
    assert len(outlook.seen) == 99 and "start" in {note.code for note in outlook.notes}
    thinned = lb.thin(LOG, 20)
    assert (thinned["step"] > 0).all() and thinned.attrs["notes"][0].code == "start"


def test_zeros_that_are_no_start_are_refused(table):
    for runs, law in (
        (LOG.assign(step=LOG.step // 2), "power"),
        (LOG.assign(step=[*range(1, 50), 0, *range(51, 101)]), "power"),
        (table.assign(tokens=[0.0, *table.tokens[1:]]), "chinchilla"),
    ):
        with pytest.raises(lb.InputError, match="values? <= 0"):
            pose(runs, law)
    with pytest.raises(lb.InputError, match="1 value <= 0"):  # a forecast has every row
        NewRows.of({"step": [0, 5]}).checked(pose(LOG, "power"))


# --- first contact --------------------------------------------------------------------------------------

FIRST = {
    "N, D": ({"params": "N", "tokens": "D"}, "columns={'N': 'params', 'D': 'tokens'}"),
    "n_params, tokens_seen": (
        {"params": "n_params", "tokens": "tokens_seen"},
        "columns={'n_params': 'params', 'tokens_seen': 'tokens'}",
    ),
    "num_parameters, training_tokens, val_loss": (
        {"params": "num_parameters", "tokens": "training_tokens", "loss": "val_loss"},
        "columns={'num_parameters': 'params', 'training_tokens': 'tokens', 'val_loss': 'loss'}",
    ),
    "sizes of no usual name": ({"params": "groesse", "tokens": "menge"}, "columns={'yours': 'params'}"),
    "capitals": (
        {"params": "Params", "tokens": "Tokens"},
        "columns={'Params': 'params', 'Tokens': 'tokens'}",
    ),
    "the loss alone": ({"loss": "final_loss"}, "columns={'final_loss': 'loss'}"),
    "tokens alone": ({"tokens": "num_tokens"}, "columns={'num_tokens': 'tokens'}"),
}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_error_lists_the_columns_and_the_line_to_write(case, table):
    renamed, line = FIRST[case]
    mine = table.rename(columns=renamed)
    with pytest.raises(lb.InputError) as raised:
        pose(mine, "chinchilla" if len(renamed) == 1 else None)
    assert line in raised.value.hint and all(name in raised.value.what for name in mine)
    if "yours" not in line:  # the line is right
        columns = eval(line.partition("=")[2])
        assert len(pose(mine, columns=columns).frame) == 30
    assert pose(mine, columns={mine_: ours for ours, mine_ in renamed.items()}).model.law.name == "capped"


def test_the_first_error_says_what_laws_take(table):
    with pytest.raises(lb.InputError, match="laws take params and tokens, or one input alone") as raised:
        lb.fit(table.rename(columns={"params": "N", "tokens": "D"}))
    assert "step" in raised.value.what and "power_saturated" not in str(raised.value)
    with pytest.raises(lb.InputError, match="no default law takes params, step") as raised:
        lb.fit(table.rename(columns={"tokens": "step"}))
    assert "law=" in raised.value.hint


def test_a_shell_gets_an_option_where_python_gets_an_argument(table, tmp_path, capsys):
    table.rename(columns={"params": "N", "tokens": "D"}).to_csv(tmp_path / "runs.csv", sep=";", index=False)
    command = ["fit", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "fit.nc"), "--method", "laplace"]
    assert main(command) == 2
    error, hint = capsys.readouterr().err.strip().splitlines()
    assert "(it has N, D, loss)" in error and hint == "hint: Name yours: --columns N=params,D=tokens."
    assert main([*command, "--num-samples", "50", *hint.removesuffix(".").split()[3:]]) == 0


def test_flops_in_place_of_tokens_are_enough_in_a_shell(table, tmp_path, capsys):
    runs = table.assign(flops=6 * table.params * table.tokens).drop(columns="tokens")
    runs.to_csv(tmp_path / "runs.csv", index=False)
    command = ["fit", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "fit.nc"), "--method", "laplace"]
    assert main([*command, "--num-samples", "50"]) == 0
    assert "tokens are flops / (6 params)" in capsys.readouterr().out
