"""Laws of how a model is trained: learning rate and batch, and the precision of its weights."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs
from .law import law
from .terms import floor, power


@law(
    inputs=("params", "tokens", "batch", "lr"),
    along=("params", "tokens"),
    source="optimum: Li et al. 2025, arXiv:2503.04715, eq. 1; its cost on both sides by what was measured",
    compute=lambda runs: runs.params.values * runs.tokens.values,
)
def batch_rate(runs: Runs) -> jax.Array:
    r"""Law of batch and learning rate: Chinchilla at the best of both, which move with size and tokens.

        L = [E + A (N / N0)^-alpha + B (D / D0)^-beta] exp[k_lr q(u, s_lr) + k_b q(v, s_b)]
        q(x, s) = x^2 / 2 exp[s x / (1 + x^2)^(1/2)]
        v = ln b - ln b*,    b* = batch_best (D / D0)^batch_tokens
        u = ln r - ln r*,    r* = lr_best (N / N0)^lr_params (D / D0)^lr_tokens (b / b*)^lr_batch

    ============  ======================================  ============  ===================================
    symbol        meaning                                 unit          prior
    ============  ======================================  ============  ===================================
    N, D          parameters, training tokens             as given
    b, r          batch, learning rate                    as given
    E A B ...     as in `chinchilla`
    lr_best       best learning rate at the centre and    as r          (geometric mean) LogNormal(0, 1)
                  the best batch
    batch_best    best batch at the centre                as b          (geometric mean) LogNormal(0, 1.5)
    lr_params     exponents of the best rate, published   none          Normal(-.5, .3)
    lr_tokens     -.71 and .31                            none          Normal(.2, .2)
    lr_batch      a larger batch takes a larger rate:     none          Normal(.3, .3)
                  .5 by the square root rule
    batch_tokens  exponent of the best batch, published   none          Normal(.5, .2)
                  .57
    k_lr, k_b     curvature of ln loss at the best        none          LogNormal(ln .015, 1)
    s_lr, s_b     ln of how much steeper than a parabola  none          Normal(.4, .4), Normal(.2, .4)
                  it is far above the best, and of how
                  much flatter far below
    ============  ======================================  ============  ===================================

    At the best rate and batch the bracket is left, so it needs no envelope of a sweep, nor a whole grid.
    """
    N, D = runs.params, runs.tokens
    base = (
        floor(runs)
        + power(N, "A", "alpha", median=0.28, width=0.4)
        + power(D, "B", "beta", median=0.32, width=0.45)
    )
    v = _off(runs.batch, "batch", 1.5, 0.0, numpyro.sample("batch_tokens", dist.Normal(0.5, 0.2)) * D.log)
    of_size = numpyro.sample("lr_params", dist.Normal(-0.5, 0.3)) * N.log
    of_tokens = numpyro.sample("lr_tokens", dist.Normal(0.2, 0.2)) * D.log
    u = _off(runs.lr, "lr", 1.0, numpyro.sample("lr_batch", dist.Normal(0.3, 0.3)) * v, of_size + of_tokens)
    return base * jnp.exp(_cost(u, "lr", 0.4) + _cost(v, "b", 0.2))


def _off(column: Column, name: str, width: float, *moves: jax.Array | float) -> jax.Array:
    """Ln of a column over its best value, `(row,)`, which `moves` shift."""
    best = numpyro.sample(f"{name}_best", dist.LogNormal(jnp.log(column.centre), width))
    return jnp.log(column.values / best) - sum(moves)


def _cost(x: jax.Array, name: str, skew: float) -> jax.Array:
    """Rise of ln loss away from the best, `(row,)`: a parabola that is steeper on one side."""
    k = numpyro.sample(f"k_{name}", dist.LogNormal(jnp.log(0.015), 1.0))
    s = numpyro.sample(f"s_{name}", dist.Normal(skew, 0.4))
    return k / 2 * x**2 * jnp.exp(s * x / jnp.sqrt(1 + x**2))


@law(
    inputs=("params", "tokens", "bits"),
    source="Kumar et al. 2024, arXiv:2411.04330, eq. 3",
    compute=lambda runs: runs.params.values * runs.tokens.values * runs.bits.values,
)
def precision(runs: Runs) -> jax.Array:
    r"""Precision law: weights of b bits make N parameters worth N (1 - e^(-b / c)).

        L(N, D, b) = E + A (N_eff / N0)^-alpha + B (D / D0)^-beta,    N_eff = N [1 - exp(-b / c)]

    ======  ==========================================  ============  =====================================
    symbol  meaning                                     unit          prior
    ======  ==========================================  ============  =====================================
    N, D    parameters, training tokens                 as given
    b       bits per weight in training                 bits
    N0      N_eff at the geometric means                as N
    c       bits after which e times less is lost       bits          LogNormal(ln 2.7, .6): published 2.67
    E A B   as in `chinchilla`
    ======  ==========================================  ============  =====================================

    Compute is N D b, as the source counts it.
    """
    c = numpyro.sample("c", dist.LogNormal(jnp.log(2.7), 0.6))
    N, b = runs.params, runs.bits
    worth, centre = -jnp.expm1(-b.values / c), -jnp.expm1(-b.centre / c)
    effective = type(N)(N.values * worth, N.centre * centre, N.least, N.typical)
    return (
        floor(runs)
        + power(effective, "A", "alpha", median=0.28, width=0.4)
        + power(runs.tokens, "B", "beta", median=0.32, width=0.45)
    )
