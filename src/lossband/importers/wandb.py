"""Weights & Biases: an exported CSV (a chart's, or a run's history), or a run's history by the API."""

import os
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from ..errors import InputError
from .records import Logs

STEPS = ("_step", "Step", "trainer/global_step", "train/global_step")


def is_one(path: Path) -> bool:
    """A CSV with W&B's own column of steps."""
    if path.suffix != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        names = [name.strip().strip('"') for name in file.readline().split(",")]
    return names[0] in STEPS or "_step" in names


def read_logs(source: str | os.PathLike, *, run: str | None = None) -> Logs:
    """Logged numbers of an exported CSV, or of "wandb:entity/project/run"."""
    if str(source).startswith("wandb:"):
        return _by_api(str(source).removeprefix("wandb:"))
    try:
        table = pd.read_csv(source)
    except (OSError, ValueError) as error:
        raise InputError(f"{str(source)!r} cannot be read as CSV: {error}.", "Check the path.") from error
    step = next((name for name in STEPS if name in table), None)
    if step is None:
        raise InputError(
            f"{str(source)!r} has no column of steps ({', '.join(STEPS)}).", "Export it from W&B again."
        )
    charted = [name for name in table if " - " in name]
    if charted:
        return Logs(_chart(table, step, charted))
    label = next((name for name in ("run", "run_name", "name", "Name") if name in table), None)
    groups = table.groupby(label, sort=False) if label else [(run or Path(source).stem, table)]
    return Logs({str(name): _series(rows, step, {label, step}) for name, rows in groups})


def _chart(
    table: pd.DataFrame, step: str, charted: list[str]
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """A chart's export: one column `run - metric` per run, with its least and greatest value beside it."""
    series = {}
    for name in charted:
        run, _, metric = name.rpartition(" - ")
        if not metric.endswith(("__MIN", "__MAX")) and not metric.startswith("_"):
            series.setdefault(run, {})[metric] = _points(table, step, name)
    return series


def _series(
    rows: pd.DataFrame, step: str, without: Collection[str | None]
) -> dict[str, list[tuple[int, float]]]:
    """Metric -> points; a cell that was not logged is empty."""
    names = [n for n in rows if n not in without and pd.api.types.is_numeric_dtype(rows[n])]
    return {name: _points(rows, step, name) for name in names if not name.startswith("_")}


def _points(rows: pd.DataFrame, step: str, name: str) -> list[tuple[int, float]]:
    logged = rows[[step, name]].dropna()
    values = pd.to_numeric(logged[name], errors="raise")
    return list(zip(logged[step].astype(int), values.astype(float), strict=True))


def _by_api(path: str) -> Logs:
    """A run's whole history from W&B's server."""
    try:
        import wandb
    except ImportError as error:
        raise InputError("W&B's API needs the package wandb.", "pip install 'lossband[wandb]'") from error
    try:
        found = wandb.Api().run(path)
        history = pd.DataFrame(found.scan_history())
    except (wandb.errors.CommError, ValueError) as error:
        raise InputError(
            f"W&B has no run {path!r} for you: {error}.",
            "Give wandb:entity/project/run, and log in: wandb login.",
        ) from error
    step = next((name for name in STEPS if name in history), None)
    if step is None:
        raise InputError(f"the W&B run {path!r} logged nothing.", "Check the path.")
    fixed = {name: v for name, v in found.config.items() if isinstance(v, int | float)}
    return Logs({found.name: _series(history, step, {step})}, {found.name: fixed})
