"""A problem: one table and one model, checked, centred and padded, ready to be sampled."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pandas as pd
from jax.tree_util import PyTreeDef

from ..errors import InputError, listed
from ..laws import find_law
from ..laws.recipe import per_family
from ..runs.arrays import Runs, Unit, clock_of, double, order_of, runs_of
from ..runs.loss_scale import as_loss, find_scale, scale_of
from ..runs.start import without_start
from ..runs.table import check_runs, numbers, read_runs
from ..runs.tokens import with_tokens
from .drift import BoundDrift, find_drift
from .loss_model import LossModel
from .measured import Measured, measured_of
from .noise import find_noise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..errors import Note
    from ..laws import Law
    from ..laws.resolve import LawLike
    from ..runs.loss_scale import LossScale, Metric
    from ..runs.table import RunsLike
    from .drift import AbstractDrift, DriftLike
    from .noise import NoiseLike


# of the arrays of a problem: their structure and shapes; problems of one size share their programs
Size = tuple[PyTreeDef, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True)
class Problem:
    """A model and the table it is fitted to.

    Attributes:
        model: law, noise and drift.
        frame: the checked training rows, in the user's order.
        unit: what the training rows fix: centres and the losses' unit.
        paths: the drift of this table, or None without one.
        order: `(row,)` positions in `frame` of the padded arrays' rows.
        runs, measured: those arrays.
        columns: the user's column names, {"N": "params"}; new rows may use them too.
        notes: coded remarks on how the table was read.
        others: the table's other columns, which neither law nor noise reads, beside `frame`; None if unknown.
    """

    model: LossModel
    frame: pd.DataFrame
    unit: Unit
    paths: BoundDrift | None
    order: np.ndarray
    runs: Runs
    measured: Measured
    columns: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    others: pd.DataFrame | None = None

    @property
    def size(self) -> Size:
        """Problems of one size share their compiled programs."""
        return jax.tree.structure(self.arrays), tuple(leaf.shape for leaf in jax.tree.leaves(self.arrays))

    @property
    def pieces(self) -> int:
        """How many pieces of the drift's paths the model has, padding of the arrays not counted."""
        return 0 if self.paths is None else self.paths.inside(self.frame.iloc[:1]).shape[1]

    @property
    def arrays(self) -> tuple[Runs, Measured]:
        """What the compiled programs take of it."""
        return self.runs, self.measured

    @property
    def run_names(self) -> list[str]:
        """Names of the training runs in the order of their slots."""
        return list(dict.fromkeys(self.frame["run"].iloc[self.order]))

    @property
    def scale(self) -> LossScale:
        """The scale that the losses are fitted on."""
        return self.model.law.loss_scale

    def fitted_losses(self, frame: pd.DataFrame) -> np.ndarray:
        """Measured losses of checked rows on the fitted scale, `(row,)`."""
        return self.scale.fitted(frame["loss"].to_numpy(float))

    def compute(self, frame: pd.DataFrame) -> np.ndarray:
        """Training compute of each row of `frame`, `(row,)`, up to a constant."""
        return compute_of(self.model.law, frame, self.unit)

    def extrapolation(self, frame: pd.DataFrame) -> np.ndarray:
        """Distance of each row from the ranges of the training rows, decades, `(row,)`; 0 inside."""
        out = [np.zeros(len(frame))]
        for name in self.model.law.varied:
            x, seen = (np.log10(table[name].to_numpy(float)) for table in (frame, self.frame))
            out.append(np.maximum(0.0, np.maximum(x - seen.max(), seen.min() - x)))
        return np.linalg.norm(out, axis=0)


