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
from ..laws.recipe import FAMILY, PerRecipe
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
    log_density: `(chain, draw, row)` log predictive density of each training row's loss, given the draw; None
        in a fit that was read from a file without it: `densities` computes it then.
    prior: site -> `(sample,)` draws from the prior.
    health: diagnostics as a value.
    seed: the seed of the fit.
    path: `(chain, draw, row)` the OU process on ln loss at the training rows; None without one.
    """

    problem: Problem
    sites: dict[str, np.ndarray]
    weights: np.ndarray
    effects: np.ndarray
    stats: dict[str, np.ndarray]
    log_density: np.ndarray | None
    prior: dict[str, np.ndarray]
    health: Health
    seed: int
    path: np.ndarray | None = None

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
        path = None if self.path is None else flat(self.path)
        return Draws(sites, flat(self.weights), flat(self.effects), (self.seed,), path)

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
    def densities(self) -> np.ndarray:
        """The log predictive density of each training row's loss, given the draw: `(chain, draw, row)`."""
        if self.log_density is not None:
            return self.log_density
        return log_densities(self.problem, self.draws, self.problem.frame).reshape(*self.shape, -1)

    @cached_property
    def data(self) -> xarray.DataTree:
        """Everything as an xarray DataTree with ArviZ's groups, and `latent`, what was integrated out.

        Variables of no size are left out.
        """
        return self.tree()

    def tree(self, *, predicted: bool = True) -> xarray.DataTree:
        """The same; without the groups that cost a pass over rows and draws unless `predicted`."""
        import arviz_base

        frame, computed = self.problem.frame, {}
        if predicted:
            losses = draw_losses(self.problem, self.draws, frame).reshape(*self.shape, -1)
            computed = {"log_likelihood": {"loss": self.densities}, "posterior_predictive": {"loss": losses}}
        elif self.problem.model.noise.ou:
            computed = {"log_likelihood": {"loss": self.densities}}
        constant = {name: frame[name].to_numpy() for name in frame if name != "loss"}
        for labels in {"run", FAMILY} & set(constant):
            constant[labels] = constant[labels].astype(object)
        latent = {"drift_weights": self.weights, "run_effects": self.effects, "ou_path": self.path}
        tree = arviz_base.from_dict(
            {
                "posterior": self.sites,
                "latent": {n: value for n, value in latent.items() if value is not None and value.size},
                "sample_stats": self.stats,
                **computed,
                "prior": {name: np.asarray(value)[None] for name, value in self.prior.items()},
                "observed_data": {"loss": frame["loss"].to_numpy()},
                "constant_data": constant,
            },
            coords={"row": np.arange(len(frame)), "run_slot": np.arange(self.effects.shape[-1])},
            dims={
                "loss": ["row"],
                "drift_weights": ["piece"],
                "run_effects": ["run_slot"],
                "ou_path": ["row"],
            }
            | {name: ["row"] for name in constant},
        )
        tree.attrs["lossband"] = json.dumps(self.record())
        return tree

    def record(self) -> dict[str, Any]:
        """What makes the fit again from its draws: names, priors, the data's hash."""
        problem, model = self.problem, self.problem.model
        tails = {name: getattr(model.noise, name) for name in ("tails", "run_tails")}
        noise = vars(model.noise) | {name: [each.name, repr(each)] for name, each in tails.items()}
        joint = model.law.curve if isinstance(model.law.curve, PerRecipe) else None
        law = joint.base if joint else model.law
        return {
            "law": law.name,
            "inputs": list(law.inputs),
            "scale": law.scale,
            "priors": {name: prior_spec(prior) for name, prior in law.priors.items()},
            "recipes": joint and [joint.count, joint.widths],
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
    digest.update(np.ascontiguousarray(frame.select_dtypes("number").to_numpy(float)).tobytes())
    if FAMILY in frame:
        digest.update("\n".join(frame[FAMILY]).encode())
    return digest.hexdigest()
