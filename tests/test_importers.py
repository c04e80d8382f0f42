"""Importers.

Files as the real programs write them give the runs table, and what was written twice is said.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.importers import import_runs, looks_like
from lossband.importers.records import settled

STEPS = np.arange(10, 210, 10)
LOSS = (2.0 + 3.0 * STEPS**-0.3).astype(np.float32).astype(float)  # TensorBoard keeps float32
RATE = np.float32(1e-3) * np.ones(len(STEPS))


def write_events(folder, points, *, tensors=False, suffix="", metrics=("train/loss", "train/learning_rate")):
    """An event file by TensorBoard's own writer: scalars as torch writes them, or as TensorFlow 2 does."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for index, (step, *values) in enumerate(points):
        summary = Summary()
        for tag, value in zip(metrics, values, strict=True):
            if tensors:
                entry = summary.value.add(tag=tag, tensor=make_tensor_proto(np.float32(value)))
                if index == 0:  # TensorFlow says what a tag is once
                    plugin = SummaryMetadata.PluginData(plugin_name="scalars")
                    entry.metadata.CopyFrom(SummaryMetadata(plugin_data=plugin, data_class=1))
            else:
                summary.value.add(tag=tag, simple_value=value)
        writer.add_event(Event(step=int(step), wall_time=1.7e9 + step, summary=summary))
    writer.close()


def write_trainer(folder, steps, losses, rates):
    """A state by Hugging Face's own class, with the last entry that a Trainer adds."""
    from transformers.trainer_callback import TrainerState

    folder.mkdir(parents=True, exist_ok=True)
    history = [
        {"epoch": s / 100, "grad_norm": 0.5, "learning_rate": float(r), "loss": float(v), "step": int(s)}
        for s, v, r in zip(steps, losses, rates, strict=True)
    ]
    history.insert(3, {"epoch": 0.3, "eval_loss": 3.3, "eval_runtime": 1.0, "step": int(steps[2])})
    history.append(
        {"epoch": 2.0, "train_loss": 2.7, "train_runtime": 9.0, "total_flos": 1e12, "step": int(steps[-1])}
    )
    TrainerState(global_step=int(steps[-1]), log_history=history).save_to_json(
        str(folder / "trainer_state.json")
    )


def write_history(path, steps, losses, rates):
    """A run's history as W&B exports it.

    An evaluation is a row of its own, and what was not logged is empty.
    """
    rows = [
        {"_step": s, "_runtime": 0.1 * s, "_timestamp": 1.7e9 + s, "train/loss": v, "train/learning_rate": r}
        for s, v, r in zip(steps, losses, rates, strict=True)
    ]
    rows.insert(3, {"_step": 35, "_runtime": 3.5, "_timestamp": 1.7e9 + 35, "eval/loss": 3.3})
    pd.DataFrame(rows).to_csv(path, index=False)


def write_chart(path, steps, losses):
    """A chart of one metric as W&B exports it."""
    name = "pilot - train/loss"
    pd.DataFrame({"Step": steps, name: losses, f"{name}__MIN": losses, f"{name}__MAX": losses}).to_csv(
        path, index=False
    )


