r"""Best inputs: the values of some inputs at which the loss is lowest, the others held, and how sure that is.

For every draw of a law's coefficients

    x* = argmin L(x, held)   over candidates x:  a grid in ln x, mixtures on a simplex, or rows that are given

refined between the points of a grid by a paraboloid. As in a `Plan` the optimum is the law's:
the drift has no preferred direction, and its minima mean nothing.

What to choose is another question than where the optimum lies. Where a valley is flat the optimum may be
anywhere in it at little cost, so `chosen` is the candidate of the least expected regret, the loss over the
best one of the same draw, less one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from .._arguments import items, levels_of, mapping, names_of, number, one_of
from .._html import notebook
from ..errors import InputError, Note, listed
from ..model.problem import NewRows
from ..posterior.bands import interval_columns
from ..posterior.forecast import law_losses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..model.problem import Problem
    from ..plot.style import Axes
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike


POINTS = {1: 401, 2: 41, 3: 15}  # of a grid along each of so many inputs
MIXTURES = 4000
BEYOND = 2.0  # a grid reaches so many times beyond the training rows on both sides
FARTHEST = 2.0  # steps of the grid that the least of a paraboloid may lie from its lowest point
OFTEN = 0.05  # share of the draws from which on a note is made
HINT = "For instance post.optimum(over=('lr', 'batch'), at={'params': 1e9, 'tokens': 2e10})."


@dataclass(frozen=True)
class Optimum:
    """The best values of some inputs, with the uncertainty of each and the valley around them.

    Attributes:
        over: names of the inputs that are chosen.
        at: the values of the others.
        within: the share of the loss that counts as near.
        frame: one row per input: `chosen`, the value of least expected regret; `median` and the equal-tailed
            `lo_90`, `hi_90` of the best value; and `near_lo`, `near_hi`, the medians of the lowest and the
            highest value whose loss, at the best of the other inputs, is within `within` of the best.
        valley: one row per candidate: the inputs, `loss` (median), `regret` (expected), `near`, the
            probability that its loss is within `within` of the best, and `best`, that it is the best.
        regret: expected regret of `chosen`, and its interval: Series `mean`, `lo_90`, `hi_90`.
        draws: `(sample, input)` the best values, a frame.
        notes: coded remarks: a best value at the end of the range that was searched.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("shapes").drop_duplicates("run")
        >>> post = lb.fit(runs, "shape", method="laplace")
        >>> rest = {"params": 4e6, "head_dim": 32, "aspect_ratio": 32}
        >>> best = post.optimum("ff_ratio", at=rest)
        >>> table = best.frame
    """

    over: tuple[str, ...]
    at: dict[str, float]
    within: float
    frame: pd.DataFrame
    valley: pd.DataFrame
    regret: pd.Series
    draws: pd.DataFrame
    notes: tuple[Note, ...]

    def region(self, level: float = 0.9) -> pd.DataFrame:
        """The fewest candidates that hold the best one with a probability of `level`, rows of `valley`."""
        (level,) = levels_of((level,))
        ordered = self.valley.sort_values("best", ascending=False)
        count = int(np.searchsorted(ordered["best"].cumsum(), level - 1e-12)) + 1
        return ordered.head(count).sort_index()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the valley: the probability of being near the best, and where the best lies.

        Args:
            ax: matplotlib axes; new ones by default.

        Raises:
            InputError: more than two inputs; a figure shows one or two.
        """
        from ..plot.planning import valley

        return valley(self, ax=ax)

    def __repr__(self) -> str:
        """The table, the regret and the notes."""
        held = ", ".join(f"{name} {value:.3g}" for name, value in self.at.items())
        table = self.frame.to_string(float_format=lambda x: f"{x:.4g}")
        return "\n".join([f"best {', '.join(self.over)} at {held or 'no other input'}", table, self._said])

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        return notebook(self._said, frame=self.frame, notes=self.notes)

    @property
    def _said(self) -> str:
        share = 100 * self.regret["mean"]
        line = f"expected regret of the chosen point: {share:.2g} % of the loss"
        return "\n".join([line, *map(str, self.notes)])


def optimum_of(
    post: Posterior,
    over: str | Sequence[str],
    *,
    at: Mapping[str, float] | None,
    within: float,
    bounds: Mapping[str, tuple[float, float]] | None,
    candidates: RunsLike | None,
    plus: Sequence[tuple[Posterior, float]],
    kind: str,
    levels: Sequence[float],
) -> Optimum:
    """The `Optimum`: see `Posterior.optimum`."""
    problem, levels = post.problem, levels_of(levels)
    within = number("within", within, "a share above 0, such as .005", "Leave it out for .005.", above=0)
    one_of("kind", kind, ("mean", "observation"), "See Posterior.optimum.")
    chosen, held = _inputs(problem, over, at)
    if candidates is not None:
        rows, shape = NewRows.of(candidates).table, ()
        if absent := [name for name in chosen if name not in rows]:
            raise InputError(f"candidates= has no column {listed(absent)}.", "Give every input of over= one.")
        rows = rows[list(chosen)].astype(float).drop_duplicates(ignore_index=True)
    else:
        rows, shape = _candidates(problem, chosen, mapping("bounds", bounds, HINT))
    table = NewRows.of(rows.assign(**held, run=[f"candidate {i}" for i in range(len(rows))]))
    losses = _summed([(post, 1.0), *_further(plus, problem)], table, kind)
    values = _best(losses, rows, shape)
    return _described(chosen, held, within, levels, rows, losses, values, _notes(chosen, rows, values))


