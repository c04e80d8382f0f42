"""Law x noise x drift: one NumPyro model of the table's ln losses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax.numpy as jnp

from .._lazy import numpyro
from ..laws import Law
from .drift import AbstractDrift
from .noise import Noise

if TYPE_CHECKING:
    from ..runs.arrays import Runs
    from .likelihood import Likelihood
    from .measured import Measured


@dataclass(frozen=True)
class LossModel:
    """The three parts of a model, `law`, `noise` and `drift` (or None); called, it is a NumPyro model.

        ln loss_i = ln law(theta, x_i) + drift(x_i) + run_effect[run_i] + noise_i

    `known_errors` says whether the table has a `loss_se`; `climbing` uses the conditionally Gaussian form of
    heavy tails (ECM steps of the search for the mode) even where the marginal has a closed form. Equal
    parts are equal models, and equal models share their compiled programs.
    """

    law: Law
    noise: Noise
    drift: AbstractDrift | None
    known_errors: bool = False
    climbing: bool = False

    def __call__(self, runs: Runs, measured: Measured, *, observe: bool = True) -> None:
        """Sample coefficients and scales, and observe the rows' ln losses (`observe=False`: sample them)."""
        numpyro.sample(
            "log_loss", self.likelihood(runs, measured), obs=measured.log_loss if observe else None
        )

    def likelihood(self, runs: Runs, measured: Measured) -> Likelihood:
        """Sample coefficients and scales; return the distribution of the rows' ln losses given them."""
        from .likelihood import Likelihood

        curve = self.law(runs)
        scales = self.noise.scales(runs.unit.spread)
        pieces, slots = measured.drift.shape[1], measured.effect.shape[1]
        drift = (
            jnp.zeros(pieces) if self.drift is None else self.drift.reach(self.drift.sample_scales(), pieces)
        )
        effect = jnp.full(slots, scales.get("sigma_run", 0.0)) / jnp.sqrt(measured.run_mixture)
        reach = jnp.concatenate([drift, effect])
        location = self.law.loss_scale.of_law(curve, jnp)
        about = self.noise, scales, measured, self.known_errors, self.climbing or None
        return Likelihood(location, reach, *about)

    @property
    def heavy_tailed(self) -> bool:
        """Whether the noise, or the run effects, are a scale mixture of normals."""
        return self.noise.tails.heavy or self.noise.heavy_runs

    @property
    def integrates(self) -> bool:
        """Whether parts of the model are integrated out.

        Then heavy tails are a mixture, not in closed form.
        """
        known = self.known_errors and self.heavy_tailed
        return self.fitted.drift is not None or self.noise.run or self.noise.ou or known

    @property
    def fitted(self) -> LossModel:
        """The part of the model that a fit sees.

        Models that differ beyond the data alone share their programs.
        """
        return self if self.drift is None else replace(self, drift=self.drift.fitted())

    @property
    def mixes(self) -> bool:
        """Whether the heavy tails' mixture is a part of what is sampled."""
        return self.heavy_tailed and self.integrates

    @property
    def averaged(self) -> bool:
        """Whether forecasts mix this fit with simpler ones: see `Drift`.

        Not for a law that no run follows exactly.
        """
        return self.drift is not None and self.drift.averaged and self.law.exact
