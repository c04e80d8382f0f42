r"""Where NUTS moves: a vector of coordinates in which loss laws are close to Gaussian.

The data fix the loss at the centre of the inputs and its slopes there far better than they fix E, A and alpha by
themselves. So in place of ln E, ln A, ln B, ... the sampler moves

    c      with   E = w softplus((c - A - B - ...) / w)      (c is the level E + A + B + ... wherever E >> w)
    ln(alpha A), ln(beta B), ...                             (the local slopes)

and the rest as NumPyro's unconstrained values. Terms mark their sites (`infer={"slope": "alpha"}`, or `{"level": True}` for a
coefficient that adds to the level and has no exponent); the priors stay on the named
coefficients, and the change of volume is added to the density. A law that marks nothing is sampled as it is.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .later import dist, numpyro

SOFT = 0.02  # w over the median training loss: small, so that c is the level for every E that matters


@dataclass(frozen=True)
class Space:
    """Maps between a vector of coordinates `(d,)` and the model's sites, for one model and one table.

    Built inside a traced function: the transforms carry the table's own prior scales.
    """

    model: object
    runs: object
    measured: object
    sites: dict  # latent site -> numpyro message

    @classmethod
    def of(cls, model, runs, measured):
        with numpyro.handlers.block(), numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
            model.likelihood(runs, measured)
        return cls(model, runs, measured, {name: site for name, site in trace.items() if is_latent(site)})

    def transform(self, name):
        return dist.biject_to(self.sites[name]["fn"].support)

    @property
    def slopes(self):
        """coefficient -> exponent, for the marked pairs that are sampled in logarithms."""
        marked = {name: site["infer"].get("slope") for name, site in self.sites.items()}
        return {
            a: s for a, s in marked.items() if s in self.sites and isinstance(self.transform(a), dist.transforms.ExpTransform)
        }

    @property
    def summands(self):
        """The coefficients that stand beside the floor in the level: those with slopes, and those marked as `level`."""
        return [*self.slopes, *(name for name, site in self.sites.items() if site["infer"].get("level"))]

    @property
    def floor(self):
        """The floor's site, if the law has one that is sampled in its logarithm, and slopes beside it."""
        marked = [
            n
            for n, site in self.sites.items()
            if site["infer"].get("floor") and isinstance(self.transform(n), dist.transforms.ExpTransform)
        ]
        return marked[0] if marked and self.slopes else None

    @property
    def soft(self):
        return SOFT * self.runs.unit.typical

    def constrained(self, vector):
        """Sites' values at coordinates `(d,)`, and ln of the volume that the coordinates add to NumPyro's unconstrained ones."""
        free, log_volume = self._unconstrained(vector)
        return {name: self.transform(name)(value) for name, value in free.items()}, log_volume

    def coordinates(self, values):
        """Coordinates `(d,)` of the sites' values."""
        free = {name: self.transform(name).inv(values[name]) for name in self.sites}
        total = sum(values[a] for a in self.summands)
        for a, alpha in self.slopes.items():
            free[a] = free[a] + jnp.log(values[alpha])
        if self.floor:
            y = values[self.floor] / self.soft
            free[self.floor] = (total + self.soft * (y + jnp.log(-jnp.expm1(-y)))) / self.runs.unit.typical
        return ravel_pytree(free)[0]

    def potential(self, vector, measured=None):
        """Minus the log posterior density of the coordinates `(d,)`, up to a constant."""
        free, log_volume = self._unconstrained(vector)
        return numpyro.infer.util.potential_energy(self.model, (self.runs, measured or self.measured), {}, free) - log_volume

    def _unconstrained(self, vector):
        free = self._unravel(vector)
        log_volume = 0.0
        for a, alpha in self.slopes.items():
            free[a] = free[a] - jnp.log(self.transform(alpha)(free[alpha]))
        if self.floor:
            total = sum(self.transform(a)(free[a]) for a in self.summands)
            y = (free[self.floor] * self.runs.unit.typical - total) / self.soft
            # softplus underflows for y < -700 only; its logarithm is y there, which jnp gives by log(expm1) forms
            log_E = jnp.log(self.soft) + jnp.where(y > -30, jnp.log(jax.nn.softplus(jnp.maximum(y, -30))), y)
            free[self.floor] = log_E
            log_volume = jax.nn.log_sigmoid(y) - log_E + jnp.log(self.runs.unit.typical)
        return free, log_volume

    @property
    def _unravel(self):
        example = {name: self.transform(name).inv(site["value"]) for name, site in self.sites.items()}
        return ravel_pytree(example)[1]


def is_latent(site):
    """Whether a traced message is a coefficient to be sampled."""
    return site["type"] == "sample" and not site["is_observed"]
