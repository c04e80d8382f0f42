"""Tables and first errors of public reports: each input is read right, or refused with a hint that works."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from reports import found, report

import lossband as lb
from lossband.cli import main
from lossband.model.problem import pose
from lossband.runs.table import read_runs


@pytest.fixture
def table():
    """30 whole-numbered rows by Chinchilla's law."""
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e8, 3e10, 6)))
    loss = 1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28
    return pd.DataFrame({"params": params.round(), "tokens": tokens.round(), "loss": loss})


def text_of(table, header="params,tokens,loss", form="{:.0f},{:.0f},{}", end=""):
    lines = [form.format(*row) + end for row in table.to_numpy()]
    return "\n".join([header + end, *lines]) + "\n"


READ = {  # report: how its file is written, all read as the table
    "a space before a name": lambda t: text_of(t, "params, tokens, loss").encode(),
    "separators behind the last name": lambda t: text_of(
        t, "params;tokens;loss", "{:.0f};{:.0f};{}", ";;"
    ).encode(),
    "a mark of byte order": lambda t: text_of(t).encode("utf-8-sig"),
    "a mark of byte order before a quoted name": lambda t: text_of(t, '"params","tokens","loss"').encode(
        "utf-8-sig"
    ),
    "UTF-16 and tabs": lambda t: text_of(t, "params\ttokens\tloss", "{:.0f}\t{:.0f}\t{}").encode("utf-16"),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("a space before a name", marks=report(1, "Pengeace/LncRNA-Disease-link#1")),
        pytest.param("separators behind the last name", marks=report(1, "pandas-dev/pandas#26448")),
        pytest.param("a mark of byte order", marks=report(1, "biolab/orange3#7000")),
        pytest.param("a mark of byte order before a quoted name", marks=report(1, "PIC-IRIS/PH5#536")),
        pytest.param("UTF-16 and tabs", marks=report(1, "pola-rs/polars#18465")),
    ],
)
def test_a_file_is_the_table(case, table, tmp_path):
    (tmp_path / "runs.csv").write_bytes(READ[case](table))
    pd.testing.assert_frame_equal(read_runs(tmp_path / "runs.csv"), table, check_dtype=False)
    pd.testing.assert_frame_equal(read_runs(io.BytesIO(READ[case](table))), table, check_dtype=False)


@report(1, "erdogant/benfordslaw#8")
def test_nullable_whole_numbers_without_a_missing_one(table):
    column = table.params.astype("int64").astype("Int64")
    assert pose(table.assign(params=column), "chinchilla").frame.params.tolist() == table.params.tolist()


def _with_missing(table, dtype):
    column = table.params.astype(dtype)
    column.iloc[3] = pd.NA
    return table.assign(params=column)


@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param("object", marks=report(1, "pandas-dev/pandas#37626")),
        pytest.param("UInt64", marks=report(1, "numpy/numpy#17659")),
    ],
)
def test_a_missing_value_of_pandas_is_named_by_its_row(dtype, table):
    runs = _with_missing(table, dtype)
    with pytest.raises(lb.InputError, match=r"params has 1 missing value \(row 3\)") as raised:
        pose(runs, "chinchilla")
    mended = eval(raised.value.hint.removeprefix("Drop them with ").rstrip("."), {"runs": runs})
    assert len(pose(mended, "chinchilla").frame) == 29


GROUPED = {  # how a count is grouped, by the report: the first row that shows it
    ",": lambda value: f"{value:,.0f}",
    ".": lambda value: f"{value:,.0f}".replace(",", "."),
    "narrow spaces": lambda value: f"{value:,.0f}".replace(",", "\u202f"),
}


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        pytest.param(",", 6, marks=report(1, "tidyverse/readr#799")),
        pytest.param(".", 0, marks=report(1, "pandas-dev/pandas#50270")),
        pytest.param("narrow spaces", 0, marks=report(1, "duckdb/duckdb#17093")),
    ],
)
def test_grouped_digits_are_refused_whole_with_a_hint_that_works(group, rows, table):
    cells = [str(int(v)) if i < rows else GROUPED[group](v) for i, v in enumerate(table.params)]
    runs = table.assign(params=cells)
    with pytest.raises(lb.InputError, match=f"params has {30 - rows} non-numeric values") as raised:
        pose(runs, "chinchilla")
    exec(raised.value.hint.rstrip(".").partition(": ")[2], {"runs": runs})
    assert runs.params.tolist() == table.params.tolist()


def test_a_hint_calls_a_column_as_the_table_does(table):
    runs = table.assign(error=[f"{10 * v:.3f} %" for v in table.loss]).drop(columns="loss")
    with pytest.raises(lb.InputError, match="loss has 30 non-numeric values") as raised:
        pose(runs, "chinchilla", columns={"error": "loss"})
    exec(raised.value.hint.rstrip(".").partition(": ")[2], {"runs": runs})
    np.testing.assert_allclose(runs.error, table.loss / 10, atol=1e-5)
    assert len(pose(runs, "chinchilla", columns={"error": "loss"}).frame) == 30


@report(1, "IEDB/PEPMatch#9")
def test_a_word_among_numbers_is_named_by_its_row(table):
    runs = table.astype(object)
    runs.loc[7, "tokens"] = "pending"
    with pytest.raises(lb.InputError, match=r"1 non-numeric value \(row 7\).*'pending'"):
        pose(runs, "chinchilla")


