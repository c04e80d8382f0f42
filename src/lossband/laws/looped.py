"""Laws of looped models: a block of layers that is applied several times."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs
from .law import law
from .terms import floor, power, shortages


@law(inputs=("params", "tokens", "loops"), source="Zhu et al. 2025, arXiv:2510.25741, appendix on scaling")
def looped(runs: Runs) -> jax.Array:
    r"""Looped law: parameters, tokens and loops each add a shifted power law to a floor.

        L(N, D, T) = E + A [(N + t1) / (N0 + t1)]^-alpha + B [(D + t2) / (D0 + t2)]^-beta
                       + C [(T + t3) / (T0 + t3)]^-gamma

    ==========  ===================================  ============  ========================================
    symbol      meaning                              unit          prior
    ==========  ===================================  ============  ========================================
    N, D, T     parameters, tokens, loops            as given
    E           irreducible loss                     of the loss   `floor`
    A, B, C     loss due to N, D, T at the centre    of the loss   `weight`: a fifth of the loss
    alpha ...   exponents of N, D, T                 none          LogNormal(ln .3, .45)
    t1, t2, t3  shifts, which flatten a curve below  as N, D, T    of the order of the smallest N, D, T
    ==========  ===================================  ============  ========================================
    """
    return (
        floor(runs)
        + power(runs.params, "A", "alpha", shift="t1")
        + power(runs.tokens, "B", "beta", shift="t2")
        + power(runs.loops, "C", "gamma", shift="t3")
    )


@law(
    inputs=("params", "tokens", "loops", "max_loops"),
    source="Zhu et al. 2025, arXiv:2510.25741, appendix on scaling; the factor of T by what was measured",
    compute=lambda runs: runs.params.values * runs.tokens.values * runs.loops.values,
)
def looped_step(runs: Runs) -> jax.Array:
    r"""Step-wise looped law: the loss after each of the T loops that a model was trained for.

        L_s(N, D, T) = E + A (N / N0)^-alpha + B (D / D0)^-beta
                         + C [(s + t3) / (s0 + t3)]^-gamma (T / T0)^delta

    ===========  ======================================  ============  ====================================
    symbol       meaning                                 unit          prior
    ===========  ======================================  ============  ====================================
    N, D         parameters, tokens                      as given
    s            loops that were applied: `loops`        none
    T            loops in training: `max_loops`          none
    E            irreducible loss                        of the loss   `floor`
    A, B, C      loss due to N, D, s at the centre       of the loss   `weight`: a fifth of the loss
    alpha ...    exponents of N, D, s                    none          LogNormal(ln .3, .45); of s,
                                                                       gamma: LogNormal(ln .6, .6)
    t3           shift of s                              none          of the order of the smallest s
    delta        exponent of T: how training for more    none          Normal(.2, .3)
                 loops raises the term of s
    ===========  ======================================  ============  ====================================

    A model that is trained for more loops is worse after each of the first ones: on the measured looped
    grid, the loss after one loop is 3 to 5 % higher with 8 loops in training than with 1. delta describes
    this.
    """
    delta = numpyro.sample("delta", dist.Normal(0.2, 0.3))
    return (
        floor(runs)
        + power(runs.params, "A", "alpha")
        + power(runs.tokens, "B", "beta")
        + power(runs.loops, "C", "gamma", shift="t3", median=0.6, width=0.6)
        * jnp.exp(delta * runs.max_loops.log)
    )


def _worth_of_a_loop() -> jax.Array:
    """phi: 0 is nothing, 1 a copy of the looped parameters; also below 0 and above 1."""
    return numpyro.sample("phi", dist.Normal(0.5, 0.4))


def _applied(runs: Runs) -> jax.Array:
    """Parameters applied to a token, `(row,)`: those inside the loop count once per loop."""
    return runs.params_once.values + runs.loops.values * runs.params_rec.values


def _effective(runs: Runs) -> Column:
    """N_once + r^phi N_rec as a column, with phi sampled."""
    phi, once, rec = _worth_of_a_loop(), runs.params_once, runs.params_rec
    values = once.values + runs.loops.values**phi * rec.values
    return type(once)(values, once.centre + rec.centre, jnp.minimum(once.least, rec.least), once.typical)


@law(
    inputs=("params_once", "params_rec", "loops", "tokens"),
    source="arXiv:2604.21106",
    compute=lambda runs: _applied(runs) * runs.tokens.values,
)
def recurrence(runs: Runs) -> jax.Array:
    r"""Recurrence law: r loops over N_rec parameters are worth r^phi times as many.

        L = E + A (N_eff / N0)^-alpha + B (D / D0)^-beta,    N_eff = N_once + r^phi N_rec

    ======  =========================================  ============  ======================================
    symbol  meaning                                    unit          prior
    ======  =========================================  ============  ======================================
    N_once  parameters outside the loop                as given
    N_rec   parameters inside it, counted once         as given
    N0      N_once + N_rec at their geometric means    as N
    phi     worth of a loop: 0 nothing, 1 a copy       none          Normal(.5, .4): also below 0, above 1
    E A B   as in `chinchilla`
    ======  =========================================  ============  ======================================
    """
    return (
        floor(runs)
        + power(_effective(runs), "A", "alpha", median=0.28, width=0.4)
        + power(runs.tokens, "B", "beta", median=0.32, width=0.45)
    )


@law(
    inputs=("params_once", "params_rec", "loops", "tokens"),
    source="N_eff: arXiv:2604.21106; coupling as in lossband's design",
    compute=lambda runs: _applied(runs) * runs.tokens.values,
)
def coupled_recurrence(runs: Runs) -> jax.Array:
    r"""Coupled recurrence law: `coupled`, where r loops over N_rec parameters are worth r^phi times as many.

        L = E + R [p (N_eff / N0)^(-alpha / g) + (1 - p) (D / D0)^(-beta / g)]^g
        N_eff = N_once + r^phi N_rec

    ================  =========================================  ============  ============================
    symbol            meaning                                    unit          prior
    ================  =========================================  ============  ============================
    N_once, N_rec     parameters outside and inside the loop     as given
    N0                N_once + N_rec at their geometric means    as N
    phi               worth of a loop                            none          as in `recurrence`
    E A B alpha beta  as in `coupled`, R = A + B and p = A / R                 as in `coupled`
    g                 coupling; 1 is none                        none          as in `coupled`
    ================  =========================================  ============  ============================

    At g = 1 it is `recurrence`. On the 116 models of arXiv:2604.21106 its forecasts of the larger ones are
    three times as sharp.
    """
    return floor(runs) + shortages(_effective(runs), runs.tokens)


@law(
    inputs=("params", "tokens", "loops"),
    source="as coupled_recurrence, where all parameters are in the loop",
    compute=lambda runs: runs.params.values * runs.tokens.values * runs.loops.values,
)
def coupled_looped(runs: Runs) -> jax.Array:
    r"""Coupled looped law: `coupled` in tokens and in parameters that T loops are worth T^phi times as many.

        L = E + R [p (N_eff / N0)^(-alpha / g) + (1 - p) (D / D0)^(-beta / g)]^g,    N_eff = N T^phi

    ================  =========================================  ============  ============================
    symbol            meaning                                    unit          prior
    ================  =========================================  ============  ============================
    N, T              parameters, loops                          as given
    N0                geometric mean of N_eff over the rows      as N
    phi               worth of a loop                            none          as in `recurrence`
    E A B alpha beta  as in `coupled`, R = A + B and p = A / R                 as in `coupled`
    g                 coupling; 1 is none                        none          as in `coupled`
    ================  =========================================  ============  ============================
    """
    phi, N, T = _worth_of_a_loop(), runs.params, runs.loops
    effective = type(N)(N.values * T.values**phi, N.centre * T.centre**phi, N.least, N.typical)
    return floor(runs) + shortages(effective, runs.tokens)
