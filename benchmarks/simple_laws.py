"""The rival: simple-scaling-laws, a weighted least-squares fit of a law with a bootstrap over runs."""

import warnings

import numpy as np

LAWS = {  # the name in our tables -> the package's own
    "ssl-separable": "separable-power",  # E + A N^-alpha + B D^-beta
    "ssl-joint": "skaling-joint-power",  # E + A (N^-alpha + R D^-beta)^k
    "ssl-kaplan": "kaplan-joint-power",  # E + A (N^-rho + R / D)^beta
}
TARGET, SIZE, DATA = "test_loss__nats", "model_size__params", "dataset_size__tokens"


def forecast(train, test, *, law, num_bootstraps=200, num_noise=5, seed=0):
    """Predictive draws of the loss of new runs, the package's "new-run" bands.

    Its bootstrap draws and training noise.

    Every row is handed over as a run of its own, measured once, since the package takes no curves. Its
    settings are its defaults, but for 200 bootstrap draws in place of 1,000, each with five draws of the
    noise, as for `huber`.

    Args:
        train: runs to fit, a frame with columns loss (positive), params and tokens (counts).
        test: runs to forecast, with columns params and tokens.
        law: a name of `LAWS`.
        num_bootstraps: bootstrap draws, with `num_noise` draws of a new run's noise each.
        seed: of the bootstrap and the noise.

    Returns:
        Draws in the unit of the loss, shape (sample, row).

    Source: simple-scaling-laws 0.2.0, https://github.com/mmcdermott/simple-scaling-laws.
    """
    import polars as pl

    points = pl.DataFrame({SIZE: test.params.to_numpy(), DATA: test.tokens.to_numpy()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of every extrapolation, which is what is asked for
        model = fitted(train, law=law, num_bootstraps=num_bootstraps, seed=seed)
    at = model.fitting_predictors(model.prepare_points(points))
    rng = np.random.default_rng(seed)
    return np.concatenate([model.target_draws(TARGET, at, kind="new-run", rng=rng) for _ in range(num_noise)])


def fitted(train, *, law, num_bootstraps=None, seed=0):
    """The package's own model of `train`; by default with its default number of bootstraps."""
    import polars as pl
    from simple_scaling_laws import fit

    runs = {
        "training_run_id": np.array([f"r{i}" for i in range(len(train))]),
        SIZE: train.params.to_numpy(),
        DATA: train.tokens.to_numpy(),
        TARGET: train.loss.to_numpy(),
    }
    options = {} if num_bootstraps is None else {"n_draws": num_bootstraps}
    return fit(pl.DataFrame(runs), law=LAWS[law], seed=seed, **options)
