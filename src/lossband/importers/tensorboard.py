"""TensorBoard event files: every folder that holds some is a run.

Values are float32, as TensorBoard keeps them.
"""

import os
from pathlib import Path

from ..errors import InputError
from .records import Logs, Points

MARK = "tfevents"


def is_one(path: Path) -> bool:
    """Whether a path is an event file, or a folder with one somewhere below it."""
    if path.is_file():
        return MARK in path.name
    return any(path.rglob(f"*{MARK}*"))


def read_logs(source: str | os.PathLike, *, run: str | None = None) -> Logs:
    """Scalars of every run below a folder, or of one event file."""
    path = Path(source)
    files = [path] if path.is_file() else sorted(path.rglob(f"*{MARK}*"))
    if not files:
        raise InputError(f"{str(source)!r} holds no event files.", "Give TensorBoard's log folder.")
    series = {}
    for file in files:  # their names hold the time of writing, so that a resumed run comes later
        home = file.parent.relative_to(path).as_posix() if path.is_dir() else "."
        name = home if home != "." else run or (path if path.is_dir() else path.parent).resolve().name
        for metric, points in _scalars(file).items():
            series.setdefault(name, {}).setdefault(metric, []).extend(points)
    return Logs(series, own_names=len(series) > 1)


def _scalars(file: Path) -> dict[str, Points]:
    """Metric -> [(step, value), ...] of one event file, in the order of writing."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util import tensor_util
    except ImportError as error:
        raise InputError(
            "event files need the package tensorboard.", "pip install 'lossband[tensorboard]'"
        ) from error
    metrics, kinds = {}, {}
    for event in EventFileLoader(str(file)).Load():  # gives old and new scalars alike as tensors
        for value in event.summary.value:
            plugin = value.metadata.plugin_data.plugin_name
            if kinds.setdefault(value.tag, plugin) == "scalars":  # what a tag is, is said once
                number = float(tensor_util.make_ndarray(value.tensor).item())
                metrics.setdefault(value.tag, []).append((event.step, number))
    return metrics
