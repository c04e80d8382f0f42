"""Forecasts: the curves behind the bands, the bands, gaps and probabilities."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from ..errors import InputError
from ..model.measured import measured_of
from ..model.noise import NU
from ..model.ou import ou_path
from ..runs.arrays import order_of, runs_of, size_class

KINDS = ("mean", "run", "observation")
BATCH = 64  # draws whose curves are held at once: bounds the memory of a long table


@dataclass(frozen=True)
class Draws:
    """What sampling found, flattened over chains; every forecast is made of it.

    sites: coefficient or scale -> `(sample, ...)`.
    weights: `(sample, k)` departure of the drift's pieces inside the data.
    effects: `(sample, run)` run effects on ln loss of the training runs; no columns without a run effect.
    seed: what the fresh draws of a forecast start from, so that it is the same each time.
    """

    sites: dict
    weights: np.ndarray
    effects: np.ndarray
    seed: int


def draw_losses(problem, draws, new, *, kind="observation"):
    """Draws of the loss at new rows.

    Args:
        problem: the `Problem` that was fitted.
        draws: its `Draws`.
        new: a checked frame of new rows.
        kind: "mean" (law and drift), "run" (and a run effect: the fitted one where the run's label is known, else
            a new run's) or "observation" (and noise).

    Returns:
        `(sample, row)`, in the unit of the training losses.
    """
    if kind not in KINDS:
        raise InputError(
            f"kind= got {kind!r}; expected one of {', '.join(map(repr, KINDS))}.", "See Posterior.predict."
        )
    log_loss = np.log(law_losses(problem, draws, new)) + drift_draws(problem, draws, new)
    if kind != "mean":
        log_loss += _run_effects(problem, draws, new)
    if kind == "observation":
        log_loss += _noise(problem, draws, new)
    return np.exp(log_loss)


def law_losses(problem, draws, new):
    """The law alone at new rows, `(sample, row)`."""
    runs = runs_of(new, problem.unit, pad_to=size_class(len(new)))
    with jax.enable_x64(True):
        curves = _curves(problem.model.law)(runs, draws.sites)
    return np.asarray(curves)[:, : len(new)]


@functools.cache
def _curves(law):
    return jax.jit(lambda runs, sites: jax.lax.map(lambda each: law.at(runs, each), sites, batch_size=BATCH))


def drift_draws(problem, draws, new, *, paired=False):
    """Drift at new rows, `(sample, row)`: the fitted paths inside, their fresh continuations and the edge beyond.

    A draw of an averaged drift that takes the law as exact has no path, and the edge all the same.

    With `paired`, row i is for draw i alone, as where each draw has its own optimum: `(sample,)`.
    """
    if problem.model.drift is None:
        return 0.0
    along = (
        (lambda weights, basis: (weights * basis).sum(1))
        if paired
        else (lambda weights, basis: weights @ basis.T)
    )
    inside = along(draws.weights, problem.paths.inside(new))
    basis = problem.paths.beyond(new)
    fresh = _generator(draws, "drift").standard_normal((len(draws.weights), basis.shape[1] + 2))
    beyond = along(draws.sites["tau"][:, None] * fresh[:, 2:], basis)
    drift = problem.model.drift
    edge = drift.edge_mean(problem.paths) + drift.edge_scale(fresh[:, 0]) * fresh[:, 1]
    return inside + beyond + along(edge[:, None], problem.paths.edge(problem.compute(new))[:, None])


def _run_effects(problem, draws, new):
    """Run effects at new rows, `(sample, row)`: the fitted ones for known runs, one fresh draw for each new run."""
    if not problem.model.noise.run:
        return 0.0
    known = {name: slot for slot, name in enumerate(problem.run_names)}
    code, names = pd.factorize(new["run"])
    fresh = _generator(draws, "run").standard_normal((len(draws.weights), len(names)))
    effects = draws.sites["sigma_run"][:, None] * fresh
    for column, name in enumerate(names):
        if name in known:
            effects[:, column] = draws.effects[:, known[name]]
    return effects[:, code]


def _noise(problem, draws, new):
    """Measurement noise on ln loss at new rows, `(sample, row)`."""
    noise, shape = problem.model.noise, (len(draws.weights), len(new))
    generator = _generator(draws, "noise")
    unit = generator.standard_t(NU, shape) if noise.tails == "student-t" else generator.standard_normal(shape)
    scatter = draws.sites["sigma"][:, None] * unit
    if noise.ou:
        order = order_of(new)
        gap = measured_of(new.iloc[order].assign(loss=1.0), np.zeros((len(new), 0))).gap[: len(new)]
        scales = {name: draws.sites[name] for name in ("sigma_ou", "length_ou")}
        with jax.enable_x64(True):
            keys = jax.random.split(jax.random.key(draws.seed), len(scatter))
            scatter[:, order] += np.asarray(
                jax.vmap(lambda k, s: ou_path(k, s, jnp.asarray(gap)))(keys, scales)
            )
    return scatter


def log_densities(problem, draws, real):
    """Log density of each measured loss given each posterior draw, `(sample, row)`, in nats per unit of the loss.

    Given a draw, ln loss is the law, the drift inside the data and the fitted run effects, and around them normal parts (the drift
    beyond the data, a new run's effect, autocorrelated noise) and independent noise: the density of that sum is
    exact, nothing fresh is drawn for it. Its mean over the draws is the predictive density: see `score.mixture`.

    Args:
        real: a checked frame of measured rows, with `loss`.
    """
    log_loss = np.log(real["loss"].to_numpy(float))
    location, variance = np.log(law_losses(problem, draws, real)), np.zeros((len(draws.weights), len(real)))
    for mean, spread in (_drift_moments(problem, draws, real), _run_moments(problem, draws, real)):
        location, variance = location + mean, variance + spread
    if problem.model.noise.ou:
        variance = variance + draws.sites["sigma_ou"][:, None] ** 2
    with jax.enable_x64(True):
        density = _density(problem.model.noise)(log_loss - location, draws.sites["sigma"][:, None], variance)
    return np.asarray(density) - log_loss


def _drift_moments(problem, draws, new):
    """Mean and variance of `_drift` given each draw; the edge's scale is drawn as it is there."""
    if problem.model.drift is None:
        return 0.0, 0.0
    basis = problem.paths.beyond(new)
    fresh = _generator(draws, "drift").standard_normal((len(draws.weights), basis.shape[1] + 2))
    edge = problem.model.drift.edge_scale(fresh[:, 0])
    beyond = draws.sites["tau"][:, None] ** 2 * (basis**2).sum(1)
    reach = problem.paths.edge(problem.compute(new))
    at_edge = edge[:, None] * reach
    middle = problem.model.drift.edge_mean(problem.paths) * reach
    return draws.weights @ problem.paths.inside(new).T + middle, beyond + at_edge**2


def _run_moments(problem, draws, new):
    """Mean and variance of `_run_effects` given each draw: a fitted effect where the run is known."""
    if not problem.model.noise.run:
        return 0.0, 0.0
    slot = {name: i for i, name in enumerate(problem.run_names)}
    known = new["run"].isin(slot).to_numpy()
    column = [slot.get(name, 0) for name in new["run"]]
    return known * draws.effects[:, column], ~known * draws.sites["sigma_run"][:, None] ** 2


@functools.cache
def _density(noise):
    return jax.jit(noise.log_density_beside)


def _generator(draws, purpose):
    return np.random.default_rng([draws.seed, *purpose.encode()])