def write_mlflow(folder, steps, losses, rates):
    run = folder / "0/0123abcd"
    for name, values in {"train/loss": losses, "learning_rate": rates}.items():
        (run / "metrics" / name).parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{1700000000000 + s} {v!r} {s}" for s, v in zip(steps, map(float, values), strict=True)]
        (run / "metrics" / name).write_text("\n".join(lines) + "\n")
    for name, text in {
        "meta.yaml": "run_id: 0123abcd",
        "tags/mlflow.runName": "pilot",
        "params/lr": "0.5",
        "params/params": "1e8",
        "params/optimiser": "adam",
    }.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One run, `pilot`, in every form."""
    home = tmp_path_factory.mktemp("logs")
    write_events(home / "events/pilot", zip(STEPS, LOSS, RATE, strict=True))
    write_events(home / "events2/pilot", zip(STEPS, LOSS, RATE, strict=True), tensors=True)
    write_trainer(home / "hf/pilot/checkpoint-100", STEPS[:10], LOSS[:10], RATE[:10])
    write_trainer(home / "hf/pilot/checkpoint-200", STEPS, LOSS, RATE)
    write_history(home / "pilot.csv", STEPS, LOSS, RATE)
    write_chart(home / "chart.csv", STEPS, LOSS)
    write_mlflow(home / "mlruns", STEPS, LOSS, RATE)
    lines = [
        f"[run pilot] step {s:,} | loss {v!r} | lr {r!r}"
        for s, v, r in zip(STEPS, map(float, LOSS), map(float, RATE))
    ]
    (home / "train.log").write_text("\n".join(["starting", *lines, "saved"]))
    return home


PATTERN = r"run (?P<run>\w+)\] step (?P<step>[\d,]+) \| loss (?P<loss>\S+) \| lr (?P<lr>\S+)"
FORMS = {
    "events": {},
    "events2": {},
    "events/pilot": {},
    "hf": {},
    "hf/pilot": {},
    "pilot.csv": {},
    "mlruns": {},
    "train.log": {"pattern": PATTERN},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_run_gives_the_same_runs_table(form, folder):
    frame = import_runs(folder / form, **FORMS[form]).frame[["run", "step", "loss", "lr"]]
    expected = pd.DataFrame({"run": "pilot", "step": STEPS, "loss": LOSS, "lr": RATE})
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False, rtol=1e-7)


def test_a_chart_gives_its_one_metric(folder):
    frame = import_runs(folder / "chart.csv").frame
    pd.testing.assert_frame_equal(
        frame, pd.DataFrame({"run": "pilot", "step": STEPS, "loss": LOSS}), check_dtype=False
    )


def test_what_was_taken_for_what_is_said(folder):
    (note,) = import_runs(folder / "events").notes
    assert (note.code, note.text) == ("columns", "lr is 'train/learning_rate', loss is 'train/loss'.")


def test_another_metric_constants_and_tokens(folder):
    imported = import_runs(
        folder / "hf", columns={"eval_loss": "loss"}, constants={"params": 1e8}, tokens_per_step=4096
    )
    (row,) = imported.frame.to_dict("records")
    assert row == {"run": "pilot", "step": 30, "loss": 3.3, "lr": RATE[0], "params": 1e8, "tokens": 30 * 4096}


def test_parameters_of_a_run_are_its_constants(folder):
    frame = import_runs(folder / "mlruns").frame
    assert set(frame["params"]) == {1e8}
    assert set(frame["lr"]) == {RATE[0]}  # what was logged, not what was configured


def test_a_run_that_was_resumed_keeps_what_became_the_model(tmp_path):
    first = [(s, 3.0 - s / 100, 1e-3) for s in (10, 20, 30, 40)]
    again = [(s, 2.0 - s / 100, 1e-3) for s in (25, 35, 45)]  # from the checkpoint at 20, at other steps
    write_events(tmp_path / "a", first, suffix=".0")
    write_events(tmp_path / "a", again, suffix=".1")
    imported = import_runs(tmp_path)
    assert list(imported.frame["step"]) == [10, 20, 25, 35, 45]
    assert list(imported.frame["loss"]) == pytest.approx([2.9, 2.8, 1.75, 1.65, 1.55])
    note = next(note for note in imported.notes if note.code == "resumed")
    assert note.text == "run 'a' was resumed at step 25: 2 points written before are superseded."


def test_points_that_were_written_twice_are_kept_once(tmp_path):
    points = [(s, 3.0 - s / 100, 1e-3) for s in (10, 20, 30)]
    write_events(tmp_path / "a", points, suffix=".0")
    write_events(tmp_path / "a", points, suffix=".1")
    imported = import_runs(tmp_path)
    assert list(imported.frame["step"]) == [10, 20, 30]
    assert [note.code for note in imported.notes] == ["columns", "duplicates"]
    assert "3 points were written more than once" in imported.notes[1].text


def test_settled_points_by_hand():
    notes = []
    points = [(1, 5.0), (1, 5.0), (2, 4.0), (2, 3.9), (3, 3.0), (2, 3.9), (4, 2.5), (3, 2.9)]
    assert settled(points, "r", notes) == [(1, 5.0), (2, 3.9), (3, 2.9)]
    assert [n.code for n in notes] == ["duplicates", "resumed"]
    assert "2 points were written more than once" in notes[0].text
    assert "resumed at step 2, 3: 3 points written before" in notes[1].text


def test_several_runs_of_a_folder(tmp_path):
    for name in ("small", "large"):
        write_events(tmp_path / name, zip(STEPS, LOSS, RATE, strict=True))
    write_events(tmp_path / "other", [(1, 0.5)], metrics=("accuracy",))
    imported = import_runs(tmp_path)
    assert imported.frame.groupby("run").size().to_dict() == {"large": 20, "small": 20}
    assert any(n.code == "left-out" and "'other' logged no such loss" in n.text for n in imported.notes)


def test_lines_that_say_nothing_are_counted(folder):
    imported = import_runs(folder / "train.log", pattern=PATTERN)
    assert any(n.code == "unmatched" and n.text.startswith("2 lines") for n in imported.notes)


def test_the_table_can_be_fitted(folder):
    frame = import_runs(folder / "events", tokens_per_step=1e4).frame.drop(columns=["step", "lr"])
    assert len(lb.fit(frame, "power", drift=None, method="laplace", num_samples=50).problem.frame) == 20


class NoRun(Exception):
    pass


def test_the_api_gives_a_run_by_its_name(monkeypatch):
    history = [
        {"_step": 0, "train/loss": 4.0},
        {"_step": 1, "eval/loss": 4.1},
        {"_step": 2, "train/loss": 3.0},
    ]
    found = SimpleNamespace(
        name="pilot", config={"params": 7, "optimiser": "adam"}, scan_history=lambda: iter(history)
    )

    def run(path):
        if path != "us/ours/abc":
            raise NoRun("not found")
        return found

    fake = SimpleNamespace(Api=lambda: SimpleNamespace(run=run), errors=SimpleNamespace(CommError=NoRun))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    frame = import_runs("wandb:us/ours/abc").frame
    assert frame.to_dict("list") == {
        "run": ["pilot"] * 2,
        "step": [0, 2],
        "loss": [4.0, 3.0],
        "params": [7, 7],
    }
    with pytest.raises(lb.InputError, match="W&B has no run 'us/ours/x'"):
        import_runs("wandb:us/ours/x")


@pytest.mark.parametrize(("module", "source"), [("wandb", "wandb:a/b/c"), ("tensorboard", "events")])
def test_a_missing_extra_names_the_install_line(module, source, folder, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == module] + [module]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(lb.InputError) as raised:
        import_runs(source if ":" in source else folder / source)
    assert raised.value.hint == f"pip install 'lossband[{module}]'"


BAD = {
    "nowhere": ({}, "no file or folder"),
    "train.log": ({}, "is no log that lossband knows"),
    "empty": ({}, "is no log that lossband knows"),
    "notes.json": ({}, "is no state of a Trainer"),
    "list.json": ({}, "is no state of a Trainer"),
    "events": (
        {"columns": {"train/los": "loss"}},
        "names 'train/los', which was not logged; did you mean 'train/loss'",
    ),
    "pilot.csv": (
        {"columns": {"train/loss": "losss"}},
        "'losss' is no column of lossband; did you mean 'loss'",
    ),
    "odd": ({}, "no training loss was logged under a usual name; logged were accuracy"),
    "hf": ({"format": "tensorbord"}, "format= got 'tensorbord'"),
    "mlruns": ({"format": "tensorboard"}, "holds no event files"),
}
TEXT = {
    "step (": "is no regular expression",
    r"step (?P<step>\d+)": r"has the groups \['step'\]; expected loss, and step or tokens",
    r"(?P<loss>zzz) (?P<step>\d+)": "none of the 22 lines",
    r"step (?P<step>\d+) \| (?P<loss>\w+)": "found 'loss' in line 2, which is no number",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_imported_is_said(name, folder, tmp_path):
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "notes.json").write_text('{"loss": 3}')
    (folder / "list.json").write_text(json.dumps({"log_history": [3]}))
    if name == "odd":
        write_events(folder / "odd/a", [(1, 0.5)], metrics=("accuracy",))
    options, message = BAD[name]
    with pytest.raises(lb.InputError, match=message):
        import_runs(folder / name, **options)


@pytest.mark.parametrize("pattern", TEXT)
def test_a_pattern_that_cannot_be_used_is_said(pattern, folder):
    with pytest.raises(lb.InputError, match=TEXT[pattern]):
        import_runs(folder / "train.log", pattern=pattern)


def test_a_table_of_runs_is_a_table(tmp_path):
    pd.DataFrame({"N": [1e8], "loss": [3.0]}).to_csv(tmp_path / "runs.csv", index=False)
    assert looks_like(tmp_path / "runs.csv") == "table"
    imported = import_runs(tmp_path / "runs.csv", columns={"N": "params"}, constants={"tokens": 1e9})
    assert imported.frame.to_dict("list") == {"params": [1e8], "loss": [3.0], "tokens": [1e9]}
