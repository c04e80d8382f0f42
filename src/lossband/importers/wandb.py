"""Weights & Biases: a run's history by the API. Its exports are read as CSV, see `csv_logs`, `run_tables`."""

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from ..errors import InputError
from ..runs.cells import number_of
from ..runs.names import STEPS
from .records import Logs, Points


def read_logs(source: str, *, run: str | None = None) -> Logs:
    """Logged numbers of "wandb:entity/project/run", its whole history from W&B's server."""
    path = source.removeprefix("wandb:")
    try:
        import wandb  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        raise InputError("W&B's API needs the package wandb.", "pip install 'lossband[wandb]'") from error
    client: Any = wandb  # a checker without wandb takes the name for this very file
    try:
        found = client.Api().run(path)
        rows = list(found.scan_history())
    except (client.errors.CommError, ValueError) as error:
        raise InputError(
            f"W&B has no run {path!r} for you: {error}.",
            "Give wandb:entity/project/run, and log in: wandb login.",
        ) from error
    series = _series(rows)
    if not series:
        raise InputError(f"the W&B run {path!r} logged nothing.", "Check the path.")
    fixed = {
        name: float(v) for name, v in found.config.items() if isinstance(v, Real) and not isinstance(v, bool)
    }
    name = run or found.name
    return Logs({name: series}, {name: fixed}, own_names=False)


def _series(rows: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    """Metric -> points; what was not logged in a row is None there, and NaN was logged as such."""
    series: dict[str, Points] = {}
    for row in rows:
        step = next((row[name] for name in STEPS if row.get(name) is not None), None)
        for name, value in row.items():
            if step is None or value is None or name.startswith("_") or name in STEPS:
                continue
            number = number_of(value, count=False)
            if number == number or str(value).lower() == "nan":
                series.setdefault(name, []).append((number_of(step), number))
    return series
