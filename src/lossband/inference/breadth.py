"""Breadth: coordinates in which the coefficients are equally wide at every scale of drift and noise.

The more the law may miss, the less the data tell of its coefficients: at a small `tau` they are known to a
thousandth, at a large one to a tenth. In their own coordinates x the posterior is a funnel, and no one step
size serves both ends of it. So the sampler moves y,

    x = centre + axes @ (width * y),    width_j^-2 = vague_j + (sharp_j - vague_j) / (s^2 + bend_j t^2)

with t = tau over its prior's median and s = sigma over its value at the mode; the scales themselves are moved
as they are. `sharp` and `vague` are the precisions along each axis where tau is next to nothing and where it
is huge, in units of that at t = s = 1, which `bend` makes 1: the form that the posterior of a linear law has
along one direction. Betancourt and Girolami 2015, arXiv:1312.0906, section 2, say what a funnel does to a
sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

ENDS = (-4.0, 0.0, 3.0)  # ln t: next to nothing, the median, huge
LEAST = 1e-4  # precision of an axis, of that at the median


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Breadth:
    """A map between what the sampler moves and coordinates, given the scales; see the module.

    centre, sharp, vague, bend: `(d,)`, d the coordinates beside the scales.
    axes: `(d, d)`.
    middle: `(2,)` ln of tau's prior median and of sigma at the mode.
    """

    centre: jax.Array
    axes: jax.Array
    sharp: jax.Array
    vague: jax.Array
    bend: jax.Array
    middle: jax.Array

    @classmethod
    def about(
        cls, centre: jax.Array, hessian: Callable[[jax.Array], jax.Array], middle: jax.Array
    ) -> Breadth:
        """The breadth about coordinates `(d,)`, from the potential's second derivatives there.

        Args:
            centre: the coordinates beside the scales.
            hessian: ln of the scales `(2,)` -> `(d, d)`.
            middle: as of the class.
        """
        scales = middle + jnp.outer(jnp.array(ENDS), jnp.array([1.0, 0.0]))
        sharp, known, vague = jax.lax.map(hessian, scales)
        lengths, axes = jnp.linalg.eigh(known)
        axes = axes / jnp.sqrt(jnp.maximum(jnp.abs(lengths), 1e-8 * jnp.max(jnp.abs(lengths))))
        _, turn = jnp.linalg.eigh(axes.T @ sharp @ axes)
        axes = axes @ turn
        sharp, vague = (jnp.sum(axes * (each @ axes), axis=0) for each in (sharp, vague))
        sharp, vague = jnp.maximum(sharp, 1.0), jnp.clip(vague, LEAST, 1 - LEAST)
        found = cls(centre, axes, sharp, vague, (sharp - 1) / (1 - vague), middle)
        sound = jnp.all(jnp.isfinite(axes)) & jnp.all(jnp.isfinite(sharp)) & jnp.all(jnp.isfinite(vague))
        return jax.tree.map(lambda one, other: jnp.where(sound, one, other), found, _none(centre, middle))

    def coordinates(self, moved: jax.Array, scales: jax.Array) -> jax.Array:
        """Coordinates `(d,)` of what the sampler moves, `(d,)`, at ln scales `(2,)`."""
        return self.centre + self.axes @ (jnp.exp(self.log_width(scales)) * moved)

    def moved(self, coordinates: jax.Array, scales: jax.Array) -> jax.Array:
        """What the sampler moves, `(d,)`, of coordinates `(d,)`, at ln scales `(2,)`."""
        turned = jnp.linalg.solve(self.axes, coordinates - self.centre)
        return turned * jnp.exp(-self.log_width(scales))

    def log_width(self, scales: jax.Array) -> jax.Array:
        """Ln of the width of each axis, `(d,)`; their sum is the map's log volume, up to a constant."""
        t2, s2 = jnp.exp(2 * (scales - self.middle))
        return -0.5 * jnp.log(self.vague + (self.sharp - self.vague) / (s2 + self.bend * t2))


def _none(centre: jax.Array, middle: jax.Array) -> Breadth:
    """The map that changes nothing: its precision is all vague."""
    zeros, ones = jnp.zeros_like(centre), jnp.ones_like(centre)
    return Breadth(zeros, jnp.diag(ones), ones, ones, zeros, middle)
