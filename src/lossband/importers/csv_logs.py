"""CSV exports of W&B, Comet, MLflow, TensorBoard, Lightning and Keras: one row per logged point."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, Note, listed
from ..runs.cells import number_of
from ..runs.files import text_columns
from ..runs.names import LABELS, STEPS, USUAL, first_of, losses_of, plain
from .records import Logs, Points, own_name

TENSORBOARD = ["wall time", "step", "value"]
TIMES = ("relative time", "wall time", "wall_time", "_runtime", "_timestamp", "time")
KEYS = ("metric", "metric_name", "metricname", "key", "tag", "name")
VALUES = ("value", "metricvalue", "metric_value")
BESIDE = ("__MIN", "__MAX")
TRUE = ("1", "true", "t")


def kind_of(names: Sequence[str]) -> str | None:
    """The program whose export has this header; None for a table of runs or anything else."""
    small = [plain(name) for name in names]
    if small == TENSORBOARD:
        return "tensorboard"
    if len(names) > 1 and all(" - " in name for name in names[1:]):
        return "wandb"
    if "_step" in names:
        return "wandb"
    if _long(names) and (first_of(names, STEPS) or "step" in small):
        return "comet" if "experimentkey" in small or "metricname" in small else "mlflow"
    if not losses_of(names) or ({"params", "tokens"} & set(names) and "loss" in names) or _is_sweep(names):
        return None
    if "epoch" in small and not {"params", "tokens"} & set(small):
        return "lightning" if first_of(names, STEPS) else "keras"
    if "loss" not in names and first_of(names, (*STEPS, *USUAL["tokens"])):
        return "wandb" if first_of(names, ("trainer/global_step", "train/global_step")) else "csv"
    return "wandb" if names[0] == "Step" else None


def _is_sweep(names: Sequence[str]) -> bool:
    """Whether rows are runs of several sizes, not the points of one: sizes, and no labels of runs."""
    sizes = first_of(names, USUAL["params"]) or (
        first_of(names, USUAL["flops"]) and not first_of(names, STEPS)
    )
    return bool(sizes) and not first_of(names, LABELS)


def read_logs(source: str | os.PathLike, *, run: str | None = None) -> Logs:
    """Logged numbers of an export.

    Raises:
        InputError: no column that counts steps or tokens.
    """
    path = Path(source)
    names, cells = text_columns(path)
    name = run or path.name.partition(".")[0]
    if len(names) > 1 and all(" - " in each for each in names[1:]):
        return _chart(path, names, cells)
    if len(set(names)) < len(names):
        twice = sorted({each for each in names if names.count(each) > 1})
        raise InputError(
            f"{str(path)!r} has more than one column {listed(twice)}.",
            "Rename one of them in its first line.",
        )
    columns = dict(zip(names, cells, strict=True))
    if [plain(each) for each in names] == TENSORBOARD:
        return _tensorboard(path, columns, run)
    clock = first_of(names, STEPS) or first_of(names, USUAL["tokens"]) or first_of(names, ("epoch",))
    if clock is None:
        raise InputError(
            f"{str(path)!r} has no column of steps ({', '.join(STEPS)}) or tokens; it has "
            f"{listed(names, 20)}.",
            "Export it with its steps.",
        )
    return _rows(columns, clock, name, path)


def _rows(columns: dict[str, list[str]], clock: str, name: str, path: Path) -> Logs:
    """One row per point, or one per metric and point, of one run or several."""
    steps, notes = _steps(columns, clock, path)
    long = _long(list(columns))
    label = first_of([each for each in columns if each != (long and long[0])], LABELS)
    runs = columns[label] if label else [name] * len(steps)
    metrics = _metrics(columns, {clock, label}) if long is None else {}
    not_numbers = columns.get("is_nan", [""] * len(steps))  # MLflow's database writes 0 beside it
    series: dict[str, dict[str, Points]] = {}
    for row, run in enumerate(runs):
        here = series.setdefault(run, {})
        if long:
            key = columns[long[0]][row]
            value = "nan" if not_numbers[row].lower() in TRUE else columns[long[1]][row]
            here.setdefault(key, []).append((steps[row], _number(value, long[1], row)))
            continue
        for metric, cells in metrics.items():
            if cells[row]:
                here.setdefault(metric, []).append((steps[row], _number(cells[row], metric, row)))
    unit = "tokens" if plain(clock) in USUAL["tokens"] else "step"
    return Logs(series, clock=unit, notes=notes, own_names=label is not None)


def _long(names: Sequence[str]) -> tuple[str, str] | None:
    """The columns of a metric's name and value, in an export with one row for each."""
    key, value = first_of(names, KEYS), first_of(names, VALUES)
    return (key, value) if key and value else None


