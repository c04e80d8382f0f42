"""Small tables of the kinds that the figures take, by laws that are written out here."""

import numpy as np
import pandas as pd

from lossband.posterior.fit_result import Fit
from lossband.posterior.health import Health
from lossband.posterior.posterior import Posterior


def noisy(table, loss, scale, seed=0):
    return table.assign(loss=loss * np.exp(np.random.default_rng(seed).normal(0, scale, len(table))))


def chinchilla(sizes=5, budgets=6, scatter=0.003):
    """Sizes by budgets of tokens by Chinchilla's law, with so much noise on ln loss."""
    params, tokens = (
        m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, sizes), np.geomspace(1e8, 3e10, budgets))
    )
    noise = np.random.default_rng(0).normal(0, scatter, params.size)
    loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(noise)
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def positions(sizes=5, indices=9):
    """Loss by token index of models whose a, b and p are power laws of their size."""
    params, position = np.geomspace(1e5, 1e8, sizes), np.unique(np.geomspace(1, 512, indices).round())
    table = pd.DataFrame([(n, t) for n in params for t in position], columns=["params", "position"])
    size = table["params"] / 3e6
    loss = 1.4 + 1.2 * size**-0.15 + 4.5 * size**0.03 * table["position"] ** (-0.55 * size**0.03)
    return noisy(table.assign(run=table["params"].map("N{:.0f}".format), loss_se=0.004), loss, 0.004)


def position_steps(indices=6, steps=10):
    """Loss by token index along training: short context and short training, coupled with g = .5."""
    position, step = np.geomspace(1, 512, indices).round(), np.geomspace(400, 20_000, steps).round()
    table = pd.DataFrame([(t, s) for t in position for s in step], columns=["position", "step"])
    loss = 1.5 + np.hypot(4.0 * table["position"] ** -0.5, 60 * table["step"] ** -0.7)
    return noisy(table.assign(run="one", params=1e8), loss, 0.005)


def long_run(rows=1200):
    """One run with warm-up, a cosine to zero, jitter, and spikes."""
    rng = np.random.default_rng(2)
    tokens = np.linspace(1e5, 1e8, rows)
    lr = 1e-3 * np.minimum(tokens / 1e6, 0.5 + 0.5 * np.cos(np.pi * tokens / 1e8))
    loss = 1.3 + 0.3 * (np.cumsum(lr) * (tokens[1] - tokens[0]) / 5e4) ** -0.5 + 80 * lr
    loss = loss * np.exp(rng.normal(0, 0.01, rows)) + 0.4 * (rng.random(rows) < 0.005)
    return pd.DataFrame({"run": "one", "tokens": tokens, "lr": lr, "loss": loss})


def shapes(sizes=3, ratios=8):
    """Loss of three sizes against two ratios, each around its own best one."""
    rows = []
    for n in np.geomspace(1e5, 4e6, sizes):
        for axis, best, grid in (
            ("ff_ratio", 3.0, np.geomspace(0.5, 16, ratios)),
            ("head_dim", 24.0, np.geomspace(4, 128, ratios)),
        ):
            rest = {"ff_ratio": 4.0, "head_dim": 16.0}
            rows += [rest | {"axis": axis, "size": f"{n:.1e}", "params": n, axis: ratio} for ratio in grid]
    table = pd.DataFrame(rows).drop_duplicates(["params", "ff_ratio", "head_dim"], ignore_index=True)
    valley = lambda x, best, low, high: np.where(x < best, low, high) * np.log(x / best) ** 2  # noqa: E731
    rise = valley(table["ff_ratio"], 3.0, 0.02, 0.01) + valley(table["head_dim"], 24.0, 0.006, 0.012)
    loss = (1.2 + 0.8 * (table["params"] / 6e5) ** -0.25) * np.exp(rise)
    return noisy(table.assign(run=[f"r{i}" for i in range(len(table))]), loss, 0.002)


def given_posterior(problem, sites):
    """A posterior whose draws are given, one chain of them, without drift and run effects."""
    count = len(next(iter(sites.values())))
    nothing = np.zeros((1, count, 0))
    stats = {name: np.zeros((1, count)) for name in ("energy", "diverging", "steps", "acceptance")}
    health = Health(1.0, count, 0, 1.0, 1.0, 1.0)
    chain = {name: np.asarray(value)[None] for name, value in sites.items()}
    weights = np.zeros((1, count, problem.pieces))
    return Posterior.of(Fit(problem, chain, weights, nothing, stats, nothing, {}, health, 0))
