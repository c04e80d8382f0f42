"""Forecasts of one fit: the curves behind the bands, and their exact densities."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import jax
import numpy as np
import pandas as pd

from .._arguments import one_of
from .._store import storable, stored
from ..runs.arrays import Runs, Unit, double, runs_of, size_class
from .autocorrelation import ou_draws, ou_moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..laws import Law
    from ..model.noise import Noise
    from ..model.problem import Problem
    from ..model.tails import Tails


Kind = Literal["mean", "run", "observation"]
KINDS: tuple[Kind, ...] = ("mean", "run", "observation")
BATCH = 64  # draws whose curves are held at once: bounds the memory of a long table

for _kind in (Runs, Unit):
    storable(_kind)


NOTHING = np.zeros((0, 0)), np.zeros((0, 0))  # weights and effects of draws that only the law is asked of


@dataclass(frozen=True)
class Draws:
    """What sampling found, flattened over chains; every forecast is made of it.

    sites: coefficient or scale -> `(sample, ...)`.
    weights: `(sample, k)` departure of the drift's pieces inside the data.
    effects: `(sample, run)` run effects on ln loss of the training runs; no columns without a run effect.
    seed: numbers that the fresh draws of a forecast start from, so that it is the same each time.
    path: `(sample, row)` the OU process at the training rows; None without one.
    """

    sites: dict[str, np.ndarray]
    weights: np.ndarray
    effects: np.ndarray
    seed: tuple[int, ...] = (0,)
    path: np.ndarray | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(next(iter(self.sites.values())))

    def of_law(self, law: Law) -> dict[str, np.ndarray]:
        """The law's own sites, repeated up to a size class of draws: site -> `(sample or more, ...)`.

        Fits of one law, with other scales and about as many draws, then share one compiled program.
        """
        size = size_class(len(self), BATCH)
        return {n: np.resize(v, (size, *v.shape[1:])) for n, v in self.sites.items() if n in law.marks}

    def take(self, picked: np.ndarray, stream: int = 0) -> Draws:
        """Some of the draws, with a stream of fresh draws of their own."""
        sites = {name: value[picked] for name, value in self.sites.items()}
        seed = (*np.atleast_1d(self.seed), stream) if stream else self.seed
        path = None if self.path is None else self.path[picked]
        about = dict(weights=self.weights[picked], effects=self.effects[picked], path=path)
        return replace(self, sites=sites, seed=seed, **about)


def draw_losses(
    problem: Problem, draws: Draws, new: pd.DataFrame, *, kind: Kind = "observation"
) -> np.ndarray:
    """Draws of the loss at new rows.

    Args:
        problem: the `Problem` that was fitted.
        draws: its `Draws`.
        new: a checked frame of new rows.
        kind: "mean" (law and drift), "run" (and a run effect: the fitted one where the run's label is known,
            else a new run's) or "observation" (and noise).

    Returns:
        `(sample, row)`, in the unit of the training losses.
    """
    one_of("kind", kind, KINDS, "See Posterior.predict.")
    scale = problem.scale
    log_loss = scale.of_law(law_losses(problem, draws, new)) + drift_draws(problem, draws, new)
    if kind != "mean":
        log_loss += _run_effects(problem, draws, new)
    if kind == "observation":
        known = known_errors(problem, draws, new, log_loss)
        log_loss += _noise(problem, draws, new) + known
    return scale.loss(log_loss)


def draw_paired(
    problem: Problem, draws: Draws, new: pd.DataFrame, *, kind: Kind = "observation", stream: int = 0
) -> np.ndarray:
    """Draws of the loss at new rows, row i by draw i alone: `(sample,)`, as `draw_losses` gives them.

    Args:
        problem: the `Problem` that was fitted.
        draws: its `Draws`.
        new: a checked frame with a row for each draw, each of a run of its own.
        kind: as in `draw_losses`.
        stream: another number has noise and run effects of its own.
    """
    scale, law, count = problem.scale, problem.model.law, len(draws)
    sites = draws.of_law(law)
    size = len(next(iter(sites.values())))
    with double():
        curves = np.asarray(_paired_curves(law)(runs_of(new, problem.unit, pad_to=size), sites))[:count]
    log_loss = scale.of_law(curves) + drift_draws(problem, draws, new, paired=True)
    generator = np.random.default_rng([*np.atleast_1d(draws.seed), *b"paired", stream])
    fresh = generator.standard_normal(count)
    if kind != "mean" and problem.model.noise.run:
        log_loss = log_loss + _new_run_scale(problem, draws, generator, 1)[:, 0] * fresh
    if kind == "observation":
        own = replace(draws, seed=(*np.atleast_1d(draws.seed), stream))
        log_loss = log_loss + _noise(problem, own, new.iloc[:1])[:, 0]
    return scale.loss(log_loss)


@functools.cache
def _paired_curves(law: Law) -> Callable[..., jax.Array]:
    """The compiled law, each row by its own draw's coefficients: `(sample,)`."""

    def one(inputs: dict[str, jax.Array], sites: dict[str, jax.Array], unit: Unit) -> jax.Array:
        return law.at(Runs({name: value[None] for name, value in inputs.items()}, unit), sites)[0]

    def paired(runs: Runs, sites: dict[str, jax.Array]) -> jax.Array:
        return jax.vmap(one, in_axes=(0, 0, None))(runs.inputs, sites, runs.unit)

    return stored(paired, law.code)


def known_errors(
    problem: Problem, draws: Draws, new: pd.DataFrame, log_loss: np.ndarray
) -> np.ndarray | float:
    """Known errors of new measurements, on ln loss, `(sample, row)`; 0 where the rows state none."""
    if "loss_se" not in new:
        return 0.0
    fresh = _generator(draws, "known").standard_normal(log_loss.shape)
    return fresh * problem.scale.error(new["loss_se"].to_numpy(), problem.scale.loss(log_loss))


def law_losses(problem: Problem, draws: Draws, new: pd.DataFrame) -> np.ndarray:
    """What the law alone returns at new rows, `(sample, row)`: losses, or see `Bounded` for a metric."""
    runs = runs_of(new, problem.unit, pad_to=size_class(len(new)))
    with double():
        curves = _curves(problem.model.law)(runs, draws.of_law(problem.model.law))
    return np.asarray(curves)[: len(draws), : len(new)]


@functools.cache
def _curves(law: Law) -> Callable[..., jax.Array]:
    """The compiled law at all rows, under every draw's coefficients: `(sample, row)`."""

    def curves(runs: Runs, sites: dict[str, jax.Array]) -> jax.Array:
        return jax.lax.map(lambda each: law.at(runs, each), sites, batch_size=BATCH)

    return stored(curves, law.code)


def drift_draws(
    problem: Problem, draws: Draws, new: pd.DataFrame, *, paired: bool = False
) -> np.ndarray | float:
    """Drift at new rows, `(sample, row)`; with `paired`, row i is for draw i alone: `(sample,)`."""
    if problem.paths is None:
        return 0.0
    about = draws.sites, draws.weights, new, problem.compute(new), _generator(draws, "drift")
    return problem.paths.draw(*about, paired=paired)


def _run_effects(problem: Problem, draws: Draws, new: pd.DataFrame) -> np.ndarray | float:
    """Run effects at new rows, `(sample, row)`.

    The fitted ones for known runs, one fresh draw for each new run.
    """
    if not problem.model.noise.run:
        return 0.0
    known = {name: slot for slot, name in enumerate(problem.run_names)}
    code, names = pd.factorize(new["run"])
    generator = _generator(draws, "run")
    fresh = generator.standard_normal((len(draws.weights), len(names)))
    effects = _new_run_scale(problem, draws, generator, len(names)) * fresh
    for column, name in enumerate(names):
        if name in known:
            effects[:, column] = draws.effects[:, known[name]]
    return effects[:, code]


def _new_run_scale(problem: Problem, draws: Draws, generator: np.random.Generator, count: int) -> np.ndarray:
    """Standard deviations of the effects of new runs, `(sample, run)`: heavy tails' mixture is drawn."""
    mixture = problem.model.noise.run_tails.new_mixture(generator, (len(draws.weights), count))
    return draws.sites["sigma_run"][:, None] / np.sqrt(mixture)


def _noise(problem: Problem, draws: Draws, new: pd.DataFrame) -> np.ndarray:
    """Measurement noise on ln loss at new rows, `(sample, row)`."""
    noise, generator = problem.model.noise, _generator(draws, "noise")
    unit = unit_scatter(noise.tails, int(generator.integers(2**62)), (len(draws), len(new)))
    scatter = draws.sites["sigma"][:, None] * unit
    if noise.ou:
        scatter += ou_draws(problem.frame, draws.sites, draws.path, new, generator)
    return scatter


def unit_scatter(tails: Tails, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draws of tails of scale 1, of any shape: programs are made for few."""
    count = math.prod(shape)
    with double():
        drawn = _scatter(tails)(np.int64(seed), count=size_class(count))
    return np.asarray(drawn)[:count].reshape(shape)


@functools.cache
def _scatter(tails: Tails) -> Callable[..., jax.Array]:
    def scatter(seed: jax.Array, count: int) -> jax.Array:
        return tails.draw(jax.random.key(seed), (count,))

    return stored(scatter, tails.code, static=("count",))


def log_densities(
    problem: Problem, draws: Draws, real: pd.DataFrame, *, curves: np.ndarray | None = None
) -> np.ndarray:
    """Log density of each measured loss given each draw, `(sample, row)`, in nats per unit of the loss.

    Given a draw, ln loss is the law, the drift inside the data, the fitted run effects and what the OU
    process of a known run leads one to expect, and around them normal parts (the drift beyond the data, a new
    run's effect, the rest of the OU process) and independent noise:
    the density of that sum is exact, nothing fresh is drawn for it. Its mean over the draws is the predictive
        density: see `score.mixture`.

    Args:
        problem: the `Problem` that was fitted.
        draws: its `Draws`.
        real: a checked frame of measured rows, with `loss`.
        curves: `law_losses` of these draws and rows, where they are known.
    """
    curves = law_losses(problem, draws, real) if curves is None else curves
    scale, log_loss = problem.scale, problem.fitted_losses(real)
    location, variance = scale.of_law(curves), np.zeros((len(draws.weights), len(real)))
    for mean, spread in (_drift_moments(problem, draws, real), _run_moments(problem, draws, real)):
        location, variance = location + mean, variance + spread
    if problem.model.noise.ou:
        mean, spread = ou_moments(problem.frame, draws.sites, draws.path, real)
        location, variance = location + mean, variance + spread
    if "loss_se" in real:
        variance = variance + scale.error(real["loss_se"], real["loss"]).to_numpy() ** 2
    with double():
        density = _density(problem.model.noise)(log_loss - location, draws.sites["sigma"][:, None], variance)
    return np.asarray(density) + scale.log_slope(log_loss)


def _drift_moments(
    problem: Problem, draws: Draws, new: pd.DataFrame
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Mean and variance of `drift_draws` given each draw; the edge's scale is drawn as it is there."""
    if problem.paths is None:
        return 0.0, 0.0
    about = draws.sites, draws.weights, new, problem.compute(new), _generator(draws, "drift")
    return problem.paths.moments(*about)


def _run_moments(
    problem: Problem, draws: Draws, new: pd.DataFrame
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Mean and variance of `_run_effects` given each draw: a fitted effect where the run is known."""
    if not problem.model.noise.run:
        return 0.0, 0.0
    slot = {name: i for i, name in enumerate(problem.run_names)}
    known = new["run"].isin(slot).to_numpy()
    column = [slot.get(name, 0) for name in new["run"]]
    spread = _new_run_scale(problem, draws, _generator(draws, "run density"), len(new))
    return known * draws.effects[:, column], ~known * spread**2


@functools.cache
def _density(noise: Noise) -> Callable[..., jax.Array]:
    tails = noise.tails

    def density(residual: jax.Array, scale: jax.Array, variance: jax.Array) -> jax.Array:
        return tails.log_density_plus_normal(residual, scale, variance)

    return stored(density, tails.code)


def _generator(draws: Draws, purpose: str) -> np.random.Generator:
    return np.random.default_rng([*np.atleast_1d(draws.seed), *purpose.encode()])
