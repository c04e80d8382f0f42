"""The rival: least squares of a power law with a floor, and the delta method for its band."""

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t as student

STARTS = [
    (share, alpha) for share in (0.1, 0.5, 0.9) for alpha in (0.1, 0.3, 1.0)
]  # floor over smallest loss, exponent


def forecast(x, y, new, observed, *, num_samples=4000, seed=0):
    """Predictive draws at new rows, and the log density there of what was measured.

        ln y = ln(E + A (x / x0)^-alpha) + e,      e ~ Normal(0, s^2)
        ln y_new ~ Student-t(n - 3, ln law, sqrt(s^2 + J C J')),   C = s^2 (X'X)^-1,   s^2 = RSS / (n - 3)

    X and J are the derivatives of ln law in (ln E, ln A, alpha) at the training and the new rows.

    Args:
        x, y: training rows `(row,)`.
        new, observed: held-out rows `(row,)`.

    Returns:
        draws of y `(sample, row)` and log density of y in its own scale `(row,)`, exact.

    Source: Seber and Wild (1989), Nonlinear Regression, section 5.1.
    """
    centre = np.exp(np.log(x).mean())
    z, log_y = np.log(x / centre), np.log(y)
    level = np.exp(np.median(log_y))
    fits = [
        least_squares(
            lambda theta: _log_law(theta, z) - log_y,
            (np.log(share * y.min()), np.log(max(level - share * y.min(), 1e-3 * level)), alpha),
            jac=lambda theta: _slopes(theta, z),
            x_scale="jac",
        )
        for share, alpha in STARTS
    ]
    theta = min(fits, key=lambda fit: fit.cost).x
    free = len(y) - 3
    variance = np.sum((_log_law(theta, z) - log_y) ** 2) / free
    X, J = _slopes(theta, z), _slopes(theta, np.log(new / centre))
    covariance = variance * np.linalg.pinv(
        X.T @ X
    )  # a floor at 0 has no slope: what cannot be seen adds no width
    scale = np.sqrt(variance + np.einsum("ri,ij,rj->r", J, covariance, J))
    location = _log_law(theta, np.log(new / centre))
    unit = np.random.default_rng(seed).standard_t(free, (num_samples, len(new)))
    density = student.logpdf(np.log(observed), free, location, scale) - np.log(observed)
    return np.exp(location + scale * unit), density


def _log_law(theta, z):
    log_E, log_A, alpha = theta
    return np.logaddexp(log_E, log_A - alpha * z)


def _slopes(theta, z):
    """Derivatives of ln law in ln E, ln A and alpha, `(row, 3)`."""
    share = np.exp(theta[1] - theta[2] * z - _log_law(theta, z))  # of the loss that is not the floor
    return np.column_stack([1 - share, share, -share * z])
