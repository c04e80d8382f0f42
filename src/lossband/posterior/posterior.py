"""Posterior: what a fit returns. Draws, diagnostics, forecasts, files."""

import hashlib
import json
import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from .. import score
from .._files import replacing
from ..laws.priors import prior_spec
from ..model.problem import Problem, coefficients, read_new
from .bands import Forecast
from .forecast import Draws, draw_losses, law_losses, log_densities
from .health import Health

FORMAT = 4  # of the saved file; `lossband.load` refuses any other
SHARPNESS = (
    2.7  # of the weights of fits, per nat of expected log density per row: best of e^-9 to e^4 on 77 splits
)
PACKAGES = ("lossband", "jax", "numpyro", "arviz", "xarray", "numpy")


@dataclass(frozen=True)
class Posterior(Forecast):
    """The posterior of a loss law given measured runs.

    Attributes:
        problem: the model and the table that it was fitted to.
        sites: coefficient, scale or derived quantity -> `(chain, draw)`, in the unit of the loss and of the inputs.
        weights: `(chain, draw, k)` the drift inside the data; `effects`: `(chain, draw, run)` run effects.
        stats: `energy`, `diverging`, `steps`, `acceptance`, each `(chain, draw)`.
        log_density: `(chain, draw, row)` log predictive density of each training row's loss, given the draw.
        prior: site -> `(sample,)` draws from the prior.
        health: diagnostics as a value.
        seed: the seed of the fit.
    """

    problem: Problem
    sites: dict
    weights: np.ndarray
    effects: np.ndarray
    stats: dict
    log_density: np.ndarray
    prior: dict
    health: Health
    seed: int

    @property
    def law(self):
        return self.problem.model.law

    @cached_property
    def _draws(self):
        def flat(values):
            chains, draws, *rest = np.shape(values)
            return np.asarray(values).reshape(chains * draws, *rest)

        return Draws(
            {n: flat(v) for n, v in self.sites.items()}, flat(self.weights), flat(self.effects), self.seed
        )

    @cached_property
    def coefficients(self):
        """Names of the law's own coefficients."""
        return coefficients(self.problem)

    def __repr__(self):
        chains, draws = self.stats["energy"].shape
        return f"Posterior of {self.law.name!r} given {len(self.problem.frame)} rows, {chains} x {draws} draws\n{self.health}"

    def summary(self, *, level=0.9):
        """ArviZ's table of coefficients, derived quantities and scales: mean, sd, interval, ESS, R-hat, Monte Carlo errors.

        The diagnostics of the fit come first, as `summary().attrs["health"]` and, printed, above the table.
        """
        import arviz_stats

        names = [name for name, value in self.sites.items() if np.ndim(value) == 2]
        table = arviz_stats.summary(self.data, var_names=names, ci_prob=level, ci_kind="eti", round_to="none")
        first = [c for c in ("r_hat", "ess_bulk", "ess_tail") if c in table]
        return Table(table[first + [c for c in table if c not in first]], str(self.health))

    def draws(self, new, *, kind="observation", columns=None):
        """Draws of the loss at new rows, as an xarray of dimensions (sample, row), in the unit of the training losses."""
        import xarray

        losses = draw_losses(
            self.problem, self._draws, read_new(self.problem, new, columns=columns), kind=kind
        )
        return xarray.DataArray(losses, dims=("sample", "row"), name="loss", attrs={"kind": kind})

    def log_score(self, real, *, columns=None):
        """Log predictive density of measured losses, `(row,)`, in nats per unit of the loss: the exact mixture over the draws."""
        frame = read_new(self.problem, real, columns=columns, loss=True)
        return score.mixture(log_densities(self.problem, self._draws, frame))

    def optimal(self, flops, *, cost=None, inference_tokens=0.0, bounds=None, at=None, levels=(0.9,)):
        """The compute-optimal split of budgets between params, tokens (and loops), as a `lossband.planning.allocation.Plan`.

        Args:
            flops: a budget or several, in FLOPs where params and tokens are raw counts.
            cost: "6ND", "6NDT" (each loop costs all parameters again), or a function of (params, tokens) or, for a law
                with loops, (params, tokens, loops) that jax can run, in the unit of `flops`, rising in tokens.
                Default: 6NDT for a law with loops, else 6ND.
            inference_tokens: tokens that the trained model will read or write, at 2 FLOPs a parameter each (times the
                loops, under 6NDT); the budget pays for them too.
            bounds: {"params": (low, high), "tokens": ..., "loops": ...}; loops stay within the training rows' by default.
            at: a value for each other input of the law, {"unique_tokens": 1e11}.
            levels: of the equal-tailed intervals.

        Raises:
            InputError: a law without params and tokens, or a budget that no run within the bounds can spend.
        """
        from ..planning.allocation import allocate  # the one upward import: see tests/test_imports.py

        return allocate(
            self.problem,
            self._draws,
            flops,
            cost=cost,
            inference_tokens=inference_tokens,
            bounds=bounds,
            at=at,
            levels=levels,
        )

    @cached_property
    def data(self):
        """Everything as an xarray DataTree with ArviZ's groups."""
        import arviz_base

        frame = self.problem.frame
        shape = self.stats["energy"].shape
        predicted = draw_losses(self.problem, self._draws, frame).reshape(*shape, -1)
        constant = {name: frame[name].to_numpy() for name in frame if name != "loss"}
        constant["run"] = constant["run"].astype(object)
        tree = arviz_base.from_dict(
            {
                "posterior": {**self.sites, "drift_weights": self.weights, "run_effects": self.effects},
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
        tree.attrs["lossband"] = json.dumps(self._record())
        return tree

    def _record(self):
        """What makes the posterior again from its draws: names, priors, versions, the data's hash."""
        model = self.problem.model
        return {
            "format": FORMAT,
            "law": self.law.name,
            "inputs": list(self.law.inputs),
            "priors": {name: prior_spec(prior) for name, prior in self.law.priors.items()},
            "coefficients": list(self.coefficients),
            "curve": first_curve(self).tolist(),
            "noise": vars(model.noise),
            "drift": None if model.drift is None else vars(model.drift),
            "columns": self.problem.columns,
            "seed": self.seed,
            "health": {**vars(self.health), "notes": [(note.code, note.text) for note in self.health.notes]},
            "data_sha256": data_hash(self.problem.frame),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        }

    def save(self, path):
        """Write the posterior to one netCDF file; `lossband.load` reads it and predicts bit for bit.

        The file is written aside and moved into place: whoever looks finds the old file or the new one, whole.
        """
        with replacing(path) as temporary:
            self.data.to_netcdf(temporary, engine="h5netcdf")
        return Path(path)


def fit_weights(fits):
    """Weights of fits to one table, `(fit,)`: proportional to exp(e times the expected log density per row).

    The expected log density of new rows like the training rows is WAIC's (Watanabe 2010). A fit that describes the
    rows worse by a nat each is nearly left out, and fits that describe them alike weigh the same, however many rows
    there are: what is seen inside the data says little of which fit forecasts better (benchmarks/README.md).
    """
    densities = [fit.log_density.reshape(-1, fit.log_density.shape[-1]) for fit in fits]
    expected = np.array([np.mean(score.mixture(each) - each.var(0)) for each in densities])
    weights = np.exp(SHARPNESS * (expected - expected.max()))
    return weights / weights.sum()


def first_curve(post):
    """The law at the training rows under the first draw, `(row,)`: what tells a law from another of its name."""
    first = Draws({n: v[:1] for n, v in post._draws.sites.items()}, *[None] * 3)
    return law_losses(post.problem, first, post.problem.frame)[0]


class Table(pd.DataFrame):
    """A summary table that prints its diagnostics first."""

    _metadata = ["health"]

    def __init__(self, data=None, health="", **kwargs):
        super().__init__(data, **kwargs)
        self.health = health

    def __str__(self):
        return f"{self.health}\n\n{self.to_string(float_format=lambda x: f'{x:.4g}')}"

    __repr__ = __str__


def data_hash(frame):
    """SHA-256 of a checked training frame: its columns, run labels and numbers."""
    digest = hashlib.sha256(",".join(frame.columns).encode())
    digest.update("\n".join(frame["run"]).encode())
    digest.update(np.ascontiguousarray(frame.drop(columns="run").to_numpy(float)).tobytes())
    return digest.hexdigest()
