"""The shell, as a user runs it: every example of every command, the demo, and what bad input says."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.cli import COMMANDS, main
from lossband.cli.shared import show_json, write


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    folder, out, err = tmp_path_factory.mktemp("demo"), StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["demo", "--out", str(folder)])
    return folder, status, out.getvalue(), err.getvalue()


def test_demo_prints_diagnostics_then_coefficients_then_calibration_then_gaps(demo):
    _, status, out, _ = demo
    assert status == 0
    places = [
        out.index(words)
        for words in (
            "R-hat max",
            "alpha",
            "Calibration by model size",
            "Signed gap per curve",
        )
    ]
    assert places == sorted(places)


def test_demo_shows_no_progress_bar_in_a_pipe(demo):
    _, _, out, err = demo
    assert "sampling" not in err and "it/s" not in out + err


def test_demo_writes_the_figure_the_bands_and_the_posterior(demo):
    folder, *_ = demo
    assert (folder / "panels.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    bands, post = pd.read_csv(folder / "bands.csv"), lb.load(folder / "posterior.nc")
    runs = lb.load_dataset("looped")
    assert bands["params"].nunique() == runs["params"].nunique()
    assert post.problem.frame["params"].max() < runs["params"].max()
    assert post.health.rhat_max < 1.01
    assert post.health.ess_min > 400
    assert post.health.divergences <= 20  # of 4,000: the shifts are barely seen, and the note says so


def test_demo_bands_hold_the_hidden_size(demo):
    folder, *_ = demo
    post, runs = lb.load(folder / "posterior.nc"), lb.load_dataset("looped")
    hidden = runs[(runs.params == runs.params.max()) & (runs.tokens >= 1e5)]
    band = post.predict(hidden)
    inside = (band["lo_90"].to_numpy() <= hidden["loss"]) & (hidden["loss"] <= band["hi_90"].to_numpy())
    assert inside.mean() > 0.75


def test_panels_has_one_axes_a_cell_and_marks_the_held_out_size(demo):
    import matplotlib.pyplot as plt

    folder, *_ = demo
    runs = lb.load_dataset("looped")
    runs = runs[(runs.tokens >= 1e5) & runs.loops.isin([2, 8])]
    axes = lb.plot.panels(lb.load(folder / "posterior.nc"), runs, hidden=runs.params.max(), points=8)
    assert axes.shape == (2, 5)
    titles = [axis.get_title() for axis in axes.flat]
    assert sum("held out" in title for title in titles) == 2
    assert all(len(axis.collections) == 2 for axis in axes.flat)  # the 50 and the 90 % band
    plt.close("all")


REFITS = "--batch 1 --num-warmup 200 --num-samples 200".split()
QUICK = {
    "compare": REFITS,
    "average": REFITS,
    "recipes": "--law chinchilla --drift none --num-warmup 200 --num-samples 200".split(),
}  # the programs of the fixtures' own fits
EXAMPLES = [line for name, command in COMMANDS.items() if name != "demo" for line in command.EXAMPLES]


@pytest.fixture(scope="module")
def desk(tmp_path_factory, grid, plain_post):
    """A folder with a table of measured runs under names of its own, one of planned runs, another law's fit, and logs."""
    folder = tmp_path_factory.mktemp("desk")
    grid.rename(columns={"params": "N", "tokens": "D"}).to_csv(folder / "runs.csv", index=False)
    new = pd.DataFrame({"N": [2e9, 4e9], "D": [1e11, 1e11]})
    new.to_csv(folder / "new.csv", index=False)
    plain_post.save(folder / "chinchilla.nc")
    (folder / "train.log").write_text("start\nstep 10 loss 3.2\nstep 20 loss 3.1\n")
    rival = "import numpy as np\ndef forecast(train, new):\n    return np.random.default_rng(0).lognormal(1, 0.1, (99, len(new)))\n"
    (folder / "rival.py").write_text(rival)
    (folder / "output/pilot").mkdir(parents=True)
    state = {"log_history": [{"step": s, "loss": 2 + 9 / s} for s in (10, 20, 20, 30)]}
    (folder / "output/pilot/trainer_state.json").write_text(json.dumps(state))
    pd.DataFrame({"params": [1e9, 2e9, 4e9], "tokens": [1e11, 4e10, 1e11]}).to_csv(
        folder / "candidates.csv", index=False
    )
    steps = np.arange(500, 20_001, 500)
    loss = 3 + 40 * steps**-0.5
    pd.DataFrame({"step": steps, "loss": loss, "lr": 1e-3 * (1 + np.cos(np.pi * steps / 2e4)) / 2})[
        :30
    ].to_json(folder / "loss.jsonl", orient="records", lines=True)
    state = {"log_history": [{"step": int(s), "loss": float(x)} for s, x in zip(steps, loss, strict=True)]}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    pd.DataFrame({"step": [0, 20_000], "lr": [1e-3, 1e-5]}).to_csv(folder / "schedule.csv", index=False)
    for name, low in (("new_seeds", 2.95), ("old_seeds", 3.0)):
        seeds = [
            pd.DataFrame({"run": f"s{i}", "step": steps, "loss": low + i / 500 + 40 * steps**-0.5})
            for i in (0, 1)
        ]
        pd.concat(seeds).to_csv(folder / f"{name}.csv", index=False)
    for name, factor in (("old", 1.0), ("new_recipe", 0.9)):
        grid.assign(loss=1.7 + factor * (grid.loss - 1.7)).to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def ran(desk):
    """Every command's examples, run in order in one folder: line -> (status, stdout, stderr)."""
    from contextlib import chdir, redirect_stderr, redirect_stdout
    from io import StringIO

    done = {}
    for line in EXAMPLES:
        out, err = StringIO(), StringIO()
        with chdir(desk), redirect_stdout(out), redirect_stderr(err):
            status = main([*shlex.split(line)[1:], *QUICK.get(line.split()[1], [])])
        done[line] = status, out.getvalue(), err.getvalue()
    return done


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_examples_run(line, ran):
    status, out, err = ran[line]
    assert (status, line.split()[0]) == (0, "lossband"), err
    assert out or "wrote" in err
    if "--json" in line:
        json.loads(out)
    words = shlex.split(line)
    if "-o" in words:
        assert f"{words[words.index('-o') + 1]}" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_examples(name, capsys):
    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    out = capsys.readouterr().out
    assert done.value.code == 0 and all(line in out for line in COMMANDS[name].EXAMPLES)


