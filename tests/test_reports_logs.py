"""Logs and exports of public reports: every logged point is a row, or counted in a note, or refused."""

import json
from collections import namedtuple

import pytest
from reports import report

import lossband as lb
from lossband.importers import import_runs

Export = namedtuple("Export", "file text steps losses notes")

CHART = (
    '"Step","{0} - train/loss","{0} - train/loss__MIN","{0} - train/loss__MAX"\n1,3.9,3.8,4\n2,3.8,3.7,3.9\n'
)
MLFLOW = "run_id,key,value,step,timestamp\n"
DATABASE = "key,value,timestamp,run_uuid,step,is_nan\n"
READ = {
    "a group's mean with its range": Export(
        "g.csv", CHART.format("Group: lr 0.1"), [1, 2], [3.9, 3.8], {"columns"}
    ),
    "a range beside one line": Export("m.csv", CHART.format("a"), [1, 2], [3.9, 3.8], {"columns"}),
    "a metric in the last of many rows": Export(
        "history.jsonl",
        "".join(
            json.dumps({"_step": i, **({"val_loss": 2.5} if i == 139 else {})}) + "\n" for i in range(140)
        ),
        [139],
        [2.5],
        {"columns"},
    ),
    "NaN as text": Export(
        "history.jsonl",
        "".join(
            json.dumps({"_step": i, "train_loss": "NaN" if i > 2 else 4 - i}) + "\n" for i in range(1, 5)
        ),
        [1, 2],
        [3, 2],
        {"columns", "not-finite"},
    ),
    "a scalar that goes back": Export(
        "run-a-tag-loss.csv",
        "Wall time,Step,Value\n"
        + "".join(f"{i},{s},{9 - i}\n" for i, s in enumerate((50, 100, 150, 100, 150))),
        [50, 100, 150],
        [9, 6, 5],
        {"columns", "resumed"},
    ),
    "last steps from the past": Export(
        "run-a-tag-loss.csv",
        "Wall time,Step,Value\n"
        + "".join(f"{i},{s},{9 - i}\n" for i, s in enumerate((10, 20, 30, 40, 20, 30))),
        [10, 20, 30],
        [9, 5, 4],
        {"columns", "resumed"},
    ),
    "one point thrice": Export(
        "run-a-tag-loss.csv",
        "Wall time,Step,Value\n1547130262.06,100,0.79\n1547130264.83,100,0.79\n1547133669.98,100,0.79\n",
        [100],
        [0.79],
        {"columns", "duplicates"},
    ),
    "validation at step 0": Export(
        "metrics.csv",
        "epoch,step,train_loss,val_loss\n0,10,3.5,\n0,20,3.4,\n0,0,,3.6\n1,30,3.3,\n1,0,,3.5\n",
        [10, 20, 30],
        [3.5, 3.4, 3.3],
        {"columns"},
    ),
    "blank lines, per step and per epoch": Export(
        "metrics.csv",
        "step,train_loss_step,train_loss_epoch\n1,3,\n\n2,2.5,\n2,,2.7\n\n3,2.4,\n",
        [1, 2, 3],
        [3, 2.5, 2.4],
        {"columns"},
    ),
    "training and validation rows of one step": Export(
        "metrics.csv",
        "epoch,step,train_loss,val_loss\n0,9,3.5,\n0,9,,3.6\n1,19,3.4,\n1,19,,3.5\n",
        [9, 19],
        [3.5, 3.4],
        {"columns"},
    ),
    "a database's NaN is 0 with a mark": Export(
        "m.csv",
        DATABASE + "loss,3.5,1,a,1,0\nloss,3.4,2,a,2,0\nloss,0,3,a,3,1\n",
        [1, 2],
        [3.5, 3.4],
        {"not-finite"},
    ),
    "a database's infinity is its greatest float": Export(
        "m.csv",
        MLFLOW + "a,loss,3.5,1,1\na,loss,1.7976931348623157e308,2,2\n",
        [1],
        [3.5],
        {"not-finite"},
    ),
    "a log that was resumed": Export(
        "out.log",
        "".join(
            f"{{'loss': {loss}, 'learning_rate': 4e-05, 'epoch': {e}}}\n"
            for loss, e in ((2.1, 0.1), (1.2, 0.2), (1.25, 0.2), (1.1, 0.3))
        ),
        [0.1, 0.2, 0.3],
        [2.1, 1.25, 1.1],
        {"program", "epochs", "resumed"},
    ),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("a group's mean with its range", marks=report(2, "wandb/wandb#6474")),
        pytest.param("a range beside one line", marks=report(2, "wandb/wandb#5349")),
        pytest.param("a metric in the last of many rows", marks=report(2, "wandb/wandb#5063")),
        pytest.param("NaN as text", marks=report(2, "wandb/wandb#8252")),
        pytest.param("a scalar that goes back", marks=report(2, "tensorflow/tensorboard#3732")),
        pytest.param("last steps from the past", marks=report(2, "vrenkens/nabu#50")),
        pytest.param("one point thrice", marks=report(2, "tensorflow/ranking#20")),
        pytest.param("validation at step 0", marks=report(2, "Lightning-AI/pytorch-lightning#4143")),
        pytest.param("blank lines, per step and per epoch", marks=report(2, "open-edge-platform/geti#5359")),
        pytest.param("training and validation rows of one step", marks=report(2, "Lightning-AI/litgpt#587")),
        pytest.param("a database's NaN is 0 with a mark", marks=report(2, "mlflow/mlflow#16555")),
        "a database's infinity is its greatest float",
        pytest.param("a log that was resumed", marks=report(2, "huggingface/transformers#33336")),
    ],
)
def test_every_point_is_a_row_or_counted(case, tmp_path):
    export = READ[case]
    (tmp_path / export.file).write_text(export.text, encoding="utf-8")
    found = import_runs(tmp_path / export.file)
    assert found.frame["step"].tolist() == export.steps
    assert found.frame["loss"].tolist() == export.losses
    assert {note.code for note in found.notes} - {"columns"} == export.notes - {"columns"}


