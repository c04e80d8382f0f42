"""Cost in FLOPs of a run of N parameters, D tokens and T loops, and how many tokens a budget buys."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from .._arguments import number
from ..errors import InputError

NAMED = ("6ND", "6NDT")
# what users say for a cost: a name, a function of params, tokens (and loops), or None for the default
CostLike = Literal["6ND", "6NDT"] | Callable[..., Any] | None
Bounds = Mapping[str, tuple[float, float]]  # lowest and highest of params, tokens, loops


@dataclass(frozen=True)
class Cost:
    r"""FLOPs of training a model and of using it.

        6ND:    C = 6 N D   + 2 N I
        6NDT:   C = 6 N D T + 2 N T I

    6 FLOPs per parameter and token in training and 2 in inference (Kaplan et al. 2020, arXiv:2001.08361,
    table 1), with I the tokens that the model will read or write in its life; each of T loops applies all N
    parameters once more.

    kind: "6ND", "6NDT" or a function of (params, tokens) or (params, tokens, loops) in jax.numpy, which rises
        in tokens.
    inference_tokens: I; a function counts its own.
    """

    kind: Literal["6ND", "6NDT"] | Callable[..., Any]
    inference_tokens: float = 0.0
    looped: bool = False  # whether a function takes loops

    def flops(self, params: Any, tokens: Any, loops: Any) -> Any:
        """Cost of runs, in FLOPs."""
        if callable(self.kind):
            return self.kind(params, tokens, loops) if self.looped else self.kind(params, tokens)
        per_token = params * (loops if self.kind == "6NDT" else 1.0)
        return 6 * per_token * tokens + 2 * per_token * self.inference_tokens

    def tokens(self, flops: Any, params: Any, loops: Any) -> Any:
        """Training tokens that a budget leaves for models of these sizes; 0 or less where it leaves none."""
        if not callable(self.kind):
            per_token = params * (loops if self.kind == "6NDT" else 1.0)
            return (flops / per_token - 2 * self.inference_tokens) / 6

        # bisection in ln tokens, from e^-70 to e^140: to the last bit of a double
        def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = (low + high) / 2
            dear = self.flops(params, jnp.exp(middle), loops) > flops
            return jnp.where(dear, low, middle), jnp.where(dear, middle, high)

        ends = jnp.full_like(params, -70.0), jnp.full_like(params, 140.0)
        low, _ = jax.lax.fori_loop(0, 60, halve, ends)
        return jnp.where(low > -70.0, jnp.exp(low), 0.0)


def find_cost(wanted: CostLike | str, inference_tokens: float, looped: bool) -> Cost:
    """The `Cost` that a user means: None for 6NDT where the law has loops and 6ND where it has none."""
    inference_tokens = number(
        "inference_tokens", inference_tokens, "0 or more", "Leave it out for none.", above=0, zero=True
    )
    if wanted is None:
        wanted = "6NDT" if looped else "6ND"
    if not (callable(wanted) or (isinstance(wanted, str) and wanted in NAMED)):
        raise InputError(
            f"cost= got {wanted!r}; expected {' or '.join(map(repr, NAMED))}, or a function of (params, "
            "tokens).",
            "Leave it out for 6ND (6NDT for a law with loops).",
        )
    if callable(wanted):
        _check_function(wanted, looped)
    if callable(wanted) and inference_tokens:
        raise InputError(
            "inference_tokens= cannot be combined with a cost function.", "Let the function count them."
        )
    return Cost(wanted, float(inference_tokens), looped)


def _check_function(wanted: Any, looped: bool) -> None:
    """Refuse a cost that cannot take params and tokens, and loops where the law has them."""
    names = ("params", "tokens", "loops") if looped else ("params", "tokens")
    try:
        known = not isinstance(wanted, type) and bool(inspect.signature(wanted).bind(*names))
    except TypeError:
        known = False
    except ValueError:  # a function of C has no signature
        known = True
    if not known:
        raise InputError(
            f"cost= got {wanted!r}; expected a function of ({', '.join(names)}).",
            "Leave it out for 6ND (6NDT for a law with loops).",
        )
