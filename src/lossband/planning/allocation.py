r"""Plan: how a compute budget is best split between parameters, tokens and loops, and how sure that is.

For every draw of a law's coefficients, and every budget C,

    (N*, D*, T*) = argmin L(N, D, T)   over   cost(N, D, T) = C

as optimum.py finds it. For the Chinchilla law and 6ND this is the closed form
N* = [alpha A / (beta B)]^(1 / (alpha + beta)) (C / 6)^(beta / (alpha + beta)).

The optimum is that of the law. The drift, which says how far the real loss may be from the law, has no
preferred direction and a rough path, whose minima mean nothing: it widens the coefficients' posterior, and so
the optimum's, and it is in the loss given for the optimum, but it does not choose the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import pandas as pd

from .._arguments import items, levels_of, mapping, number
from .._html import notebook
from ..errors import InputError, Note, listed
from ..posterior.bands import interval_columns, named
from ..posterior.forecast import drift_draws
from ..runs.arrays import double
from .cost import find_cost
from .optimum import lowest, optima

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import xarray
    from numpy.typing import ArrayLike

    from ..model.problem import Problem
    from ..plot.style import Axes
    from ..posterior.posterior import Posterior
    from .cost import Bounds, Cost, CostLike


REGRETS = (0.001, 0.005, 0.01)
CHOICES = ("params", "tokens", "loops")
OFTEN = 0.05  # share of the draws from which on a note is made


@dataclass(frozen=True)
class Plan:
    """The best use of budgets, with its uncertainty.

    Attributes:
        frame: one row per budget. `flops`; for each of `params`, `tokens`, `tokens_per_param`, `loss` (and
            `loops` for a law that has them) `_median` and equal-tailed `_lo_90`, `_hi_90`, ...; and the
            low-regret range `params_within_0.1_lo`, `params_within_0.1_hi`, ...: all sizes whose expected
            loss is at most .1 % above the best. `loss` is of kind "mean": the law and the drift at the
            optimum.
        exponent: `(sample,)` draws of d ln N* / d ln C around the budgets' middle: the a of N* ~ C^a, which
            for Chinchilla's law and the coupled one is beta / (alpha + beta).
        draws: xarray of dimensions (sample, budget) with N*, D*, T*, D*/N* and the loss there.
        regret: one row per budget and size: `flops`, `params`, `tokens` (`loops`), `regret`, the expected
            loss over the best one, less one, and `prob_0.1`, `prob_0.5`, `prob_1`: how probably the size is
            within .1, .5, 1 % of its draw's optimum.
        notes: coded remarks: an optimum outside the data, at a bound, or without an interior.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> plan = post.optimal(flops=1e16)
        >>> exponent = plan.exponent.mean()
    """

    frame: pd.DataFrame
    exponent: np.ndarray
    draws: xarray.Dataset
    regret: pd.DataFrame
    notes: tuple[Note, ...]

    def __repr__(self) -> str:
        """The table, the exponent and the notes."""
        table = self.frame.T.to_string(header=False, float_format=lambda x: f"{x:.4g}")
        return "\n".join([table, self._exponent, *map(str, self.notes)])

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        return notebook(self._exponent, frame=self.frame.set_index("flops").T, notes=self.notes)

    @property
    def _exponent(self) -> str:
        a, (low, high) = self.exponent.mean(), np.quantile(self.exponent, [0.05, 0.95])
        return f"exponent of N* in C: {a:.3f} ({low:.3f} to {high:.3f})"

    def plot(self, *, within: float = 0.005, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draw the expected regret of every size, one panel per budget.

        Args:
            within: share of the loss; the sizes whose expected regret is below it are shaded:
                .001, .005 or .01.
            axes: one matplotlib axes per budget; new ones by default.

        Returns:
            the axes, one per budget.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> plan = lb.fit(runs, "chinchilla", method="laplace").optimal(flops=[1e15, 1e16])
            >>> axes = plan.plot()
        """
        from ..plot.planning import valleys

        return valleys(self, within=within, axes=axes)


