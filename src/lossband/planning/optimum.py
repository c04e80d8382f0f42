"""Optimum: the best split of one budget in every draw of a law's coefficients.

D follows from N and T through the cost; N is searched on a grid of 1/40 decade and then by golden section, to
eight digits; T runs over whole numbers. Where the law has several minima the lowest with higher loss on both
sides counts: shifted power laws also fall, absurdly, towards models of no size at all.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .._store import stored
from ..errors import InputError
from ..posterior.forecast import BATCH
from ..runs.arrays import Runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..laws import Law
    from ..model.problem import Problem
    from ..posterior.forecast import Draws
    from ..posterior.posterior import Posterior
    from ..runs.arrays import Array, Unit
    from .cost import Cost


REACH = 4.0  # decades searched on either side of the data's own tokens per parameter
STEP = 1 / 40  # decades between two sizes of the grid
GOLDEN = (np.sqrt(5) - 1) / 2
SHRINKS = 32  # golden sections: 2 STEP x GOLDEN^32 is 1e-8 decades


def optima(
    post: Posterior,
    spend: Cost,
    budget: float,
    *,
    loops: np.ndarray,
    limits: Mapping[str, tuple[float, float]],
    others: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """The optimum of every draw, inside `double()`.

    Args:
        post: the `Posterior`; its laws have the same inputs.
        spend: the `Cost`.
        budget: in its unit.
        loops: `(loop,)` whole numbers to choose from; a single 1 for a law without loops.
        limits: "params" and "tokens" -> (lowest, highest).
        others: a value for each other input of the law.

    Returns:
        `(sample,)` arrays: `params`, `tokens`, `loops`, `loss` (of the law) and `held`, whether a limit
        stopped the search there; and `sizes` `(size,)` with the `losses` `(sample, loop, size)` of all sizes
        searched, infinite outside the limits.

    Raises:
        InputError: no run within the limits can spend the budget.
    """
    problem = post.problem
    ratio = problem.unit.centre["tokens"] / problem.unit.centre["params"]
    grid = _grid(spend, budget, ratio, loops, limits)

    def of_one(problem: Problem, draws: Draws) -> dict[str, np.ndarray]:
        law = problem.model.law
        given = jax.tree.map(np.asarray, (others, budget, grid, loops, limits))
        found, losses = _solver(law, spend)(draws.of_law(law), problem.unit, *given)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(draws)], found | {"losses": losses})

    found = post.assembled(of_one)
    if not np.isfinite(found["loss"]).all():
        raise InputError(
            f"no run within the bounds costs {budget:.3g} FLOPs (with what inference takes).",
            "Widen bounds=, or ask for another budget.",
        )
    return found | {"sizes": np.exp(grid)}


def _grid(
    spend: Cost,
    budget: float,
    ratio: Array | float,
    loops: np.ndarray,
    limits: Mapping[str, tuple[float, float]],
) -> np.ndarray:
    """Ln N, `(size,)`.

    Around the size that the data's own tokens per parameter would give, inside the bounds.
    """
    sizes = np.log(10) * np.arange(-300, 300, REACH / 20)
    tokens = np.asarray(spend.tokens(budget, jnp.exp(sizes), jnp.full(len(sizes), loops[0])))
    affordable = tokens >= ratio * np.exp(sizes)
    if not affordable.any():
        raise InputError(
            f"a budget of {budget:.3g} FLOPs buys no run at all.", "Check the cost and its unit."
        )
    middle = sizes[affordable].max()
    low, high = (
        np.clip(end, *np.log(limits["params"]))
        for end in (middle - REACH * np.log(10), middle + REACH * np.log(10))
    )
    return np.linspace(low, high, 1 + round(2 * REACH / STEP))


@functools.lru_cache(64)
def _solver(law: Law, spend: Cost) -> Callable[..., Any]:
    """The compiled search: all draws, one budget."""

    def one(
        sites: Mapping[str, jax.Array],
        unit: Unit,
        others: Mapping[str, jax.Array],
        budget: jax.Array,
        grid: jax.Array,
        loops: jax.Array,
        limits: Mapping[str, tuple[jax.Array, jax.Array]],
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        def loss(log_n: jax.Array) -> jax.Array:
            """The law where the budget is spent on sizes `(loop, size)`; infinite outside the limits."""
            params = jnp.exp(log_n)
            count = jnp.broadcast_to(loops[:, None], params.shape)
            tokens = spend.tokens(budget, params, count)
            (least, most), (small, large) = limits["tokens"], (grid[0], grid[-1])
            fits = (tokens > 0) & (tokens >= least) & (tokens <= most) & (log_n >= small) & (log_n <= large)
            chosen = {"params": params, "tokens": jnp.where(fits, tokens, 1.0), "loops": count}
            columns = {
                n: (chosen[n] if n in chosen else jnp.full(params.shape, others[n])).ravel()
                for n in law.inputs
            }
            curve = law.at(Runs(columns, unit), dict(sites)).reshape(params.shape)
            return jnp.where(fits, curve, jnp.inf)

        losses = loss(jnp.broadcast_to(grid, (len(loops), len(grid))))
        inner = jax.vmap(valleys)(losses).any(1)
        nearest = jax.vmap(lowest)(losses)
        ends = grid[jnp.maximum(nearest - 1, 0)], grid[jnp.minimum(nearest + 1, len(grid) - 1)]
        log_n = golden_section(lambda x: loss(x[:, None])[:, 0], *ends)
        around = loss(log_n[:, None] + jnp.array([-1e-6, 0.0, 1e-6]))
        best = jnp.argmin(jnp.where(inner | ~inner.any(), around[:, 1], jnp.inf))
        params, count = jnp.exp(log_n[best]), loops[best]
        return {
            "params": params,
            "tokens": spend.tokens(budget, params[None], count[None])[0],
            "loops": count,
            "loss": around[best, 1],
            "held": ~jnp.isfinite(around[best]).all(),
        }, losses

    def optimum(sites: Any, *given: Any) -> Any:
        return jax.lax.map(lambda each: one(each, *given), sites, batch_size=BATCH)

    known = law.code and not callable(spend.kind)  # a user's function may call what it likes
    return stored(optimum, f"{law.code} {spend}" if known else None)


def valleys(losses: jax.Array) -> jax.Array:
    """Which entries of a curve `(size,)` have a higher, finite one on both sides."""
    middle, left, right = losses[1:-1], losses[:-2], losses[2:]
    inner = (middle <= left) & (middle <= right) & jnp.isfinite(left) & jnp.isfinite(right)
    return jnp.concatenate([jnp.zeros(1, bool), inner, jnp.zeros(1, bool)])


def lowest(losses: jax.Array) -> jax.Array:
    """Position of a curve's lowest valley, or of its lowest end if it has none."""
    inner = valleys(losses)
    return jnp.argmin(jnp.where(inner | ~inner.any(), losses, jnp.inf))


def golden_section(function: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array) -> jax.Array:
    """Minimiser of a function with one minimum between `low` and `high`, elementwise."""

    def shrink(_: int, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        low, high, left, right, f_left, f_right = state
        go_left = f_left < f_right
        low, high = jnp.where(go_left, low, left), jnp.where(go_left, right, high)
        new = jnp.where(go_left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        f_new = function(new)
        return (
            low,
            high,
            jnp.where(go_left, new, right),
            jnp.where(go_left, left, new),
            jnp.where(go_left, f_new, f_right),
            jnp.where(go_left, f_left, f_new),
        )

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    start = low, high, left, right, function(left), function(right)
    _, _, left, right, f_left, f_right = jax.lax.fori_loop(0, SHRINKS, shrink, start)
    return jnp.where(f_left < f_right, left, right)
