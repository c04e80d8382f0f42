"""A noise, a drift and a law of one's own, from outside the package: fitted, forecast, tested, saved and loaded."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import lossband as lb
from lossband.model.drift import AbstractDrift, BoundDrift
from lossband.model.tails import Tails


@dataclass(frozen=True)
class Skewed(Tails):
    """Skew-normal scatter: losses stray upwards further than downwards (Azzalini 1985)."""

    shape: float = 3.0
    name = "skewed"

    def log_density(self, residual, scale):
        z = residual / scale
        return (
            jnp.log(2 / scale) + jax.scipy.stats.norm.logpdf(z) + jax.scipy.special.log_ndtr(self.shape * z)
        )

    def draw(self, key, shape):
        delta = self.shape / jnp.sqrt(1 + self.shape**2)
        both = jax.random.normal(key, (2, *shape))
        return delta * jnp.abs(both[0]) + jnp.sqrt(1 - delta**2) * both[1]


@dataclass(frozen=True)
class Tilt(AbstractDrift):
    """The law may miss by a slope in the log of each input."""

    width: float = 0.02

    def sample_scales(self):
        return {"tilt": numpyro.sample("tilt", dist.HalfNormal(self.width))}

    def bind(self, frame, unit, compute, along):
        return Tilted(tuple((name, float(unit.centre[name])) for name in along))


@dataclass(frozen=True)
class Tilted(BoundDrift):
    centres: tuple

    def inside(self, frame):
        return np.column_stack([np.log10(frame[name] / centre) for name, centre in self.centres])


def ours(runs):
    """A power law of compute with a floor."""
    compute = runs.params.values * runs.tokens.values
    A = numpyro.sample("A", dist.LogNormal(0.0, 1.0))
    alpha = numpyro.sample("alpha", dist.LogNormal(jnp.log(0.15), 0.4))
    return lb.floor(runs) + A * (compute / (runs.params.centre * runs.tokens.centre)) ** -alpha


QUICK = dict(num_warmup=150, num_samples=100, seed=0, progress=False)
CASES = {
    "noise": dict(law="chinchilla", noise=Skewed(), drift=None),
    "drift": dict(law="chinchilla", drift=Tilt()),
    "law": dict(law=ours, drift=None),
}


@pytest.mark.parametrize("part", CASES)
def test_it_is_fitted_forecast_tested_saved_and_loaded(part, grid, tmp_path):
    options = CASES[part]
    post = lb.fit(grid, **options, **QUICK)
    assert post.health.rhat_max < 1.1
    far = grid.assign(params=grid.params * 10)
    assert np.isfinite(post.predict(far)["hi_90"]).all() and np.isfinite(post.log_score(grid)).all()
    test = lb.backtest(grid, by="params", **options, **QUICK)
    assert 0 <= test.calibration()["cover_90"].iloc[-1] <= 1
    path = post.save(tmp_path / "post.nc")
    given = {"law": {"law": ours}, "noise": {"noise": Skewed()}, "drift": {"drift": Tilt()}}[part]
    assert np.array_equal(lb.load(path, **given).draws(far), post.draws(far))
    with pytest.raises(lb.InputError, match="not one of lossband's"):
        lb.load(path)


def test_another_noise_or_drift_is_refused(grid, tmp_path):
    path = lb.fit(grid, "chinchilla", noise=Skewed(), drift=None, **QUICK).save(tmp_path / "noise.nc")
    with pytest.raises(lb.InputError, match=r"holds the noise Skewed\(shape=3.0\), not Skewed\(shape=2.0\)"):
        lb.load(path, noise=Skewed(2.0))
    with pytest.raises(lb.InputError, match="no scale mixture of normals"):
        lb.fit(grid, "chinchilla", noise=Skewed())


def test_the_density_of_a_sum_with_a_normal_is_the_convolution(x64):
    """By default a quadrature, good where the normal is no wider than some scales."""
    tails, scale, variance = Skewed(), 0.01, 0.02**2
    x = np.linspace(-0.05, 0.08, 9)
    fine = np.linspace(-0.2, 0.2, 40001)
    density = np.exp(tails.log_density(fine, scale))
    exact = [np.trapezoid(density * np.exp(-((at - fine) ** 2) / 2 / variance), fine) for at in x]
    exact = np.array(exact) / np.sqrt(2 * np.pi * variance)
    np.testing.assert_allclose(np.exp(tails.log_density_plus_normal(x, scale, variance)), exact, rtol=1e-2)
