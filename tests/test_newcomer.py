"""A newcomer's day: the table of runs that W&B exports, a forecast and its picture, as the README writes them."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import lossband as lb
from lossband.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
HEADER = (
    "Name,State,Notes,User,Tags,Created,Runtime,Sweep,batch_size,learning_rate,n_params,optimizer,_runtime,"
    "_timestamp,eval/loss,train/loss,train/tokens_seen"
)


def export():
    """25 finished runs of five budgets and one that crashed, as W&B's button "Export as CSV" writes them."""
    rng, lines = np.random.default_rng(0), []
    for budget in (1e18, 3e18, 1e19, 3e19, 1e20):
        for share in (0.3, 0.55, 1, 1.8, 3.2):
            params = share * 1e8 * (budget / 1e19) ** 0.5
            tokens = budget / 6 / params
            loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(rng.normal(0, 0.004))
            lines.append(
                f"ladder-{len(lines)},finished,-,ana,scaling,2026-03-01T10:11:12.000Z,90,,256,0.0006,{params:.0f},"
                f"adamw,90.1,1772600000.5,{loss:.5f},{0.99 * loss:.5f},{tokens:.0f}"
            )
    lines.append(
        "ladder-25,crashed,-,ana,scaling,2026-03-09T10:11:12.000Z,77,,256,0.0006,910000000,adamw,77.1,"
        "1772600000.5,4.1,4.05,1.1e9"
    )
    return "\n".join([HEADER, *lines]) + "\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with nothing but the export."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text(export())
    return tmp_path


def shell_lines():
    """What the README says to type after the installation."""
    block = README.split("The same from a shell:")[1].split("\n\n")[1]
    return [line.strip() for line in block.splitlines()]


def test_the_shell_lines_of_the_readme_forecast_an_export_with_a_picture(here, capsys):
    lines = shell_lines()
    assert len(lines) <= 2 and not any("--columns" in line for line in lines)
    for line in lines:
        command, *words = shlex.split(line)
        quick = ["--method", "laplace"] if words[0] == "fit" else []
        assert command == "lossband" and main(words + quick) == 0
    said = capsys.readouterr()
    assert "1 of 26 runs did not finish" in said.err and "loss is 'eval/loss'" in said.err
    assert "lo_90" in said.out and (here / "forecast.png").read_bytes()[:4] == b"\x89PNG"
    assert len(lb.load("fit.nc").problem.frame) == 25


def test_the_python_lines_of_the_readme_take_the_export_too(here, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line]) <= 6
    exec(block.replace('"runs.csv")', '"runs.csv", method="laplace")'), names := {})
    said = capsys.readouterr().out
    assert "1 of 26 runs did not finish" in said and "R-hat" not in said and "lo_90" in said
    assert {note.code for note in names["post"].problem.notes} == {"unfinished", "columns"}
    assert (here / "forecast.png").exists()


def test_a_backtest_and_columns_take_the_export_too(here):
    quick = dict(method="laplace", num_samples=50)
    test = lb.backtest("runs.csv", "chinchilla", by="params", hide=2, **quick)
    assert len(test.frame) == 2 and len(test.posteriors[0].problem.frame) == 23
    post = lb.fit("runs.csv", "chinchilla", columns={"train/loss": "loss"}, **quick)
    assert post.problem.frame["loss"].max() == pytest.approx(
        0.99 * lb.fit("runs.csv", "chinchilla", **quick).problem.frame["loss"].max(), rel=1e-4
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "fit.nc"], "no new rows"),
        (["predict", "fit.nc", "runs.csv", "--at", "params=1e9,tokens=1e10"], "a table and new rows"),
        (["predict", "fit.nc", "--at", "params"], "pairs like"),
        (["predict", "fit.nc", "--at", "params=big,tokens=1e9"], "numbers like"),
        (["predict", "fit.nc", "--at", "params=1e9,tokens=1e10", "--plot", "a.doc"], ".png, .pdf, .svg"),
        (["fit", "runs.csv", "--plot", "nowhere/a.png"], "no folder"),
    ],
)
def test_what_is_wrong_in_a_shell_is_said_before_any_work(words, said, here, capsys):
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err and "hint: " in err and not list(here.glob("*.nc"))


def test_a_picture_without_matplotlib_is_one_line_with_a_hint_before_any_work(here, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else found(name, *rest)
    )
    for words in (["fit", "runs.csv", "--plot", "a.png"], ["demo"], ["figure", "looped", "--out", "figures"]):
        assert main(words) == 2
        said = capsys.readouterr().err.splitlines()
        assert said == ["error: pictures need matplotlib.", "hint: pip install 'lossband[plot]'"]
    assert [path.name for path in here.iterdir()] == ["runs.csv"]
