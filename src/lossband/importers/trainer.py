"""Hugging Face's Trainer: the `log_history` of a `trainer_state.json`."""

import json
import os
from pathlib import Path

from ..errors import InputError
from ..runs.cells import number_of
from .records import Logs, Points, own_name

NAME = "trainer_state.json"


def is_one(path: Path) -> bool:
    """Whether a path is a JSON file of one object, or a folder with a `trainer_state.json` below it."""
    if path.is_file():
        return path.name.endswith(".json") and not path.read_text(errors="replace").lstrip().startswith("[")
    return bool(_states(path))


def read_logs(source: str | os.PathLike, *, run: str | None = None) -> Logs:
    """Logged numbers of one state, or of the last state of every run below a folder."""
    path = Path(source)
    states = [path] if path.is_file() else _states(path)
    if not states:
        raise InputError(f"{str(source)!r} holds no {NAME}.", "Give the Trainer's output folder.")
    series = {}
    for state in states:
        name = run if run and len(states) == 1 else _home(state).resolve().name
        if name in series:  # two folders of one name
            name = _home(state).relative_to(path).as_posix()
        series[own_name(name, series)] = _history(state)
    return Logs(series, own_names=len(states) > 1)


def _states(folder: Path) -> list[Path]:
    """The last state of every run: a later checkpoint's holds the earlier ones' history."""
    last = {}
    for state in sorted(folder.rglob(NAME), key=_step):
        last[_home(state)] = state
    return [last[home] for home in sorted(last)]


def _home(state: Path) -> Path:
    """The run's folder: the one above a checkpoint's."""
    return state.parent.parent if state.parent.name.startswith("checkpoint-") else state.parent


def _step(state: Path) -> float:
    """Step of the checkpoint; infinity for the state in the run's own folder, which is written at the end."""
    number = state.parent.name.removeprefix("checkpoint-")
    return int(number) if number.isdigit() else float("inf")


def _history(state: Path) -> dict[str, Points]:
    try:
        history = json.loads(state.read_text(encoding="utf-8"))["log_history"]
        metrics = {}
        for entry in history:
            for metric, value in entry.items():
                number = number_of(value, count=False)
                if metric != "step" and (number == number or str(value).lower() == "nan"):
                    metrics.setdefault(metric, []).append((float(entry["step"]), number))
        return metrics
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # no JSON, or another program's
        raise InputError(
            f"{str(state)!r} is no state of a Trainer ({type(error).__name__}: {error}).",
            f"Give the {NAME} of a checkpoint, with its log_history.",
        ) from error
