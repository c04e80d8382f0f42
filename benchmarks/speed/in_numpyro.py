"""NumPyro as one would write it from its documentation: default NUTS, four chains in parallel."""

import time

import numpy as np

from .compiling import Compiling
from .density import NU, WIDTHS, Numbers, reported


def model(numbers):
    """The density of density.py as a NumPyro model."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    def coefficient(name, shift=0.0):
        return numpyro.sample(name, dist.LogNormal(numbers.medians[name] + shift, WIDTHS[name]))

    E, alpha, beta, sigma = map(coefficient, ("E", "alpha", "beta", "sigma"))
    A, B = coefficient("A", alpha * numbers.N0), coefficient("B", beta * numbers.D0)
    loss = E + A * jnp.exp(-alpha * numbers.x) + B * jnp.exp(-beta * numbers.z)
    numpyro.sample("log_loss", dist.StudentT(NU, jnp.log(loss), sigma), obs=numbers.log_loss)


def run(table, *, natural, num_warmup, num_samples, num_chains, seed):
    """(seconds by phase, draws, gradients after warm-up)."""
    import jax
    import numpyro
    from numpyro.infer import MCMC, NUTS

    numpyro.set_host_device_count(num_chains)
    numpyro.enable_x64()
    numbers, compiling = Numbers.of(table, natural), Compiling()
    mcmc = MCMC(
        NUTS(model), num_warmup=num_warmup, num_samples=num_samples, num_chains=num_chains, progress_bar=False
    )
    started = time.perf_counter()
    mcmc.warmup(jax.random.key(seed), numbers)
    jax.block_until_ready(mcmc.last_state)
    warmup, compiled = time.perf_counter() - started, compiling.seconds
    mcmc.run(jax.random.key(seed + 1), numbers, extra_fields=("num_steps",))
    draws = {name: np.asarray(x) for name, x in mcmc.get_samples(group_by_chain=True).items()}
    sampling = time.perf_counter() - started - warmup
    seconds = {
        "compile": compiling.seconds,
        "warmup": warmup - compiled,
        "sampling": sampling - (compiling.seconds - compiled),
    }
    return seconds, reported(table, draws, natural), int(np.sum(mcmc.get_extra_fields()["num_steps"]))