def _further(plus: Sequence[tuple[Posterior, float]], problem: Problem) -> list[tuple[Posterior, float]]:
    """The other posteriors whose losses count, with their weights."""
    hint = "For instance plus=[(post_code, 0.5)]."
    found = []
    for pair in items(plus):
        post, weight = cast(Any, pair if isinstance(pair, tuple) and len(pair) == 2 else (pair, None))
        if not hasattr(post, "assembled") or set(post.problem.model.law.inputs) != set(
            problem.model.law.inputs
        ):
            raise InputError("plus= takes pairs of a Posterior of the same inputs and a weight.", hint)
        found.append((post, number("plus", weight, "a weight above 0 beside each posterior", hint, above=0)))
    return found


def _summed(posts: list[tuple[Posterior, float]], table: NewRows, kind: str) -> np.ndarray:
    """Weighted sum of the losses of every candidate, `(sample, candidate)`; posteriors are independent."""
    each = [weight * _losses(post, table, kind) for post, weight in posts]
    count = min(map(len, each))
    return np.sum([losses[:count] for losses in each], axis=0)


def _losses(post: Posterior, table: NewRows, kind: str) -> np.ndarray:
    """Loss of every candidate in every draw, `(sample, candidate)`."""
    if kind == "observation":
        return post.samples(table, "observation")
    scale = post.problem.scale
    values = post.assembled(lambda problem, draws: law_losses(problem, draws, table.checked(problem)))
    return scale.loss(scale.of_law(values))


def _described(
    over: tuple[str, ...],
    at: dict[str, float],
    within: float,
    levels: Sequence[float],
    rows: pd.DataFrame,
    losses: np.ndarray,
    values: np.ndarray,
    notes: Iterator[Note],
) -> Optimum:
    """All that is said of the best values, `(sample, input)`, and of the valley around them."""
    lowest = losses.min(axis=1, keepdims=True)
    regret = (losses - lowest) / np.abs(lowest)
    expected = regret.mean(axis=0)
    best = np.bincount(losses.argmin(axis=1), minlength=len(rows)) / len(losses)
    valley = rows.assign(
        loss=np.median(losses, axis=0), regret=expected, near=(regret <= within).mean(axis=0), best=best
    )
    pick = int(expected.argmin())
    frame = pd.DataFrame(
        {"chosen": rows.iloc[pick].to_numpy(), "median": np.median(values, axis=0)}, index=over
    )
    frame = frame.assign(**interval_columns(values, levels))
    near = np.array([_near(rows[name].to_numpy(), regret <= within) for name in over])
    frame = frame.assign(near_lo=near[:, 0], near_hi=near[:, 1])
    about = pd.Series({"mean": expected[pick], **interval_columns(regret[:, pick], levels)})
    drawn = pd.DataFrame(values, columns=list(over))
    return Optimum(over, at, within, frame, valley, about, drawn, tuple(notes))


def _near(values: np.ndarray, near: np.ndarray) -> tuple[float, float]:
    """Medians over the draws of the lowest and the highest of the values that are near the best."""
    low, high = np.where(near, values, np.inf).min(axis=1), np.where(near, values, -np.inf).max(axis=1)
    return float(np.median(low)), float(np.median(high))


def _inputs(
    problem: Problem, over: str | Sequence[str], at: Mapping[str, float] | None
) -> tuple[tuple[str, ...], dict[str, float]]:
    """The inputs that are chosen, and the values of the others."""
    inputs, chosen = problem.model.law.inputs, tuple(names_of(over, "over"))
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(inputs):
        raise InputError(
            f"over= names {listed(chosen) or 'nothing'}; expected some of the inputs of the law "
            f"{problem.model.law.name!r}, each once: {listed(inputs)}.",
            HINT,
        )
    at = mapping("at", at, HINT)
    needed = [name for name in inputs if name not in chosen]
    if set(at) != set(needed):
        raise InputError(
            f"at= names {listed(at) or 'nothing'}; expected a value for each input that over= leaves: "
            f"{listed(needed) or 'none'}.",
            HINT,
        )
    return chosen, {name: number("at", at[name], f"a number for {name}", HINT) for name in needed}


