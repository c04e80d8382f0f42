"""The tables that are timed.

Two published sweeps, many curves with autocorrelated noise, one long curve, simulated sweeps.
"""

import numpy as np
import pandas as pd

from benchmarks import sets

SEED = 0


def chinchilla():
    """The 240 runs of Hoffmann et al.

    2022 (five of epoch's 245 digitised points left out, as everybody does).
    """
    (sweep,) = (sweep for sweep in sets.sweeps() if sweep.set == "chinchilla")
    return sweep.rows[["run", "params", "tokens", "loss"]]


def isodepth():
    """The 116 looped models of arXiv:2604.21106, all loop counts together."""
    return pd.read_csv(sets.DATA / "looped_isodepth.csv", dtype={"run": str})[
        ["run", "params", "tokens", "loss"]
    ]


def many_curves(rows=5000, runs=20):
    """`runs` training runs of one size, evenly spaced in tokens.

    1.8 + 2.2 (D / 1e9)^-.35, 1 % white noise, 2 % OU noise.

    The OU noise has a length of .3 in ln tokens.
    """
    rng = np.random.default_rng(SEED)
    tokens = np.tile(np.linspace(1e9, 1e12, rows // runs), (runs, 1)) * np.exp(rng.normal(0, 0.01, (runs, 1)))
    rho = np.exp(-np.diff(np.log(tokens), axis=1) / 0.3)
    slow = rng.normal(0, 0.02, tokens.shape)
    for i in range(1, tokens.shape[1]):
        slow[:, i] = rho[:, i - 1] * slow[:, i - 1] + np.sqrt(1 - rho[:, i - 1] ** 2) * slow[:, i]
    loss = (1.8 + 2.2 * (tokens / 1e9) ** -0.35) * np.exp(slow + rng.normal(0, 0.01, tokens.shape))
    names = np.repeat([f"run{i}" for i in range(runs)], rows // runs)
    return pd.DataFrame({"run": names, "tokens": tokens.ravel(), "loss": loss.ravel()})


def one_curve(rows=100_000):
    """One run of `rows` evaluations evenly spaced in tokens, 1.8 + 2.2 (D / 1e9)^-.35, 1 % normal noise."""
    tokens = np.linspace(1e9, 2e12, rows)
    noise = np.random.default_rng(SEED).normal(0, 0.01, rows)
    return pd.DataFrame(
        {"run": "one", "tokens": tokens, "loss": (1.8 + 2.2 * (tokens / 1e9) ** -0.35) * np.exp(noise)}
    )


def simulated(count, rows=100):
    """Sweeps of `rows` rows by Chinchilla's law with .5 % noise, each with its own design and noise."""
    for i in range(count):
        rng = np.random.default_rng([SEED, i])
        params, tokens = np.exp(rng.uniform(np.log([[1e7], [1e9]]), np.log([[1e10], [5e11]]), (2, rows)))
        loss = (1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28) * np.exp(rng.normal(0, 0.005, rows))
        yield pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


TABLES = {"chinchilla": chinchilla, "isodepth": isodepth, "many-curves": many_curves, "one-curve": one_curve}
