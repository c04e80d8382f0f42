"""The rival: what papers do. A Huber fit of the Chinchilla law from many starts, bootstrapped for a band."""

import numpy as np
from scipy.optimize import minimize

DELTA = 1e-3  # Hoffmann et al. (2022), section 3.3
NUM_STARTS = 12  # descents from the best points of the grid
NUM_NOISE = 5  # residuals drawn for each refit

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


def forecast(train, test, *, num_bootstraps=200, seed=0):
    """Predictive draws of the loss of new runs from the Chinchilla law, Huber loss and bootstrap.

        log L(N, D) = log[exp(a - alpha log N) + exp(b - beta log D) + exp(e)]
        fit: min sum_i Huber_delta(log y_i - log L(N_i, D_i)),      delta = 1e-3
        draw: L(test; refit to resampled rows) exp(residual of the first fit, resampled)

    Args:
        train: runs to fit, a frame with columns loss (positive), params and tokens (counts).
        test: runs to forecast, with columns params and tokens.
        num_bootstraps: refits, each to the rows drawn with replacement and started from the first fit.
        seed: of the resampling.

    Returns:
        Draws in the unit of the loss, shape (sample, row), with 5 samples a refit.

    Raises:
        ValueError: a training loss that is not positive.

    Source: Hoffmann et al. (2022), approach 3, section 3.3; bootstrap as Besiroglu et al. (2024).
    """
    if not (train.loss > 0).all():
        raise ValueError(
            f"{(~(train.loss > 0)).sum()} training losses are not above 0; the fit takes logs. "
            "Drop them with `runs[runs.loss > 0]`."
        )
    rng = np.random.default_rng(seed)
    centre, rows, first, thetas = _bootstrap(train, num_bootstraps, rng)
    residual = rows[0] - _log_law(first, *rows[1:])[0]
    new = np.log(test.params.to_numpy()) - centre[0], np.log(test.tokens.to_numpy()) - centre[1]
    curves = _log_law(thetas.T[:, :, None], *new)[0]  # (refit, row)
    noise = rng.choice(residual, size=(NUM_NOISE, *curves.shape))
    return np.exp(curves + noise).reshape(-1, curves.shape[1])


def refits(train, *, num_bootstraps=200, seed=0):
    """Coefficients of every refit in natural units, `(refit, 5)`: ln A, ln B, ln E, alpha, beta."""
    centre, _, _, thetas = _bootstrap(train, num_bootstraps, np.random.default_rng(seed))
    thetas[:, :2] += thetas[:, 3:] * centre
    return thetas


def _bootstrap(train, num_bootstraps, rng):
    """The centre of ln params and ln tokens; rows of ln loss and the centred inputs; the first fit.

    The refits.
    """
    y, x, z = np.log(train.loss.to_numpy()), np.log(train.params.to_numpy()), np.log(train.tokens.to_numpy())
    centre = x.mean(), z.mean()  # the optimum stays; the slopes no longer fight the levels
    rows = y, x - centre[0], z - centre[1]
    first = _first_fit(*rows, centre)
    counts = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=num_bootstraps)
    return centre, rows, first, np.array([_descend(first, *rows, weight).x for weight in counts])


def _log_law(theta, x, z):
    """log L and the shares of its three terms; each entry of theta broadcasts against x and z."""
    a, b, e, alpha, beta = theta
    terms = np.stack(np.broadcast_arrays(a - alpha * x, b - beta * z, e))
    top = terms.max(axis=0)
    terms = np.exp(terms - top)
    total = terms.sum(axis=0)
    return top + np.log(total), terms / total


def _huber(r):
    """Huber loss over delta^2 and its slope; the scale keeps the optimiser's tolerances above rounding."""
    small = np.abs(r) <= DELTA
    return np.where(small, 0.5 * (r / DELTA) ** 2, np.abs(r) / DELTA - 0.5), np.clip(r / DELTA, -1, 1) / DELTA


def _objective(theta, y, x, z, weight):
    log_law, (p, q, s) = _log_law(theta, x, z)
    value, slope = _huber(log_law - y)
    slope = weight * slope
    gradient = np.array([slope @ p, slope @ q, slope @ s, -slope @ (p * x), -slope @ (q * z)])
    return weight @ value, gradient


def _descend(start, y, x, z, weight):
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


def _first_fit(y, x, z, centre):
    a, b, e, alpha, beta = (axis.ravel() for axis in np.meshgrid(*GRID.values()))
    starts = np.array([a - alpha * centre[0], b - beta * centre[1], e, alpha, beta])
    value = _huber(_log_law(starts[:, :, None], x, z)[0] - y)[0].sum(axis=1)
    best = starts[:, np.argsort(value)[:NUM_STARTS]].T
    fits = [_descend(start, y, x, z, np.ones(len(y))) for start in np.clip(best, *np.array(BOUNDS).T)]
    return min(fits, key=lambda fit: fit.fun).x