def pose(
    runs: RunsLike,
    law: LawLike = None,
    *,
    noise: NoiseLike = "student-t",
    drift: DriftLike = "default",
    columns: Mapping[str, str] | None = None,
    metric: Metric = "loss",
    bounds: tuple[float, float] | None = None,
    pool: str | None = None,
    least: tuple[int, int, int] = (0, 0, 0),
) -> Problem:
    """Check a table and join it with a law, a noise and a drift.

    Args:
        runs: as in `lossband.fit`.
        law: as in `lossband.fit`.
        noise: as in `lossband.fit`.
        drift: as in `lossband.fit`.
        columns: as in `lossband.fit`.
        metric: as in `lossband.fit`.
        bounds: as in `lossband.fit`.
        pool: as in `lossband.fit`.
        least: pad the arrays to at least this shape, the `measured.shape` of another problem of the same
            model, so that both share their programs. It changes no answer.

    Raises:
        InputError: unusable input; nothing is dropped or repaired.
    """
    table, law, notes = read_for(runs, law, columns=columns, scale=scale_of(metric, bounds))
    table, law = (table, law) if pool is None else per_family(law, table, pool)
    noise = find_noise(noise)
    if noise.ou and (clock_of(table) is None or "run" not in table):
        raise InputError(
            "noise with '+ou' needs to know the points of each run and their order: columns run, and "
            "tokens or step.",
            "Add them, or leave out '+ou'.",
        )
    clock = clock_of(table) if noise.ou else None
    table, begun = without_start(table, (*law.inputs, clock))
    table = law.derived(table)
    about: dict[str, Any] = dict(plain=law.plain_inputs, signed=law.loss_scale.signed)
    frame = law.checked(check_runs(table, law.inputs, clock=clock, varied=law.varied, **about))
    law.loss_scale.check(frame["loss"])
    frame = frame.assign(**{name: table[name] for name in law.carries if name in table})
    unit = law.unit(frame)
    order = order_of(frame)
    drift = find_drift(drift) if law.varied else None  # along proportions alone no path can be drawn
    model = LossModel(law, noise, drift, "loss_se" in frame)
    if model.integrates and not noise.tails.gaussian:
        raise InputError(
            f"the noise {noise.tails.name!r} is no scale mixture of normals: no drift, "
            "run effect or autocorrelation can be integrated out beside it.",
            "Fit it with drift=None (or lossband.Drift(tau=None), which keeps the edge) and without "
            "'+run' and '+ou'.",
        )
    paths = model.drift and model.drift.bind(frame, unit, compute_of(law, frame, unit), law.varied)
    ordered = frame.iloc[order]
    basis = paths.inside(ordered) if paths else np.zeros((len(frame), 0))
    measured = measured_of(ordered, basis, run_effects=model.noise.run, least=least, scale=law.loss_scale)
    padded = runs_of(ordered, unit, pad_to=len(measured.mask))
    others = table.loc[frame.index, [name for name in table if name not in frame]]
    read = dict(columns or {}), (*notes, *begun), others
    problem = Problem(model, frame, unit, paths, order, padded, measured, *read)
    needed = len(coefficients(problem)) + 1
    if needed == 1:
        raise InputError(
            f"the law {law.name!r} samples no coefficient, so there is nothing to fit.",
            "Build it of terms: lossband.floor(runs) + lossband.power(runs.params, 'A', 'alpha').",
        )
    if len(frame) < needed:
        raise InputError(
            f"the table has {len(frame)} rows, and the law {law.name!r} has {needed - 1} coefficients; "
            f"expected at least {needed}.",
            "Add measurements, or use a law with fewer coefficients.",
        )
    return problem


def read_for(
    runs: RunsLike,
    law: LawLike = None,
    *,
    columns: Mapping[str, str] | None = None,
    scale: str | None = None,
) -> tuple[pd.DataFrame, Law, tuple[Note, ...]]:
    """The user's table read once, the law that is meant for it, and notes on how it was read.

    With the name of a scale the law is on that, and the table's `loss` is the metric that it measures.
    """
    is_path = isinstance(runs, str | os.PathLike)
    table = _from_path(runs, columns) if is_path else read_runs(runs, columns=columns)
    table, made = with_tokens(table if scale is None else as_loss(table, find_scale(scale)))
    law = find_law(law, table)
    law = law if scale is None else replace(law, scale=scale)
    table, needed = with_tokens(table, law.inputs)
    return table, law, (*table.attrs.get("notes", ()), *made, *needed)