def test_a_column_without_a_number_is_not_to_be_dropped_row_by_row(table):
    for cells in ("pending", None):
        with pytest.raises(lb.InputError, match="No row has one") as raised:
            pose(table.assign(params=cells), "chinchilla")
        assert "columns={'yours': 'params'}" in raised.value.hint


# --- first contact --------------------------------------------------------------------------------------

NO_TABLE = {
    "no line of names": (lambda t: text_of(t).partition("\n")[2], "holds numbers", "Write the names"),
    "a comment above the names": (lambda t: "# sweep of May\n" + text_of(t), "line 2 has 3 cells", "Delete"),
    "a line that is too long": (lambda t: text_of(t) + "1,2,3,4\n", "line 32 has 4 cells", "Delete"),
    "nothing": (lambda t: "", "it is empty", "Check the path"),
    "a page of the web": (lambda t: "<!DOCTYPE html>\n<html><body>404</body></html>", "HTML", "Download"),
    "a posterior": (lambda t: "\x89HDF\r\n\x1a\n\0\0", "netCDF", "lossband.load"),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("no line of names", marks=report(7, "pandas-dev/pandas#22584")),
        pytest.param("a comment above the names", marks=report(7, "dask/distributed#240")),
        pytest.param("a line that is too long", marks=report(7, "myudelson/hmm-scalable#1")),
        pytest.param("nothing", marks=report(7, "aertslab/pySCENIC#316")),
        "a page of the web",
        "a posterior",
    ],
)
def test_what_is_no_table_is_said_in_a_line(case, table, tmp_path, capsys):
    write, said, hint = NO_TABLE[case]
    (tmp_path / "runs.csv").write_bytes(write(table).encode("latin-1"))
    with pytest.raises(lb.InputError, match=said) as raised:
        lb.fit(tmp_path / "runs.csv")
    assert hint in raised.value.hint and raised.value.__cause__ is None
    assert main(["fit", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "fit.nc")]) == 2
    error, told = capsys.readouterr().err.strip().splitlines()
    assert said in error and told.startswith("hint: ")


@report(7, "simonw/csv-diff#25")
@report(7, "ImperialCollegeLondon/PyProBE#140")
@report(7, "ricklupton/floweaver#68")
def test_a_column_that_is_not_there_is_named_beside_those_that_are(table, tmp_path, capsys):
    table.rename(columns={"loss": "final"}).to_csv(tmp_path / "runs.csv", index=False)
    assert main(["fit", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "fit.nc")]) == 2
    said = capsys.readouterr().err
    assert "params, tokens, final" in said and "--columns yours=loss" in said and "Traceback" not in said


@report(7, "ansible-collections/community.general#544")
@report(7, "adobe-apiplatform/user-sync.py#180")
def test_columns_find_the_first_name_behind_a_mark_of_byte_order(table, tmp_path):
    (tmp_path / "runs.csv").write_bytes(text_of(table, "N,D,loss").encode("utf-8-sig"))
    assert len(pose(tmp_path / "runs.csv", columns={"N": "params", "D": "tokens"}).frame) == 30


@report(7, "rgieseke/pandas-datapackage-reader#14")
def test_of_two_tables_the_wrong_one_is_named(table, tmp_path, capsys):
    table.to_csv(tmp_path / "a.csv", index=False)
    table.rename(columns={"loss": "final"}).to_csv(tmp_path / "b.csv", index=False)
    words = ["recipes", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--at", "params=1e10,tokens=1e12"]
    assert main([*words, "--law", "chinchilla"]) == 2
    assert "recipe 'b': the table has no column 'loss'" in capsys.readouterr().err


@report(7, "CobayaSampler/cobaya#469")
def test_the_columns_line_of_an_error_can_be_pasted(table):
    mine = table.rename(columns={"params": "model-size (N)", "tokens": "tokens"})
    with pytest.raises(lb.InputError) as raised:
        pose(mine, "chinchilla")
    line = raised.value.hint.rpartition("columns=")[2].rstrip(".")
    columns = {k.replace("yours", "model-size (N)"): v for k, v in eval(line).items()}
    assert len(pose(mine, "chinchilla", columns=columns).frame) == 30


BARE = """
import sys
sys.modules["matplotlib"] = None
import lossband as lb
post = lb.fit(sys.argv[1], "chinchilla", drift=None, method="laplace", num_samples=20, progress=False)
print(post.predict({"params": 1e10, "tokens": 1e12}).shape)
try:
    post.plot()
except lb.InputError as error:
    print(error)
"""


@report(7, "OpenMS/pyopenms_viz#173")
@report(7, "trungdong/prov#166")
def test_without_matplotlib_all_but_pictures_work(table, tmp_path):
    table.to_csv(tmp_path / "runs.csv", index=False)
    command = [sys.executable, "-c", BARE, tmp_path / "runs.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lossband[plot]" in done.stdout.splitlines()[-1]


def test_every_kind_has_ten_inputs_of_reports():
    assert all(len(places) >= 10 for places in found().values())


def test_of_several_tables_the_one_is_named_and_of_one_none(table):
    wrong = table.assign(loss="x")
    for tables, said in (([table, wrong], "tables[1]: loss has"), ([wrong], "loss has")):
        with pytest.raises(lb.InputError) as raised:
            lb.fit_many(tables, "chinchilla")
        assert raised.value.what.startswith(said)
