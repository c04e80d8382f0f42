"""Fit: the MCMC output of one model on one table."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import score
from ..laws.priors import prior_spec
from ..model.problem import NewRows, Problem, coefficients
from .bands import named
from .forecast import NOTHING, Draws, draw_losses, law_losses, log_densities
from .health import Health

if TYPE_CHECKING:
    from typing import Any

    import pandas as pd
    import xarray

    from ..runs.table import RunsLike


@dataclass(frozen=True)
class Fit:
    """The draws of one model given one table, with their diagnostics.

    problem: the model and the table that it was fitted to.
    sites: coefficient, scale or derived quantity -> `(chain, draw)`, in the unit of the loss and of the
        inputs.
    weights: `(chain, draw, k)` the drift inside the data.
    effects: `(chain, draw, run)` run effects on ln loss.
    stats: `energy`, `diverging`, `steps`, `acceptance`, each `(chain, draw)`.
    log_density: `(chain, draw, row)` log predictive density of each training row's loss, given the draw.
    prior: site -> `(sample,)` draws from the prior.
    health: diagnostics as a value.
    seed: the seed of the fit.
    """

    problem: Problem
    sites: dict[str, np.ndarray]
    weights: np.ndarray
    effects: np.ndarray
    stats: dict[str, np.ndarray]
    log_density: np.ndarray
    prior: dict[str, np.ndarray]
    health: Health
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Chains, and draws of each."""
        return self.stats["energy"].shape

    @property
    def exact(self) -> bool:
        """Whether it takes the law as exact inside the data: no drift was fitted."""
        return self.problem.model.fitted.drift is None

    @cached_property
    def draws(self) -> Draws:
        """The draws flattened over chains: what a forecast is made of."""

        def flat(values: np.ndarray) -> np.ndarray:
            chains, draws, *rest = np.shape(values)
            return np.asarray(values).reshape(chains * draws, *rest)

        sites = {name: flat(value) for name, value in self.sites.items()}
        return Draws(sites, flat(self.weights), flat(self.effects), (self.seed,))

    def log_score(self, real: RunsLike | NewRows) -> np.ndarray:
        """Log predictive density of measured losses, `(row,)`, in nats per unit of the loss.

        The exact mixture over the draws.
        """
        frame = NewRows.of(real).measured(self.problem)
        return score.mixture(log_densities(self.problem, self.draws, frame))

    def summary(self, *, level: float = 0.9) -> pd.DataFrame:
        """ArviZ's table of the scalar sites, with a median beside the mean.

        Natural units such as A_natural are heavy-tailed: their median says more than their mean.
        """
        import arviz_base
        import arviz_stats

        scalars = {name: value for name, value in self.sites.items() if np.ndim(value) == 2}
        tree = arviz_base.from_dict({"posterior": scalars})
        table = cast(Any, arviz_stats).summary(tree, ci_prob=level, ci_kind="eti", round_to="none")
        ends = [next(c for c in table if c.startswith("eti") and c.endswith(end)) for end in ("_lb", "_ub")]
        table = table.rename(
            columns=dict(zip(ends, (f"lo_{named(level)}", f"hi_{named(level)}"), strict=True))
        )
        table.insert(0, "median", [np.median(scalars[name]) for name in table.index])
        first = [c for c in ("r_hat", "ess_bulk", "ess_tail") if c in table]
        return table[first + [c for c in table if c not in first]]

    @cached_property
    def data(self) -> xarray.DataTree:
        """Everything as an xarray DataTree with ArviZ's groups, and `latent`, what was integrated out.

        Variables of no size are left out.
        """
        import arviz_base

        frame = self.problem.frame
        predicted = draw_losses(self.problem, self.draws, frame).reshape(*self.shape, -1)
        constant = {name: frame[name].to_numpy() for name in frame if name != "loss"}
        constant["run"] = constant["run"].astype(object)
        latent = {"drift_weights": self.weights, "run_effects": self.effects}
        tree = arviz_base.from_dict(
            {
                "posterior": self.sites,
                "latent": {name: value for name, value in latent.items() if np.size(value)},
                "sample_stats": self.stats,
                "log_likelihood": {"loss": self.log_density},
                "posterior_predictive": {"loss": predicted},
                "prior": {name: np.asarray(value)[None] for name, value in self.prior.items()},
                "observed_data": {"loss": frame["loss"].to_numpy()},
                "constant_data": constant,
            },
            coords={"row": np.arange(len(frame)), "run_slot": np.arange(self.effects.shape[-1])},
            dims={"loss": ["row"], "drift_weights": ["piece"], "run_effects": ["run_slot"]}
            | {name: ["row"] for name in constant},
        )
        tree.attrs["lossband"] = json.dumps(self.record())
        return tree

    def record(self) -> dict[str, Any]:
        """What makes the fit again from its draws: names, priors, the data's hash."""
        problem, model = self.problem, self.problem.model
        noise = {**vars(model.noise), "tails": [model.noise.tails.name, repr(model.noise.tails)]}
        return {
            "law": model.law.name,
            "inputs": list(model.law.inputs),
            "priors": {name: prior_spec(prior) for name, prior in model.law.priors.items()},
            "coefficients": coefficients(problem),
            "curve": first_curve(self).tolist(),
            "noise": noise,
            "drift": model.drift and [type(model.drift).__name__, vars(model.drift)],
            "columns": problem.columns,
            "seed": self.seed,
            "health": {**vars(self.health), "notes": [(note.code, note.text) for note in self.health.notes]},
            "data_sha256": data_hash(problem.frame),
        }


def first_curve(fit: Fit) -> np.ndarray:
    """The law at the training rows under the first draw, `(row,)`.

    What tells a law from another of its name.
    """
    first = Draws({name: value[:1] for name, value in fit.draws.sites.items()}, *NOTHING)
    return law_losses(fit.problem, first, fit.problem.frame)[0]


def data_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a checked training frame: its columns, run labels and numbers."""
    digest = hashlib.sha256(",".join(frame.columns).encode())
    digest.update("\n".join(frame["run"]).encode())
    digest.update(np.ascontiguousarray(frame.drop(columns="run").to_numpy(float)).tobytes())
    return digest.hexdigest()
