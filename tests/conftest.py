"""What several tests share.

Double precision, small simulated tables, the measurements beside the checkout.
"""

import os
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import lossband as lb

os.environ.setdefault("LOSSBAND_CACHE_MB", "2000")  # hundreds of models in one run: none is to be made twice
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def x64():
    """Double precision while one module's tests run; the library itself turns it on where it needs it."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def quick_compile():
    """Compile hastily while one module's tests run.

    They use each program once, so that compiling is most of their time.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of public measurements beside the checkout: under CI it must be there."""
    if not SHARED.is_dir():
        missing = f"no measurements at {SHARED}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return SHARED


@pytest.fixture(scope="session")
def shared_cases():
    """The folder of inputs that went wrong, beside the checkout: under CI it must be there."""
    folder = SHARED.parent / "cases"
    if not folder.is_dir():
        missing = f"no cases at {folder}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return folder


@pytest.fixture
def truth():
    """Coefficients of the simulated sweep, in natural units: Chinchilla's published ones."""
    return {"E": 1.69, "A_natural": 406.4, "alpha": 0.34, "B_natural": 410.7, "beta": 0.28}


@pytest.fixture
def sweep(truth):
    """36 rows over 6 sizes x 6 budgets of tokens, Chinchilla's law with 0.5 % normal noise on ln loss."""
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 5e10, 6)))
    law = (
        truth["E"]
        + truth["A_natural"] * params ** -truth["alpha"]
        + truth["B_natural"] * tokens ** -truth["beta"]
    )
    noise = np.random.default_rng(3).normal(0, 0.005, len(law))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": law * np.exp(noise)})


@pytest.fixture
def curves():
    """Three training runs of 6, 3 and 4 unevenly spaced points, rows shuffled, with known errors of the losses."""
    rng = np.random.default_rng(5)
    parts = []
    for run, (count, params) in {"b": (6, 1e7), "a": (3, 3e7), "c": (4, 2e8)}.items():
        tokens = 1e8 * np.exp(np.cumsum(rng.uniform(0.1, 1.0, count)))
        loss = 1.7 + (params / 1e7) ** -0.3 + 0.8 * (tokens / 1e9) ** -0.3 + rng.normal(0, 0.01, count)
        parts.append(pd.DataFrame({"run": run, "params": params, "tokens": tokens, "loss": loss}))
    table = pd.concat(parts).assign(loss_se=lambda t: rng.uniform(0.002, 0.02, len(t)))
    return table.sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture(scope="session")
def grid():
    """56 rows over 8 sizes x 7 budgets of tokens by Chinchilla's law, 0.5 % noise on ln loss.

    One fit serves many tests.
    """
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 8), np.geomspace(1e9, 5e10, 7)))
    law = 1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28
    noise = np.random.default_rng(4).normal(0, 0.005, len(law))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": law * np.exp(noise)})


@pytest.fixture(scope="session")
def default_post(grid):
    """The default law, noise and drift on the grid."""
    return lb.fit(grid, seed=0)


@pytest.fixture(scope="session")
def plain_post(grid):
    """Chinchilla without drift on the grid."""
    return lb.fit(grid, "chinchilla", drift=None, seed=0)
