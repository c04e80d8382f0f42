"""Stan through pystan, at its default settings but for the number of chains."""

import contextlib
import io
import tempfile
import time

import numpy as np

from .density import NU, WIDTHS, Numbers, reported

MODEL = """
data {
  int n; vector[n] x; vector[n] z; vector[n] log_loss; real N0; real D0; real nu;
  real m_E; real m_alpha; real m_A; real m_beta; real m_B; real m_sigma;
}
parameters {
  real<lower=0> E; real<lower=0> A; real<lower=0> alpha; real<lower=0> B; real<lower=0> beta; real<lower=0> sigma;
}
model {
  E ~ lognormal(m_E, W_E);
  alpha ~ lognormal(m_alpha, W_alpha);
  beta ~ lognormal(m_beta, W_beta);
  A ~ lognormal(m_A + alpha * N0, W_A);
  B ~ lognormal(m_B + beta * D0, W_B);
  sigma ~ lognormal(m_sigma, W_sigma);
  log_loss ~ student_t(nu, log(E + A * exp(-alpha * x) + B * exp(-beta * z)), sigma);
}
"""


def run(table, *, natural, num_samples, num_chains, seed, num_warmup=None):
    """(seconds by phase, draws, gradients after warm-up).

    Warm-up and sampling share their time by their gradients.
    """
    import stan

    numbers, code = Numbers.of(table, natural), MODEL
    for name, width in WIDTHS.items():
        code = code.replace(f"W_{name})", f"{width})")
    data = {"n": len(numbers.x), "N0": numbers.N0, "D0": numbers.D0, "nu": NU}
    data |= {name: getattr(numbers, name).tolist() for name in ("x", "z", "log_loss")}
    data |= {f"m_{name}": float(median) for name, median in numbers.medians.items()}
    started = time.perf_counter()
    # it writes a folder "build" where it is, and its progress to stderr
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        built = stan.build(code, data=data, random_seed=seed)
        compiling = time.perf_counter() - started
        warmup = {} if num_warmup is None else {"num_warmup": num_warmup}
        fitted = built.sample(num_chains=num_chains, num_samples=num_samples, save_warmup=True, **warmup)
    drawing = time.perf_counter() - started - compiling

    def by_chain(name):
        return fitted[name].reshape(-1, num_chains).T  # pystan flattens (draw, chain)

    steps = by_chain("n_leapfrog__")
    before, after = steps[:, :-num_samples].sum(), steps[:, -num_samples:].sum()
    draws = {name: by_chain(name)[:, -num_samples:] for name in WIDTHS}
    seconds = {
        "compile": compiling,
        "warmup": drawing * before / (before + after),
        "sampling": drawing * after / (before + after),
    }
    return seconds, reported(table, draws, natural), int(np.sum(after))
