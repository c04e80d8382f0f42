"""The rival: the law M4 in NumPyro with the default NUTS, as one would write it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from scipy.special import logsumexp
from scipy.stats import norm

NEWTON = 12  # steps to the root, from within a factor of two of it


class Rows(NamedTuple):
    """Training rows, padded so that curves share a program.

    X over its geometric mean, y, and 1 for a row that counts.
    """

    x: np.ndarray
    y: np.ndarray
    mask: np.ndarray


def forecast(x, y, new, observed, *, num_warmup=1000, num_samples=1000, num_chains=4, seed=0):
    """Predictive draws at new rows, and the log density there of what was measured.

        (L - E) / (e0 - L)^alpha = beta (x / x0)^-c,       ln y ~ Normal(ln L, sigma)

    Args:
        x, y: training rows `(row,)`.
        new, observed: held-out rows `(row,)`.

    Returns:
        draws of y `(sample, row)` and log density of y in its own scale `(row,)`, the exact mixture over the
        draws.

    Source: Alabdulmohsin et al. (2022), arXiv:2209.06640, eq. 4 (M4).
    """
    centre = np.exp(np.log(x).mean())
    size = 1 << (len(x) - 1).bit_length()
    pad = lambda values, fill: np.append(values, np.full(size - len(values), fill))  # noqa: E731
    rows = Rows(pad(x / centre, 1.0), pad(y, y.min()), pad(np.ones(len(x)), 0.0))
    mcmc = _sampler(num_warmup, num_samples, num_chains)
    mcmc.run(jax.random.key(seed), rows, y.min(), y.max())
    sites = {name: np.asarray(value, float)[:, None] for name, value in mcmc.get_samples().items()}
    location = np.log(
        np.asarray(m4(jnp.asarray(new / centre), **{n: v for n, v in sites.items() if n != "sigma"}))
    )
    unit = np.random.default_rng(seed).standard_normal(location.shape)
    density = norm.logpdf(np.log(observed), location, sites["sigma"])
    density = logsumexp(density, axis=0) - np.log(len(density)) - np.log(observed)
    return np.exp(location + sites["sigma"] * unit), density


def m4(x, E, e0, alpha, beta, c):
    """L at x: with w = (L - E) / (e0 - E) = sigmoid(s), ln w - alpha ln(1 - w) rises with s.

    Newton's method finds its root.
    """
    k = jnp.log(beta) - c * jnp.log(x) + (alpha - 1) * jnp.log(e0 - E)

    def step(_, s):
        value = -jax.nn.softplus(-s) + alpha * jax.nn.softplus(s)
        slope = jax.nn.sigmoid(-s) + alpha * jax.nn.sigmoid(s)
        return s - (value - k) / slope

    root = jax.lax.fori_loop(0, NEWTON, step, jax.lax.stop_gradient(jnp.where(k < 0, k, k / alpha)))
    root = step(0, jax.lax.stop_gradient(root))  # its derivative is the implicit function's
    return E + (e0 - E) * jax.nn.sigmoid(root)


def model(rows, least, most):
    """M4 with weak priors in the units of the curve."""
    E = numpyro.sample("E", dist.Uniform(0, least))
    e0 = numpyro.sample("e0", dist.TruncatedNormal(most, 1.0, low=most))
    alpha = numpyro.sample("alpha", dist.LogNormal(0, 1))
    beta = numpyro.sample("beta", dist.LogNormal(0, 2))
    c = numpyro.sample("c", dist.HalfNormal(1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(0.1))
    log_law = jnp.log(m4(rows.x, E, e0, alpha, beta, c))
    with numpyro.handlers.mask(mask=rows.mask > 0):
        numpyro.sample("log_loss", dist.Normal(log_law, sigma), obs=jnp.log(rows.y))


@functools.cache
def _sampler(num_warmup, num_samples, num_chains):
    """One sampler for all curves: its program is compiled once a padded length."""
    return MCMC(
        NUTS(model),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        chain_method="sequential",
        progress_bar=False,
        jit_model_args=True,
    )