def allocate(
    post: Posterior,
    flops: ArrayLike,
    *,
    cost: CostLike,
    inference_tokens: float,
    bounds: Bounds | None,
    at: Mapping[str, float] | None,
    levels: Sequence[float],
) -> Plan:
    """The `Plan` of budgets: see `Posterior.optimal`."""
    problem, levels = post.problem, levels_of(levels)
    inputs = problem.model.law.inputs
    budgets = _budgets(flops)
    others = _others(problem, at)
    spend = find_cost(cost, inference_tokens, "loops" in inputs)
    limits, loops = _limits(
        problem, mapping("bounds", bounds, "For instance bounds={'params': (1e8, 1e11)}.")
    )
    middle = np.exp(np.log(budgets).mean())
    with double():
        *asked, below, above = (
            optima(post, spend, budget, loops=loops, limits=limits, others=others)
            for budget in [*budgets, middle / np.sqrt(10), middle * np.sqrt(10)]
        )
        tables = [_regret(spend, budget, loops, found) for budget, found in zip(budgets, asked, strict=True)]
    regret = pd.concat(tables, ignore_index=True)
    exponent = np.log10(above["params"] / below["params"])
    drawn = {
        name: np.stack([s[name] for s in asked], 1) for name in (*CHOICES[: 2 + ("loops" in inputs)], "loss")
    }
    drawn["tokens_per_param"] = drawn["tokens"] / drawn["params"]
    for i in range(len(budgets)):
        rows = pd.DataFrame({n: drawn[n][:, i] if n in drawn else others[n] for n in inputs})
        drift = post.assembled(
            lambda *mine: np.broadcast_to(drift_draws(*mine, paired=True), len(mine[2])), rows
        )
        drawn["loss"][:, i] = problem.scale.loss(problem.scale.of_law(drawn["loss"][:, i]) + drift)
    return Plan(
        _frame(budgets, drawn, regret, levels),
        exponent,
        _dataset(budgets, drawn),
        regret,
        tuple(_notes(problem, budgets, drawn, asked, loops)),
    )


