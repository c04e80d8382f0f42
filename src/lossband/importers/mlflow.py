"""MLflow's file store: `metrics/NAME` of each run, and its parameters.

A metric has one line `time value step` per point.
"""

import os
from pathlib import Path

from ..errors import InputError
from .records import Logs, Points, own_name


def is_one(path: Path) -> bool:
    """Whether a path is a folder that holds MLflow runs."""
    return path.is_dir() and bool(_runs(path))


def _runs(folder: Path) -> list[Path]:
    """Folders of runs: those with metrics and a meta.yaml."""
    here = [folder] if (folder / "metrics").is_dir() else []
    below = (one.parent for one in sorted(folder.rglob("metrics")) if one.is_dir())
    return here or [one for one in below if (one / "meta.yaml").is_file()]


def read_logs(source: str | os.PathLike, *, run: str | None = None) -> Logs:
    """Metrics and parameters of every run below a folder."""
    folders = _runs(Path(source))
    if not folders:
        raise InputError(f"{str(source)!r} holds no MLflow runs.", "Give the folder mlruns, or one run's.")
    series, constants = {}, {}
    for folder in folders:
        name = (run if len(folders) == 1 else None) or _text(folder / "tags/mlflow.runName") or folder.name
        name = own_name(name if name not in series else f"{name} ({folder.name})", series)
        files = [file for file in sorted((folder / "metrics").rglob("*")) if file.is_file()]
        series[name] = {file.relative_to(folder / "metrics").as_posix(): _points(file) for file in files}
        constants[name] = _parameters(folder)
    return Logs(series, constants)


def _points(file: Path) -> Points:
    """(step, value) of every line of one metric, in the order of writing."""
    points = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        try:
            _, value, step = line.split()[:3]
            points.append((float(step), float(value)))
        except ValueError as error:
            raise InputError(
                f"{str(file)!r} has a line that is no MLflow point (line {number + 1}: {line!r}).",
                "Each line is: time value step.",
            ) from error
    return points


def _parameters(folder: Path) -> dict[str, float]:
    """The run's parameters that are numbers, by name."""
    found = {}
    for file in sorted((folder / "params").glob("*")):
        try:
            found[file.name] = float(_text(file))
        except ValueError:  # a word, such as the optimiser's name
            continue
    return found


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""
