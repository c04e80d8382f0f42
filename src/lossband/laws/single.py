"""Laws of any one input: a power law along whatever was varied, and its broken and bounded variants."""

import jax
import jax.numpy as jnp

from ..later import dist, numpyro
from .base import law
from .terms import exponent, floor, power, weight


@law(inputs=(), name="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 2 (M2)")
def power_law(runs):
    r"""One power law in one input, above a floor.

        L(x) = E + A (x / x0)^-alpha

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x       the one input of the table            as given
    x0      its geometric mean over the rows      as given
    E       irreducible loss                      of the loss   `floor`
    A       loss above the floor at the centre    of the loss   `weight`: a fifth of the loss
    alpha   exponent                              none          LogNormal(ln .3, .6): vision runs to 1
    ======  ====================================  ============  ===========================================
    """
    (name,) = runs.inputs
    return floor(runs) + power(getattr(runs, name), "A", "alpha", median=0.3, width=0.6)


@law(inputs=(), source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 1 (M1)")
def power_no_floor(runs):
    r"""One power law in one input, without a floor: L(x) = A (x / x0)^-alpha.

    x0 is the geometric mean of x over the rows. Priors: A / (median loss) ~ LogNormal(0, .5), for it is all of the
    loss; alpha ~ LogNormal(ln .1, 1): without a floor, exponents are smaller.
    """
    (name,) = runs.inputs
    x = getattr(runs, name)
    A = numpyro.sample("A", dist.LogNormal(jnp.log(x.typical), 0.5))
    alpha = exponent("alpha", 0.1, 1.0)
    numpyro.deterministic("A_natural", A * x.centre**alpha)
    return A * jnp.exp(-alpha * x.log)


@law(inputs=(), simpler="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 3 (M3)")
def power_shifted(runs):
    r"""One shifted power law in one input, above a floor: L(x) = E + A [(x + t) / (x0 + t)]^-alpha.

    The shift t, of the order of the smallest x (LogNormal(0, 1) times it), flattens the curve below it. E, A and alpha
    as in `power`, which it is at t = 0. It is the default law of one input: where its drift is averaged, every other draw
    is of `power`. The two err on opposite sides: with a drift, 36 vision curves have an RMSLE of .033 each, .028 together.
    """
    (name,) = runs.inputs
    return floor(runs) + power(getattr(runs, name), "A", "alpha", shift="t", median=0.3, width=0.6)


@law(inputs=(), source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 4 (M4)")
def power_saturated(runs):
    r"""One power law between a ceiling and a floor: the loss of a model that knows nothing, and of one that knows all.

        (L - E) / (1 - L / E0)^a = A (x / x0)^-alpha

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x, x0   the input, its geometric mean         as given
    E       irreducible loss                      of the loss   `floor`
    E0      loss before any training              of the loss   (E0 - E) / (median loss) ~ LogNormal(0, .5)
    A       as in `power`, far below E0           of the loss   `weight`
    alpha   exponent, far below E0                none          LogNormal(ln .3, .6)
    a       how slowly the loss leaves E0         none          LogNormal(0, .5); 0 is `power`
    ======  ====================================  ============  ===========================================

    L stands on both sides: with L = E + (E0 - E) sigmoid(u) it is a rising equation in u, solved by Newton's method.
    """
    (name,) = runs.inputs
    x = getattr(runs, name)
    E, A, alpha = floor(runs), weight(x, "A", slope="alpha"), exponent("alpha", 0.3, 0.6)
    E0 = E + numpyro.sample("E0_above", dist.LogNormal(jnp.log(x.typical), 0.5))
    a = numpyro.sample("a", dist.LogNormal(0.0, 0.5))
    numpyro.deterministic("E0", E0)
    numpyro.deterministic("A_natural", A * x.centre**alpha)
    # (E0 - E) y / ((1 - E / E0) (1 - y))^a = A (x / x0)^-alpha  with y = sigmoid(u), in logarithms
    wanted = jnp.log(A / (E0 - E)) - alpha * x.log + a * jnp.log1p(-E / E0)
    return E + (E0 - E) * jax.nn.sigmoid(_saturation(wanted, a))


def _saturation(wanted, a):
    """u with ln sigmoid(u) - a ln sigmoid(-u) = wanted, `(row,)`; the last step carries the derivatives."""

    def newton(u, a, wanted):
        value = jax.nn.log_sigmoid(u) - a * jax.nn.log_sigmoid(-u)
        return u - (value - wanted) / (jax.nn.sigmoid(-u) + a * jax.nn.sigmoid(u))

    fixed_a, fixed = jax.lax.stop_gradient((a, wanted))
    start = jnp.where(fixed < 0, fixed, fixed / fixed_a)
    u = jax.lax.fori_loop(0, 24, lambda _, u: newton(u, fixed_a, fixed), start)
    return newton(jax.lax.stop_gradient(u), a, wanted)


@law(inputs=(), source="Caballero et al. 2023, arXiv:2210.14891, eq. 1 with one break")
def bnsl(runs):
    r"""Broken power law in one input: one exponent before the break, another behind it.

        L(x) = E + A (x / x0)^-before [(1 + (x / d)^(1 / f)) / (1 + (x0 / d)^(1 / f))]^(-c f)
        before = alpha - c w,   after = before + c,   w = 1 / (1 + (d / x0)^(1 / f))

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x, x0   the input, its geometric mean         as given
    E       irreducible loss                      of the loss   `floor`
    A       loss above the floor at the centre    of the loss   `weight`
    alpha   exponent at the centre                none          LogNormal(ln .3, .6)
    d       where the break is                    as x          d / x0 ~ LogNormal(0, 1.5): inside most sweeps
    c       what the break adds to the exponent   none          Normal(0, .3)
    f       width of the break, in ln x           none          LogNormal(ln .5, .5)
    w       how far the break is at the centre    none
    ======  ====================================  ============  ===========================================

    The data see the exponent where they are, on whichever side of the break that is; the published form has `before` and c.
    """
    (name,) = runs.inputs
    x = getattr(runs, name)
    E, A, alpha = floor(runs), weight(x, "A", slope="alpha"), exponent("alpha", 0.3, 0.6)
    d = numpyro.sample("d", dist.LogNormal(jnp.log(x.centre), 1.5))
    c = numpyro.sample("c", dist.Normal(0.0, 0.3))
    f = numpyro.sample("f", dist.LogNormal(jnp.log(0.5), 0.5))
    before = numpyro.deterministic("before", alpha - c * jax.nn.sigmoid(jnp.log(x.centre / d) / f))
    numpyro.deterministic("after", before + c)
    broken, at_centre = (jnp.logaddexp(0.0, jnp.log(value / d) / f) for value in (x.values, x.centre))
    return E + A * jnp.exp(-before * x.log - c * f * (broken - at_centre))
