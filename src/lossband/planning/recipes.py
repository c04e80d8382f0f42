"""Recipes: ways of training compared by one joint fit, in loss, in compute, and where their order flips."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from .._arguments import mapping, names_of, number, one_of, whole
from .._html import notebook
from .._store import stored
from ..errors import InputError, in_table, listed
from ..inference.fit import fit
from ..laws import find_law
from ..laws.recipe import per_recipe
from ..model.problem import NewRows
from ..posterior.bands import LEVELS, interval_columns
from ..posterior.forecast import BATCH, law_losses
from ..posterior.posterior import Posterior
from ..runs.arrays import Runs, double, runs_of, size_class
from ..runs.table import numbers, read_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Unpack

    import xarray

    from ..inference.options import RecipeOptions
    from ..laws import Law
    from ..laws.resolve import LawLike
    from ..model.problem import Problem
    from ..plot.style import Axes
    from ..posterior.forecast import Draws
    from ..runs.table import RunsLike

    Row = Mapping[str, float] | pd.Series
    Rows = pd.DataFrame | str | Row


SIZES, DATA, COMPUTE = ("params", "params_once", "params_rec"), ("tokens", "step"), ("flops",)
FAR = 60.0  # e^60: no multiplier of compute is as large
PATH = 33  # points at which the order of two recipes is looked at


@dataclass(frozen=True, repr=False)
class Comparison:
    """Recipes fitted together.

    posterior: of the joint law; its `recipe` numbers the names from 1.
    names: of the recipes.
    """

    posterior: Posterior
    names: tuple[str, ...]

    def draws(self, new: Rows) -> xarray.DataArray:
        """Draws of the expected loss (law and drift) of every recipe, xarray of (recipe, sample, row).

        The drift is the same for all recipes, so it nearly cancels in their differences.
        """
        import xarray

        return xarray.DataArray(
            np.stack([self.posterior.draws(self._new(new, name), kind="mean") for name in self.names]),
            dims=("recipe", "sample", "row"),
            coords={"recipe": list(self.names)},
            name="loss",
        )

    def difference(
        self, new: Rows, *, pair: Sequence[str] | None = None, levels: Sequence[float] = LEVELS
    ) -> pd.DataFrame:
        """Loss of recipe b less that of recipe a, each trained as the row says.

        Args:
            new: rows of the law's inputs.
            pair: names (a, b); the first two by default.
            levels: of the equal-tailed intervals.

        Returns:
            a frame, one row per row of `new`: inputs, `median`, `lo_90`, `hi_90`, ..., and `prob_b_better`,
            P(loss b < loss a).
        """
        a, b = self._pair(pair)
        losses = self.draws(new)
        drawn = (losses.sel(recipe=b) - losses.sel(recipe=a)).to_numpy()
        return self._frame(new, drawn, levels).assign(prob_b_better=(drawn < 0).mean(0))

    def multiplier(
        self, new: Rows, *, pair: Sequence[str] | None = None, levels: Sequence[float] = LEVELS
    ) -> pd.DataFrame:
        r"""How many times the compute of recipe a recipe b needs for the same loss.

        Above 1 where b is the worse.

            L_b(m x) = L_a(x);  ((L_b - E) / (L_a - E))^(1 / alpha) for one power law with shared E and alpha

        m x has m times the compute of the row: params and tokens both grow by the root of m; a law of one
        input grows in that. It is found on each draw's law by bisection. Infinite where b never gets there.

        Returns:
            a frame as of `difference`, with `prob_a_better`, P(m > 1).
        """
        drawn = self.multiplier_draws(new, pair=pair)
        return self._frame(new, drawn, levels).assign(prob_a_better=(drawn > 1).mean(0))

    def multiplier_draws(self, new: Rows, *, pair: Sequence[str] | None = None) -> np.ndarray:
        """The draws behind `multiplier`, `(sample, row)`."""
        a, b = (self.names.index(name) + 1.0 for name in self._pair(pair))
        problem, rows = self.posterior.problem, self._rows(new, self.names[0])
        powers = _powers(problem.model.law.inputs)
        runs = runs_of(rows, problem.unit, pad_to=size_class(len(rows)))
        pair_of = np.asarray(a), np.asarray(b)

        def of_one(problem: Problem, draws: Draws) -> np.ndarray:
            law = problem.model.law
            drawn = _multiplier(law, powers)(draws.of_law(law), runs, *pair_of)
            return np.asarray(drawn)[: len(draws), : len(rows)]

        with double():
            return self.posterior.assembled(of_one)

    def prob_flip(self, before: Row, *, start: Row | None = None, pair: Sequence[str] | None = None) -> float:
        """P(the better recipe at `start` is the worse one at some scale up to `before`), by each draw's law.

        Args:
            before: one row of the law's inputs.
            start: another; the centre of the data by default.
            pair: names (a, b); the first two by default.
        """
        a, b = self._pair(pair)
        unit, inputs = self.posterior.problem.unit, self._inputs
        share = np.linspace(0, 1, PATH)[:, None]
        rows = [unit.centre if start is None else start, before]
        ends = [np.log(self._rows(row, self.names[0])[inputs].to_numpy(float)) for row in rows]
        if any(len(each) != 1 for each in ends):
            raise InputError("before= and start= are one row each.", "Give a dict of the law's inputs.")
        path = pd.DataFrame(np.exp(ends[0] + share * (ends[1] - ends[0])), columns=inputs)
        order = np.sign(self._law_losses(path, b) - self._law_losses(path, a))
        return float((order != order[:, :1]).any(1).mean())

    def plot(self, new: Rows, x: str | None = None, **options: Any) -> Axes:
        """Draw the compute multiplier of the second recipe over the first along some rows; 1 is a tie.

        Args:
            new: rows of the law's inputs.
            x: the input on the horizontal axis; by default the one of the widest range.
            options: pair, levels, ax: see `lossband.plot.planning.multipliers`.

        Returns:
            the matplotlib axes.

        Example:
            >>> import lossband as lb
            >>> import numpy as np
            >>> runs = lb.load_dataset("looped")
            >>> few, many = runs.query("loops == 2"), runs.query("loops == 8")
            >>> found = lb.compare_recipes(few, many, law="chinchilla", method="laplace")
            >>> ax = found.plot({"params": 1e6, "tokens": np.geomspace(1e5, 1e8, 20)})
        """
        from ..plot.planning import multipliers

        rows = self._rows(new, self.names[0])
        if x is None:
            x = max(self._inputs, key=lambda name: np.ptp(np.log(rows[name])))
        one_of("x", x, self._inputs, "Leave it out for the widest.")
        return multipliers(self, rows[self._inputs], x=x, **options)

    def way_to(self, row: Row, *, points: int = 60) -> pd.DataFrame:
        """Rows from the smallest run of the data to another row, evenly spaced in their logarithms.

        Args:
            row: of the law's inputs.
            points: how many rows.

        Returns:
            a frame of the law's inputs, for `plot`.
        """
        inputs, data = self._inputs, self.posterior.problem.frame
        start = data[inputs].to_numpy(float)[data[inputs].prod(axis=1).argmin()]
        end = self._rows(row, self.names[0])[inputs].to_numpy(float)[0]
        return pd.DataFrame(np.geomspace(start, end, whole("points", points, least=2)), columns=inputs)

    def __repr__(self) -> str:
        """The recipes, and whether their fit can be trusted."""
        return f"Comparison of the recipes {', '.join(self.names)}\n{self.posterior!r}"

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        first, *rest = repr(self).splitlines()
        return notebook(first, "\n".join(rest))

    @property
    def _inputs(self) -> list[str]:
        return [name for name in self.posterior.law.inputs if name != "recipe"]

    def _pair(self, pair: Sequence[str] | None) -> tuple[str, str]:
        pair = tuple(self.names[:2] if pair is None else names_of(pair, "pair"))
        if len(pair) != 2 or not set(pair) <= set(self.names):
            raise InputError(
                f"pair= got {pair!r}; expected two of {listed(self.names)}.",
                "Leave it out for the first two.",
            )
        return pair[0], pair[1]

    def _new(self, new: Rows, name: str) -> NewRows:
        """The rows as a recipe's, read once."""
        rows = read_runs(cast("RunsLike", new))
        return NewRows(rows.assign(recipe=self.names.index(name) + 1.0))

    def _rows(self, new: Rows, name: str) -> pd.DataFrame:
        """The same checked."""
        return self._new(new, name).checked(self.posterior.problem)

    def _law_losses(self, new: Rows, name: str) -> np.ndarray:
        """The law alone of a recipe, `(sample, row)`."""
        rows = self._rows(new, name)
        return self.posterior.assembled(lambda problem, draws: law_losses(problem, draws, rows))

    def _frame(self, new: Rows, drawn: np.ndarray, levels: Sequence[float]) -> pd.DataFrame:
        frame = self._rows(new, self.names[0])[self._inputs].assign(median=np.median(drawn, 0))
        # a nearest draw, not a mean of two: multipliers may be infinite
        return frame.assign(**interval_columns(drawn, levels, method="nearest"))


