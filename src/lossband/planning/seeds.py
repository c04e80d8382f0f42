"""Seeds of one recipe: the curve and the final loss of each, and how far finals of a recipe spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import InputError, Note, in_table
from ..runs.arrays import clock_of
from ..runs.start import without_start
from ..runs.table import numbers, read_runs
from ..runs.thin import drop_overtaken, medians

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..runs.table import RunsLike


SPREAD = 4e-4  # prior median of the standard deviation between seeds' final losses, over the loss
SHARED, OWN = 0.7, 0.2  # log-widths about it: of both recipes together, and of each
NODES = 61  # per recipe, of the grid over the two spreads
TAIL, DENSE = 0.1, 20  # a final is read from the last tenth of a run that logged so many points there
SMOOTH = 0.3  # lag-one autocorrelation above which neighbouring points follow the curve, not noise
BINS = 100  # points that a long log is thinned to
FAR = 10.0  # a final so many spreads of the others away from them is said


@dataclass(frozen=True)
class Seeds:
    """The runs of one recipe.

    name: of the recipe.
    clock: "tokens" or "step".
    runs: labels of the runs.
    curves: clock and loss of each run, `(2, row)`.
    finals: loss at the end of each run, `(run,)`.
    notes: coded remarks on how the table was read.
    """

    name: str
    clock: str
    runs: tuple[str, ...]
    curves: tuple[np.ndarray, ...]
    finals: np.ndarray
    notes: tuple[Note, ...]

    @property
    def ends(self) -> np.ndarray:
        """Where each run ended, `(run,)`."""
        return np.array([curve[0, -1] for curve in self.curves])

    def mean_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Clock and mean loss over the seeds, where all of them ran."""
        low, high = max(c[0, 0] for c in self.curves), min(c[0, -1] for c in self.curves)
        if low >= high:
            raise InputError(
                f"no {self.clock} is common to the runs of {self.name!r}.", "Compare runs of one length."
            )
        times = np.unique(np.concatenate([c[0] for c in self.curves]))
        times = times[(times >= low) & (times <= high)]
        losses = [np.interp(np.log(times), np.log(c[0]), c[1]) for c in self.curves]
        return times, np.mean(losses, axis=0)


def seeds_of(name: str, runs: RunsLike, columns: Mapping[str, str] | None) -> Seeds:
    """The runs of a recipe's table, each in the order of its clock."""
    with in_table(f"recipe {name!r}"):
        table = read_runs(runs, columns=columns)
        clock = clock_of(table)
        if clock is None:
            hint = "Name its clock: columns={'iter': 'step'}."
            raise InputError("the table has neither tokens nor step.", hint)
        table, begun = without_start(table, (clock,))
        table = table.assign(**{clock: numbers(table, clock), "loss": numbers(table, "loss")})
    table = table.assign(run=table["run"].astype(str) if "run" in table else "run 0")
    labels, curves, finals, notes = [], [], [], [*table.attrs.get("notes", ()), *begun]
    for label, run in table.groupby("run", sort=False):
        run, said = drop_overtaken(run.reset_index(drop=True), clock)
        if len(run) < 2:
            raise InputError(
                f"run {label!r} of {name!r} has {len(run)} row(s); expected at least two.",
                "Give its curve, or leave the run out. Two points of one run need one label.",
            )
        labels.append(str(label))
        notes += [note for note in said if note not in notes]
        finals.append(final_of(run[clock].to_numpy(), run["loss"].to_numpy()))
        curves.append(_thinned(run, clock))
    return Seeds(name, clock, tuple(labels), tuple(curves), np.array(finals), tuple(notes))


def _thinned(run: pd.DataFrame, clock: str) -> np.ndarray:
    if len(run) > 3 * BINS:
        run = medians(run, clock, BINS)
    return run[[clock, "loss"]].to_numpy(float).T


def final_of(clock: np.ndarray, losses: np.ndarray) -> float:
    """Loss at the end of a run: its last point, or a line through the last tenth of a dense and noisy log.

    Validation losses lie on their curve, so the last one is the final loss. A training loss logged at every
    step scatters: there a straight line through the last tenth, at its end. Which of the two a log is, the
    line's residuals say: those of a smooth curve resemble their neighbours, those of noise do not.
    """
    last = clock > (1 - TAIL) * clock[-1]
    if last.sum() < DENSE:
        return float(losses[-1])
    line = np.polynomial.Polynomial.fit(clock[last], losses[last], 1)
    rest = losses[last] - line(clock[last])
    alike = np.sum(rest[1:] * rest[:-1]) / max(np.sum(rest**2), np.finfo(float).tiny)
    return float(losses[-1] if alike > SMOOTH else line(clock[-1]))


def spreads(pair: tuple[Seeds, Seeds], typical: float) -> tuple[np.ndarray, np.ndarray]:
    """The posterior of both recipes' spreads on a grid: values `(2, node)`, and weights `(node,)`.

        final of a seed ~ Normal(mean of the recipe, s),   flat prior on the mean
        ln s = ln typical + u + v,   u ~ Normal(0, .7) for both recipes, v ~ Normal(0, .2) for each

    Args:
        pair: two recipes.
        typical: prior median of s, in the unit of the loss.
    """
    reach = np.linspace(-4, 4, NODES) * np.hypot(SHARED, OWN)
    logs = np.stack([each.ravel() for each in np.meshgrid(reach, reach, indexing="ij")])
    covariance = SHARED**2 + OWN**2 * np.eye(2)
    height = -np.sum(logs * np.linalg.solve(covariance, logs), axis=0) / 2
    values = typical * np.exp(logs)
    for each, s in zip(pair, values, strict=True):
        squares = np.sum((each.finals - each.finals.mean()) ** 2)
        height += -(len(each.finals) - 1) * np.log(s) - squares / (2 * s**2)
    weights = np.exp(height - height.max())
    return values, weights / weights.sum()


def far_seeds(each: Seeds) -> list[str]:
    """Labels of runs that ended far from the others of their recipe, where there are three or more."""
    if len(each.finals) < 4:
        return []
    far = []
    for i, label in enumerate(each.runs):
        others = np.delete(each.finals, i)
        if abs(each.finals[i] - others.mean()) > FAR * others.std(ddof=1):
            far.append(label)
    return far
