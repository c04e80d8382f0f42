r"""Recipes: one law for several recipes at once, whose coefficients differ by factors.

    theta_k = theta_1 r_k,   ln r_k ~ Normal(0, w)      for recipe k = 2, 3, ...

w is 0 where the recipes share a coefficient, small where they are pooled, large where each has its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..errors import InputError, listed
from ..runs.arrays import Runs
from .law import Law

# Log-width of the terms' weights: recipes' shares of the reducible loss agree within a factor of e.
OWN = 0.5


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
    widths = apart
    if apart is None:
        slopes = {
            name: site["infer"]["slope"] for name, site in base.sites.items() if "slope" in site["infer"]
        }
        widths = (
            dict.fromkeys(slopes, OWN)
            | dict.fromkeys(slopes.values(), pool)
            | dict.fromkeys(base.floors, floor)
        )
    widths = {name: float(width) for name, width in widths.items() if width}
    known = [name for name, site in base.sites.items() if site["fn"].support is dist.constraints.positive]
    if not widths or not set(widths) <= set(known):
        raise InputError(
            f"the recipes of {base.name!r} differ in {listed(widths) or 'nothing'}; expected some of "
            f"{listed(known)}.",
            "Name them with the log-widths of their factors: apart={'A': 0.5}.",
        )
    return Law(
        PerRecipe(base, count, tuple(widths.items())),
        f"{base.name} by recipe",
        (*base.inputs, "recipe"),
        base.source,
        base.compute,
        along=base.varied,
        derive=base.derive,
        carries=base.carries,
        exact=base.exact,
    )