def compare_recipes(
    a: RunsLike,
    b: RunsLike,
    *more: RunsLike,
    law: LawLike = None,
    names: Sequence[str] | None = None,
    pool: float = 0.1,
    floor: float = 0.0,
    apart: Mapping[str, float] | None = None,
    **options: Unpack[RecipeOptions],
) -> Comparison:
    """Fit recipes together, with shared or partly pooled exponents, to compare them where neither was run.

    Args:
        a: tables of runs, one per recipe, as in `fit`.
        b: tables of runs, one per recipe, as in `fit`.
        more: tables of runs, one per recipe, as in `fit`.
        law: of one recipe, as in `fit`.
        names: of the recipes; "a", "b", ... by default.
        pool: log-width of the factor between two recipes' exponents: 0 shares them (then no order of two
            power laws flips), .1 lets them differ by about 10 %.
        floor: the same for the irreducible loss; 0 for recipes of one tokeniser and one kind of text.
        apart: in place of both, coefficient -> log-width, for a law whose terms do not say what they are.
        options: of `fit`: noise, drift, num_samples, seed, ...

    Returns:
        a `Comparison`. Its `posterior.health` says whether the fit can be trusted.

    Raises:
        InputError: unusable tables, a law that no coefficient can differ in, or as many names as there are
            not recipes.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped")
        >>> few, many = runs.query("loops == 2"), runs.query("loops == 8")
        >>> found = lb.compare_recipes(few, many, law="chinchilla", method="laplace")
        >>> table = found.difference({"params": 1e6, "tokens": 1e8})
    """
    for name, width in (("pool", pool), ("floor", floor)):
        number(name, width, "a log-width of 0 or more", "Leave it out for the default.", above=0, zero=True)
    if apart is not None:
        hint = "Name coefficients with the log-widths of their factors: apart={'A': 0.5}."
        apart = mapping("apart", apart, hint)
        for name, width in apart.items():
            number("apart", width, f"a log-width of 0 or more for {name!r}", hint, above=0, zero=True)
    tables = [read_runs(table, columns=options.get("columns")) for table in (a, b, *more)]
    options.pop("columns", None)
    names = tuple(
        names_of(list("abcdefghijklmnopqrstuvwxyz"[: len(tables)]) if names is None else names, "names")
    )
    if len(names) != len(tables) or len(set(names)) < len(names):
        raise InputError(f"names= got {names!r} for {len(tables)} recipes.", "Give each recipe its own name.")
    joint = pd.concat(
        [_labelled(t, n, i + 1.0) for i, (t, n) in enumerate(zip(tables, names, strict=True))],
        ignore_index=True,
    )
    base = find_law(law, joint.drop(columns="recipe"))
    for name, table in zip(names, tables, strict=True):
        with in_table(f"recipe {name!r}"):  # of the joint table, nobody would know the rows
            for column in ("loss", *(each for each in base.inputs if each in joint)):
                numbers(table, column, signed=True)
    joint_law = per_recipe(base, len(tables), pool=pool, floor=floor, apart=apart)
    return Comparison(fit(joint, joint_law, **options), names)