def _from_path(path: str | os.PathLike[str], columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The table in a file, an export or a log; the importers are loaded for these alone."""
    from ..importers import read_source

    return read_source(path, columns=columns)


def components(problem: Problem) -> dict[str, Problem]:
    """The problems whose fits a forecast mixes, name -> `Problem`; the first is the problem itself.

    With the drift and without; or, of a law with a simpler one, this law and that; or, of a crossed law, all
    four.
    """
    model, law = problem.model, problem.model.law
    if not model.averaged or model.drift is None:
        return {_label(model, law, alone=True): problem}
    drift, beyond = model.drift, model.drift.beyond_only()
    others: list[tuple[Law, AbstractDrift | None]]
    if law.crossed:
        others = [(law, beyond), (law.simplest(), drift), (law.simplest(), beyond)]
    elif law.simpler:
        others = [(law.simplest(), drift)]
    else:
        others = [(law, beyond)]
    mixed = [problem, *(_as(problem, *parts) for parts in others)]
    return {_label(each.model, law, alone=not law.simpler): each for each in mixed}


def _label(model: LossModel, law: Law, *, alone: bool) -> str:
    """Name of a fit among those of a forecast: by its law where they have several, and by its drift."""
    drift = "no drift" if model.fitted.drift is None else "drift"
    return drift if alone else f"{model.law.name}, {drift}"


def _as(problem: Problem, law: Law, drift: AbstractDrift | None) -> Problem:
    """The same table under another law and drift, of the same shape.

    The rows keep the weights they were given.
    """
    posed = pose(problem.frame, law, noise=problem.model.noise, drift=drift, least=problem.measured.shape)
    rows = replace(posed.measured, mixture=problem.measured.mixture)
    return replace(posed, measured=rows, columns=problem.columns, notes=problem.notes)


def coefficients(problem: Problem) -> list[str]:
    """Names of the law's own coefficients."""
    return list(problem.model.law.marks)


def compute_of(law: Law, frame: pd.DataFrame, unit: Unit) -> np.ndarray:
    """Training compute of each row, `(row,)`, up to a constant.

    The law's own, or the product of its inputs.
    """
    if law.compute is not None:
        with double():
            return np.asarray(law.compute(runs_of(frame, unit)))
    return np.prod([frame[name].to_numpy() / unit.centre[name] for name in law.varied], axis=0)


def widest(problems: Iterable[Problem]) -> Problem:
    """The problem whose law has the most inputs: its compute orders the rows."""
    return max(problems, key=lambda problem: len(problem.model.law.inputs))


class NewRows:
    """A table of new rows, read once; what a law needs of it is checked once.

    Args:
        new: a frame or CSV with the inputs of the laws.
        columns: the user's column names, {"N": "params"}.
    """

    def __init__(self, new: RunsLike, columns: Mapping[str, str] | None = None) -> None:
        """Read a table."""
        self.columns = columns
        self.table = read_runs(new, columns=columns)
        self._checked = {}

    @classmethod
    def of(cls, new: RunsLike | NewRows, columns: Mapping[str, str] | None = None) -> NewRows:
        """The rows of a table, or rows that were read before as they are."""
        return new if isinstance(new, NewRows) else cls(new, columns)

    def checked(self, problem: Problem) -> pd.DataFrame:
        """The frame that a problem's law reads: its inputs, and the clock if the noise needs one."""
        model = problem.model
        of_runs = model.noise.run or model.noise.ou
        key = model.law, model.noise.ou, id(problem.frame) if model.law.derive or of_runs else None
        if key not in self._checked:
            table, _ = with_tokens(self._named(problem), model.law.inputs)
            table = model.law.derived(table, problem.frame)
            clock = clock_of(table) if model.noise.ou else None
            inputs, plain = model.law.inputs, model.law.plain_inputs
            frame = model.law.checked(check_runs(table, inputs, loss=False, clock=clock, plain=plain))
            if of_runs and "run" not in table and not set(frame["run"]).isdisjoint(problem.frame["run"]):
                frame["run"] = "new " + frame["run"]  # a row without a label is of no run that was seen
            if "loss_se" in table:  # a new measurement's own error
                frame["loss_se"] = numbers(table, "loss_se", zero=True)
            self._checked[key] = frame
        return self._checked[key]

    def measured(self, problem: Problem, by: Iterable[str] = ()) -> pd.DataFrame:
        """The same with the measured losses, and the columns `by` that tell its rows apart."""
        named = as_loss(self._named(problem), problem.scale)
        frame = self.checked(problem).assign(loss=numbers(named, "loss", signed=problem.scale.signed))
        problem.scale.check(frame["loss"])
        if absent := [name for name in by if name not in frame and name not in named]:
            raise InputError(
                f"by= names {listed(absent)}, which is no column of the table (it has "
                f"{listed(named.columns, 12)})",
                "Name one of them, or several.",
            )
        return frame.assign(**{name: named[name] for name in by if name not in frame})

    def _named(self, problem: Problem) -> pd.DataFrame:
        """The table by lossband's names.

        By those that the training table went by, where no others are given.
        """
        if self.columns is not None:
            return self.table
        here = {n: ours for n, ours in problem.columns.items() if n in self.table and ours not in self.table}
        return self.table.rename(columns=here)
