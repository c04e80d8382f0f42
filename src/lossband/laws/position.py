"""Laws of the position of a token in its context: the more a model has read, the better it predicts."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs
from .law import law
from .terms import coupling, exponent, floor, weight


def _drop(column: Column, p: jax.Array) -> jax.Array:
    """Sample the loss above the floor at the centre, `b_centre`; report b, the same at the first token."""
    centre = weight(column, "b_centre", slope="p")
    numpyro.deterministic("b", centre * column.centre**p)
    return centre


@law(inputs=("position",), source="Kaplan et al. 2020, arXiv:2001.08361, appendix D.5")
def position(runs: Runs) -> jax.Array:
    r"""Loss by token position: a power law in the index of the token, above a floor.

        L(T) = a + b T^-p = a + b_centre (T / T0)^-p

    ========  =====================================  ============  ========================================
    symbol    meaning                                unit          prior
    ========  =====================================  ============  ========================================
    T         index of the token, from 1             none
    T0        its geometric mean over the rows       none
    a         loss with endless context              of the loss   `floor`
    b_centre  loss above that at T0                  of the loss   `weight`: a fifth of the loss
    b         the same at the first token            of the loss   b_centre T0^p
    p         exponent                               none          LogNormal(ln .5, .5): public .47 to .62
    ========  =====================================  ============  ========================================
    """
    a, p = floor(runs, "a"), exponent("p", 0.5, 0.5)
    return a + _drop(runs.position, p) * jnp.exp(-p * runs.position.log)


@law(
    inputs=("position", "params"),
    source="Kaplan et al. 2020, arXiv:2001.08361, fig. 20; the coefficients' laws in N are lossband's",
    compute=lambda runs: runs.params.values,
)
def position_by_size(runs: Runs) -> jax.Array:
    r"""Loss by token position for all model sizes: `position` with coefficients that are power laws in N.

        L(T, N) = a(N) + b(N) T^-p(N)
        a(N) = E + A (N / N0)^-alpha,   b(N) = b (N / N0)^b_slope,   p(N) = p (N / N0)^p_slope

    ========  =====================================  ============  ========================================
    symbol    meaning                                unit          prior
    ========  =====================================  ============  ========================================
    T, N      index of the token, parameters         none, as given
    T0, N0    their geometric means over the rows    none, as given
    E         irreducible loss                       of the loss   `floor`
    A         what N0 adds to it                     of the loss   `weight`
    alpha     exponent of N                          none          LogNormal(ln .28, .4)
    b_centre  loss above a at T0 and N0: b T0^-p     of the loss   `weight`
    b_slope   of ln b in ln N                        none          Normal(0, .15)
    p         exponent of T at N0                    none          LogNormal(ln .5, .5)
    p_slope   of ln p in ln N                        none          Normal(0, .15)
    ========  =====================================  ============  ========================================

    Published fits of six sizes (a 4.0 to 2.3, b 3.2 to 5.4, p .47 to .62 over three decades) have both
    slopes below .1. The drift runs along T and along N; compute is N.
    """
    p = exponent("p", 0.5, 0.5)
    drop = _drop(runs.position, p)
    a = floor(runs) + weight(runs.params, "A", slope="alpha") * jnp.exp(
        -exponent("alpha", 0.28, 0.4) * runs.params.log
    )
    b_slope, p_slope = (numpyro.sample(name, dist.Normal(0.0, 0.15)) for name in ("b_slope", "p_slope"))
    b = drop * runs.position.centre**p * jnp.exp(b_slope * runs.params.log)
    return a + b * runs.position.values ** (-p * jnp.exp(p_slope * runs.params.log))


@law(
    inputs=("position", "step"),
    source="Kaplan et al. 2020, arXiv:2001.08361, appendix D.5; the coupling as in `coupled`",
    compute=lambda runs: runs.step.values,
    exact=False,
)
def position_by_step(runs: Runs) -> jax.Array:
    r"""Loss by token position along training: short context and short training, coupled.

        L(T, s) = E + R [q (T / T0)^(-p / g) + (1 - q) (s / s0)^(-beta / g)]^g
        R = b_centre + B,   q = b_centre / R

    ========  =====================================  ============  ========================================
    symbol    meaning                                unit          prior
    ========  =====================================  ============  ========================================
    T, s      index of the token, steps              none, as given
    T0, s0    their geometric means over the rows    none, as given
    E         irreducible loss                       of the loss   `floor`
    b_centre  loss due to T at the centre            of the loss   `weight`
    B         loss due to s at the centre            of the loss   `weight`
    p         exponent of T where only T limits L    none          LogNormal(ln .5, .5)
    beta      exponent of s where only s limits L    none          LogNormal(ln .5, .5)
    g         coupling; 1 is none                    none          LogNormal(-.6, .4)
    b         loss due to T at the first token,      of the loss   R q^g T0^p
              trained for ever
    ========  =====================================  ============  ========================================

    Early in training every index has the same loss, because the model cannot use the context yet. An index
    stops improving when its context limits the loss; the first tokens do so first.
    `lossband.studies.last_steps` gives that step. As in `curve`, the rows come from one run and their
    residuals are correlated, so the drift is in every draw.
    """
    E, p, beta = floor(runs), exponent("p", 0.5, 0.5), exponent("beta", 0.5, 0.5)
    drop = weight(runs.position, "b_centre", slope="p")
    B = weight(runs.step, "B", slope="beta")
    g = numpyro.sample("g", dist.LogNormal(-0.6, 0.4))
    R = drop + B
    numpyro.deterministic("b", R * (drop / R) ** g * runs.position.centre**p)
    numpyro.deterministic("B_natural", R * (B / R) ** g * runs.step.centre**beta)
    return E + coupling(runs.position, runs.step, drop, p, B, beta, g)
