"""The twenty inputs that went wrong, each with what is right; test_cases.py and others try more of each kind."""

import gzip
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.cli import main

matplotlib.use("Agg")
QUICK = dict(method="laplace", num_samples=100, num_chains=2, progress=False)
FAST = "--method laplace --num-samples 100".split()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a device or a disk of its own")


@pytest.fixture
def case(shared_cases, tmp_path, monkeypatch):
    """A copy of a case's folder as the current one, by its name."""

    def copy(name):
        shutil.copytree(shared_cases / name, tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        return tmp_path / name

    return copy


def table(name="runs.csv"):
    return pd.read_csv(name)


def test_text_numbers_backtest(case):
    case("text-numbers-backtest")
    runs = table()
    kinds = [runs, runs.assign(params=runs.params.map("{:.0e}".format))]
    kinds.append(runs.assign(params=runs.params.astype("category")))
    hidden = [lb.backtest(kind, "chinchilla", **QUICK).frame["params"].unique().tolist() for kind in kinds]
    assert hidden[0] == hidden[1] == hidden[2] == [runs.params.max()]


def test_run_label_float(case):
    case("run-label-float")
    runs = table().assign(run=lambda t: t.params.rank(method="dense").astype(int))
    runs["loss"] *= np.exp(0.1 * np.sin(7 * runs.run))
    post = lb.fit(runs, "chinchilla", noise="student-t+run", **QUICK)
    new = runs.tail(2).drop(columns="loss")
    widths = [
        (band.hi_90 - band.lo_90).to_numpy()
        for band in map(post.predict, (new, new.assign(run=new.run.astype(float)), new.assign(run="new")))
    ]
    np.testing.assert_array_equal(widths[0], widths[1])
    assert (widths[2] > 5 * widths[0]).all()


def test_rising_metric(case):
    case("rising-metric")
    health = lb.fit("runs.csv", **QUICK).health
    assert not health.ok and "rising" in {note.code for note in health.notes}


def test_two_families(case):
    case("two-families")
    health = lb.fit("runs.csv", **QUICK).health
    assert not health.ok and "families" in {note.code for note in health.notes}


def test_wandb_nan(case, capsys):
    case("wandb-nan")
    assert main(["data", "convert", "chart.csv", "-o", "out.csv"]) == 0
    lost = len(table("chart.csv")) - len(table("out.csv"))
    assert lost == 4 and "4 of 8 logged losses are NaN" in capsys.readouterr().err


def test_text_decimal_comma(case, capsys):
    folder = case("text-decimal-comma")
    pattern = r"step (?P<step>\d+) loss (?P<loss>\S+)"
    assert main(["data", "convert", "train.log", "--pattern", pattern, "-o", "out.csv"]) == 2
    assert "3,59" in capsys.readouterr().err and not (folder / "out.csv").exists()


def test_table_options_ignored(case, capsys):
    case("table-options-ignored")
    line = "data convert table.csv --tokens-per-step 4096 -o out.csv".split()
    assert main([*line, "--set", "parms=1e8"]) == 2 and "params" in capsys.readouterr().err
    assert main([*line, "--set", "params=1e8"]) == 0
    out = table("out.csv")
    assert (out.tokens == 4096 * out.step).all() and (out.params == 1e8).all()


@needs_root
def test_full_disk_save(case):
    folder = case("full-disk-save")
    disk = folder / "disk"
    disk.mkdir()
    post = lb.fit("runs.csv", "chinchilla", **QUICK)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no mount")
    try:
        (disk / "keep.nc").write_bytes(b"old")
        (disk / "fill").write_bytes(b"\0" * 250_000)
        with pytest.raises(OSError, match="No space left") as raised:
            post.save(disk / "keep.nc")
        assert "Make room" in raised.value.hint and (disk / "keep.nc").read_bytes() == b"old"
        assert sorted(path.name for path in disk.iterdir()) == ["fill", "keep.nc"]
    finally:
        subprocess.run(["umount", disk], check=True)


@needs_root
def test_device_as_output(case):
    null = case("device-as-output") / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert main(["fit", "runs.csv", "--law", "chinchilla", *FAST, "-o", str(null)]) == 0
    assert stat.S_ISCHR(null.stat().st_mode)


def test_unwritable_cache(case):
    folder = case("unwritable-cache")
    own = {name: value for name, value in os.environ.items() if name != "LOSSBAND_CACHE"}
    command = [sys.executable, "-m", "lossband", "fit", "runs.csv"]
    command = [*command, "--law", "chinchilla", "--drift", "none", *FAST, "-o", "out.nc"]
    done = subprocess.run(
        command, env=own | {"XDG_CACHE_HOME": "/dev/null/x"}, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr and (folder / "out.nc").exists()
    assert done.stderr.count("Warning") == 1


def test_convert_table_without_run(case):
    case("convert-table-without-run")
    assert main(["data", "convert", "runs.csv", "-o", "out.csv"]) == 0
    pd.testing.assert_frame_equal(table("out.csv"), table())


STEPS = {"step": range(1, 99), "loss": np.geomspace(4, 2, 98)}
WRONG = {  # of the case's calls: those that have no right answer
    "by list": lambda p, b: lb.backtest(b, by=["params"], **QUICK),
    "gap level=90": lambda p, b: p.gap(b, level=90),
    "summary level=90": lambda p, b: p.summary(level=90),
    "levels='0.9'": lambda p, b: p.predict(b, levels="0.9"),
    "prob nan": lambda p, b: p.prob(b.tail(1), below=np.nan),
    "prob None": lambda p, b: p.prob(b, below=None),
    "seed None": lambda p, b: lb.fit(b, seed=None, **QUICK),
    "seed 2**70": lambda p, b: lb.fit(b, seed=2**70, **QUICK),
    "seed 1.5": lambda p, b: lb.fit(b, seed=1.5, **QUICK),
    "columns list": lambda p, b: lb.fit(b, columns=["params"]),
    "hide 1.5": lambda p, b: lb.backtest(b, hide=1.5, **QUICK),
    "hide []": lambda p, b: lb.backtest(b, hide=[], **QUICK),
    "hide '1'": lambda p, b: lb.backtest(b, hide="1", **QUICK),
    "import frame": lambda p, b: lb.import_runs(b),
    "load None": lambda p, b: lb.load(None),
    "inference '1e12'": lambda p, b: p.optimal(1e21, inference_tokens="1e12"),
    "target 'floor'": lambda p, b: lb.next_run(p, b, target="floor"),
    "pool -1": lambda p, b: lb.compare_recipes(b, b, pool=-1),
    "fit_many(frame)": lambda p, b: lb.fit_many(b),
    "watch until '900'": lambda p, b: lb.watch(pd.DataFrame(STEPS), "900"),
    "watch until inf": lambda p, b: lb.watch(pd.DataFrame(STEPS), np.inf),
}
ANSWERED = {
    "levels=.9": lambda p, b: "lo_90" in p.predict(b, levels=0.9),
    "gap by tuple": lambda p, b: len(p.gap(b, by=("params", "tokens"))) == len(b),
    "num_samples numpy": lambda p, b: lb.fit(b, "chinchilla", **QUICK | {"num_samples": np.int64(50)}),
    "watch lr text": lambda p, b: lb.watch(pd.DataFrame(STEPS | {"lr": "1e-3"}), 900, **QUICK),
}


def test_argument_types(case):
    case("argument-types")
    runs = table()
    post = lb.fit(runs, "chinchilla", **QUICK)
    for name, call in WRONG.items():
        with pytest.raises(lb.InputError):
            call(post, runs)
            pytest.fail(name)
    assert all(call(post, runs) is not None for call in ANSWERED.values())


def test_fork_executor(case):
    case("fork-executor")
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as executor:
        with pytest.raises(lb.InputError, match="fork"):
            lb.fit_many([table(), table().assign(loss=lambda t: 1.01 * t.loss)], executor=executor, **QUICK)


@pytest.mark.filterwarnings("ignore")  # ArviZ's own, of a scale that is 0 without drift
def test_arviz_empty_groups(case):
    import arviz as az

    case("arviz-empty-groups")
    tree = lb.fit("runs.csv", "chinchilla", **QUICK).data
    for name in (
        "plot_dist",
        "plot_trace_dist",
        "plot_forest",
        "plot_rank",
        "plot_prior_posterior",
        "extract",
    ):
        assert getattr(az, name)(tree) is not None
    plt.close("all")


CTRL_C = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from lossband.cli import main
print("begun", flush=True)
sys.exit(main(["fit", "runs.csv", "--num-samples", "40000", "-o", "ki.nc"]))
"""


def test_ctrl_c(case):
    folder = case("ctrl-c")
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, "-c", CTRL_C], **pipes)
    assert process.stdout.readline() == "begun\n"
    time.sleep(12)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - begin < 4  # two seconds where nothing else runs
    assert sorted(path.name for path in folder.iterdir()) == ["run.sh", "runs.csv"]


def test_gap_by_column(case):
    case("gap-by-column")
    runs = table().assign(family="x")
    gap = lb.fit(runs, "chinchilla", **QUICK).gap(runs, by="family")
    assert gap["family"].tolist() == ["x"]


def test_backtest_duplicates(case):
    case("backtest-duplicates")
    twice = pd.concat([table(), table()])
    said = []
    for call in (lb.fit, lb.backtest):
        with pytest.raises(lb.InputError, match="repeat a measurement") as raised:
            call(twice, "chinchilla", **QUICK)
        said.append(str(raised.value))
    assert said[0] == said[1]


def test_misleading_column_errors(case, capsys):
    folder = case("misleading-column-errors")
    assert main(["fit", "runs.csv", *FAST]) == 2
    err = capsys.readouterr().err
    assert "it has N, D, loss" in err and "--columns N=params,D=tokens" in err
    (folder / "semicolon.csv.gz").write_bytes(gzip.compress((folder / "semicolon.csv").read_bytes()))
    for name in ("semicolon.csv", "semicolon.csv.gz"):
        assert main(["fit", name, "--law", "chinchilla", *FAST, "-o", "out.nc"]) == 0
        assert len(lb.load("out.nc").problem.frame) == len(table())
    polars = pytest.importorskip("polars").from_pandas(table().rename(columns={"N": "params", "D": "tokens"}))
    assert len(lb.fit(polars, "chinchilla", **QUICK).problem.frame) == len(table())


LOSSES = {
    "lightning.csv": [3.5],
    "tensorboard.csv": [4.0, 3.0],
    "wandb_bom.csv": [3.5, 3.1],
    "wandb_tokens.csv": [3.5, 3.1],
}


@pytest.mark.parametrize("name", LOSSES)
def test_not_a_loss_table(name, case, capsys):
    case("not-a-loss-table")
    assert main(["data", "convert", name, "-o", "out.csv"]) == 0
    out = table("out.csv")
    assert out.loss[:2].tolist() == LOSSES[name] and {"step", "tokens"} & set(out)
    assert "[columns]" in capsys.readouterr().err


def test_step_zero_logs(case):
    case("step-zero-logs")
    post = lb.fit("runs.csv", **QUICK)
    assert len(post.problem.frame) == len(table()) - 1
    assert "start" in {note.code for note in post.problem.notes}
    outlook = lb.watch(table(), 900, **QUICK)
    assert "start" in {note.code for note in outlook.notes}
