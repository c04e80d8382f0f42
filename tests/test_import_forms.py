"""Exports and logs as the programs write them: what becomes a row, and what a note says of the rest."""

import gzip
import json

import pandas as pd
import pytest

import lossband as lb
from lossband.cli import main
from lossband.importers import import_runs, looks_like

RUNS = """"Name","State","Notes","User","Tags","Created","Runtime","Sweep","n_params","learning_rate","train/tokens","eval/loss","train/loss"
"a","finished","-","me","","2024-01-01T00:00:00.000Z","100","","124M","0.001","2.5e9","3.5","3.6"
"b","finished","-","me","","2024-01-01T00:00:00.000Z","100","","350M","0.001","2.5e9","3.2","3.1"
"b","crashed","-","me","","2024-01-01T00:00:00.000Z","100","","350M","0.001","1.5e9","3.3","3.1"
"b","finished","-","me","","2024-01-01T00:00:00.000Z","100","","774M","0.001","2.5e9","3.0","3.1"
"c","finished","-","me","","2024-01-01T00:00:00.000Z","100","","774M","0.001","2.5e9","NaN","3.1"
"d","finished","-","me","","2024-01-01T00:00:00.000Z","100","","","0.001","2.5e9","3.1","3.1"
"""
MEGATRON = "".join(
    f" iteration {i:8}/  500000 | consumed samples: {i * 256:12} | elapsed time per iteration (ms): 1.0 | "
    f"learning rate: 1.500E-04 | global batch size:   256 | lm loss: {9 - i / 10:E} | loss scale: 1.0 |\n"
    for i in (1, 2, 3)
)
TITAN = (
    "\x1b[31m[rank0]:2024-06-05 12:00:00 - root - INFO - \x1b[36mstep:  1  \x1b[32mloss: 12.2721  \x1b[33m"
    "memory:  4.40GiB(4.6%)\x1b[0m\n[rank0]: - INFO - step: 10  loss:  8.1  memory: 4GiB\n"
    "[rank0]: - INFO - step: 1,020  loss:  7.1  memory: 4GiB\n"
)
LLMC = "val loss 11.009\n" + "".join(
    f"step {i:4}/19560 | loss {11 - i / 10:.6f} (+nanz)| norm 15.3 (+nanz)| lr {i}e-07 | 3056 ms\n"
    for i in (1, 2, 3)
)
NANO = (
    "number of parameters: 123.59M\nstep 0: train loss 10.9, val loss 10.8\n"
    "iter 0: loss 10.8757, time 8000ms, mfu -100.00%\niter 10: loss 9.5, time 80ms, mfu 1%\n"
    "iter 20: loss nan, time 80ms, mfu 1%\n"
)
TRAINER = "".join(
    f"{{'loss': {4 - e}, 'grad_norm': 1.0, 'learning_rate': 1e-05, 'epoch': {e}}}\n" for e in (0.1, 0.2, 0.3)
)

