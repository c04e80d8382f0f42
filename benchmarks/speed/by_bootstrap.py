"""What papers do instead of sampling.

A fit by Huber's loss from a grid of starts, or simple-scaling-laws, bootstrapped.
"""

import time
import warnings

import numpy as np

from benchmarks import huber, simple_laws


def run_huber(table, *, num_bootstraps=1000, seed=0):
    """(seconds by phase, refits of the coefficients as one chain).

    Start grid, L-BFGS, 1,000 bootstraps, by scipy.
    """
    started = time.perf_counter()
    ln_A, ln_B, ln_E, alpha, beta = huber.refits(table, num_bootstraps=num_bootstraps, seed=seed).T
    draws = {"E": np.exp(ln_E), "alpha": alpha, "beta": beta, "ln A_natural": ln_A, "ln B_natural": ln_B}
    return {"sampling": time.perf_counter() - started}, {name: x[None] for name, x in draws.items()}, None


def run_simple(table, *, num_bootstraps=None, seed=0):
    """(seconds by phase, nothing).

    Simple-scaling-laws at its default settings, which the process pool of its own shares.
    """
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        simple_laws.fitted(table, law="ssl-separable", num_bootstraps=num_bootstraps, seed=seed)
    return {"sampling": time.perf_counter() - started}, {}, None
