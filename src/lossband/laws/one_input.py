"""Laws of any one input: a power law along whatever was varied, and its broken and bounded variants."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Runs
from .law import law
from .terms import exponent, floor, power, weight


@law(inputs=(), name="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 2 (M2)")
def power_law(runs: Runs) -> jax.Array:
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
def power_no_floor(runs: Runs) -> jax.Array:
    r"""One power law in one input, without a floor: L(x) = A (x / x0)^-alpha.

    x0 is the geometric mean of x over the rows. Priors: A / (median loss) ~ LogNormal(0, .5), because A is
    the whole loss; alpha ~ LogNormal(ln .1, 1), because exponents are smaller without a floor.
    """
    (name,) = runs.inputs
    x = getattr(runs, name)
    A = numpyro.sample("A", dist.LogNormal(jnp.log(x.typical), 0.5))
    alpha = exponent("alpha", 0.1, 1.0)
    numpyro.deterministic("A_natural", A * x.centre**alpha)
    return A * jnp.exp(-alpha * x.log)


@law(inputs=(), simpler="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 3 (M3)")
def power_shifted(runs: Runs) -> jax.Array:
    r"""One shifted power law in one input, above a floor: L(x) = E + A [(x + t) / (x0 + t)]^-alpha.

    The shift t, of the order of the smallest x (LogNormal(0, 1) times it), flattens the curve below it. E,
    A and alpha are as in `power`, which is the law at t = 0. With an averaged drift, forecasts are an equal
    mixture with `power`.
    """
    (name,) = runs.inputs
    return floor(runs) + power(getattr(runs, name), "A", "alpha", shift="t", median=0.3, width=0.6)


@law(inputs=(), simpler="power", source="Alabdulmohsin et al. 2022, arXiv:2209.06640, eq. 4 (M4)")
def power_saturated(runs: Runs) -> jax.Array:
    r"""A power law with an upper plateau, the loss of an untrained model, and a floor.

        (L - E) / (1 - L / E0)^a = c x^-below,    L = E + A and d ln(L - E) / d ln x = -alpha at x = x0

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x, x0   the input, its geometric mean         as given
    E       irreducible loss                      of the loss   `floor`
    A       loss above the floor at the centre    of the loss   `weight`
    alpha   exponent at the centre                none          LogNormal(ln .3, .6)
    above   E0 - E - A; E0: loss untrained        of the loss   above / (median loss) ~ LogNormal(0, .7)
    a       how slowly the loss leaves E0         none          LogNormal(ln .4, .7); 0 is `power`
    below   exponent far below E0                 none          alpha [1 + a A / above]
    ======  ====================================  ============  ===========================================

    L stands on both sides. With L = E + (E0 - E) sigmoid(u) the equation is monotone in u and is solved by
    Newton's method. `alpha` is the exponent at the centre of the data; the published form has `below` and c.

    It is the default law of one input. With an averaged drift, forecasts are an equal mixture with `power`
    (a and above at 0 stand for no ceiling). Alone it follows the bend of curves that start at chance, but its
    bands are too narrow; those of `power` are too wide: see the one-variable curves in benchmarks/README.md.
    """
    (name,) = runs.inputs
    x = getattr(runs, name)
    E, A, alpha = floor(runs), weight(x, "A", slope="alpha"), exponent("alpha", 0.3, 0.6)
    above = numpyro.sample("above", dist.LogNormal(jnp.log(x.typical), 0.7))
    a = numpyro.sample("a", dist.LogNormal(jnp.log(0.4), 0.7))
    return E + A * jnp.exp(jnp.where(above > 0, _bent(x.log, A, alpha, above, a), -alpha * x.log))


def _bent(log_x: jax.Array, A: jax.Array, alpha: jax.Array, above: jax.Array, a: jax.Array) -> jax.Array:
    """The value of ln (L - E) / A for a loss below a ceiling, `(row,)`."""
    above, a = (jnp.where(above > 0, value, 1.0) for value in (above, a))
    centre = jnp.log(A / above)
    u = _saturation(_rising(centre, a)[0] - alpha * (1 + a * A / above) * log_x, a)
    return jax.nn.log_sigmoid(u) - jax.nn.log_sigmoid(centre)


@jax.custom_jvp
def _saturation(wanted: jax.Array, a: jax.Array) -> jax.Array:
    """The u with ln sigmoid(u) - a ln sigmoid(-u) = wanted, `(row,)`.

    Eight Newton steps reach 1e-13 from either asymptote, for a from e^-5 to e^5.
    """
    start = jnp.where(wanted < 0, wanted, wanted / a)
    return jax.lax.fori_loop(0, 8, lambda _, u: u - (_rising(u, a)[0] - wanted) / _rising(u, a)[1], start)


@_saturation.defjvp
def _by_the_implicit_function_theorem(
    point: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (wanted, a), (d_wanted, d_a) = point, tangents
    u = _saturation(wanted, a)
    return u, (d_wanted + d_a * jax.nn.log_sigmoid(-u)) / _rising(u, a)[1]


def _rising(u: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The value of ln sigmoid(u) - a ln sigmoid(-u), and its slope in u."""
    below = jax.nn.softplus(-u)
    return a * u + (a - 1) * below, 1 + (a - 1) * jnp.exp(-below)


@law(inputs=(), source="Caballero et al. 2023, arXiv:2210.14891, eq. 1 with one break")
def bnsl(runs: Runs) -> jax.Array:
    r"""Broken power law in one input: one exponent before the break, another after it.

        L(x) = E + A (x / x0)^-before [(1 + (x / d)^(1 / f)) / (1 + (x0 / d)^(1 / f))]^(-c f)
        before = alpha - c w,   after = before + c,   w = 1 / (1 + (d / x0)^(1 / f))

    ======  ====================================  ============  ===========================================
    symbol  meaning                               unit          prior
    ======  ====================================  ============  ===========================================
    x, x0   the input, its geometric mean         as given
    E       irreducible loss                      of the loss   `floor`
    A       loss above the floor at the centre    of the loss   `weight`
    alpha   exponent at the centre                none          LogNormal(ln .3, .6)
    d       where the break is                    as x          d / x0 ~ LogNormal(0, 1.5): in most sweeps
    c       what the break adds to the exponent   none          Normal(0, .3)
    f       width of the break, in ln x           none          LogNormal(ln .5, .5)
    w       how far the break is at the centre    none
    ======  ====================================  ============  ===========================================

    `alpha` is the exponent at the centre of the data, on whichever side of the break that is; the published
    form has `before` and c.
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
