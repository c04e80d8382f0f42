r"""Recipes and families: one law for several of them at once, whose coefficients differ by factors.

    theta_k = theta_1 r_k,   ln r_k ~ Normal(0, w)      for recipe k = 2, 3, ...

w is 0 where the recipes share a coefficient, small where they are pooled, large where each has its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..errors import InputError, listed, nearest
from ..runs.arrays import Runs
from .law import Law

if TYPE_CHECKING:
    import pandas as pd

# Log-width of the terms' weights: recipes' shares of the reducible loss agree within a factor of e.
OWN = 0.5
# and of the families of one table: exponents as those of recipes, floors of different text and tokenizers
POOL, FLOOR = 0.1, 0.3
FAMILY = "family"


@dataclass(frozen=True)
class PerRecipe:
    """`base` for each of `count` recipes; the rows' `recipe` numbers theirs, from 1.

    widths: (coefficient, log-width of its factor), for the coefficients that differ.
    """

    base: Law
    count: int
    widths: tuple[tuple[str, float], ...]

    def __call__(self, runs: Runs) -> jax.Array:
        """Expected loss `(row,)`, each row by its own recipe's coefficients."""
        rows = Runs({name: runs.inputs[name] for name in self.base.inputs}, runs.unit)
        with numpyro.handlers.trace() as trace:
            loss = self.base(rows)
        first = {name: site["value"] for name, site in trace.items() if site["type"] == "sample"}
        recipe = jnp.round(runs.recipe.values)
        for k in range(2, self.count + 1):
            factors = {n: numpyro.sample(f"{n}_ratio_{k}", dist.LogNormal(0.0, w)) for n, w in self.widths}
            values = first | {name: first[name] * factor for name, factor in factors.items()}
            loss = jnp.where(recipe == k, self.base.at(rows, values), loss)
        return loss

    @property
    def code(self) -> str | None:
        """Text that identifies what this computes, where `base` is an unchanged law of the package."""
        return self.base.code and f"{self.base.code} {self.count} {self.widths}"

    def law(self) -> Law:
        """The `Law` whose function this is, with the inputs of `base` and `recipe`."""
        base = self.base
        return Law(
            self,
            f"{base.name} by recipe",
            (*base.inputs, "recipe"),
            base.source,
            base.compute,
            along=base.varied,
            derive=_Numbered(base.derive),
            carries=(*base.carries, FAMILY),
            simpler=base.simpler,
            crossed=base.crossed,
            exact=base.exact,
            absent=base.absent,
            scale=base.scale,
            plain=base.plain,
            check=base.check,
        )

    def simplest(self) -> Law:
        """The `Law` of the recipes by the simpler law of their base."""
        base = self.base.simplest()
        return PerRecipe(base, self.count, tuple(each for each in self.widths if each[0] in base.marks)).law()


@dataclass(frozen=True)
class _Numbered:
    """Derives the number of each row's family, from 1, in the order of the training rows' sorted names."""

    base: "Callable[[pd.DataFrame, pd.DataFrame | None], pd.DataFrame] | None"

    def __call__(self, frame: "pd.DataFrame", past: "pd.DataFrame | None" = None) -> "pd.DataFrame":
        """The table with `recipe`, unless it has that already."""
        frame = frame if self.base is None else self.base(frame, past)
        if "recipe" in frame:
            return frame
        known = sorted(set((frame if past is None else past)[FAMILY].astype(str)))
        if FAMILY not in frame:
            raise InputError(
                f"the rows have no column {FAMILY!r}, and each family has a curve of its own.",
                f"Say whose curve: new.assign({FAMILY}={known[0]!r}); there are {listed(known)}.",
            )
        names = frame[FAMILY].astype(str)
        if unknown := sorted(set(names) - set(known)):
            raise InputError(
                f"no row of the family {listed(unknown, 4)} was fitted{nearest(unknown[0], known)}",
                f"The families are {listed(known)}; add rows of the new one to the fit.",
            )
        return frame.assign(recipe=names.map(known.index) + 1.0)


def per_recipe(
    base: Law, count: int, *, pool: float, floor: float, apart: Mapping[str, float] | None = None
) -> Law:
    """The `Law` of several recipes.

    Args:
        base: the law of one recipe; its terms say which coefficients are weights, exponents and the floor.
        count: how many recipes.
        pool: log-width of the factors of the exponents; 0 shares the exponents.
        floor: log-width of the factor of the floor; 0 shares the floor.
        apart: coefficient -> log-width of its factor, in place of all of these.

    Returns:
        A law with the inputs of `base` and `recipe`.

    Raises:
        InputError: a law whose coefficients do not say what they are, or names in `apart` that it has not.
    """
    widths = apart or {}
    if apart is None:
        slopes = {name: marks["slope"] for name, marks in base.marks.items() if "slope" in marks}
        widths = (
            dict.fromkeys(slopes, OWN)
            | dict.fromkeys(slopes.values(), pool)
            | dict.fromkeys(base.floors, floor)
        )
    widths = {name: float(width) for name, width in widths.items() if width}
    known = [name for name, marks in base.marks.items() if "positive" in marks]
    if not widths or not set(widths) <= set(known):
        raise InputError(
            f"the recipes of {base.name!r} differ in {listed(widths) or 'nothing'}; expected some of "
            f"{listed(known)}.",
            "Name them with the log-widths of their factors: apart={'A': 0.5}.",
        )
    return PerRecipe(base, count, tuple(widths.items())).law()


def per_family(base: Law, frame: "pd.DataFrame", column: str) -> "tuple[pd.DataFrame, Law]":
    """The table with its families in `family`, and the law that pools them partly.

    Raises:
        InputError: no such column, a family without a name, or one family alone.
    """
    if not isinstance(column, str) or column not in frame:
        raise InputError(
            f"pool= names {column!r}, which is no column of the table (it has {listed(frame.columns, 12)}).",
            "Name the column that tells the families apart: pool='family'.",
        )
    names = frame[column]
    if names.isna().any():
        raise InputError(f"{names.isna().sum()} rows have no {column}.", "Name every row's family.")
    count = names.nunique()
    if count < 2:
        raise InputError(
            f"the table has one {column} ({names.iloc[0]!r}), and there is nothing to pool.",
            "Leave out pool=.",
        )
    frame = frame.drop(columns=[c for c in ("recipe", FAMILY) if c in frame and c != column])
    frame = frame.rename(columns={column: FAMILY})
    return frame.assign(**{FAMILY: names.astype(str)}), per_recipe(base, count, pool=POOL, floor=FLOOR)
