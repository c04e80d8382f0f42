"""The rival: what papers do. A Huber fit of the Chinchilla law from many starts, bootstrapped for a band."""

import numpy as np

from lossband.evaluation.huber import bootstrap, log_law, refits

NUM_NOISE = 5  # residuals drawn for each refit
__all__ = ["forecast", "refits"]


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
    centre, rows, first, thetas = bootstrap(train, num_bootstraps, rng)
    residual = rows[0] - log_law(first, *rows[1:])[0]
    new = np.log(test.params.to_numpy()) - centre[0], np.log(test.tokens.to_numpy()) - centre[1]
    curves = log_law(thetas.T[:, :, None], *new)[0]  # (refit, row)
    noise = rng.choice(residual, size=(NUM_NOISE, *curves.shape))
    return np.exp(curves + noise).reshape(-1, curves.shape[1])
