"""What a training program logged, and how it becomes a table of runs: nothing is left out silently."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from ..errors import InputError, Note, listed, nearest
from ..runs.table import VOCABULARY

LOSSES = (
    "loss",
    "train/loss",
    "training/loss",
    "train_loss",
    "train.loss",
    "lm loss",
    "lm-loss-training/lm loss",
)
ALIASES = {
    "learning_rate": "lr",
    "train/learning_rate": "lr",
    "train/lr": "lr",
    "num_input_tokens_seen": "tokens",
    "train/num_input_tokens_seen": "tokens",
    "train/tokens": "tokens",
}


@dataclass(frozen=True)
class Logs:
    """What was read, before anything is chosen.

    series: run -> metric -> [(step, value), ...] in the order of writing.
    constants: run -> name -> value (a run's configuration).
    skipped: lines that said nothing.
    """

    series: dict[str, dict[str, list[tuple[int, float]]]]
    constants: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: int = 0

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics, over all runs, in the order in which they first appear."""
        return list(dict.fromkeys(name for one in self.series.values() for name in one))


@dataclass(frozen=True)
class Imported:
    """A table of runs as it was logged, and what was done to get it.

    frame: `run`, `step`, `loss`, and every other metric that has a column name of lossband's; ready for
        `lossband.fit`.
    notes: coded remarks: `columns` (which metric became which column), `duplicates`, `resumed`, `unmatched`,
        `left-out`.
    """

    frame: pd.DataFrame
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        """The size of the table, and its notes, one line each."""
        return "\n".join(
            [f"{len(self.frame)} rows of {self.frame['run'].nunique()} runs", *map(str, self.notes)]
        )


def table_of(
    logs: Logs,
    *,
    columns: dict[str, str] | None = None,
    constants: dict[str, float] | None = None,
    tokens_per_step: float | None = None,
) -> Imported:
    """`Logs` as an `Imported` table.

    Args:
        logs: what a reader found.
        columns: metric -> lossband's name, {"eval/loss": "loss"}; by default the training loss, and every
            metric that has a usual name.
        constants: columns to add, the same for every row: {"params": 1.2e8}.
        tokens_per_step: adds `tokens`, the step times this.
    """
    chosen, notes, parts = chosen_metrics(logs, columns or {}), [], []
    said = ", ".join(f"{ours} is {metric!r}" for metric, ours in chosen.items() if metric != ours)
    notes += [Note("columns", f"{said}.")] if said else []
    for run, series in logs.series.items():
        if any(ours == "loss" and metric in series for metric, ours in chosen.items()):
            frame = one_run(run, series, chosen, notes)
            fixed = {ALIASES.get(name, name): v for name, v in logs.constants.get(run, {}).items()}
            fixed = {(columns or {}).get(name, name): v for name, v in fixed.items()}
            parts.append(
                frame.assign(**{n: v for n, v in fixed.items() if n in VOCABULARY and n not in frame})
            )
        else:
            notes.append(Note("left-out", f"run {run!r} logged no such loss and is left out."))
    if logs.skipped:
        notes.append(
            Note("unmatched", f"{logs.skipped} lines do not match the pattern and were passed over.")
        )
    table = pd.concat(parts, ignore_index=True).assign(**_known(constants or {}))
    if tokens_per_step is not None:
        table["tokens"] = table["step"] * tokens_per_step
    return Imported(table, tuple(notes))


def chosen_metrics(logs: Logs, columns: dict[str, str]) -> dict[str, str]:
    """Metric -> lossband's name.

    Raises:
        InputError: a metric that was not logged, or no loss among those that were.
    """
    constants = {name for one in logs.constants.values() for name in one}
    for metric, ours in columns.items():
        if metric not in logs.metrics and metric not in constants:
            raise InputError(
                f"columns= names {metric!r}, which was not logged{nearest(metric, logs.metrics)}",
                f"Logged were {listed(logs.metrics, 20)}.",
            )
        _known({ours: None})
    usual = {metric: ALIASES.get(metric, metric) for metric in logs.metrics}
    chosen = {
        m: ours for m, ours in usual.items() if ours in VOCABULARY and ours not in ("loss", "run", "step")
    }
    chosen = {m: ours for m, ours in chosen.items() if ours not in columns.values()}
    chosen |= {metric: ours for metric, ours in columns.items() if metric in logs.metrics}
    if "loss" not in chosen.values():
        loss = next((name for name in LOSSES if name in logs.metrics), None)
        if loss is None:
            raise InputError(
                f"no training loss was logged under a usual name; logged were {listed(logs.metrics, 20)}.",
                "Name it: columns={'your/loss': 'loss'} (--columns your/loss=loss).",
            )
        chosen[loss] = "loss"
    return chosen


def _known(columns: Mapping) -> Mapping:
    for name in columns:
        if name not in VOCABULARY:
            raise InputError(
                f"{name!r} is no column of lossband{nearest(name, VOCABULARY)}",
                f"Use one of {', '.join(VOCABULARY)}.",
            )
    return columns


def one_run(
    run: str, series: dict[str, list[tuple[int, float]]], chosen: dict[str, str], notes: list[Note]
) -> pd.DataFrame:
    """One run's rows, one per step; points that were written again are reported in `notes`."""
    loss = next(metric for metric, ours in chosen.items() if ours == "loss" and metric in series)
    frame = pd.DataFrame(settled(series[loss], run, notes), columns=["step", "loss"])
    frame.insert(0, "run", run)
    for metric, ours in chosen.items():
        if ours != "loss" and metric in series:
            other = pd.DataFrame(settled(series[metric], run, []), columns=["step", ours])
            frame = frame.merge(other, on="step", how="left")
    return frame


def settled(points: Iterable[tuple[int, float]], run: str, notes: list[Note]) -> list[tuple[int, float]]:
    """The points of one metric in the order of training, each step once.

    A run that went back to an earlier step was resumed from a checkpoint: the points that it had written from
    that step on never became the model and are dropped. A point that was written twice alike is kept once.
    """
    kept, twice, gone, back = {}, 0, 0, []
    for step, value in points:
        if kept.get(step) == value:
            twice += 1
            continue
        stale = _from(kept, step)
        if stale:
            back.append(step)
            gone += len(stale)
            for old in stale:
                del kept[old]
        kept[step] = value
    if twice:
        notes.append(
            Note("duplicates", f"run {run!r}: {twice} points were written more than once; each is kept once.")
        )
    if gone:
        places = f"step {listed(back)}"
        notes.append(
            Note(
                "resumed",
                f"run {run!r} was resumed at {places}: {gone} points written before are superseded.",
            )
        )
    return list(kept.items())


def _from(kept: dict[int, float], step: int) -> list[int]:
    """The kept steps from `step` on; they stand at the end, since what is kept only ever grows."""
    stale = []
    for old in reversed(kept):
        if old < step:
            break
        stale.append(old)
    return stale