def _candidates(
    problem: Problem, over: tuple[str, ...], bounds: Mapping[str, tuple[float, float]]
) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """The values that are compared, and the shape of their grid; no shape for mixtures."""
    if strange := sorted(set(bounds) - set(over)):
        raise InputError(f"bounds= names {listed(strange)}; over= names {listed(over)}.", HINT)
    plain = [name for name in over if name in problem.model.law.plain_inputs]
    if plain:
        return _mixtures(problem, over, bounds), ()
    if len(over) > max(POINTS):
        raise InputError(f"over= names {len(over)} inputs; expected at most {max(POINTS)}.", HINT)
    axes = [np.geomspace(*_range(problem, name, bounds), POINTS[len(over)]) for name in over]
    return pd.DataFrame(list(itertools.product(*axes)), columns=list(over)), tuple(map(len, axes))


def _range(
    problem: Problem, name: str, bounds: Mapping[str, tuple[float, float]], beyond: float = BEYOND
) -> tuple[float, float]:
    """Lowest and highest value of an input to look at."""
    seen = problem.frame[name]
    ends = items(bounds.get(name, (seen.min() / beyond, seen.max() * beyond)))
    if len(ends) != 2:
        raise InputError(f"bounds= got {name!r}: {bounds[name]!r}; expected (lowest, highest).", HINT)
    low, high = (
        number("bounds", end, f"(lowest, highest) of {name}", HINT, above=0, zero=True) for end in ends
    )
    if not low < high:
        raise InputError(f"bounds= got {name!r}: {low:g} to {high:g}; expected (lowest, highest).", HINT)
    return low, high


def _mixtures(
    problem: Problem, over: tuple[str, ...], bounds: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Shares of one whole: those that were measured, and draws spread over the simplex within the bounds.

    By default no domain gets more or less than in the training rows: of others the law knows little.
    """
    whole = [name for name in problem.model.law.plain_inputs if name in problem.frame]
    if set(over) != set(whole):
        raise InputError(
            f"over= names {listed(over)}; proportions of one whole are chosen together: {listed(whole)}.",
            "Name them all, and hold the other inputs by at=.",
        )
    seen = problem.frame[list(over)].drop_duplicates()
    limits = np.array([_range(problem, name, bounds, beyond=1.0) for name in over])
    rng, kept = np.random.default_rng(0), [seen.to_numpy(float)]
    for concentration in (0.5, 1.0, 2.0, 5.0):
        drawn = rng.dirichlet(np.full(len(over), concentration), MIXTURES)
        inside = (drawn >= limits[:, 0]) & (drawn <= limits[:, 1])
        kept.append(drawn[inside.all(axis=1)][: MIXTURES // 4])
    return pd.DataFrame(np.concatenate(kept), columns=list(over))


def _best(losses: np.ndarray, rows: pd.DataFrame, shape: tuple[int, ...]) -> np.ndarray:
    """The best value of each input in each draw, `(sample, input)`; in a grid, by a paraboloid there."""
    place, values = losses.argmin(axis=1), rows.to_numpy(float)
    if not shape:
        return values[place]
    where = np.stack(np.unravel_index(place, shape), axis=1)
    inside = np.flatnonzero(((where > 0) & (where < np.array(shape) - 1)).all(axis=1))
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    steps = np.log(values[strides] / values[0]).diagonal()
    found = values[place]
    moves = _newton(losses[inside], place[inside], strides)
    found[inside] = found[inside] * np.exp(np.clip(moves, -FARTHEST, FARTHEST) * steps)
    return found


def _newton(losses: np.ndarray, place: np.ndarray, strides: Sequence[int]) -> np.ndarray:
    """Newton's step from a grid's lowest point, in its steps, `(sample, input)`, by differences."""

    def at(*shifts: int) -> np.ndarray:
        return losses[np.arange(len(losses)), place + sum(shifts)]

    slope = np.stack([(at(one) - at(-one)) / 2 for one in strides], axis=1)
    bend = np.empty((len(losses), len(strides), len(strides)))
    for i, one in enumerate(strides):
        for j, other in enumerate(strides):
            corners = at(one, other) - at(one, -other) - at(-one, other) + at(-one, -other)
            bend[:, i, j] = at(one) - 2 * at() + at(-one) if i == j else corners / 4
    usable = np.linalg.eigvalsh(bend)[:, 0] > 0
    bend[~usable], slope[~usable] = np.eye(len(strides)), 0.0
    return -np.linalg.solve(bend, slope[..., None])[..., 0]


def _notes(over: tuple[str, ...], rows: pd.DataFrame, values: np.ndarray) -> Iterator[Note]:
    """Best values at an end of what was searched."""
    for axis, name in enumerate(over):
        low, high = rows[name].min(), rows[name].max()
        for end, where in ((low, "lowest"), (high, "highest")):
            share = np.isclose(values[:, axis], end, rtol=1e-9).mean()
            if share > OFTEN and low < high:
                yield Note(
                    "at-bound",
                    f"in {share:.0%} of the draws the best {name} is the {where} that was tried, {end:.3g}: "
                    "the valley may go on. Widen bounds=, or measure there.",
                )
