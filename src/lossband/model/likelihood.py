r"""Likelihood: the distribution of the table's ln losses, its linear parts integrated out.

    ln loss_i = location_i + W_i . weights + o_i + e_i

e_i is the scatter of one measurement (see noise.py), with a known standard error where `loss_se` is given;
o_i is an Ornstein-Uhlenbeck process along each run; W holds the drift's basis and one column per run. Given
the Student-t's scale mixture lambda_i, everything but the location is Gaussian: weights are integrated out by
Woodbury's identity and o by its Kalman filter, at a cost linear in the rows. The lambda_i are drawn
alternately with the coefficients (Gibbs sampling, Geweke 1993), so that tails are exact beside a drift too.

This module imports NumPyro, and is itself imported only where a model is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp

from .._lazy import dist
from .ou import ou_covariance_times, ou_innovations, ou_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .measured import Measured
    from .noise import Noise


class LogLoss:
    """Distribution of the table's ln losses, `(row,)`, linear weights and OU part integrated out.

    Args:
        location: ln of the law, `(row,)`.
        reach: `(k,)`: a weight w_j ~ Normal(0, 1) adds reach_j w_j loadings_j, loadings as in `measured`.
        noise: a `Noise`.
        scales: its sampled scales.
        measured: the `Measured` rows: loadings, known errors, mask, mixture, and gaps along runs.
        known_errors: whether rows have known errors of their own.
        mixed: whether to take the tails as normal given the mixture; by default where parts are integrated
            out, and only there.
    """

    def __init__(
        self,
        location: jax.Array,
        reach: jax.Array,
        noise: Noise,
        scales: Mapping[str, jax.Array],
        measured: Measured,
        known_errors: bool,
        mixed: bool | None = None,
    ) -> None:
        """The distribution of these rows."""
        self.location, self.reach, self.noise = location, reach, noise
        self.scales, self.measured, self.known_errors = scales, measured, known_errors
        self.mixed = self.integrated if mixed is None else mixed

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Log density of ln losses `(row,)`."""
        mask = self.measured.mask
        if not self.mixed:
            return jnp.sum(mask * self._independent(value))
        z, _, _, log_units = self._filtered(value)
        root, b = self._weights_given(value)
        half = _half_solve(root, b)
        log_det = log_units + jnp.sum(
            jnp.log(root.lengths if isinstance(root, Turned) else jnp.diagonal(root))
        )
        return -0.5 * (z @ z - half @ half + jnp.sum(mask) * jnp.log(2 * jnp.pi)) - log_det

    @property
    def integrated(self) -> bool:
        """Whether there is anything to integrate out.

        Weights, an OU part, or known errors beside heavy tails.
        """
        known = self.known_errors and self.noise.tails.heavy
        return len(self.reach) > 0 or self.noise.ou or known

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of ln losses, `(*sample_shape, row)`."""
        keys = jax.random.split(key, 3)
        reach, effects = self.reach, 0.0
        if self.noise.heavy_runs:  # their mixture is drawn afresh
            pieces = self.measured.drift.shape[1]
            unit = self.noise.run_tails.draw(keys[2], (*sample_shape, len(reach) - pieces))
            effects = self.scales["sigma_run"] * unit @ self.measured.effect.T
            reach = jnp.concatenate([reach[:pieces], jnp.zeros(len(reach) - pieces)])
        smooth = self._smooth(keys[0], sample_shape, reach)[2] + effects
        return self.location + smooth + self.scales["sigma"] * self.noise.tails.draw(keys[1], smooth.shape)

    def _smooth(
        self, key: jax.Array, sample_shape: tuple[int, ...], reach: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A draw of the weights `(k,)`, of the OU path `(row,)`, or no columns without one, and of their sum.

        The sum is all that is added to the location but the scatter.
        """
        keys = jax.random.split(key, 3)
        weights = jax.random.normal(keys[0], (*sample_shape, len(reach)))
        sum_ = (reach * weights) @ self.measured.loadings.T
        if self.known_errors:
            sum_ = sum_ + self.measured.log_loss_se * jax.random.normal(keys[1], sum_.shape)
        if not self.noise.ou:
            return weights, sum_[..., :0], sum_
        path = ou_path(keys[2], self.scales, self.measured.gap, sample_shape)
        return weights, path, sum_ + path

    def conditional(self, key: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """A draw of what is integrated out, given ln losses `(row,)`.

        The weights `(k,)`, standard normal a priori; the OU process at the rows `(row,)`, empty without one;
        and the mixtures `(row + run,)`.

        By Matheron's rule: all parts from their prior, each moved by its covariance with the distance of
        their sum from what was measured, in units of that distance's covariance: the slope of the log
        density. The mixture of heavy tails is then drawn given the noise, Gamma(5/2, (4 + t^2) / 2) with t
        the noise over sigma (Geweke 1993, eq. 10), and that of heavy-tailed run effects given them.
        """
        keys = jax.random.split(key, 4)
        variance = self.scales["sigma"] ** 2 / self.measured.mixture
        noise = jnp.sqrt(variance) * jax.random.normal(keys[1], self.location.shape)
        weights, path, smooth = self._smooth(keys[0], (), self.reach)
        slope = jax.grad(self.log_prob)(value - smooth - noise)
        weights = weights - self.reach * (slope @ self.measured.loadings)
        if self.noise.ou:
            path = path - ou_covariance_times(slope, self.scales, self.measured.gap)
        t = (noise - variance * slope) / self.scales["sigma"]
        mixture, run_mixture = self.measured.mixture, self.measured.run_mixture
        if self.noise.tails.heavy:
            mixture = self.noise.tails.draw_mixture(keys[2], t)
        if self.noise.heavy_runs:
            t = weights[self.measured.drift.shape[1] :] / jnp.sqrt(run_mixture)
            run_mixture = self.noise.run_tails.draw_mixture(keys[3], t)
        return weights, path, jnp.concatenate([mixture, run_mixture])

    def mean_weights(self, value: jax.Array) -> jax.Array:
        """Mean of the weights `(k,)` given ln losses."""
        root, b = self._weights_given(value)
        return _half_solve(root, _half_solve(root, b), transposed=True)

    def expected_mixture(self, value: jax.Array) -> jax.Array:
        """Expected lambda of each row, and of each run's effect, given ln losses, `(row + run,)`.

        The E-step of the Student-t (Lange et al. 1989, eq. 3).
        """
        z, W, _ = self._whitened(value)
        root, _ = self._weights_given(value)
        weights, noise, pieces = self.mean_weights(value), self.noise, self.measured.drift.shape[1]
        mixture, run_mixture = self.measured.mixture, self.measured.run_mixture
        if noise.tails.heavy:
            leverage = jnp.sum(_half_solve(root, W.T) ** 2, axis=0)
            mixture = noise.tails.expected_mixture(((z - W @ weights) ** 2 + leverage) / mixture)
        if noise.heavy_runs:
            variance = jnp.sum(_half_solve(root, jnp.eye(len(weights))) ** 2, axis=0)
            t2 = (weights**2 + variance)[pieces:] / run_mixture
            run_mixture = noise.run_tails.expected_mixture(t2)
        return jnp.concatenate([mixture, run_mixture])

    def _independent(self, value: jax.Array) -> jax.Array:
        """Log density of the independent part, `(row,)`.

        The scatter, and a known normal error where rows have one.
        """
        tails, sigma, residual = self.noise.tails, self.scales["sigma"], value - self.location
        if self.known_errors:
            return tails.log_density_plus_normal(residual, sigma, self.measured.log_loss_se**2)
        return tails.log_density(residual, sigma)

    def _whitened(self, value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Whitened residual `(row,)` and W `(row, k)`, and ln of the product of the units."""
        z, drift, unit, log_units = self._filtered(value)
        return z, jnp.hstack([drift, unit[:, None] * self.measured.effect]), log_units

    def _filtered(self, value: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """The same with W in two parts.

        The drift's columns `(row, piece)`, and the entry of each row's own run `(row,)`.

        A run's effect is one number on all its rows, and the noise of one run tells nothing of another's: one
        column of ones, whitened, holds the entries of all runs.
        """
        measured, pieces = self.measured, self.measured.drift.shape[1]
        residual, drift = value - self.location, measured.drift * self.reach[:pieces]
        effect = measured.effect @ self.reach[pieces:] if self.noise.run else jnp.zeros_like(value)
        if (
            not self.noise.ou and not self.known_errors
        ):  # one unknown scale: its logarithm once, not in every row
            root = jnp.sqrt(measured.mask * measured.mixture) / self.scales["sigma"]
            mixed = jnp.sum(measured.mask * jnp.log(measured.mixture))
            log_units = jnp.sum(measured.mask) * jnp.log(self.scales["sigma"]) - 0.5 * mixed
            return residual * root, drift * root[:, None], effect * root, log_units
        columns = jnp.column_stack([residual, drift, effect][: 2 + self.noise.run])
        variance = self.scales["sigma"] ** 2 / measured.mixture + measured.log_loss_se**2
        if self.noise.ou:
            columns, variance = ou_innovations(columns, variance, self.scales, measured.gap)
        white = columns * (measured.mask / jnp.sqrt(variance))[:, None]
        log_units = 0.5 * jnp.sum(measured.mask * jnp.log(variance))
        return white[:, 0], white[:, 1 : 1 + pieces], white[:, -1] if self.noise.run else effect, log_units

    def _weights_given(self, value: jax.Array) -> tuple[jax.Array | Turned, jax.Array]:
        """A root L of the weights' posterior precision I + W'W = L L', as `_half_solve` takes it, and W'z.

        Where sigma is all the noise there is, W'W is the rows' Gram matrix rescaled: no product over rows is
        left. Without run effects its eigenvectors are known, and nothing is factorised. Elsewhere the runs'
        own block of it is diagonal, and is never multiplied out.
        """
        if self.noise.ou or self.known_errors:
            z, drift, unit, _ = self._filtered(value)
            # (run, piece + 2): the runs' rows of W'W left of their block, in it, and of W'z
            by_run = self.measured.effect.T @ (unit[:, None] * jnp.column_stack([drift, unit, z]))
            across, within, b = by_run[:, :-2], by_run[:, -2], by_run[:, -1]
            gram = jnp.block([[drift.T @ drift, across.T], [across, jnp.diag(within)]])
            return jnp.linalg.cholesky(jnp.eye(len(gram)) + gram), jnp.concatenate([drift.T @ z, b])
        measured, share = self.measured, self.reach / self.scales["sigma"] ** 2
        # rows first: a transpose within the sampler's loops would be copied at each step
        b = share * ((measured.mask * measured.mixture * (value - self.location)) @ measured.loadings)
        if not self.noise.run:
            return Turned(measured.axes, jnp.sqrt(1 + self.reach * share * measured.lengths)), b
        return jnp.linalg.cholesky(jnp.eye(len(b)) + share[:, None] * measured.gram * self.reach), b


class Turned(NamedTuple):
    """A root of a precision matrix: orthogonal axes, in columns, each times a length."""

    axes: jax.Array
    lengths: jax.Array


def _half_solve(root: jax.Array | Turned, b: jax.Array, *, transposed: bool = False) -> jax.Array:
    """root^-1 b, or root^-T b, for a lower triangular root or a `Turned` one."""
    if isinstance(root, Turned):
        return root.axes @ (b.T / root.lengths).T if transposed else (b.T @ root.axes / root.lengths).T
    return jax.scipy.linalg.solve_triangular(root, b, lower=True, trans=int(transposed))


class Likelihood(LogLoss, dist.Distribution):
    """A `LogLoss` that NumPyro can sample from and observe."""

    support = dist.constraints.real_vector  # pyright: ignore[reportAssignmentType]  # as in NumPyro itself
    pytree_data_fields = ("location", "reach", "scales", "measured")
    pytree_aux_fields = ("noise", "known_errors", "mixed")

    def __init__(self, location: jax.Array, *about: Any) -> None:
        """As `LogLoss`."""
        LogLoss.__init__(self, location, *about)
        dist.Distribution.__init__(self, event_shape=location.shape)
