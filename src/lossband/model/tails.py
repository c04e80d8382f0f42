r"""Tails: the distribution of one measurement's scatter around the drifting law, in units of its scale.

A noise is one class here and one entry of `NOISES`. A `Tails` that is a scale mixture of normals,

    e = scale z / sqrt(lambda),   z ~ Normal(0, 1),   lambda ~ its own law,

may stand beside parts that are integrated out (a drift, run effects, autocorrelation): given lambda
everything is Gaussian, and lambda is drawn by Gibbs sampling (Geweke 1993). Any other may stand beside the
law alone.
"""

import abc
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..runs.arrays import Array

STEP = 0.5  # of ln lambda, in the trapezoidal rule over the Student-t's scale mixture
LOG_MIXTURE = np.arange(-16.0, 3.5, STEP)  # ln lambda: Gamma(2, 2) has no weight beyond
NODES = 96  # of the quadrature over a normal that stands beside other tails


class Tails(abc.ABC):
    """How one measurement scatters; a subclass is a frozen dataclass, so that equal ones are equal.

    name: what users call it: `fit(noise=name)` where it is in `NOISES`.
    gaussian: whether it is normal given a scale mixture lambda: only then may other parts be integrated out
        beside it.
    heavy: whether that lambda varies from row to row.
    """

    name = "tails"
    gaussian = False
    heavy = False

    @property
    def code(self) -> str | None:
        """Text that identifies tails of the package; None for any others, of which no program is kept."""
        return repr(self) if NOISES.get(self.name) == self else None

    @abc.abstractmethod
    def log_density(self, residual: jax.Array, scale: jax.Array) -> jax.Array:
        """Log density at `residual`, same shape."""

    @abc.abstractmethod
    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Draws of the given shape, with scale 1."""

    def log_density_plus_normal(
        self, residual: jax.Array, scale: jax.Array, variance: jax.Array
    ) -> jax.Array:
        """Log density, at `residual`, of the sum of this scatter and a normal of `variance`.

        By Gauss-Hermite quadrature over the normal, which is good to about 1e-3 while its standard deviation
        is below five scales; a closed form in a subclass is better.
        """
        node, weight = np.polynomial.hermite_e.hermegauss(NODES)
        terms = [
            np.log(w / weight.sum()) + self.log_density(residual - jnp.sqrt(variance) * x, scale)
            for x, w in zip(node, weight, strict=True)
            if w > 1e-30 * weight.sum()
        ]
        return jax.scipy.special.logsumexp(jnp.stack(terms), axis=0)

    def draw_mixture(self, key: jax.Array, t: jax.Array) -> jax.Array:
        """Draws of lambda given the scatter over its scale, same shape as `t`.

        Ones where it does not vary.
        """
        return jnp.ones_like(t)

    def new_mixture(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draws of lambda of what is not measured yet; ones where it does not vary."""
        return np.ones(shape)

    def expected_mixture(self, t2: jax.Array) -> jax.Array:
        """Expected lambda given the squared scatter over its scale, same shape as `t2`."""
        return jnp.ones_like(t2)

    def information(self) -> float:
        """Inverse of the Fisher information that one measurement has of its location, in squared scales."""
        return 1.0


@dataclass(frozen=True)
class StudentT(Tails):
    """Student-t tails with 4 degrees of freedom, the usual robust choice (Lange et al. 1989)."""

    nu = 4.0
    name = "student-t"
    gaussian = True
    heavy = True

    def log_density(self, residual: jax.Array, scale: jax.Array) -> jax.Array:
        """Log density at `residual`, same shape."""
        z2 = (residual / scale) ** 2
        # ln(1 + z2 / nu) as it stands: log1p costs more and differs by rounding only, the density being of
        # the order of 1
        unit = np.log(3 / 8) - 0.5 * (self.nu + 1) * jnp.log(1 + z2 / self.nu)
        return unit - jnp.log(scale)

    def log_density_plus_normal(
        self, residual: jax.Array, scale: jax.Array, variance: jax.Array
    ) -> jax.Array:
        """Log density, at `residual`, of the sum of this scatter and a normal of `variance`.

            p(r) = integral Normal(r; 0, scale^2 / lambda + variance) Gamma(lambda; 2, 2) d lambda

        by the trapezoidal rule in ln lambda, which converges geometrically; at variance 0 it is `log_density`
        to within 1e-6 as far out as 300 scales.
        """

        def add(total: jax.Array, log_lambda: Array) -> tuple[jax.Array, None]:
            weight = jnp.log(self.nu**2 / 4 * STEP) + 2 * log_lambda - self.nu / 2 * jnp.exp(log_lambda)
            normal = _log_normal(residual, scale**2 * jnp.exp(-log_lambda) + variance)
            return jnp.logaddexp(total, weight + normal), None

        nothing = jnp.full(jnp.broadcast_shapes(*map(jnp.shape, (residual, scale, variance))), -jnp.inf)
        return lax.scan(add, nothing, LOG_MIXTURE)[0]

    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Draws of the given shape, with scale 1: of the mixture, Gamma(2, 2), and a normal given it.

        Gamma(2) is the sum of two exponentials, which compiles and runs faster than any rejection.
        """
        keys = jax.random.split(key)
        gamma = jnp.sum(jax.random.exponential(keys[0], (2, *shape)), axis=0)
        return jax.random.normal(keys[1], shape) * jnp.sqrt(self.nu / 2 / gamma)

    def draw_mixture(self, key: jax.Array, t: jax.Array) -> jax.Array:
        """Draws of lambda given the scatter over its scale.

        Gamma((nu + 1) / 2, (nu + t^2) / 2) (Geweke 1993, eq. 10).
        """
        keys = jax.random.split(key)
        # Gamma(5 / 2) is the sum of two exponentials and half a squared normal, far cheaper than by rejection
        gamma = jnp.sum(jax.random.exponential(keys[0], (2, *t.shape)), axis=0)
        gamma = gamma + jax.random.normal(keys[1], t.shape) ** 2 / 2
        return gamma / ((self.nu + t**2) / 2)

    def new_mixture(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Draws of lambda of what is not measured yet: Gamma(nu / 2, nu / 2)."""
        return generator.gamma(self.nu / 2, 2 / self.nu, shape)

    def expected_mixture(self, t2: jax.Array) -> jax.Array:
        """Expected lambda given the squared scatter over its scale: the E-step of Lange et al. 1989, eq.

        3.
        """
        return (self.nu + 1) / (self.nu + t2)

    def information(self) -> float:
        """Inverse of the Fisher information that one measurement has of its location, in squared scales."""
        return (self.nu + 3) / (self.nu + 1)


@dataclass(frozen=True)
class Normal(Tails):
    """Normal scatter."""

    name = "normal"
    gaussian = True

    def log_density(self, residual: jax.Array, scale: jax.Array) -> jax.Array:
        """Log density at `residual`, same shape."""
        return -0.5 * np.log(2 * np.pi) - 0.5 * (residual / scale) ** 2 - jnp.log(scale)

    def log_density_plus_normal(
        self, residual: jax.Array, scale: jax.Array, variance: jax.Array
    ) -> jax.Array:
        """Log density, at `residual`, of the sum of this scatter and a normal of `variance`."""
        return _log_normal(residual, scale**2 + variance)

    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Draws of the given shape, with scale 1."""
        return jax.random.normal(key, shape)


def _log_normal(x: jax.Array, variance: jax.Array) -> jax.Array:
    return -0.5 * (x**2 / variance + jnp.log(2 * jnp.pi * variance))


NOISES = {tails.name: tails for tails in (StudentT(), Normal())}
"""The noises that go by a name."""