def _labelled(table: pd.DataFrame, name: str, number: float) -> pd.DataFrame:
    """A recipe's table with its number, and run labels that no other recipe has."""
    table = table.assign(recipe=number, family=name)
    run = table["run"].astype(str) if "run" in table else pd.Series([str(row) for row in range(len(table))])
    return table.assign(run=name + "/" + run)


def _powers(inputs: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Input -> the power of the compute multiplier that it grows by."""
    groups = [group for group in (SIZES, DATA, COMPUTE) if set(group) & set(inputs)]
    if not groups:
        raise InputError(
            f"none of the law's inputs ({listed(inputs)}) grows with compute.",
            "Fit a law of params, tokens or flops.",
        )
    return tuple((name, 1 / len(groups)) for name in inputs if any(name in group for group in groups))


@functools.lru_cache(64)
def _multiplier(law: Law, powers: tuple[tuple[str, float], ...]) -> Callable[..., Any]:
    """The compiled bisection: all draws, all rows."""

    def one(sites: Mapping[str, jax.Array], runs: Runs, a: jax.Array, b: jax.Array) -> jax.Array:
        def loss(recipe: jax.Array, log_m: jax.Array) -> jax.Array:
            grown = {name: runs.inputs[name] * jnp.exp(power * log_m) for name, power in powers}
            rows = runs.inputs | grown | {"recipe": jnp.full_like(log_m, recipe)}
            return law.at(Runs(rows, runs.unit), dict(sites))

        far = jnp.full_like(runs.inputs["recipe"], FAR)
        wanted = loss(a, 0 * far)

        def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = (low + high) / 2
            worse = loss(b, middle) > wanted
            return jnp.where(worse, middle, low), jnp.where(worse, high, middle)

        low, high = jax.lax.fori_loop(0, 55, halve, (-far, far))
        return jnp.where(low == -far, 0.0, jnp.where(high == far, jnp.inf, jnp.exp((low + high) / 2)))

    def multiplier(sites: Mapping[str, jax.Array], *given: Any) -> jax.Array:
        return jax.lax.map(lambda each: one(each, *given), sites, batch_size=BATCH)

    return stored(multiplier, law.code and f"{law.code} {powers}")
