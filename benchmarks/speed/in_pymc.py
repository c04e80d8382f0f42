"""PyMC: its own NUTS, and nutpie's, each at its default settings but for the number of chains."""

import time

import numpy as np

from .density import NU, WIDTHS, Numbers, reported


def model(numbers):
    """The density of density.py as a PyMC model."""
    import pymc as pm

    with pm.Model() as made:

        def coefficient(name, shift=0.0):
            return pm.LogNormal(name, numbers.medians[name] + shift, WIDTHS[name])

        E, alpha, beta, sigma = map(coefficient, ("E", "alpha", "beta", "sigma"))
        A, B = coefficient("A", alpha * numbers.N0), coefficient("B", beta * numbers.D0)
        loss = E + A * pm.math.exp(-alpha * numbers.x) + B * pm.math.exp(-beta * numbers.z)
        pm.StudentT("log_loss", nu=NU, mu=pm.math.log(loss), sigma=sigma, observed=numbers.log_loss)
    return made


def run(table, *, natural, num_samples, num_chains, seed, nutpie, num_warmup=None):
    """(seconds by phase, draws, gradients after warm-up).

    Warm-up and sampling share their time by their gradients.
    """
    started = time.perf_counter()
    if nutpie:
        import nutpie as sampler

        compiled = sampler.compile_pymc_model(model(Numbers.of(table, natural)))
        compiling = time.perf_counter() - started
        trace = sampler.sample(
            compiled, draws=num_samples, tune=num_warmup, chains=num_chains, seed=seed, progress_bar=False
        )
        drawing = time.perf_counter() - started - compiling
    else:
        import pymc as pm

        with model(Numbers.of(table, natural)):
            tune = {} if num_warmup is None else {"tune": num_warmup}
            trace = pm.sample(
                num_samples,
                chains=num_chains,
                random_seed=seed,
                progressbar=False,
                discard_tuned_samples=False,
                nuts_sampler="pymc",
                compute_convergence_checks=False,
                **tune,
            )
        drawing = float(trace["posterior"].attrs["sampling_time"])
        compiling = time.perf_counter() - started - drawing
    before, after = (
        np.sum(trace[group]["n_steps"].to_numpy()) for group in ("warmup_sample_stats", "sample_stats")
    )
    draws = {name: trace["posterior"][name].to_numpy() for name in WIDTHS}
    seconds = {
        "compile": compiling,
        "warmup": drawing * before / (before + after),
        "sampling": drawing * after / (before + after),
    }
    return seconds, reported(table, draws, natural), int(after)
