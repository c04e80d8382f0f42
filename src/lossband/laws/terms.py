"""The terms that laws are built of: each samples its coefficients and returns loss per row."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs


def floor(runs: Runs, name: str = "E", *, median: float = 0.65, width: float = 0.5) -> jax.Array:
    """Irreducible loss E: what no amount of any input takes away, in the unit of the loss.

    Prior: E / (smallest training loss) ~ LogNormal(ln median, width), by default LogNormal(ln 0.65, 0.5). Published floors lie at 0.5 to 0.9 of the
    smallest loss measured; the width lets the floor be almost nothing. Relative, so that it means the same in
    nats per token, bits per byte or a normalised loss.
    """
    return numpyro.sample(
        name, dist.LogNormal(jnp.log(median * runs.unit.least), width), infer={"floor": True}
    )


def weight(column: Column, name: str, slope: str, shift: str | None = None) -> jax.Array:
    """The loss at the centre of the inputs that one input is to blame for, in the unit of the loss.

    Prior: name / (median training loss) ~ LogNormal(ln 0.2, 1): a fifth of the loss, within a factor of seven.
    `slope` names the exponent that goes with it, and `shift` what is added to the input, if anything: the sampler uses the local
    slope (see coordinates.py).
    """
    infer = {"slope": slope, "shift": shift, "centre": column.centre}
    return numpyro.sample(name, dist.LogNormal(jnp.log(0.2 * column.typical), 1.0), infer=infer)


def exponent(name: str, median: float = 0.3, width: float = 0.45) -> jax.Array:
    """An exponent: name ~ LogNormal(ln median, width). Published ones for language models run from 0.15 to 0.6."""
    return numpyro.sample(name, dist.LogNormal(jnp.log(median), width))


def power(
    column: Column, A: str, alpha: str, *, shift: str | None = None, median: float = 0.3, width: float = 0.45
) -> jax.Array:
    r"""A power law in one input, A ((x + t) / (x0 + t))^-alpha, with x0 the geometric mean of the training rows.

    A is the loss that the input is to blame for at the centre; A_natural = A (x0 + t)^alpha is the coefficient
    that papers print, for x in its own unit.

    Args:
        column: one input of the runs, as `runs.params`.
        A, alpha: names of the coefficient's and the exponent's sites.
        shift: name of a shift t >= 0 in the unit of x, if there is one. Prior: t / (smallest training x) ~
            LogNormal(0, 1), so that it bends the curve where there are data to see it.
        median, width: of the exponent's prior.

    Returns:
        Loss, `(row,)`.
    """
    a = weight(column, A, slope=alpha, shift=shift)
    exp = exponent(alpha, median, width)
    t = numpyro.sample(shift, dist.LogNormal(jnp.log(column.least), 1.0)) if shift else 0.0
    centre = column.centre + t
    numpyro.deterministic(f"{A}_natural", a * centre**exp)
    # exp of a logarithm: five times cheaper than a general power, and a logarithm of data alone leaves the loops
    return a * jnp.exp(-exp * jnp.log((column.values + t) / centre))


def coupling(
    one: Column, other: Column, A: jax.Array, alpha: jax.Array, B: jax.Array, beta: jax.Array, g: jax.Array
) -> jax.Array:
    r"""Two shortages, each a power law, that hurt less together than apart: R [p x^(-alpha / g) + (1 - p) y^(-beta / g)]^g.

    R = A + B and p = A / R: with x = y = 1 at the centre, A and B are what each costs there, as in a sum of power laws,
    which it is at g = 1. Below 1, a shortage of one input hurts less while the other is short.

    Args:
        one, other: two inputs of the runs.
        A, B: their coefficients; alpha, beta: their exponents; g: the coupling. All are values.

    Returns:
        Loss, `(row,)`.
    """
    p = A / (A + B)
    short = log_sum(jnp.log(p) - alpha / g * one.log, jnp.log1p(-p) - beta / g * other.log)
    return (A + B) * jnp.exp(g * short)


def shortages(params: Column, tokens: Column) -> jax.Array:
    r"""What parameters and tokens cost together beyond the floor, coupled: the sites A, alpha, B, beta and g of the law `coupled`.

    Args:
        params, tokens: the two inputs as columns; what stands in for parameters, such as looped ones, may take their place.

    Returns:
        Loss, `(row,)`.
    """
    A, alpha = weight(params, "A", slope="alpha"), exponent("alpha", 0.28, 0.4)
    B, beta = weight(tokens, "B", slope="beta"), exponent("beta", 0.32, 0.45)
    g = numpyro.sample("g", dist.LogNormal(-0.6, 0.4))
    p = numpyro.deterministic("p", A / (A + B))
    numpyro.deterministic("A_natural", (A + B) * p**g * params.centre**alpha)
    numpyro.deterministic("B_natural", (A + B) * (1 - p) ** g * tokens.centre**beta)
    return coupling(params, tokens, A, alpha, B, beta, g)


def log_sum(a: jax.Array, b: jax.Array) -> jax.Array:
    """ln(e^a + e^b), as `jnp.logaddexp` for finite numbers at a third of its cost: two exponentials and one logarithm."""
    most = jax.lax.stop_gradient(jnp.maximum(a, b))
    return most + jnp.log(jnp.exp(a - most) + jnp.exp(b - most))


def valley(column: Column, name: str, params: Column) -> jax.Array:
    r"""How far an architecture's ratio is from the best one: a parabola in ln x, steeper on one side than on the other.

        U(x) = k (ln x - ln x*)^2,   k = below for x < x*, above for x >= x*,   x* = best (N / N0)^shift

    Samples `{name}_best`, `{name}_shift`, `{name}_below` and `{name}_above`. Priors: best is the geometric mean of the
    training ratios within a factor of e (LogNormal(0, 1)); shift ~ Normal(0, .15): a hundred times the parameters move it by
    a factor of two; below, above ~ LogNormal(ln .01, 1.2): 1 % of the loss at a factor of e from the best, where Kaplan et
    al. 2020, fig. 5, has 8 % at a factor of 10 to 20.

    Returns:
        Increase of ln loss, `(row,)`, zero at the best ratio.
    """
    best = numpyro.sample(f"{name}_best", dist.LogNormal(jnp.log(column.centre), 1.0))
    shift = numpyro.sample(f"{name}_shift", dist.Normal(0.0, 0.15))
    sides = [
        numpyro.sample(f"{name}_{side}", dist.LogNormal(jnp.log(0.01), 1.2)) for side in ("below", "above")
    ]
    out = jnp.log(column.values / best) - shift * params.log
    return jnp.where(out < 0, *sides) * out**2
