"""The Ornstein-Uhlenbeck process along a run, continuous-time AR(1).

Its Kalman filter, its paths, and its values between and beyond points where it is known; all at a cost linear
in the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..runs.arrays import Array


def ou_innovations(
    columns: jax.Array, variance: jax.Array, scales: Mapping[str, jax.Array], gap: Array
) -> tuple[jax.Array, jax.Array]:
    """One-step prediction errors of an OU process seen through white noise, and their variances.

    The process has standard deviation sigma_ou and correlation exp(-gap / length_ou) between neighbours; a
    gap of FAR starts a new run. Both recursions of the Kalman filter are associative, and run in blocks: see
        `prefixes`.

    Args:
        columns: `(row, c)`, each filtered alike.
        variance: `(row,)` of the white noise.
        scales: with `sigma_ou` and `length_ou`.
        gap: `(row,)`.

    Returns:
        Errors `(row, c)` and variances `(row,)`.
    """
    rho = jnp.exp(-gap / scales["length_ou"])
    stationary = scales["sigma_ou"] ** 2
    before = _predicted_variance(rho**2, stationary, variance)
    gain = before / (before + variance)
    # m[i] = rho[i] (m[i-1] + gain[i-1] (y[i-1] - m[i-1])): linear in m, so pairs (a, b) compose

    def last(x: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])

    a = rho * (1 - last(gain))
    b = (rho * last(gain))[:, None] * last(columns)
    _, mean = prefixes(lambda f, s: (f[0] * s[0], s[0][..., None] * f[1] + s[1]), (a, b))
    return columns - mean, before + variance


def _predicted_variance(rho2: jax.Array, stationary: jax.Array, variance: jax.Array) -> jax.Array:
    """p[i] = rho2[i] p[i-1] v[i-1] / (p[i-1] + v[i-1]) + (1 - rho2[i]) stationary, by Moebius maps."""
    v = jnp.concatenate([variance[:1], variance[:-1]])
    q = (1 - rho2) * stationary

    def compose(first: tuple[jax.Array, ...], second: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        (e, f, g, h), (a, b, c, d) = first, second
        return scaled(a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)

    def scaled(
        *entries: jax.Array,
    ) -> tuple[jax.Array, ...]:  # a Moebius map has no scale of its own; all its entries are positive
        largest = jnp.maximum(jnp.maximum(entries[0], entries[1]), jnp.maximum(entries[2], entries[3]))
        return tuple(entry / largest for entry in entries)

    a, b, c, d = prefixes(compose, scaled(rho2 * v + q, q * v, jnp.ones_like(v), v))
    return (a * stationary + b) / (c * stationary + d)


def prefixes(compose: Callable[[Any, Any], Any], elements: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """x[0], x[0] then x[1], ....

    What `lax.associative_scan` gives along the rows, in blocks of about the root of their number.

    Inside the blocks one row after the other, all blocks at once; then block after block; then both joined.
    Work is twice the rows, the memory is that of the result, and the program is two short loops, where
    `lax.associative_scan` unrolls a tree of slices: that one takes longer to compile than to run.

    Args:
        compose: (earlier, later) -> both, elementwise over leading axes.
        elements: a tuple of `(row, ...)`.
    """
    rows = len(elements[0])
    length = 1 << (max(rows - 1, 1).bit_length() // 2)
    pad = -rows % length
    # (step, block, ...); what stands after the last row changes nothing before it
    split = jax.tree.map(
        lambda x: jnp.concatenate([x, x[:1].repeat(pad, 0)]).reshape(-1, length, *x.shape[1:]).swapaxes(0, 1),
        elements,
    )

    def along(x: Any) -> Any:
        first, rest = jax.tree.map(lambda leaf: leaf[0], x), jax.tree.map(lambda leaf: leaf[1:], x)
        _, out = lax.scan(lambda done, each: (compose(done, each),) * 2, first, rest)
        return jax.tree.map(lambda one, others: jnp.concatenate([one[None], others]), first, out)

    inside = along(split)
    before = along(jax.tree.map(lambda leaf: leaf[-1], inside))  # after each block
    joined = compose(
        jax.tree.map(lambda leaf: leaf[None, :-1], before), jax.tree.map(lambda leaf: leaf[:, 1:], inside)
    )
    whole = jax.tree.map(lambda one, others: jnp.concatenate([one[:, :1], others], axis=1), inside, joined)
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:])[:rows], whole)


def ou_covariance_times(vector: jax.Array, scales: Mapping[str, jax.Array], gap: Array) -> jax.Array:
    """The process's covariance between the rows times a vector `(row,)`.

    Its exponential kernel is a sum over the rows before and one over the rows after, each a recursion.
    """
    rho = jnp.exp(-gap / scales["length_ou"])
    after = jnp.append(rho[1:], 0.0)[::-1]

    def summed(decay: jax.Array, terms: jax.Array) -> jax.Array:
        return prefixes(lambda f, s: (f[0] * s[0], s[0] * f[1] + s[1]), (decay, terms))[1]

    both = summed(rho, vector) + summed(after, vector[::-1])[::-1] - vector
    return scales["sigma_ou"] ** 2 * both


def between(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The process at a point given its values at the nearest known points before and after.

    Args:
        before: its correlation with the process at the point before; 0 where there is none.
        after: the same of the point after.

    Returns:
        the weights of both values in its mean, and its variance as a share of the stationary one.
    """
    rest = np.maximum(1 - (before * after) ** 2, np.finfo(float).tiny)
    left, right = before * (1 - after**2) / rest, after * (1 - before**2) / rest
    return left, right, (1 - before**2) * (1 - after**2) / rest


def ou_path(
    key: jax.Array, scales: Mapping[str, jax.Array], gap: Array, sample_shape: tuple[int, ...] = ()
) -> jax.Array:
    """Draws of the OU process at the rows, `(*sample_shape, row)`."""
    rho = jnp.exp(-gap / scales["length_ou"])
    step = jnp.sqrt(1 - rho**2) * scales["sigma_ou"] * jax.random.normal(key, (*sample_shape, *gap.shape))
    _, path = lax.associative_scan(
        lambda f, s: (f[0] * s[0], s[0] * f[1] + s[1]), (jnp.broadcast_to(rho, step.shape), step), axis=-1
    )
    return path
