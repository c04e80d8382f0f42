"""The terms that laws are built of: each samples its coefficients and returns loss per row."""

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs


def floor(runs: Runs, name: str = "E", *, median: float = 0.65, width: float = 0.5) -> jax.Array:
    """Irreducible loss E, in the unit of the loss: the limit as all inputs grow.

    Prior: E / (smallest training loss) ~ LogNormal(ln median, width), by default LogNormal(ln 0.65, 0.5).
    Published floors lie at 0.5 to 0.9 of the smallest loss measured; the width allows a floor near zero. The
    prior is relative, so that it means the same in nats per token, bits per byte or a normalised loss.

    Args:
        runs: what a law is given.
        name: of the coefficient.
        median: of the prior, as a share of the smallest training loss.
        width: of the prior, in the logarithm.

    Example:
        >>> import lossband as lb
        >>> def flat_at_last(runs):
        ...     return lb.floor(runs) + lb.power(runs.tokens, "B", "beta")
        >>> runs = lb.load_dataset("looped").query("loops == 4 and seed == 0")[::9]
        >>> post = lb.fit(runs, flat_at_last, method="laplace")
    """
    return numpyro.sample(
        name, dist.LogNormal(jnp.log(median * runs.unit.least), width), infer={"floor": True}
    )


def weight(column: Column, name: str, slope: str, shift: str | None = None) -> jax.Array:
    """Contribution of one input to the loss at the centre of the data, in the unit of the loss.

    Prior: name / (median training loss) ~ LogNormal(ln 0.2, 1): a fifth of the loss, within a factor of
    seven. `slope` is the name of the exponent that belongs to it, and `shift` the name of what is added to
    the input, if anything: the sampler uses the local slope (see coordinates.py).
    """
    infer = {"slope": slope, "shift": shift, "centre": column.centre}
    return numpyro.sample(name, dist.LogNormal(jnp.log(0.2 * column.typical), 1.0), infer=infer)


def exponent(name: str, median: float = 0.3, width: float = 0.45) -> jax.Array:
    """An exponent: name ~ LogNormal(ln median, width); published ones of language models are 0.15 to 0.6."""
    return numpyro.sample(name, dist.LogNormal(jnp.log(median), width))


def power(
    column: Column, A: str, alpha: str, *, shift: str | None = None, median: float = 0.3, width: float = 0.45
) -> jax.Array:
    r"""A power law in one input, with x0 the geometric mean of the training rows.

        A ((x + t) / (x0 + t))^-alpha

    A is the contribution of the input to the loss at the centre; A_natural = A (x0 + t)^alpha is the
    coefficient that papers print, for x in its own unit.

    Args:
        column: one input of the runs, as `runs.params`.
        A: name of the coefficient's site.
        alpha: name of the exponent's site.
        shift: name of a shift t >= 0 in the unit of x, if there is one. Prior: t / (smallest training x) ~
            LogNormal(0, 1), so that it bends the curve where there are data to see it.
        median: of the exponent's prior.
        width: log-width of the exponent's prior.

    Returns:
        Loss, `(row,)`.

    Example:
        >>> import lossband as lb
        >>> def flat_at_last(runs):
        ...     return lb.floor(runs) + lb.power(runs.tokens, "B", "beta")
        >>> runs = lb.load_dataset("looped").query("loops == 4 and seed == 0")[::9]
        >>> post = lb.fit(runs, flat_at_last, method="laplace")
    """
    a = weight(column, A, slope=alpha, shift=shift)
    exp = exponent(alpha, median, width)
    t = numpyro.sample(shift, dist.LogNormal(jnp.log(column.least), 1.0)) if shift else 0.0
    centre = column.centre + t
    numpyro.deterministic(f"{A}_natural", a * centre**exp)
    # exp of a logarithm: five times cheaper than a general power, and a logarithm of data alone is computed
    # outside the loops
    return a * jnp.exp(-exp * jnp.log((column.values + t) / centre))


def coupling(
    one: Column, other: Column, A: jax.Array, alpha: jax.Array, B: jax.Array, beta: jax.Array, g: jax.Array
) -> jax.Array:
    r"""Two power laws combined by a g-norm; g = 1 adds them, g < 1 makes them substitutes.

        R [p x^(-alpha / g) + (1 - p) y^(-beta / g)]^g,    R = A + B,  p = A / R

    With x = y = 1 at the centre, A and B are the contributions of the inputs there, as in a sum of power
    laws.

    Args:
        one: the first input of the runs, x.
        other: the second input, y.
        A: coefficient of x, a value in the unit of the loss.
        alpha: exponent of x, a value.
        B: coefficient of y, a value in the unit of the loss.
        beta: exponent of y, a value.
        g: the coupling, a value.

    Returns:
        Loss, `(row,)`.
    """
    p = A / (A + B)
    short = log_sum(jnp.log(p) - alpha / g * one.log, jnp.log1p(-p) - beta / g * other.log)
    return (A + B) * jnp.exp(g * short)


def shortages(params: Column, tokens: Column) -> jax.Array:
    r"""Reducible loss of the law `coupled`: parameters and tokens combined by `coupling`.

    Samples the sites A, alpha, B, beta and g.

    Args:
        params: parameters as a column, or an effective number of them, as of a looped model.
        tokens: training tokens as a column.

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
    """The value of ln(e^a + e^b) for finite numbers, at a third of the cost of `jnp.logaddexp`."""
    most = jax.lax.stop_gradient(jnp.maximum(a, b))
    return most + jnp.log(jnp.exp(a - most) + jnp.exp(b - most))


def valley(column: Column, name: str, params: Column) -> jax.Array:
    r"""The cost of an architecture's ratio: a parabola in ln x around the best, with a steepness per side.

        U(x) = k (ln x - ln x*)^2,   k = below for x < x*, above for x >= x*,   x* = best (N / N0)^shift

    Samples `{name}_best`, `{name}_shift`, `{name}_below` and `{name}_above`. Priors: best is the geometric
    mean of the training ratios within a factor of e (LogNormal(0, 1)); shift ~ Normal(0, .15): a hundred
    times the parameters move it by a factor of two; below, above ~ LogNormal(ln .01, 1.2): 1 % of the loss
    at a factor of e from the best, where Kaplan et al. 2020, fig. 5, has 8 % at a factor of 10 to 20.

    Args:
        column: the ratio, an input of the runs.
        name: prefix of the sites' names.
        params: parameters as a column, N.

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