def test_a_file_of_one_command_is_read_by_the_next(ran, desk):
    post = lb.load(desk / "fit.nc")
    again = post.predict(pd.read_csv(desk / "new.csv"), kind="run", levels=(0.9,))
    bands = pd.read_csv(desk / "bands.csv", dtype={"run": str})
    pd.testing.assert_frame_equal(bands, again, rtol=1e-12, check_dtype=False)
    assert set(pd.read_csv(desk / "backtest.csv")) >= {
        "hidden",
        "loss",
        "median",
        "pit",
        "crps",
        "inside_90",
    }


def test_the_names_of_the_figures_are_those_that_there_are(ran, desk):
    from lossband.cli.figure import NAMES
    from lossband.studies import FIGURES

    assert set(NAMES) == set(FIGURES)
    assert (desk / "figures/looped.png").read_bytes()[:4] == b"\x89PNG"


def test_json_holds_health_and_coefficients(ran, desk, capsys, monkeypatch):
    monkeypatch.chdir(desk)
    line = "fit runs.csv --columns N=params,D=tokens --json --num-samples 100 -o quick.nc"
    assert main(line.split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["law"] == "capped" and told["file"] == "quick.nc"
    assert set(told["coefficients"]["alpha"]) >= {"mean", "sd"}
    assert isinstance(told["health"]["ok"], bool) and told["health"]["pareto_k"] is None
    show_json({"nan": float("nan"), "deep": [(1, {"x": None})]})
    assert json.loads(capsys.readouterr().out) == {
        "nan": None,
        "deep": [[1, {"x": None}]],
    }


def test_a_law_of_ones_own_by_its_file(ran, desk, capsys, monkeypatch):
    monkeypatch.chdir(desk)
    (desk / "ours.py").write_text(
        "import lossband as lb\n\ndef mine(runs):\n    return lb.floor(runs) + lb.power(runs.params, "
        "'A', 'alpha')\n"
    )
    line = "fit runs.csv --columns N=params --law ours.py:mine --drift none --method laplace --num-samples 50 -o own.nc"
    assert main(line.split()) == 0
    assert main("predict own.nc new.csv --law ours.py:mine --json".split()) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 2
    assert main("predict own.nc new.csv".split()) == 2
    assert "holds the law 'mine', which is not one of lossband's" in capsys.readouterr().err


BAD = {
    "fit nowhere.csv": "'nowhere.csv' cannot be read as a CSV table",
    "fit runs.csv --law chinchila": "no law 'chinchila'; did you mean 'chinchilla'",
    "fit runs.csv": "no column that varies under the name of an input (it has N, D, loss)",
    "fit runs.csv --columns N:params": "expected pairs like N=params,D=tokens, got 'N:params'",
    "fit runs.csv --columns M=params": "columns= names 'M', which is not in the table",
    "fit runs.csv -o nowhere/fit.nc": "there is no folder 'nowhere'",
    "fit runs.csv --law nowhere.py:law": "there is no file 'nowhere.py'",
    "fit runs.csv --law runs.py:law": "there is no file 'runs.py'",
    "fit runs.csv --num-samples few": "invalid int value: 'few'",
    "fit": "the following arguments are required: runs",
    "fitt": "invalid choice: 'fitt'",
    "": "no command was given",
    "compare fit.nc fit.nc": "two of the files have one name (fit, fit)",
    "compare fit.nc": "laws",
    "plan fit.nc": "the following arguments are required: --flops",
    "plan fit.nc --flops 0": "flops",
    "figure none": "invalid choice: 'none'",
    "figure looped nowhere.csv": "'nowhere.csv' cannot be read as a CSV table",
    "predict runs.csv new.csv": "runs.csv is no lossband posterior",
    "predict fit.nc new.csv --level 90": "levels= has 90.0; expected numbers between 0 and 1",
    "predict fit.nc new.csv --level many": "expected numbers like 0.5,0.9, got 'many'",
    "predict fit.nc new.csv -o bands.txt": "expected a name that ends in .csv, .json, .parquet",
    "predict fit.nc runs.csv --columns N=tokens": "no column 'params'",
    "backtest runs.csv --columns N=params,D=tokens --hide 1.5": "--hide got 1.5; expected whole numbers",
    "backtest runs.csv --columns N=params,D=tokens --hide 8": "hide= asks for 8 of the 8 distinct values",
    "data convert nowhere -o x.csv": "there is no file or folder 'nowhere'",
    "data convert train.log -o x.csv --pattern step": "expected loss, and step or tokens",
    "data convert train.log -o x.csv --set params=big": "expected numbers like params=1e8",
    "data get nothing": "there is no data set 'nothing'",
    "data": "the following arguments are required: ACTION",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_a_hint_and_status_2(line, ran, desk, capsys, monkeypatch):
    monkeypatch.chdir(desk)
    before = sorted(desk.iterdir())
    assert main(line.split()) == 2
    told = capsys.readouterr()
    error, hint = told.err.strip().splitlines()
    assert error.startswith("error: ") and BAD[line] in error and hint.startswith("hint: ") and len(hint) > 10
    assert not told.out and sorted(desk.iterdir()) == before


def test_a_shell_sees_the_status_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lossband.cli", "fit", tmp_path / "nowhere.csv"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_a_log_is_a_table_too(ran, desk, capsys, monkeypatch):
    monkeypatch.chdir(desk)
    told = ran[next(line for line in EXAMPLES if "output/pilot" in line)][2]
    assert "[duplicates] run 'pilot': 1 points" in told and "wrote 3 rows to pilot.csv" in told
    assert pd.read_csv(desk / "pilot.csv")["tokens"].tolist() == [
        10 * 4096,
        20 * 4096,
        30 * 4096,
    ]
    assert main("predict fit.nc output/pilot".split()) == 2  # it is read, and lacks what the law needs
    told = capsys.readouterr().err
    assert "[duplicates]" in told and "no column 'params'" in told


def test_completion_knows_the_commands(capsys):
    assert main(["--print-completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)


def test_the_schedules_of_the_shell_are_those_that_there_are():
    from typing import get_args

    from lossband.cli.watch import SCHEDULES
    from lossband.runs.schedules import Name

    assert get_args(Name) == SCHEDULES


def test_the_shell_starts_without_jax():
    code = "import sys; from lossband.cli import parser; parser(); print([m for m in ('jax', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parquet_and_json_tables_come_back(tmp_path):
    frame = pd.DataFrame({"run": ["ä", "b"], "loss": [0.1 + 0.2, 1e-300]})
    for suffix, read in {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".json": pd.read_json,
    }.items():
        write(frame, tmp_path / f"t{suffix}")
        pd.testing.assert_frame_equal(read(tmp_path / f"t{suffix}"), frame, rtol=1e-14, atol=0)


def test_a_law_that_reads_more_of_the_table_is_suggested(desk, capsys, monkeypatch):
    monkeypatch.chdir(desk)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"params": 10 ** rng.uniform(7, 9, 40), "tokens": 10 ** rng.uniform(9, 11, 40)})
    loss = 1.8 + 40 * table["params"] ** -0.2 + 90 * table["tokens"] ** -0.22
    table.assign(bits=rng.choice([4.0, 8.0, 16.0], 40), loss=loss).to_csv("bits.csv", index=False)
    quick = "--method laplace --drift none --num-samples 50 -o bits.nc".split()
    assert main(["fit", "bits.csv", *quick]) == 0
    assert "--law precision does" in capsys.readouterr().err
    assert main(["fit", "bits.csv", "--law", "precision", *quick]) == 0
    assert "--law precision does" not in capsys.readouterr().err


def test_metrics_and_families_from_the_shell(desk, capsys, monkeypatch, grid):
    monkeypatch.chdir(desk)
    right = np.exp(-grid["loss"] / 3)
    both = [grid.assign(accuracy=0.25 + 0.75 * right**power, family=f"f{power}") for power in (1, 1.1)]
    pd.concat(both).drop(columns="loss").to_csv("accuracies.csv", index=False)
    quick = "--law chinchilla --method laplace --drift none --num-samples 50 -o accuracies.nc".split()
    assert (
        main(
            [
                "fit",
                "accuracies.csv",
                "--metric",
                "accuracy",
                "--bounds",
                "0.25,1",
                "--pool",
                "family",
                *quick,
            ]
        )
        == 0
    )
    assert (
        lb.load(desk / "accuracies.nc")
        .predict({"params": 1e9, "tokens": 1e11, "family": "f1"})["median"]
        .between(0.25, 1)
        .all()
    )
    capsys.readouterr()
    assert main(["fit", "accuracies.csv", "--metric", "accuracy", "--bounds", "0.25", *quick]) == 2
    assert "two numbers such as 0.25,1" in capsys.readouterr().err
