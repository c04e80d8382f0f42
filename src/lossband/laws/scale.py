"""Laws of model size and training tokens: Chinchilla, Kaplan, coupled, capped, and repeated data."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs
from .law import law
from .terms import coupling, exponent, floor, log_sum, power, shortages, weight


@law(inputs=("params", "tokens"), source="Hoffmann et al. 2022, arXiv:2203.15556, eq. 2")
def chinchilla(runs: Runs) -> jax.Array:
    r"""Chinchilla: parameters and tokens each add a power law to a floor.

        L(N, D) = E + A (N / N0)^-alpha + B (D / D0)^-beta

    ======  =====================================  ====================  ==================================
    symbol  meaning                                unit                  prior
    ======  =====================================  ====================  ==================================
    N, D    parameters, training tokens            as given
    N0, D0  their geometric means over the rows    as given
    E       irreducible loss                       of the loss           `floor`: below the smallest loss
    A, B    loss due to N and to D at the centre   of the loss           `weight`: a fifth of the loss
    alpha   exponent of N                          none                  LogNormal(ln .28, .4): .13 to .61
    beta    exponent of D                          none                  LogNormal(ln .32, .45): .13 to .77
    ======  =====================================  ====================  ==================================

    A_natural = A N0^alpha and B_natural = B D0^beta are the A and B that papers print.
    """
    return (
        floor(runs)
        + power(runs.params, "A", "alpha", median=0.28, width=0.4)
        + power(runs.tokens, "B", "beta", median=0.32, width=0.45)
    )


@law(
    inputs=("params", "tokens"),
    source="Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5; coupling as in lossband's design",
)
def coupled(runs: Runs) -> jax.Array:
    r"""Coupled law: Chinchilla at g = 1; with g < 1, parameters and tokens substitute for each other.

        L(N, D) = E + R [p (N / N0)^(-alpha / g) + (1 - p) (D / D0)^(-beta / g)]^g
        R = A + B,   p = A / R

    ======  =====================================  ====================  ==================================
    symbol  meaning                                unit                  prior
    ======  =====================================  ====================  ==================================
    E       irreducible loss                       of the loss           `floor`
    A, B    loss due to N and to D at the centre   of the loss           `weight`
    alpha   exponent of N where only N limits L    none                  LogNormal(ln .28, .4)
    beta    exponent of D where only D limits L    none                  LogNormal(ln .32, .45)
    g       coupling; 1 is none                    none                  LogNormal(-.6, .4): .25 to 1.2
    ======  =====================================  ====================  ==================================

    Over eleven public sweeps the posterior means of g under a wide prior run from .31 to .90; its prior is
    set by them. With E = 0 and g = beta it is Kaplan's law.
    """
    return floor(runs) + shortages(runs.params, runs.tokens)


@law(
    inputs=("params", "tokens"),
    simpler="coupled",
    crossed=True,
    absent={"g": 1.0},
    source="`chinchilla` under a ceiling, as M4 of Alabdulmohsin et al. 2022, arXiv:2209.06640, is a power "
    "law under one",
)
def capped(runs: Runs) -> jax.Array:
    r"""Capped law: Chinchilla's with an upper plateau, so that the loss may fall slowly at small scale.

        1 / (L - E) = 1 / S + 1 / K,    S = R [p (N / N0)^-a + (1 - p) (D / D0)^-b]
        S = A_natural N^-a + B_natural D^-b
        K = A + B + above,  R = (A + B) K / above,  p = A / (A + B),  a = alpha K / above,  b = beta K / above

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    E       irreducible loss                      of the loss   E / (least loss) ~ LogNormal(ln .45, .8)
    A, B    loss due to N and to D at the centre  of the loss   `weight`
    alpha   exponent of N at the centre           none          LogNormal(ln .28, .4)
    beta    exponent of D at the centre           none          LogNormal(ln .32, .45)
    above   ceiling less the loss at the centre   of the loss   above / (median loss) ~ LogNormal(0, 1)
    ======  ====================================  ============  ===========================================

    A, B, alpha and beta describe the capped loss at the centre of the data, so the sampler moves along well
    identified coordinates. `chinchilla` is the limit of an infinite ceiling, for which above = 0 stands. A
    loss near its ceiling (the unigram entropy, an error of 1) falls slowly at first, which a law with only a
    floor cannot describe. Forecasts mix this law with `coupled`, which bends the other way.
    """
    E = floor(runs, median=0.45, width=0.8)
    A, alpha = weight(runs.params, "A", slope="alpha"), exponent("alpha", 0.28, 0.4)
    B, beta = weight(runs.tokens, "B", slope="beta"), exponent("beta", 0.32, 0.45)
    above = numpyro.sample("above", dist.LogNormal(jnp.log(runs.unit.typical), 1.0))
    room = jnp.where(above > 0, above, 1.0)
    bent = jnp.where(above > 0, 1 + (A + B) / room, 1.0)  # K / above
    p = numpyro.deterministic("p", A / (A + B))
    numpyro.deterministic("A_natural", (A + B) * bent * p * runs.params.centre ** (alpha * bent))
    numpyro.deterministic("B_natural", (A + B) * bent * (1 - p) * runs.tokens.centre ** (beta * bent))
    short = jnp.log(
        coupling(runs.params, runs.tokens, A, alpha * bent, B, beta * bent, jnp.ones(())) / (A + B)
    )
    under = bent * room * jax.nn.sigmoid(jnp.log((A + B) / room) + short)
    return E + jnp.where(above > 0, under, (A + B) * jnp.exp(short))


@law(inputs=("params", "tokens"), source="Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5")
def kaplan(runs: Runs) -> jax.Array:
    r"""Kaplan's law: one joint power law of parameters and tokens, no floor.

        L(N, D) = [(Nc / N)^(alpha_N / alpha_D) + Dc / D]^alpha_D
                = R [p (N / N0)^(-alpha_N / alpha_D) + (1 - p) D0 / D]^alpha_D

    ========  ===================================  ====================  ==================================
    symbol    meaning                              unit                  prior
    ========  ===================================  ====================  ==================================
    R         loss at the centre                   of the loss           R / (median loss) ~
                                                                         LogNormal(0, .3)
    p         share of the bracket due to N        none                  Uniform(0, 1)
    alpha_N   exponent of N (published .076)       none                  LogNormal(ln .08, .5)
    alpha_D   exponent of D (published .095)       none                  LogNormal(ln .1, .5)
    Nc, Dc    where one term alone gives L = 1     as N, D               follow from R, p and the exponents
    ========  ===================================  ====================  ==================================
    """
    R = numpyro.sample("R", dist.LogNormal(jnp.log(runs.unit.typical), 0.3))
    p = numpyro.sample("p", dist.Uniform(0.0, 1.0))
    alpha_N, alpha_D = exponent("alpha_N", 0.08, 0.5), exponent("alpha_D", 0.1, 0.5)
    numpyro.deterministic("Nc", runs.params.centre * (p * R ** (1 / alpha_D)) ** (alpha_D / alpha_N))
    numpyro.deterministic("Dc", runs.tokens.centre * (1 - p) * R ** (1 / alpha_D))
    short = log_sum(jnp.log(p) - alpha_N / alpha_D * runs.params.log, jnp.log1p(-p) - runs.tokens.log)
    return R * jnp.exp(alpha_D * short)


@law(
    inputs=("params", "tokens", "unique_tokens"),
    source="Muennighoff et al. 2023, arXiv:2305.16264, eq. 5 and 6",
    compute=lambda runs: runs.params.values * runs.tokens.values,
)
def data_constrained(runs: Runs) -> jax.Array:
    r"""Data-constrained law: repeated tokens, and parameters in excess of the unique ones, are worth less.

        L = E + A (N' / N0)^-alpha + B (D' / D0)^-beta
        D' = U + U R_D [1 - exp(-(D / U - 1) / R_D)],    U = min(unique tokens, D)
        N' = V + V R_N [1 - exp(-(N / V - 1) / R_N)],    V = min(N*(U), N)
        N*(U) = N0 [alpha A / (beta B)]^(1 / alpha) (U / D0)^(beta / alpha)

    ======  ==========================================  ============  ====================================
    symbol  meaning                                     unit          prior
    ======  ==========================================  ============  ====================================
    N, D    parameters, training tokens with repeats    as given
    N*(U)   parameters that Chinchilla would pair       as N
            with U tokens
    R_D     repeats after which little is left          none          LogNormal(ln 15, .6), published 15.4
    R_N     the same of excess parameters               none          LogNormal(ln 5.3, .6), published 5.3
    E A B   as in `chinchilla`
    ======  ==========================================  ============  ====================================
    """
    E = floor(runs)
    A, alpha = weight(runs.params, "A", slope="alpha"), exponent("alpha", 0.28, 0.4)
    B, beta = weight(runs.tokens, "B", slope="beta"), exponent("beta", 0.32, 0.45)
    N, D = _with_repeats(runs, A, alpha, B, beta)
    numpyro.deterministic("A_natural", A * N.centre**alpha)
    numpyro.deterministic("B_natural", B * D.centre**beta)
    return E + A * jnp.exp(-alpha * N.log) + B * jnp.exp(-beta * D.log)


@law(
    inputs=("params", "tokens", "unique_tokens"),
    simpler="data_constrained",
    absent={"g": 1.0},
    source="N' and D': Muennighoff et al. 2023, arXiv:2305.16264, eq. 5 and 6; coupling as in `coupled`",
    compute=lambda runs: runs.params.values * runs.tokens.values,
)
def epochs(runs: Runs) -> jax.Array:
    r"""Epochs law: `coupled` in what repeated tokens, and parameters in excess of unique ones, are worth.

        L = E + R [p (N' / N0)^(-alpha / g) + (1 - p) (D' / D0)^(-beta / g)]^g
        R = A + B,   p = A / R,   N' and D' as in `data_constrained`

    ============  =====================================  ============  ====================================
    symbol        meaning                                unit          prior
    ============  =====================================  ============  ====================================
    N', D'        what N parameters and D tokens, U of   as N, D
                  them unique, are worth
    R_D, R_N      as in `data_constrained`               none          as there
    E A B g       as in `coupled`                                      as there
    ============  =====================================  ============  ====================================

    At g = 1 it is `data_constrained`, the published form, with which its forecasts are mixed.
    """
    E = floor(runs)
    A, alpha = weight(runs.params, "A", slope="alpha"), exponent("alpha", 0.28, 0.4)
    B, beta = weight(runs.tokens, "B", slope="beta"), exponent("beta", 0.32, 0.45)
    g = numpyro.sample("g", dist.LogNormal(-0.6, 0.4))
    N, D = _with_repeats(runs, A, alpha, B, beta)
    return E + coupling(N, D, A, alpha, B, beta, g)


def _with_repeats(
    runs: Runs, A: jax.Array, alpha: jax.Array, B: jax.Array, beta: jax.Array
) -> tuple[Column, Column]:
    """What parameters and tokens are worth, N' and D', as columns about the centres of N and D."""
    R_D, R_N = (numpyro.sample(n, dist.LogNormal(jnp.log(r), 0.6)) for n, r in (("R_D", 15.0), ("R_N", 5.3)))
    N, D = runs.params, runs.tokens
    U = jnp.minimum(runs.unique_tokens.values, D.values)
    best = N.centre * (alpha * A / (beta * B)) ** (1 / alpha) * (U / D.centre) ** (beta / alpha)
    V = jnp.minimum(best, N.values)
    return replace(N, values=_worth(N, V, R_N)), replace(D, values=_worth(D, U, R_D))


def _worth(column: Column, once: jax.Array, repeats: jax.Array) -> jax.Array:
    """What `column` is worth when only `once` of it is new: eq. 5 of Muennighoff et al. 2023."""
    return once - once * repeats * jnp.expm1(-(column.values / once - 1) / repeats)