def _regret(spend: Cost, budget: float, loops: np.ndarray, found: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Regret of every size searched, each with the number of loops that is best for it."""
    sizes, losses = found["sizes"], found["losses"]
    expected = losses.mean(0)
    choice, profile = expected.argmin(0), expected.min(0)
    over = losses[:, choice, np.arange(len(sizes))] / found["loss"][:, None] - 1
    table = {"flops": budget, "params": sizes, "tokens": spend.tokens(budget, sizes, loops[choice])}
    table |= {"loops": loops[choice]} if len(loops) > 1 else {}
    table |= {"regret": profile / profile[int(lowest(jnp.asarray(profile)))] - 1}
    table |= {f"prob_{named(r)}": (over <= r).mean(0) for r in REGRETS}
    return pd.DataFrame({n: np.asarray(v) for n, v in table.items()})[np.isfinite(profile)]


def _range(regret: pd.DataFrame, within: float) -> tuple[float, float]:
    """Smallest and largest size around the best whose expected regret is up to `within`."""
    size, value = np.log(regret["params"].to_numpy()), regret["regret"].to_numpy()
    best, inside = np.abs(value).argmin(), value <= within
    left = best - np.argmin(np.append(inside[best::-1], False)) + 1
    right = best + np.argmin(np.append(inside[best:], False)) - 1

    def crossing(i: int, j: int) -> float:
        if not 0 <= j < len(size):
            return size[i]
        return size[i] + (size[j] - size[i]) * (within - value[i]) / (value[j] - value[i])

    return np.exp(crossing(left, left - 1)), np.exp(crossing(right, right + 1))


def _frame(
    budgets: np.ndarray, drawn: Mapping[str, np.ndarray], regret: pd.DataFrame, levels: Sequence[float]
) -> pd.DataFrame:
    columns = {"flops": budgets}
    for name in ("params", "tokens", "loops", "tokens_per_param", "loss"):
        if name not in drawn:
            continue
        columns[f"{name}_median"] = np.median(drawn[name], 0)
        columns |= interval_columns(drawn[name], levels, prefix=f"{name}_")
    for within in REGRETS:
        ends = np.array([_range(rows, within) for _, rows in regret.groupby("flops", sort=False)])
        columns[f"params_within_{named(within)}_lo"], columns[f"params_within_{named(within)}_hi"] = ends.T
    return pd.DataFrame(columns)


def _dataset(budgets: np.ndarray, drawn: Mapping[str, np.ndarray]) -> xarray.Dataset:
    import xarray

    return xarray.Dataset(
        {name: (("sample", "budget"), values) for name, values in drawn.items()},
        coords={"flops": ("budget", budgets)},
    )


def _notes(
    problem: Problem,
    budgets: np.ndarray,
    drawn: Mapping[str, np.ndarray],
    solutions: Sequence[Mapping[str, np.ndarray]],
    loops: np.ndarray,
) -> Iterator[Note]:
    for i, (budget, found) in enumerate(zip(budgets, solutions, strict=True)):
        held = found["held"].mean()
        if held > OFTEN:
            yield Note(
                "no-interior",
                f"at {budget:.3g} FLOPs {held:.0%} of the draws have no optimum inside the bounds or the "
                "sizes searched: the loss still falls there. "
                "Widen bounds=, or measure runs on both sides of the optimum.",
            )
        if len(loops) > 1 and (most := (found["loops"] == loops[-1]).mean()) > OFTEN:
            yield Note(
                "most-loops",
                f"at {budget:.3g} FLOPs {most:.0%} of the draws take the most loops allowed, "
                f"{loops[-1]:.0f}. "
                "Allow more with bounds={'loops': (1, ...)}.",
            )
        beyond = []
        for name in ("params", "tokens"):
            value, (low, high) = np.median(drawn[name][:, i]), np.quantile(problem.frame[name], [0, 1])
            if not low <= value <= high:
                side, end = ("above", high) if value > high else ("below", low)
                beyond.append(f"{name} {value:.3g}, {abs(np.log10(value / end)):.1f} decades {side} the data")
        if beyond:
            yield Note(
                "outside-data",
                f"at {budget:.3g} FLOPs the optimum lies outside the data ({'; '.join(beyond)}): it rests "
                "on the law's form. A run nearer to it would test the law.",
            )


def _budgets(flops: ArrayLike) -> np.ndarray:
    hint = "For instance flops=[1e21, 1e23]."
    each = items(flops)
    if not each:
        raise InputError("flops= is empty; expected positive numbers.", hint)
    budgets = np.array([number("flops", one, "positive numbers", hint, above=0) for one in each])
    if len(np.unique(budgets)) < len(budgets):
        raise InputError("flops= names a budget twice.", "Give each once.")
    return budgets


def _others(problem: Problem, at: Mapping[str, float] | None) -> dict[str, float]:
    """Values of the law's inputs that a budget does not buy."""
    hint = "Give each of them one value: at={'unique_tokens': 1e11}."
    inputs, at = problem.model.law.inputs, mapping("at", at, hint)
    if not {"params", "tokens"} <= set(inputs):
        raise InputError(
            f"the law {problem.model.law.name!r} has inputs {listed(inputs)}; a split of compute needs "
            "params and tokens.",
            "Fit a law with both, such as 'coupled'.",
        )
    needed = [name for name in inputs if name not in CHOICES]
    if set(at) != set(needed):
        raise InputError(
            f"at= names {listed(at) or 'nothing'}; the law's inputs beside {', '.join(CHOICES)} "
            f"are {listed(needed) or 'none'}.",
            hint,
        )
    return {
        name: number("at", value, f"a number above 0 for {name}", hint, above=0) for name, value in at.items()
    }


def _limits(problem: Problem, bounds: Bounds) -> tuple[dict[str, tuple[float, float]], np.ndarray]:
    """Limits of params and tokens, and the numbers of loops to try.

    Those of the training rows unless bounded.
    """
    allowed = [name for name in CHOICES if name in problem.model.law.inputs]
    for name, pair in bounds.items():
        ends = [float(each) for each in items(pair) if isinstance(each, int | float | np.number)]
        if (
            name not in allowed
            or len(ends) != 2
            or len(items(pair)) != 2
            or not 0 < ends[0] <= ends[1] < np.inf
        ):
            raise InputError(
                f"bounds= got {name!r}: {pair!r}; expected (lowest, highest) of {listed(allowed)}.",
                "For instance bounds={'params': (1e8, 1e11)}.",
            )
    pairs = {name: bounds.get(name, (1e-290, 1e290)) for name in ("params", "tokens")}
    limits = {name: (float(low), float(high)) for name, (low, high) in pairs.items()}
    if "loops" not in allowed:
        return limits, np.ones(1)
    low, high = bounds.get("loops", np.quantile(problem.frame["loops"], [0, 1]))
    loops = np.arange(np.ceil(low), np.floor(high) + 1)
    if not len(loops):
        raise InputError(f"bounds= leave no whole number of loops ({low:g} to {high:g}).", "Widen them.")
    return limits, loops
