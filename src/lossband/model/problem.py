"""A problem: one table and one model, checked, centred and padded, ready to be sampled."""

from dataclasses import dataclass, field, replace

import jax
import numpy as np
import pandas as pd

from ..errors import InputError
from ..laws import find_law
from ..runs.arrays import Runs, Unit, clock_of, order_of, runs_of, unit_of
from ..runs.table import check_runs, numbers, read_runs
from .drift import Paths, find_drift
from .loss_model import LossModel
from .measured import Measured, measured_of
from .noise import find_noise


def read_new(problem, new, *, columns=None, loss=False):
    """Check a table of new rows: the law's inputs, the clock if the noise needs one, and the losses if asked for."""
    table = read_runs(new, columns=columns)
    if columns is None:  # the names that the training table went by, where the new one has them
        known = {n: ours for n, ours in problem.columns.items() if n in table and ours not in table}
        table = table.rename(columns=known)
    table = problem.model.law.derived(table, problem.frame)
    clock = clock_of(table) if problem.model.noise.ou else None
    checked = check_runs(table, problem.model.law.inputs, loss=False, clock=clock)
    return checked.assign(loss=numbers(table, "loss")) if loss else checked


@dataclass(frozen=True)
class Problem:
    """A model and the table it is fitted to.

    Attributes:
        model: law, noise and drift.
        frame: the checked training rows, in the user's order.
        unit: what the training rows fix: centres and the losses' unit.
        paths: where the drift's paths bend.
        order: `(row,)` positions in `frame` of the padded arrays' rows.
        runs, measured: those arrays.
        columns: the user's column names, {"N": "params"}; new rows may use them too.
    """

    model: LossModel
    frame: pd.DataFrame
    unit: Unit
    paths: Paths
    order: np.ndarray
    runs: Runs
    measured: Measured
    columns: dict = field(default_factory=dict)

    @property
    def size(self):
        """Problems of one size share their compiled programs."""
        return jax.tree.structure(self.arrays), tuple(leaf.shape for leaf in jax.tree.leaves(self.arrays))

    @property
    def pieces(self):
        """How many pieces of the drift's paths the model has, padding of the arrays not counted."""
        return 0 if self.model.drift is None else self.paths.inside(self.frame.iloc[:1]).shape[1]

    @property
    def arrays(self):
        return self.runs, self.measured

    @property
    def run_names(self):
        """Names of the training runs in the order of their slots."""
        return list(dict.fromkeys(self.frame["run"].iloc[self.order]))

    def compute(self, frame):
        """Training compute of each row of `frame`, `(row,)`, up to a constant."""
        return compute_of(self.model.law, frame, self.unit)


def pose(runs, law=None, *, noise="student-t", drift="default", columns=None, least=(0, 0, 0)):
    """Check a table and join it with a law, a noise and a drift.

    Args:
        runs, law, noise, drift, columns: as in `lossband.fit`.
        least: pad the arrays to at least this shape, the `measured.shape` of another problem of the same model, so that
            both share their programs. It changes no answer.

    Raises:
        InputError: unusable input; nothing is dropped or repaired.
    """
    table = read_runs(runs, columns=columns)
    law = find_law(law, table)
    noise = find_noise(noise)
    if noise.ou and (clock_of(table) is None or "run" not in table):
        raise InputError(
            "noise with '+ou' needs to know the points of each run and their order: columns run, and tokens or step.",
            "Add them, or leave out '+ou'.",
        )
    table = law.derived(table)
    clock = clock_of(table) if noise.ou else None
    frame = check_runs(table, law.inputs, clock=clock, varied=law.varied)
    frame = frame.assign(**{name: table[name] for name in law.carries if name in table})
    unit = unit_of(frame, law.inputs)
    order = order_of(frame)
    paths = Paths.of(frame, unit, compute_of(law, frame, unit), law.varied)
    model = LossModel(law, noise, find_drift(drift), "loss_se" in frame)
    ordered = frame.iloc[order]
    basis = paths.inside(ordered) if model.drift is not None else np.zeros((len(frame), 0))
    measured = measured_of(ordered, basis, run_effects=model.noise.run, least=least)
    runs = runs_of(ordered, unit, pad_to=len(measured.mask))
    problem = Problem(model, frame, unit, paths, order, runs, measured, dict(columns or {}))
    needed = len(coefficients(problem)) + 1
    if len(frame) < needed:
        raise InputError(
            f"the table has {len(frame)} rows, and the law {law.name!r} has {needed - 1} coefficients; "
            f"expected at least {needed}.",
            "Add measurements, or use a law with fewer coefficients.",
        )
    return problem


def twins(problem):
    """The other problems that an averaged drift takes draws from.

    The law without drift; or its simpler law; or, of a crossed law, the law without drift and the simpler one with and without.
    """
    model = problem.model
    if model.law.crossed:
        simpler = model.law.simplest()
        others = [(model.law, None), (simpler, model.drift), (simpler, None)]
    else:
        others = [(model.law.simplest(), model.drift) if model.law.simpler else (model.law, None)]
    return [_as(problem, law, drift) for law, drift in others]


def _as(problem, law, drift):
    """The same table under another law and drift, of the same shape; the rows keep the weights they were given."""
    posed = pose(problem.frame, law, noise=problem.model.noise, drift=drift, least=problem.measured.shape)
    return replace(posed, measured=replace(posed.measured, mixture=problem.measured.mixture))


def coefficients(problem):
    """Names of the law's own coefficients."""
    return list(problem.model.law.marks)


def compute_of(law, frame, unit):
    """Training compute of each row, `(row,)`, up to a constant: the law's own, or the product of its inputs."""
    if law.compute is not None:
        with jax.enable_x64(True):
            return np.asarray(law.compute(runs_of(frame, unit)))
    return np.prod([frame[name].to_numpy() / unit.centre[name] for name in law.varied], axis=0)


def widest(problems):
    """The problem whose law has the most inputs: its compute orders the rows."""
    return max(problems, key=lambda problem: len(problem.model.law.inputs))
