r"""Where NUTS moves: a vector of coordinates in which loss laws are close to Gaussian.

The data fix the loss at the centre of the inputs and its slopes there far better than they fix E, A and alpha
by themselves. So in place of ln E, ln A, ln alpha, ln B, ln beta, ... the sampler moves

    ln(A + B + C + E)                          the level
    ln(alpha A), ln(beta B), ...               the local slopes; of a shifted input, ln(alpha A x0 / (x0 + t))
    ln(A / (B + C + E)), ..., ln(C / E)    the shares: each term over those after it and the floor
    ln(t A / slope)       a shift t, whose bend the data see

and the rest as NumPyro's unconstrained values. The shares are free, so the map is a bijection onto R^d. It
has no boundary at E = 0, where coordinates of level, slopes and exponents would end. The last term trades off
only against the floor, so a law samples last what the data identify least, as the loss due to few loops, or
to few sizes. This change keeps the volume. Terms mark their sites (`infer={"slope": "alpha"}`, or `{"level":
True}` for a coefficient without an exponent); the priors stay on the named coefficients. An exponent that is
not sampled in its logarithm, as under a Beta prior, is moved as it is, and its coefficient by its share. A
law without a floor keeps ln alpha in place of the share; one that marks nothing is sampled as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .._lazy import Later, dist, numpyro
from .breadth import Breadth

if TYPE_CHECKING:
    from ..model.loss_model import LossModel
    from ..model.measured import Measured
    from ..runs.arrays import Runs


infer = Later("numpyro.infer.util")


@dataclass(frozen=True)
class Space:
    """Maps between a vector of coordinates `(d,)` and the model's sites, for one model and one table.

    Built inside a traced function: the transforms carry the table's own prior scales.
    """

    model: LossModel
    runs: Runs
    measured: Measured
    sites: dict[str, Any]  # latent site -> numpyro message
    breadth: Breadth | None = None

    @classmethod
    def of(cls, model: LossModel, runs: Runs, measured: Measured, breadth: Breadth | None = None) -> Space:
        """The space of a model on its arrays, found by tracing it once."""
        with numpyro.handlers.block(), numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
            model.likelihood(runs, measured)
        sites = {name: site for name, site in trace.items() if is_latent(site)}
        return cls(model, runs, measured, sites, breadth)

    def transform(self, name: str) -> Any:
        """The bijection from the reals to the support of a site."""
        return dist.biject_to(self.sites[name]["fn"].support)

    def logged(self, name: str) -> bool:
        """Whether a site is sampled in its logarithm."""
        return name in self.sites and isinstance(self.transform(name), dist.transforms.ExpTransform)

    def marked(self, mark: str) -> dict[str, Any]:
        """The sites sampled in their logarithms that a term marked, with what it marked them with."""
        marks = {name: site["infer"].get(mark) for name, site in self.sites.items()}
        return {name: value for name, value in marks.items() if value and self.logged(name)}

    @property
    def slopes(self) -> dict[str, str]:
        """Coefficient -> exponent, where both are sampled in logarithms."""
        return {a: alpha for a, alpha in self.marked("slope").items() if self.logged(alpha)}

    @property
    def shares(self) -> dict[str, str]:
        """Coefficient -> the site in whose place its share is moved.

        Its exponent, or itself where that has no slope; in the law's order.
        """
        marked = self.marked("slope") | self.marked("level")
        return (
            {name: self.slopes.get(name, name) for name in self.sites if name in marked} if self.floor else {}
        )

    @property
    def floor(self) -> str | None:
        """The floor's site, if the law has one that is sampled in its logarithm, and slopes beside it."""
        return next(iter(self.marked("floor")), None) if self.marked("slope") else None

    def constrained(self, vector: jax.Array) -> dict[str, jax.Array]:
        """Sites' values `{name: value}` at coordinates `(d,)`."""
        return {name: self.transform(name)(value) for name, value in self._unconstrained(vector).items()}

    def coordinates(self, values: Mapping[str, jax.Array]) -> jax.Array:
        """Coordinates `(d,)` of the sites' values."""
        free = {name: self.transform(name).inv(values[name]) for name in self.sites}
        moved = dict(free)
        if self.floor:
            rest = values[self.floor]
            for a, place in reversed(self.shares.items()):
                moved[place] = free[a] - jnp.log(rest)
                rest = rest + values[a]
            moved[self.floor] = jnp.log(rest / self.runs.unit.typical)
        for a, alpha in self.slopes.items():
            moved[a] = free[a] + free[alpha] - self.bend(a, free)
            if (shift := self.shift(a)) and a in self.shares:
                moved[shift] = free[shift] - (moved[a] - free[a])
        return self.narrowed(ravel_pytree(moved)[0])

    def potential(self, vector: jax.Array, measured: Measured | None = None) -> jax.Array:
        """Minus the log posterior density of the coordinates `(d,)`, up to a constant."""
        rows = self.runs, measured or self.measured
        height = infer.potential_energy(self.model, rows, {}, self._unconstrained(vector))
        return height if self.breadth is None else height - self.breadth.log_width(vector[self.places]).sum()

    def _unconstrained(self, vector: jax.Array) -> dict[str, jax.Array]:
        """NumPyro's unconstrained values: of the coordinates' volume, but for the breadth's."""
        moved = self._unravel(self.widened(vector))
        free = dict(moved)
        if self.floor:
            rest = moved[self.floor] + jnp.log(self.runs.unit.typical)
            for a, place in self.shares.items():
                rest = rest - jax.nn.softplus(moved[place])
                free[a] = rest + moved[place]
            free[self.floor] = rest
        for a, alpha in self.slopes.items():
            if (shift := self.shift(a)) and a in self.shares:
                free[shift] = moved[shift] + moved[a] - free[a]
            product = moved[a] + self.bend(a, free)  # ln(alpha A)
            free |= {alpha: product - free[a]} if a in self.shares else {a: product - moved[alpha]}
        return free

    @property
    def scales(self) -> tuple[str, ...]:
        """The sites that are marked as the scales of drift and noise, in this order; () without a drift's."""
        named = {what: name for name, what in self.marked("scale").items()}
        return (named["drift"], named["noise"]) if {"drift", "noise"} <= set(named) else ()

    @property
    def places(self) -> np.ndarray:
        """Places of `scales` among the coordinates, `(2,)`, which are in the order of the sites' names."""
        sizes = {name: site["value"].size for name, site in self.sites.items()}
        return np.array([sum(n for name, n in sizes.items() if name < scale) for scale in self.scales])

    def widened(self, vector: jax.Array) -> jax.Array:
        """Coordinates `(d,)` without the breadth of what the sampler moves, `(d,)`."""
        return self._apart(vector, self.breadth.coordinates) if self.breadth else vector

    def narrowed(self, vector: jax.Array) -> jax.Array:
        """What the sampler moves, `(d,)`, of coordinates `(d,)` without the breadth."""
        return self._apart(vector, self.breadth.moved) if self.breadth else vector

    def _apart(self, vector: jax.Array, change: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
        """The coordinates beside the scales changed, given the scales."""
        scales = vector[self.places]
        return vector.at[self.others].set(change(vector[self.others], scales))

    @property
    def others(self) -> np.ndarray:
        """Places of the coordinates beside the scales."""
        return np.delete(np.arange(len(ravel_pytree(self._example)[0])), self.places)

    def shift(self, name: str) -> str | None:
        """The sampled shift of a coefficient's input, if there is one."""
        shift = self.sites[name]["infer"].get("shift")
        return shift if shift in self.sites else None

    def bend(self, name: str, free: Mapping[str, jax.Array]) -> jax.Array | float:
        """Ln of how many times steeper a coefficient's term would be at the centre without its shift.

        0 without one.
        """
        if not (shift := self.shift(name)):
            return 0.0
        return jnp.log1p(self.transform(shift)(free[shift]) / self.sites[name]["infer"]["centre"])

    @property
    def _example(self) -> dict[str, jax.Array]:
        return {name: self.transform(name).inv(site["value"]) for name, site in self.sites.items()}

    def _unravel(self, vector: jax.Array) -> dict[str, jax.Array]:
        return ravel_pytree(self._example)[1](vector)


def is_latent(site: Mapping[str, Any]) -> bool:
    """Whether a traced message is a coefficient to be sampled."""
    return site["type"] == "sample" and not site["is_observed"]