REFUSED = {
    "names and no values": ('"Step","a - loss","a - loss__MIN"\n1,,\n2,,\n', "holds no losses"),
    "a header again": ("epoch,step,train_loss\n0,1,3\n0,2,2\nepoch,step,train_loss\n1,3,2\n", "lines 4"),
    "a longer header again": (
        "epoch,step,train_loss\n0,1,3\nepoch,step,train_loss,val_loss\n1,3,2,2\n",
        "line 3 has 4 cells",
    ),
    "every step is 0": (MLFLOW + "a,loss,3.5,0,1\na,loss,3.4,0,2\na,loss,3.3,0,3\n", "3 losses at 1 steps"),
    "kinds of loss in one column": (
        "Loss type\tEpoch\tBatch\tLoss\ntrain\t0\t1\t3\nvalid\t0\t1\t3.1\ntrain\t0\t2\t2.9\n",
        "the losses are of several metrics",
    ),
    "time on the axis": ('"Relative Time (Process)","a - loss"\n1.5,3\n2.5,2.9\n', "which is time"),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("names and no values", marks=report(2, "wandb/wandb#4501")),
        pytest.param("a header again", marks=report(2, "DeepLabCut/DeepLabCut#3179")),
        "a longer header again",
        pytest.param("every step is 0", marks=report(2, "mlflow/mlflow#2419")),
        pytest.param("kinds of loss in one column", marks=report(2, "Noble-Lab/casanovo#204")),
        "time on the axis",
    ],
)
def test_what_would_be_merged_is_refused(case, tmp_path):
    text, said = REFUSED[case]
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(lb.InputError, match=said) as raised:
        import_runs(tmp_path / "log.csv")
    assert raised.value.hint


@report(2, "wandb/wandb#6614")
def test_a_run_that_an_export_lists_twice_is_kept_once(tmp_path):
    row = '"{}","finished",{},1e9,{}\n'
    lines = [row.format("a", "1e8", 3.0), row.format("a", "1e8", 3.0), row.format("a", "1e8", 3.1)]
    (tmp_path / "runs.csv").write_text('"Name","State","n_params","tokens","loss"\n' + "".join(lines))
    found = import_runs(tmp_path / "runs.csv")
    assert found.frame["loss"].tolist() == [3.0, 3.1]  # another seed of one name is another run
    assert {"duplicates", "equal-names"} <= {note.code for note in found.notes}


@report(2, "mlflow/mlflow#813")
def test_runs_without_names_have_their_ids(tmp_path):
    header = "Start Time,Duration,Run ID,Name,Status,n_params,tokens,val_loss\n"
    (tmp_path / "runs.csv").write_text(
        header + "2019,1,abc,,FINISHED,1e8,1e9,3.1\n2019,1,abd,,FINISHED,2e8,1e9,3.0\n"
    )
    assert import_runs(tmp_path / "runs.csv").frame["run"].tolist() == ["abc", "abd"]


def test_runs_of_a_database_keep_apart(tmp_path):
    (tmp_path / "m.csv").write_text(DATABASE + "loss,3.5,1,a,1,0\nloss,3.4,2,b,1,0\nloss,3.3,3,a,2,0\n")
    assert import_runs(tmp_path / "m.csv").frame["run"].tolist() == ["a", "a", "b"]
