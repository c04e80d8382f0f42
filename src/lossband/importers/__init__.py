"""Logs and exports of training programs, read as a table of runs."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from .._arguments import number, path_of
from ..errors import InputError, Note, listed
from ..runs.cells import label_of, number_of
from ..runs.files import names_in
from ..runs.names import columns_line, losses_of
from ..runs.table import LABELS, read_runs
from . import csv_logs, mlflow, run_tables, tensorboard, text, trainer, wandb
from .assemble import table_of, timed
from .naming import known
from .records import Imported, Logs

READERS: dict[str, Callable[..., Logs]] = {
    "tensorboard": tensorboard.read_logs,
    "trainer": trainer.read_logs,
    "wandb": wandb.read_logs,
    "mlflow": mlflow.read_logs,
    **dict.fromkeys(("comet", "lightning", "keras", "csv"), csv_logs.read_logs),
}
OTHERS = ("runs", "text", "table")
TABLES = (".csv", ".tsv", ".parquet", ".pq", ".feather", ".jsonl", ".ndjson", ".json")
PACKED = (".gz", ".bz2", ".xz", ".zip")


def import_runs(
    source: str | os.PathLike,
    *,
    format: str | None = None,
    pattern: str | None = None,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    tokens_per_step: float | None = None,
    run: str | None = None,
    per_run: Any = None,
) -> Imported:
    r"""Read what a training program logged as a table of runs.

    Args:
        source: a TensorBoard folder, event file or CSV; a `trainer_state.json` or a folder that holds one; a
            CSV that W&B exported (a table of runs, a chart, or a run's history), or
            "wandb:entity/project/run"; an MLflow folder (`mlruns`, or one run's) or CSV; a CSV of Lightning,
            Keras or Comet; a text log of nanoGPT, llm.c, torchtitan, Megatron and others, or any with
            `pattern`; or a table of runs.
        format: one of `READERS`, or "runs", "text" or "table"; by default, what the source looks like. "runs"
            is a table with one row per run, of its settings and results.
        pattern: for plain text: a regular expression with named groups, of which one is `loss` and one `step`
            or `tokens`: r"step (?P<step>\d+) .* loss (?P<loss>[\d.]+)". Other groups are columns; one may be
            `run`.
        columns: your metric or column -> lossband's name, {"eval/loss": "loss"}.
        constants: columns to add to every row, {"params": 1.2e8}.
        tokens_per_step: tokens of one step, where the log has none.
        run: the run's label, of a source that holds one run.
        per_run: a table with one row per run, such as W&B's table of runs: its `params` and other settings
            are added to the rows of the run of that name.

    Returns:
        `Imported`: `frame`, ready for `lossband.fit`, and `notes` that say which metric became which column,
        which points were written twice or are no number, and which runs were resumed or left out.

    Raises:
        InputError: nothing to read, no loss in it, an option that the source has no use for, or a missing
            extra.

    Example:
        >>> import lossband as lb
        >>> lines = "".join(f"step {n} loss {4 - n / 10}\n" for n in (1, 2, 3))
        >>> with open("train.log", "w") as log:
        ...     count = log.write(lines)
        >>> pattern = r"step (?P<step>\d+) loss (?P<loss>[\d.]+)"
        >>> runs = lb.import_runs("train.log", pattern=pattern, constants={"params": 1e8}).frame
    """
    columns, constants, per_step = _options(columns, constants, tokens_per_step, pattern, run)
    if not str(source).startswith("wandb:"):
        source = path_of(source, "the path of a log")
    if not (format is None or isinstance(format, str)) or (format and format not in (*READERS, *OTHERS)):
        raise InputError(
            f"format= got {format!r}; expected one of {', '.join([*READERS, *OTHERS])}.",
            "Leave it out to go by what the source looks like.",
        )
    found = format or ("text" if pattern else looks_like(source))
    if found in ("wandb", "mlflow", "comet") and Path(source).is_file():
        found = "runs" if run_tables.is_header(names_in(source)) else found
    if pattern is not None and found != "text":
        raise InputError(f"pattern= is for plain text, and the format is {found!r}.", "Leave it out.")
    if found in ("table", "runs"):
        imported = _table(source, found, columns)
    else:
        logs = _named(_logs(source, found, pattern, run), run)
        if not logs.metrics:
            raise InputError(f"{str(source)!r} holds no logged numbers.", "Check the path.")
        return _joined(
            table_of(logs, columns=columns, constants=constants, tokens_per_step=per_step), per_run, constants
        )
    return _completed(imported, constants, per_step, run, per_run)


def read_source(runs: Any, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table as `read_runs` reads it, or the path of an export or a log as `import_runs` does.

    Args:
        runs: as in `lossband.fit`.
        columns: the user's name -> lossband's.

    Returns:
        the frame; its `attrs["notes"]` say what was read as what.

    Raises:
        InputError: as of both.
    """
    is_path = isinstance(runs, str) or hasattr(runs, "__fspath__")
    if not is_path or not (Path(runs).exists() or str(runs).startswith("wandb:")):
        return read_runs(runs, columns=columns)
    if _kind(runs) in (None, "table"):
        return read_runs(runs, columns=columns)
    imported = import_runs(runs, columns=columns)
    imported.frame.attrs["notes"] = imported.notes
    return imported.frame


def looks_like(source: str | os.PathLike) -> str:
    """The format of a source by its name and its first bytes.

    Raises:
        InputError: no such file, or none of the formats.
    """
    if not str(source).startswith("wandb:") and not Path(source).exists():
        raise InputError(f"there is no file or folder {str(source)!r}.", "Check the path.")
    if kind := _kind(source):
        return kind
    raise InputError(
        f"{str(source)!r} is no log that lossband knows.",
        "For a plain-text log give pattern=, or name the format.",
        "For a plain-text log give --pattern, or name the format.",
    )


def _kind(source: str | os.PathLike) -> str | None:
    """The format of a source that is there; None for what is none of them."""
    if str(source).startswith("wandb:"):
        return "wandb"
    path = Path(source)
    for name, module in {"tensorboard": tensorboard, "trainer": trainer, "mlflow": mlflow}.items():
        if module.is_one(path):
            return name
    plain = Path(path.stem) if path.suffix in PACKED else path
    if path.is_file() and plain.suffix in TABLES:
        names = names_in(path)
        return "runs" if run_tables.is_header(names) else csv_logs.kind_of(names) or "table"
    if path.is_file() and text.is_one(path):
        return "text"
    if path.is_file() and "loss" in names_in(path):
        return "table"
    return None


def _options(
    columns: Mapping[str, str] | None,
    constants: Mapping[str, Any] | None,
    per_step: float | None,
    pattern: str | None,
    run: str | None,
) -> tuple[dict[str, str], dict[str, Any], float | None]:
    """The options in the types that the readers take."""
    for name, value in (("pattern", pattern), ("run", run)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name}= got {value!r}; expected text.", "Leave it out.")
    for name, value in (("columns", columns), ("constants", constants)):
        if value is not None and not isinstance(value, Mapping):
            raise InputError(f"{name}= got {value!r}; expected a dict.", f"For instance {name}={{...}}.")
    fixed = {}
    for name, value in (constants or {}).items():
        known(name)
        fixed[name] = label_of(value) if name in LABELS else number_of(value)
        if fixed[name] != fixed[name]:
            raise InputError(
                f"constants= has {value!r} for {name}; expected a number.", "For instance 1.2e8."
            )
    if per_step is not None:
        expected, hint = "a number above 0", "For instance batch size times context, 524288."
        per_step = number("tokens_per_step", per_step, expected, hint, above=0)
    return dict(columns or {}), fixed, per_step


def _logs(source: str | os.PathLike, found: str, pattern: str | None, run: str | None) -> Logs:
    """What the source holds, by the reader of its format."""
    if found == "text":
        return text.read_logs(source, pattern=pattern, run=run)
    is_export = not str(source).startswith("wandb:") and Path(source).is_file() and found != "trainer"
    is_event = found == "tensorboard" and tensorboard.MARK in Path(source).name
    if is_export and not is_event and READERS[found].__module__.startswith(__name__):
        return csv_logs.read_logs(source, run=run)
    return READERS[found](source, run=run)


def _named(logs: Logs, run: str | None) -> Logs:
    """The logs under the user's label, of a source that holds one run."""
    if run is None or (len(logs.series) == 1 and run in logs.series):
        return logs
    if len(logs.series) > 1:
        raise InputError(
            f"run= was given, and the source holds {len(logs.series)} runs ({listed(logs.series)}).",
            "Leave it out.",
        )
    (series,), constants = logs.series.values(), list(logs.constants.values())
    return replace(logs, series={run: series}, constants={run: constants[0]} if constants else {})


def _table(source: str | os.PathLike, found: str, columns: Mapping[str, str]) -> Imported:
    """A table of runs: with a row per measurement, or with a row per run as a program exports it."""
    if found == "runs":
        return run_tables.read_table(source, columns=columns)
    table = read_runs(source, columns=columns)
    others = losses_of(table.columns)
    if "loss" not in table:
        word = f"; {listed(others)} may be it" if others else ""
        raise InputError(
            f"{str(source)!r} has no column loss (it has {listed(table.columns, 20)}){word}.",
            f"Name it: {columns_line(table.columns, 'loss')}.",
        )
    return Imported(table, table.attrs.pop("notes", ()))


def _completed(
    imported: Imported, constants: Mapping[str, Any], per_step: float | None, run: str | None, per_run: Any
) -> Imported:
    """A table with the options' columns; one that would replace a column is refused."""
    table = imported.frame
    if run is not None:
        if "run" in table and len(table) > 1:
            raise InputError("run= was given, and the table names its runs.", "Leave it out.")
        table = table.assign(run=run)
    twice = [name for name in constants if name in table]
    if twice:
        raise InputError(f"constants= gives {listed(twice)}, which the table has.", "Leave it out.")
    table = table.assign(**constants)
    table = table if per_step is None else timed(table, per_step)
    return _joined(replace(imported, frame=table), per_run, constants)


def _joined(imported: Imported, per_run: Any, constants: Mapping[str, Any]) -> Imported:
    """The table with the settings of its runs from a second table."""
    if per_run is None:
        return imported
    table, settings = imported.frame, run_tables.settings_of(per_run)
    if "run" not in table:
        raise InputError("per_run= was given, and the table has no column run.", "Add it.")
    apart = [name for name in dict.fromkeys(table["run"]) if name not in settings]
    if len(apart) == table["run"].nunique():
        raise InputError(
            f"per_run= has the runs {listed(settings)}, and none of those logged ({listed(apart)}).",
            "Give both the same names.",
        )
    names = dict.fromkeys(name for each in settings.values() for name in each)
    new = {
        name: [settings.get(run, {}).get(name, float("nan")) for run in table["run"]]
        for name in names
        if name not in table
    }
    notes = [Note("per-run", f"{listed(new, 20)} of each run are from the second table.")] if new else []
    if apart:
        notes.append(Note("unmatched", f"{listed(apart)}: no such run in the second table."))
    return Imported(table.assign(**new), (*imported.notes, *notes))


__all__ = ["READERS", "Imported", "Logs", "import_runs", "looks_like", "read_source"]
