r"""Approach 3 of Hoffmann et al.: Chinchilla's law by a Huber loss from many starts, bootstrapped.

    log L(N, D) = log[exp(a - alpha log N) + exp(b - beta log D) + exp(e)]
    min sum_i Huber_delta(log y_i - log L(N_i, D_i)),      delta = 1e-3

Source: Hoffmann et al. 2022, arXiv:2203.15556, section 3.3; bootstrap as
Besiroglu et al. 2024, arXiv:2404.10102.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeResult, minimize

DELTA = 1e-3  # Hoffmann et al. (2022), section 3.3
NUM_STARTS = 12  # descents from the best points of the grid

# Hoffmann et al. (2022), section D.4: the grid of starts, in the paper's raw units
GRID = {
    "a": np.arange(0, 26, 5.0),
    "b": np.arange(0, 26, 5.0),
    "e": np.arange(-1, 1.1, 0.5),
    "alpha": np.arange(0, 2.1, 0.5),
    "beta": np.arange(0, 2.1, 0.5),
}
# a and b are logs of terms of the loss at the training centre, e of the floor. Far beyond any real fit: the
# bounds only keep a refit on a lucky resample from running to infinity along a direction without information.
BOUNDS = [(-30, 10), (-30, 10), (-30, 10), (0, 5), (0, 5)]


def refits(train: pd.DataFrame, *, num_bootstraps: int = 200, seed: int = 0) -> np.ndarray:
    """Coefficients of every refit in natural units, `(refit, 5)`: ln A, ln B, ln E, alpha, beta."""
    centre, _, _, thetas = bootstrap(train, num_bootstraps, np.random.default_rng(seed))
    thetas[:, :2] += thetas[:, 3:] * centre
    return thetas


def bootstrap(
    train: pd.DataFrame, num_bootstraps: int, rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """The centre of ln params and ln tokens, rows of ln loss and centred inputs, the first fit, refits."""
    y, x, z = np.log(train.loss.to_numpy()), np.log(train.params.to_numpy()), np.log(train.tokens.to_numpy())
    centre = x.mean(), z.mean()  # the optimum stays; the slopes no longer fight the levels
    rows = y, x - centre[0], z - centre[1]
    first = _first_fit(*rows, centre)
    counts = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=num_bootstraps)
    return centre, rows, first, np.array([_descend(first, *rows, weight).x for weight in counts])


def log_law(theta: Any, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log L and the shares of its three terms; each entry of theta broadcasts against x and z."""
    a, b, e, alpha, beta = theta
    terms = np.stack(np.broadcast_arrays(a - alpha * x, b - beta * z, e))
    top = terms.max(axis=0)
    terms = np.exp(terms - top)
    total = terms.sum(axis=0)
    return top + np.log(total), terms / total


def _huber(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Huber loss over delta^2 and its slope; the scale keeps the optimiser's tolerances above rounding."""
    small = np.abs(r) <= DELTA
    return np.where(small, 0.5 * (r / DELTA) ** 2, np.abs(r) / DELTA - 0.5), np.clip(r / DELTA, -1, 1) / DELTA


def _objective(
    theta: np.ndarray, y: np.ndarray, x: np.ndarray, z: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """The weighted sum of Huber losses and its gradient."""
    found, (p, q, s) = log_law(theta, x, z)
    value, slope = _huber(found - y)
    slope = weight * slope
    gradient = np.array([slope @ p, slope @ q, slope @ s, -slope @ (p * x), -slope @ (q * z)])
    return float(weight @ value), gradient


def _descend(
    start: np.ndarray, y: np.ndarray, x: np.ndarray, z: np.ndarray, weight: np.ndarray
) -> OptimizeResult:
    """L-BFGS from one start."""
    # the sum of the losses, never their mean: with the mean, L-BFGS stops early
    return minimize(
        _objective,
        start,
        args=(y, x, z, weight),
        jac=True,
        method="L-BFGS-B",
        bounds=BOUNDS,
        options={"maxiter": 2000, "ftol": 1e-12, "gtol": 1e-6},
    )


def _first_fit(y: np.ndarray, x: np.ndarray, z: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """The best of the descents from the best points of the grid, `(5,)`."""
    a, b, e, alpha, beta = (axis.ravel() for axis in np.meshgrid(*GRID.values()))
    starts = np.array([a - alpha * centre[0], b - beta * centre[1], e, alpha, beta])
    value = _huber(log_law(starts[:, :, None], x, z)[0] - y)[0].sum(axis=1)
    best = starts[:, np.argsort(value)[:NUM_STARTS]].T
    fits = [_descend(start, y, x, z, np.ones(len(y))) for start in np.clip(best, *np.array(BOUNDS).T)]
    return min(fits, key=lambda fit: fit.fun).x
