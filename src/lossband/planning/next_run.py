r"""Experiment: which run to do next, from the posterior draws alone (preposterior analysis).

Over the draws, the target q and the ln loss y_c that a candidate run would show are close to jointly
Gaussian. Seeing y_c then takes from the variance of q

    cov(q, y_c)^2 / (var y_c + s^2)

with s^2 the variance of what a new run adds to the expected loss: noise and run effect. After a choice the
covariances are those that its observation leaves, whatever it shows, so a batch is chosen greedily.

Source: Lindley 1956, doi:10.1214/aoms/1177728069, for the expected information of an experiment; the Gaussian
case is kriging's variance reduction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import number, of_type, one_of, whole
from .._html import notebook
from ..errors import InputError, listed
from ..inference.fit import fit
from ..model.problem import NewRows
from ..posterior.identifiability import CODES, reduction_of
from ..posterior.posterior import Posterior
from ..runs.table import numbers
from .cost import find_cost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from numpy.typing import ArrayLike

    from ..errors import Note
    from ..inference.options import QuickOptions
    from ..laws.resolve import LawLike
    from ..plot.style import Axes
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike
    from .cost import CostLike


@dataclass(frozen=True, repr=False)
class NextRun:
    """Which run to do next.

    chosen: one row per run, in the order of choice: the candidate's columns, `cost`, `reduction` (the share
        of the target's present variance that it takes away), `per_cost`, and `sd_after`, the target's sd once
        all so far are seen.
    candidates: the same for every candidate as the first choice, best first; `chosen` marks those taken.
    sd: of the target now; of ln loss or ln N for the targets named in `next_run`.
    """

    chosen: pd.DataFrame
    candidates: pd.DataFrame
    sd: float

    def plot(self, x: str = "params", y: str = "tokens", **options: Any) -> Axes:
        """Draw the candidates over two inputs, coloured by what they tell; those chosen are ringed in order.

        Args:
            x: the input on the horizontal axis.
            y: the input on the vertical axis.
            options: runs (a frame of those done already), ax: see `lossband.plot.planning.candidates`.

        Returns:
            the matplotlib axes.

        Raises:
            InputError: an input that the candidates do not have.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> larger = {"params": [1e6, 3e6], "tokens": [1e8, 1e7]}
            >>> ax = lb.next_run(post, larger, target={"params": 1e7, "tokens": 1e8}).plot(runs=runs)
        """
        from ..plot.planning import candidates

        for each, name in (("x", x), ("y", y)):
            one_of(each, name, list(map(str, self.candidates)), "Name an input of the candidates.")
        return candidates(self, x=x, y=y, **options)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        return notebook(self._now, frame=self.chosen)

    @property
    def _now(self) -> str:
        return f"target's sd now {self.sd:.4g}"

    def __repr__(self) -> str:
        """The chosen runs."""
        return f"{self._now}\n{self.chosen.to_string(float_format=lambda x: f'{x:.4g}')}"


def next_run(
    post: Posterior,
    candidates: RunsLike,
    *,
    target: Mapping[str, float] | ArrayLike,
    cost: CostLike | str = None,
    count: int = 1,
    budget: float = np.inf,
) -> NextRun:
    """Choose the runs that would tell most about a target, per unit of cost.

    Args:
        post: a `Posterior`.
        candidates: rows of the law's inputs (a frame or CSV), one per run that could be done.
        target: what is to be known: {"params": ..., "tokens": ...}, the ln of the expected loss there;
            {"flops": C}, ln N* at that budget (see `Posterior.optimal`); or `(sample,)` values, one per draw
            of the posterior, of anything else.
        cost: a column of `candidates`, "6ND", "6NDT", or a function as in `Posterior.optimal`; by default
            every run costs 1.
        count: at most so many runs.
        budget: at most so much cost in all, in the unit of the cost.

    Returns:
        a `NextRun`.

    Raises:
        InputError: unusable candidates, target or cost, or no candidate within the budget.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> larger = {"params": [1e6, 3e6], "tokens": [1e8, 1e7]}
        >>> best = lb.next_run(post, larger, target={"params": 1e7, "tokens": 1e8})
    """
    of_type("post", post, Posterior, "Fit one: lossband.fit(runs).")
    count, hint = whole("count", count), "Leave it out for no limit."
    if not (isinstance(budget, float) and budget == np.inf):
        budget = number("budget", budget, "a cost above 0", hint, above=0)
    new = NewRows.of(candidates)
    rows = new.checked(post.problem)
    costs = _costs(post, rows, new.table, cost)
    seen = np.log(post.draws(new, kind="mean").to_numpy())
    q = _target(post, target, len(seen))
    covariance = np.cov(np.column_stack([q, seen]), rowvar=False)
    table = rows.drop(columns="run").assign(cost=costs)
    picks, reductions, left = [], [], budget
    noise, now = _noise(post), covariance[0, 0]
    first = reduction_of(covariance, noise) / now
    for _ in range(count):
        gain = reduction_of(covariance, noise) / now
        worth = np.where((costs <= left) & ~np.isin(np.arange(len(rows)), picks), gain / costs, -np.inf)
        if worth.max() == -np.inf:
            break
        best = int(worth.argmax())
        picks.append(best)
        reductions.append(gain[best])
        left -= costs[best]
        covariance = observed(covariance, best + 1, noise)
    if not picks:
        raise InputError(
            f"no candidate costs {budget:g} or less (the cheapest costs {costs.min():g}).", "Raise budget=."
        )
    chosen = _valued(table.iloc[picks], np.array(reductions)).assign(
        sd_after=np.sqrt(now * (1 - np.cumsum(reductions)))
    )
    ranked = _valued(table, first).assign(chosen=np.isin(np.arange(len(rows)), picks))
    return NextRun(chosen, ranked.sort_values("per_cost", ascending=False), float(np.sqrt(now)))


def check_design(runs: RunsLike, law: LawLike = None, **options: Unpack[QuickOptions]) -> tuple[Note, ...]:
    """What a table of runs cannot tell of a law, before the posterior is sampled.

    The same notes that `fit` puts in `health.notes`, from a quick Laplace fit: one ratio of tokens to params,
    too few levels of an input, a floor or another coefficient that the data do not inform, each with the run
    that would help.

    Args:
        runs: as in `fit`.
        law: as in `fit`.
        options: of `fit`: noise, drift, columns, seed.

    Returns:
        a tuple of notes, empty if there is nothing to say.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> notes = lb.check_design(runs, "chinchilla")
    """
    quick = fit(runs, law, method="laplace", **options)
    return tuple(note for note in quick.health.notes if note.code in CODES)


def observed(covariance: np.ndarray, which: int, noise: float) -> np.ndarray:
    """The covariance that is left once entry `which` was seen with that noise."""
    column = covariance[:, which]
    return covariance - np.outer(column, column) / (column[which] + noise)


def _valued(table: pd.DataFrame, reduction: np.ndarray) -> pd.DataFrame:
    return table.assign(reduction=reduction, per_cost=reduction / table["cost"])


def _noise(post: Posterior) -> float:
    """Variance of ln loss that a new run adds to the law and drift.

    Heavy tails tell more than their variance says: a Student-t location is known to sigma^2 (nu + 3) / (nu +
    1) a measurement, the inverse of its Fisher information.
    """
    known, sites = post.problem.model.noise.tails.information(), post.sites
    added = [known * sites["sigma"] ** 2] + [sites[n] ** 2 for n in ("sigma_run", "sigma_ou") if n in sites]
    return float(sum(np.mean(part) for part in added))


def _costs(post: Posterior, rows: pd.DataFrame, given: pd.DataFrame, cost: CostLike | str) -> np.ndarray:
    if isinstance(cost, str) and cost in given:
        costs = numbers(given, cost).to_numpy()
    elif cost is None:
        costs = np.ones(len(rows))
    else:
        loops = rows["loops"].to_numpy() if "loops" in rows else np.ones(len(rows))
        if not {"params", "tokens"} <= set(rows):
            raise InputError(
                f"cost= needs candidates with params and tokens; these have {listed(rows.columns)}.",
                "Give the cost as a column: cost='hours'.",
            )
        spend = find_cost(cost, 0.0, "loops" in rows)
        costs = np.asarray(spend.flops(rows["params"].to_numpy(), rows["tokens"].to_numpy(), loops))
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise InputError("a candidate's cost is not a positive number.", "Check the column or the function.")
    return costs


def _target(post: Posterior, target: Mapping[str, float] | ArrayLike, samples: int) -> np.ndarray:
    """Values of the target, `(sample,)`."""
    inputs = post.law.inputs
    if isinstance(target, dict) and set(target) == {"flops"} and "flops" not in inputs:
        return np.log(post.optimal(target["flops"]).draws["params"].to_numpy()[:, 0])
    if isinstance(target, dict):
        return np.log(post.draws(pd.DataFrame([target]), kind="mean").to_numpy())[:, 0]
    try:
        values = np.ravel(np.asarray(target, dtype=float))
    except (ValueError, TypeError, OverflowError):
        values = np.array([])
    if len(values) != samples or not np.isfinite(values).all() or np.ptp(values) == 0:
        raise InputError(
            f"target= has {len(values)} values; expected a finite one for each of the {samples} draws, "
            "not all equal.",
            "Or give a row of inputs, or {'flops': budget}.",
        )
    return values
