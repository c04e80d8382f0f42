"""Logs of TensorBoard, W&B, Hugging Face's Trainer, MLflow and plain text, read as a table of runs."""

import os
from pathlib import Path

from ..errors import InputError
from ..runs.table import read_runs
from . import mlflow, tensorboard, text, trainer, wandb
from .records import Imported, Logs, table_of

READERS = {
    "tensorboard": tensorboard.read_logs,
    "trainer": trainer.read_logs,
    "wandb": wandb.read_logs,
    "mlflow": mlflow.read_logs,
}


def import_runs(
    source: str | os.PathLike,
    *,
    format: str | None = None,
    pattern: str | None = None,
    columns: dict[str, str] | None = None,
    constants: dict[str, float] | None = None,
    tokens_per_step: float | None = None,
    run: str | None = None,
) -> Imported:
    r"""Read what a training program logged as a table of runs.

    Args:
        source: a TensorBoard folder or event file; a `trainer_state.json` or a folder that holds one; a CSV
            that W&B exported (a chart's, or a run's history), or "wandb:entity/project/run"; an MLflow folder
            (`mlruns`, or one run's); a plain-text log, with `pattern`; or a CSV or Parquet table of runs.
        format: "tensorboard", "trainer", "wandb", "mlflow", "text" or "table"; by default, what the source
            looks like.
        pattern: for plain text: a regular expression with named groups, of which one is `loss` and one `step`
            or `tokens`: r"step (?P<step>\d+) .* loss (?P<loss>[\d.]+)". Other groups are columns; one may be
            `run`.
        columns: your metric or column -> lossband's name, {"eval/loss": "loss"}.
        constants: columns to add to every row, {"params": 1.2e8}.
        tokens_per_step: tokens of one step, where the log has none.
        run: the run's label, where the log has none (by default, the file's or folder's name).

    Returns:
        `Imported`: `frame`, ready for `lossband.fit`, and `notes` that say which metric became which column,
        which points were written twice, and which runs were resumed.

    Raises:
        InputError: nothing to read, no loss in it, or a missing extra.
    """
    found = format or ("text" if pattern else looks_like(source))
    if found == "table":
        return Imported(read_runs(source, columns=columns).assign(**(constants or {})))
    if found == "text":
        logs = text.read_logs(source, pattern=pattern, run=run)
    elif found in READERS:
        logs = READERS[found](source, run=run)
    else:
        raise InputError(
            f"format= got {format!r}; expected one of {', '.join([*READERS, 'text', 'table'])}.",
            "Leave it out to go by what the source looks like.",
        )
    if not logs.metrics:
        raise InputError(f"{str(source)!r} holds no logged numbers.", "Check the path.")
    return table_of(logs, columns=columns, constants=constants, tokens_per_step=tokens_per_step)


def looks_like(source: str | os.PathLike) -> str:
    """The format of a source by its name and its first bytes."""
    if str(source).startswith("wandb:"):
        return "wandb"
    path = Path(source)
    if not path.exists():
        raise InputError(f"there is no file or folder {str(source)!r}.", "Check the path.")
    for name, module in {
        "tensorboard": tensorboard,
        "trainer": trainer,
        "mlflow": mlflow,
        "wandb": wandb,
    }.items():
        if module.is_one(path):
            return name
    if path.suffix in (".csv", ".parquet"):
        return "table"
    raise InputError(
        f"{str(source)!r} is no log that lossband knows.",
        "For a plain-text log give pattern= (--pattern), or name the format.",
    )


__all__ = ["Imported", "Logs", "import_runs", "looks_like"]
