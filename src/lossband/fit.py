"""Fit a law to measured runs: the mode, the whitening, NUTS; the programs and where they are kept."""

import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro

from .drift import Paths, find_drift
from .errors import InputError
from .laws import find_law
from .mode import at, find_mode
from .model import LossModel
from .coordinates import Space
from .noise import find_noise
from .nuts import advance, place
from .runs import measured_of, order_of, runs_of, unit_of
from .table import check_runs, read_runs

STRETCH = 100  # draws a call of the compiled program: the unit of the progress bar
NUM_STARTS = 8
TRACES = {"begin": 0, "draw": 0, "finish": 0}  # how often each program was traced in this process


def programs(model):
    """The three compiled programs of a model, for one table of any values: begin, draw, finish."""

    def begin(runs, measured, key, num_chains):
        TRACES["begin"] += 1
        key_mode, key_place = jax.random.split(key)
        mode, factor, measured, found = find_mode(model, runs, measured, key_mode, NUM_STARTS)
        space = Space.of(model, runs, measured)
        return place(space, mode, factor, key_place, num_chains), measured, found

    def draw(runs, measured, chains, adapt, length):
        TRACES["draw"] += 1
        return advance(model, runs, measured, chains, adapt, length)

    def finish(runs, measured, positions, key):
        TRACES["finish"] += 1
        keys = jax.random.split(key, len(positions))
        return jax.vmap(lambda p, k: complete(model, runs, measured, p, k))(positions, keys)

    return begin, draw, finish


@functools.cache
def compiled(model):
    """`programs(model)`, compiled for one table; equal models share them."""
    begin, draw, finish = programs(model)
    return (
        jax.jit(begin, static_argnames="num_chains"),
        jax.jit(draw, static_argnames="length"),
        jax.jit(finish),
    )


def complete(model, runs, measured, position, key):
    """Everything a posterior keeps of one draw: sites, the drift's and runs' weights, and the rows' log density.

    The rows' log density is that of ln loss given the coefficients and the weights, with exact Student-t tails.
    """
    space = Space.of(model, runs, measured)
    values, _ = space.constrained(position)
    with numpyro.handlers.block(), numpyro.handlers.trace() as trace:
        likelihood = numpyro.handlers.substitute(model.likelihood, values)(runs, measured)
    sites = {name: site["value"] for name, site in trace.items() if site["type"] in ("sample", "deterministic")}
    weights = likelihood.reach * likelihood.weights(measured.log_loss, jax.random.normal(key, likelihood.reach.shape))
    residual = measured.log_loss - likelihood.location - likelihood.loadings @ weights
    scale = jnp.sqrt(sites["sigma"] ** 2 + measured.log_loss_se**2)
    return sites, weights, model.noise.log_density(residual, scale), residual