def _metrics(columns: dict[str, list[str]], without: set[str | None]) -> dict[str, list[str]]:
    """The columns that hold numbers."""
    found = {}
    for name, cells in columns.items():
        there = [cell for cell in cells if cell]
        numbers = [cell for cell in there if _is_number(cell)]
        if name in without or plain(name).startswith("_") or name.endswith(BESIDE) or not there:
            continue
        if len(numbers) > len(there) / 2 or losses_of([name]):
            found[name] = cells
    return found


def _is_number(cell: str) -> bool:
    return cell.lower() in ("nan", "infinity") or number_of(cell) == number_of(cell)


def _number(cell: str, name: str, row: int) -> float:
    """A logged number: NaN where NaN was logged.

    Raises:
        InputError: what is no number, such as one with a decimal comma.
    """
    value = number_of(cell, count=False)
    if value == value or cell.strip().lower() in ("nan", "-nan", "na", "none", "null"):
        return value
    raise InputError(
        f"{name!r} has {cell!r} in line {row + 2}, which is no number.",
        "Numbers have decimal points, and no commas: replace those.",
    )


def _steps(columns: dict[str, list[str]], clock: str, path: Path) -> tuple[list[float], tuple[Note, ...]]:
    """The clock of each row; epochs are counted from 1."""
    steps = [number_of(cell) for cell in columns[clock]]
    bad = [row for row, step in enumerate(steps) if step != step]
    if bad:
        raise InputError(
            f"{str(path)!r}: {clock!r} has {len(bad)} cells that are no number (lines "
            f"{listed(row + 2 for row in bad)}, such as {columns[clock][bad[0]]!r}).",
            "Correct them, or delete their lines.",
        )
    if plain(clock) != "epoch":
        return steps, ()
    first = 1 if min(steps, default=1) == 0 else 0
    text = "there is no column of steps: step counts epochs" + (", from 1." if first else ".")
    return [step + first for step in steps], (Note("epochs", text),)


def _chart(path: Path, names: list[str], columns: list[list[str]]) -> Logs:
    """A chart's export: one column `run - metric` per run, with its least and greatest value beside it."""
    clock = names[0]
    if plain(clock).startswith(TIMES):
        raise InputError(
            f"{str(path)!r} has the axis {clock!r}, which is time; laws need steps or tokens.",
            "Set the chart's x axis to Step, and export it again.",
        )
    unit = "tokens" if plain(clock) in USUAL["tokens"] else "step"
    steps, notes = _steps({clock: columns[0]}, clock, path)
    if unit == "step" and plain(clock) not in (*STEPS, "epoch"):
        notes = (*notes, Note("clock", f"step is the chart's axis {clock!r}."))
    series: dict[str, dict[str, Points]] = {}
    renamed = []
    for title, cells in zip(names[1:], columns[1:], strict=True):
        run, _, metric = title.rpartition(" - ")
        if metric.endswith(BESIDE) or metric.startswith("_"):
            continue
        points = [(steps[i], _number(cell, title, i)) for i, cell in enumerate(cells) if cell]
        if metric in series.get(run, {}):
            run = own_name(run, [each for each, found in series.items() if metric in found])
            renamed.append(run)
        series.setdefault(run, {})[metric] = points
    if renamed:
        notes = (*notes, Note("equal-names", f"several runs have one name: {listed(renamed)} are others."))
    return Logs(series, clock=unit, notes=notes)


def _tensorboard(path: Path, columns: dict[str, list[str]], run: str | None) -> Logs:
    """One scalar as TensorBoard exports it; run and tag are in the file's name alone."""
    found = re.fullmatch(r"run-(?P<run>.*?)-tag-(?P<tag>.*)", path.name.partition(".csv")[0])
    tag = found["tag"] if found else "Value"
    _, clock, value = columns
    steps, _ = _steps(columns, clock, path)
    points = [(steps[i], _number(cell, "Value", i)) for i, cell in enumerate(columns[value])]
    name = run or (found["run"] if found else path.name.partition(".")[0])
    if tag == "Value" or "loss" in tag.lower():
        text = f"the file holds one scalar, {tag!r}, which is taken for the loss."
        return Logs({name: {"loss": points}}, notes=(Note("columns", text),), own_names=False)
    return Logs({name: {tag: points}}, own_names=False)
