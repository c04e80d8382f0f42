"""Noise: how measurements scatter around the drifting law; which parts a user may ask for."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._lazy import dist, numpyro
from ..errors import InputError

NU = 4.0  # degrees of freedom: the usual robust choice (Lange et al. 1989)
T_UNIT = np.log(3 / 8)  # log density of the Student-t with 4 degrees of freedom at 0
ROUNDING = 1e-7  # of ln loss: losses are float32 numbers; it bounds the scatter where a law could pass through every row
NORMAL_UNIT = -0.5 * np.log(2 * np.pi)
STEP = 0.5  # of ln lambda, in the trapezoidal rule over the Student-t's scale mixture
MIXTURE = np.arange(-16.0, 3.5, STEP)  # ln lambda: Gamma(2, 2) has no weight beyond


@dataclass(frozen=True)
class Noise:
    """Which parts the noise has.

    tails: "student-t" (4 degrees of freedom) or "normal".
    run: a normal effect of each run, shared by its rows.
    ou: autocorrelation along a run, exponential in ln tokens (continuous-time AR(1)).
    sigma: median of the scatter's prior, as a share of the spread of the training ln losses. Next to nothing, such as 1e-6,
        leaves the known errors `loss_se` as all the scatter there is: that is what the means of `lossband.thin` need.
    """

    tails: str = "student-t"
    run: bool = False
    ou: bool = False
    sigma: float = 0.03

    def scales(self, spread):
        """Sample the scales and return them, sigma with the rounding of losses; all are shares of `spread`, the sd of the training ln losses.

        sigma ~ LogNormal(ln 0.03, 1.2): well-run sweeps scatter by 0.2 to 1 % in loss, whose logs spread by 0.1
        to 0.3; the width takes it to a tenth and to ten times that. The run effect and the OU part have the same
        median; the OU length is half a natural log unit of tokens, within a factor of seven.
        """

        def scale(name, width=1.2, share=0.03):
            return numpyro.sample(name, dist.LogNormal(jnp.log(share * spread), width))

        sites = {"sigma": scale("sigma", share=self.sigma)}
        if self.run:
            sites["sigma_run"] = scale("sigma_run", 1.0)
        if self.ou:
            sites["sigma_ou"] = scale("sigma_ou", 1.0)
            sites["length_ou"] = numpyro.sample("length_ou", dist.LogNormal(jnp.log(0.5), 1.0))
        return sites | {"sigma": jnp.sqrt(sites["sigma"] ** 2 + ROUNDING**2)}

    def draw(self, key, sigma, shape):
        """Independent noise of `shape` on ln loss, with scale `sigma`."""
        return sigma * (
            jax.random.t(key, NU, shape) if self.tails == "student-t" else jax.random.normal(key, shape)
        )

    def log_density(self, residual, scale):
        """Log density of the independent part at `residual`, same shape."""
        z2 = (residual / scale) ** 2
        # ln(1 + z2 / NU) as it stands: log1p costs more and differs by rounding only, for the density is of the order of 1
        unit = (
            T_UNIT - 0.5 * (NU + 1) * jnp.log(1 + z2 / NU)
            if self.tails == "student-t"
            else NORMAL_UNIT - 0.5 * z2
        )
        return unit - jnp.log(scale)

    def log_density_beside(self, residual, scale, variance):
        """Log density of the independent part plus a normal of `variance`, at `residual`, same shape.

            p(r) = integral Normal(r; 0, scale^2 / lambda + variance) Gamma(lambda; 2, 2) d lambda

        for the Student-t with 4 degrees of freedom, by the trapezoidal rule in ln lambda, which converges geometrically; at
        variance 0 it is `log_density` to within 1e-6 as far out as 300 scales.
        """
        if self.tails == "normal":
            return _log_normal(residual, scale**2 + variance)

        def add(total, log_lambda):
            weight = jnp.log(NU**2 / 4 * STEP) + 2 * log_lambda - NU / 2 * jnp.exp(log_lambda)
            return jnp.logaddexp(
                total, weight + _log_normal(residual, scale**2 * jnp.exp(-log_lambda) + variance)
            ), None

        nothing = jnp.full(jnp.broadcast_shapes(*map(jnp.shape, (residual, scale, variance))), -jnp.inf)
        return lax.scan(add, nothing, MIXTURE)[0]


def _log_normal(x, variance):
    return -0.5 * (x**2 / variance + jnp.log(2 * jnp.pi * variance))


def find_noise(wanted):
    """The `Noise` that a user means: "student-t", "normal", either with "+run" and "+ou", or a `Noise`."""
    if isinstance(wanted, Noise):
        return wanted
    tails, *parts = str(wanted).replace(" ", "").split("+")
    if tails not in ("student-t", "normal") or not set(parts) <= {"run", "ou"}:
        raise InputError(
            f"noise= got {wanted!r}; expected 'student-t' or 'normal', optionally with '+run' and '+ou'.",
            "For curves with many points a run, use noise='student-t+run+ou'.",
        )
    return Noise(tails, "run" in parts, "ou" in parts)