# file: (its text, format, clock, losses, codes of the notes)
FORMS = {
    "runs.csv": (
        RUNS,
        "runs",
        None,
        [3.5, 3.2, 3.0],
        {"unfinished", "columns", "equal-names", "not-finite", "absent", "text"},
    ),
    "chart.csv": (
        '"Step","r - train/loss"\n1,3.9\n2,3.8\n5,NaN\n6,NaN\n7,\n',
        "wandb",
        [1, 2],
        [3.9, 3.8],
        {"columns", "not-finite"},
    ),
    "equal.csv": (
        '"Step","r - train/loss","r - train/loss__MIN","r - train/loss","r - train/loss__MIN"\n'
        "1,3.9,3.9,,\n2,3.8,3.8,3.7,3.7\n",
        "wandb",
        [1, 2, 2],
        [3.9, 3.8, 3.7],
        {"columns", "equal-names"},
    ),
    "half.csv": (
        '"_step","train/loss","tokens"\n0.5,3.9,100\n1.0,3.8,200\n1.5,3.7,300\n',
        "wandb",
        [0.5, 1.0, 1.5],
        [3.9, 3.8, 3.7],
        {"columns"},
    ),
    "resumed.csv": (
        "epoch,step,train_loss\n0,10,4\n0,20,3.9\n0,30,3.8\n0,20,3.7\n0,40,3.6\n",
        "lightning",
        [10, 20, 40],
        [4, 3.7, 3.6],
        {"columns", "resumed"},
    ),
    "lightning.csv": (
        "epoch,step,train_loss,val_loss\n0,49,3.5,\n0,49,,3.6\n0,99,3.4,\n",
        "lightning",
        [49, 99],
        [3.5, 3.4],
        {"columns"},
    ),
    "keras.csv": (
        "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.1,3.9,0.2,3.8\n1,0.2,3.5,0.3,3.6\n",
        "keras",
        [1, 2],
        [3.9, 3.5],
        {"columns", "epochs", "unused"},
    ),
    "keras-semicolon.csv": ("epoch;loss\n0;3.9\n1;3.5\n", "keras", [1, 2], [3.9, 3.5], {"epochs"}),
    "run-pilot-tag-train_loss.csv": (
        "Wall time,Step,Value\n1700000000.1,0,4.0\n1700000001.1,10,3.0\n",
        "tensorboard",
        [0, 10],
        [4, 3],
        {"columns", "start"},
    ),
    "bom.csv": ('\ufeff"Step","a - train/loss"\n5,3.5\n10,3.1\n', "wandb", [5, 10], [3.5, 3.1], {"columns"}),
    "mlflow-history.csv": (
        "run_id,key,value,step,timestamp\nabc,train_loss,3.5,5,1\nabc,lr,0.1,5,2\nabc,train_loss,3.2,10,2\nabc,lr,0.1,10,2\n",
        "mlflow",
        [5, 10],
        [3.5, 3.2],
        {"columns"},
    ),
    "mlflow-runs.csv": (
        "run_id,status,artifact_uri,metrics.val_loss,params.n_params,metrics.tokens,tags.mlflow.runName\n"
        "abc,FINISHED,x,3.1,1e8,1e9,small\nabd,FAILED,x,3.0,2e8,1e9,big\n",
        "runs",
        None,
        [3.1],
        {"columns", "unfinished"},
    ),
    "comet.csv": (
        "metricName,metricValue,timestamp,step,epoch,runContext\ntrain_loss,3.5,1,1,0,train\n"
        "train_loss,3.4,1,2,0,train\nval_loss,3.6,1,2,0,validate\n",
        "comet",
        [1, 2],
        [3.5, 3.4],
        {"columns"},
    ),
    "lines.jsonl": (
        "".join(json.dumps({"step": i, "train_loss": 4 - i, "lr": 0.1}) + "\n" for i in (1, 2)),
        "csv",
        [1, 2],
        [3, 2],
        {"columns"},
    ),
    "iterations.tsv": (
        "iter\tlm loss\tlearning_rate\n1\t9\t1\n2\t8\t1\n",
        "csv",
        [1, 2],
        [9, 8],
        {"columns"},
    ),
    "bytes.csv": ("step,val_bpb\n1,1.2\n2,1.1\n", "csv", [1, 2], [1.2, 1.1], {"columns"}),
    "nanogpt.log": (
        NANO,
        "text",
        [0, 10],
        [10.8757, 9.5],
        {"columns", "not-finite", "program", "start", "unmatched"},
    ),
    "llmc.log": (LLMC, "text", [1, 2, 3], [10.9, 10.8, 10.7], {"columns", "program"}),
    "main.log": (
        "s:0 tel:11.0\ns:1 trl:10.9 lr:1e-6\ns:2 trl:10.8 lr:2e-6\n",
        "text",
        [1, 2],
        [10.9, 10.8],
        {"columns", "program"},
    ),
    "torchtitan.log": (TITAN, "text", [1, 10, 1020], [12.2721, 8.1, 7.1], {"program"}),
    "megatron.txt": (MEGATRON, "text", [1, 2, 3], [8.9, 8.8, 8.7], {"program"}),
    "speedrun.txt": (
        "step:125/1750 val_loss:4.5 train_time:0ms\nstep:250/1750 val_loss:4.1\nstep:375/1750 val_loss:4.0\n",
        "text",
        [125, 250, 375],
        [4.5, 4.1, 4.0],
        {"columns", "program"},
    ),
    "trainer.out": (TRAINER, "text", [0.1, 0.2, 0.3], [3.9, 3.8, 3.7], {"program", "epochs"}),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_whole_or_said(name, packed, tmp_path):
    text, form, steps, losses, codes = FORMS[name]
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert looks_like(path) == form
    imported = import_runs(path)
    assert list(imported.frame["loss"]) == pytest.approx(losses)
    assert steps is None or list(imported.frame["step"]) == pytest.approx(steps)
    assert {note.code for note in imported.notes} == codes
    assert "rows of" in str(imported)


def test_a_table_of_runs_is_fitted_without_a_word_on_its_columns(tmp_path, capsys):
    rows = [
        f"r{i},finished,2024,100,{n:g},{d:g},{1.7 + 400 * n**-0.34 + 410 * d**-0.28}"
        for i, (n, d) in enumerate((n, d) for n in (1e7, 1e8, 1e9) for d in (1e9, 1e10, 1e11))
    ]
    path = tmp_path / "wandb_export.csv"
    path.write_text("\n".join(["Name,State,Created,Runtime,num_params,tokens_seen,eval/loss", *rows]))
    out = tmp_path / "fit.nc"
    assert main(["fit", str(path), "--method", "laplace", "--num-samples", "50", "-o", str(out)]) == 0
    said = capsys.readouterr().err
    assert "params is 'num_params', tokens is 'tokens_seen', loss is 'eval/loss'" in said
    assert len(lb.load(out).problem.frame) == 9


def test_a_chart_with_an_axis_of_tokens_counts_tokens(tmp_path):
    path = tmp_path / "chart.csv"
    path.write_text('"tokens","a - train/loss","a - train/loss__MIN"\n1000,3.5,3.5\n2000,3.1,3.1\n')
    assert import_runs(path).frame.to_dict("list") == {
        "run": ["a", "a"],
        "tokens": [1000, 2000],
        "loss": [3.5, 3.1],
    }


def test_settings_of_a_second_table_join_the_points(tmp_path):
    (tmp_path / "chart.csv").write_text(
        '"Step","a - train/loss","b - train/loss","x - train/loss"\n1,4,5,6\n2,3,4,\n'
    )
    (tmp_path / "runs.csv").write_text("Name,State,n_params\na,finished,124M\nb,finished,350M\n")
    imported = import_runs(tmp_path / "chart.csv", per_run=tmp_path / "runs.csv", tokens_per_step=10)
    frame = imported.frame.set_index("run")
    assert (
        frame.loc["a", "params"].tolist() == [124e6] * 2 and frame.loc["b", "params"].tolist() == [350e6] * 2
    )
    assert frame.loc["x", "params"] != frame.loc["x", "params"] and list(frame["tokens"]) == [
        10,
        20,
        10,
        20,
        10,
    ]
    assert {"per-run", "unmatched"} <= {note.code for note in imported.notes}
    other = pd.DataFrame({"run": ["c"], "params": [1e8]})
    with pytest.raises(lb.InputError, match="none of those logged"):
        import_runs(tmp_path / "chart.csv", per_run=other)


def test_tokens_logged_now_and_then_are_interpolated_with_a_note(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("_step,train/loss,tokens\n1,4,100\n2,3.9,\n3,3.8,300\n4,3.7,\n")
    imported = import_runs(path)
    assert (
        imported.frame["tokens"].tolist()[:3] == [100, 200, 300]
        and imported.frame["tokens"].isna().sum() == 1
    )
    assert {"between", "absent"} <= {note.code for note in imported.notes}


def test_two_folders_of_one_name_are_two_runs(tmp_path):
    for place in ("a/out", "b/out"):
        (tmp_path / place).mkdir(parents=True)
        history = [{"step": 10, "loss": 4.0}, {"step": 20, "loss": float("nan")}]
        (tmp_path / place / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    imported = import_runs(tmp_path)
    assert list(imported.frame["run"]) == ["out", "b/out"]
    assert [note.code for note in imported.notes] == ["not-finite", "not-finite"]


TABLE = "step,loss\n1,3.5\n2,3.4\n"


def test_options_are_read_for_a_table_too(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    frame = import_runs(path, tokens_per_step=4096, constants={"params": "124M"}, run="mine").frame
    assert frame.to_dict("list") == {
        "step": [1, 2],
        "loss": [3.5, 3.4],
        "run": ["mine"] * 2,
        "params": [124e6] * 2,
        "tokens": [4096, 8192],
    }


REFUSED = {
    "an unknown constant": (TABLE, {"constants": {"parms": 1e8}}, "'parms' is no column .* mean 'params'"),
    "a constant that is there": (TABLE, {"constants": {"loss": 1.0}}, "gives loss, which the table has"),
    "a constant that is no number": (TABLE, {"constants": {"params": "big"}}, "'big' for params"),
    "tokens of no step": ("params,loss\n1,3\n", {"tokens_per_step": 2}, "the table has no step"),
    "tokens that are there": ("step,tokens,loss\n1,1,3\n", {"tokens_per_step": 2}, "has tokens already"),
    "no tokens in a step": (TABLE, {"tokens_per_step": 0}, "tokens_per_step= got 0"),
    "a label for labelled rows": ("run,step,loss\na,1,3\nb,1,3\n", {"run": "c"}, "the table names its runs"),
    "a label for several runs": ("Step,a - loss,b - loss\n1,3,4\n", {"run": "c"}, r"holds 2 runs \(a, b\)"),
    "a pattern for a table": (TABLE, {"pattern": "x", "format": "table"}, "pattern= is for plain text"),
    "no format": (TABLE, {"format": 3}, "format= got 3"),
    "no loss": ("N,D,final\n1,3,3\n2,3,3\n", {}, r"no column loss \(it has N, D, final\)"),
    "two losses": (
        "step,foo_loss,bar_loss\n1,3,3\n",
        {},
        r"2 metrics may be the loss \(foo_loss, bar_loss\)",
    ),
    "an axis of time": ("Relative Time (Process),a - loss,a - loss__MIN\n1,3,3\n", {}, "which is time"),
    "a decimal comma": ("Step;a - loss\n1;3,5\n", {}, "'3,5' in line 2, which is no number"),
    "nothing but NaN": ("_step,train/loss\n1,nan\n2,nan\n", {}, "none of the logged losses is a number"),
    "no finished run": ("Name,State,loss\na,running,3\n", {}, "none of the 1 runs is finished"),
    "a scalar that is no loss": (
        "Wall time,Step,Value\n1,1,0.5\n",
        {"columns": {"accuracy": "loss"}},
        "not logged",
    ),
    "a step that is no number": ("_step,train/loss\nx,3\n", {}, "1 cells that are no number"),
    "columns that are none": (TABLE, {"columns": ["loss"]}, "columns= got"),
    "equal columns": ("_step,train/loss,train/loss\n1,3,3\n", {}, "more than one column train/loss"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused(case, tmp_path):
    text, options, message = REFUSED[case]
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(lb.InputError, match=message):
        import_runs(path, **options)


@pytest.mark.parametrize("loss", ["3,59", "3,590", "1,234"])
def test_a_comma_in_a_loss_of_a_text_log_is_refused(loss, tmp_path):
    path = tmp_path / "train.log"
    path.write_text(f"step 1,000 loss 3.59, lr 1\nstep 2,000 loss {loss}\n")
    with pytest.raises(lb.InputError, match=f"the group loss found '{loss}' in line 2"):
        import_runs(path, pattern=r"step (?P<step>\S+) loss (?P<loss>\S+)")
    path.write_text("step 1,000 loss 3.59, lr 1\nstep 2,000 loss 3.4\n")
    assert list(import_runs(path, pattern=r"step (?P<step>\S+) loss (?P<loss>\S+)").frame["step"]) == [
        1000,
        2000,
    ]


@pytest.mark.parametrize("source", [None, 3, pd.DataFrame({"loss": [1]}), b"x", ["a"], ""])
def test_a_source_that_is_no_path_is_refused(source):
    with pytest.raises(lb.InputError, match="path of a log"):
        import_runs(source)


def test_the_shell_converts_a_table_without_runs(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n1e7,1e9,3.5\n2e7,1e9,3.4\n")
    assert main(["data", "convert", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    assert "2 rows" in capsys.readouterr().err and len(pd.read_csv(tmp_path / "out.csv")) == 2


SWEEPS = [
    "params,tokens,val_loss",
    "N,D,final_loss",
    "n_params,step,val_loss",
    "epoch,N,D,loss",
    "flops,tokens,eval/loss",
    "num_params,num_tokens,val_bpb",
]


@pytest.mark.parametrize("header", SWEEPS)
def test_a_sweep_is_no_log_of_one_run(header, tmp_path):
    """Rows of several sizes are not the points of one run, of which a lower clock would be a restart."""
    names = header.split(",")
    rows = [",".join(str((i % 3 + 1) * 10 ** (j + 1) + i) for j in range(len(names))) for i in range(9)]
    path = tmp_path / "sweep.csv"
    path.write_text("\n".join([header, *rows]))
    assert looks_like(path) == "table"
    if "loss" not in names:
        with pytest.raises(lb.InputError, match="no column loss") as raised:
            import_runs(path)
        assert f"'{names[-1]}': 'loss'}}" in raised.value.hint
        assert len(import_runs(path, columns={names[-1]: "loss"}).frame) == 9
