"""The likelihood against dense Gaussian algebra and exact Student-t densities.

Draws against their covariance.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
import scipy.stats
from scipy.stats import multivariate_normal

from lossband.laws import chinchilla
from lossband.model.drift import Drift
from lossband.model.likelihood import Likelihood as LogLoss
from lossband.model.loss_model import LossModel
from lossband.model.measured import measured_of, weigh
from lossband.model.noise import Noise, find_noise
from lossband.model.ou import ou_covariance_times, ou_innovations, ou_path, prefixes
from lossband.model.problem import pose
from lossband.runs.arrays import FAR, order_of
from lossband.runs.table import check_runs

NU = 4.0  # degrees of freedom, as the page on the noise says

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")

ROWS, PADDED, WEIGHTS = 13, 16, 3
TAU = 0.05
SCALES = {"sigma": 0.02, "sigma_run": 0.03, "sigma_ou": 0.025, "length_ou": 0.7}
CASES = {
    "drift alone": {},
    "run effects": {"run": True},
    "run effects alone": {"run": True, "weights": 0},
    "OU alone": {"ou": True, "weights": 0},
    "known errors": {"known": True},
    "all": {"run": True, "ou": True, "known": True},
}
every_case = pytest.mark.parametrize("case", CASES)


@jax.jit
def answers(law, value):
    """All that a `LogLoss` says, compiled once for data of one shape."""
    return law.log_prob(value), law.mean_weights(value), law.expected_mixture(value)


def log_prob(law, value):
    return float(answers(law, value)[0])


def mean_weights(law, value):
    return answers(law, value)[1]


def expected_mixture(law, value):
    return answers(law, value)[2]


@jax.jit
def conditionals(law, value, keys):
    """Draws `(draw, ...)` of the weights, the OU path and the mixture."""
    return jax.vmap(lambda key: law.conditional(key, value))(keys)


class Dense:
    """One small data set of three runs, its `LogLoss`, and the covariance that it stands for, written out."""

    def __init__(
        self,
        curves,
        *,
        tails="normal",
        run=False,
        ou=False,
        known=False,
        weights=WEIGHTS,
        equal=False,
        run_tails="normal",
    ):
        rng = np.random.default_rng(2)
        frame = check_runs(curves if known else curves.drop(columns="loss_se"), ("params", "tokens"))
        frame = frame.iloc[order_of(frame)]
        basis, mixture = rng.normal(size=(ROWS, weights)), rng.uniform(0.3, 1.3, PADDED)
        measured = measured_of(frame, basis, run_effects=run)
        # rows of padding have loadings too: the mask alone must keep them out
        measured = replace(measured, drift=np.where(measured.mask[:, None] == 1, measured.drift, 1.0))
        of_runs = (
            np.linspace(0.4, 1.2, 4)[: measured.effect.shape[1]] if run_tails != "normal" else np.ones(4)
        )
        of_runs = of_runs[: measured.effect.shape[1]]
        measured = weigh(measured, np.append(np.ones(PADDED) if equal else mixture, of_runs))
        self.value = np.log(
            np.append(frame["loss"], rng.uniform(1, 9, PADDED - ROWS))
        )  # padding holds anything
        self.location = np.append(
            self.value[:ROWS] + rng.normal(0, 0.05, ROWS), rng.normal(size=PADDED - ROWS)
        )
        reach = np.append(np.full(weights, TAU), SCALES["sigma_run"] / np.sqrt(of_runs))
        noise = Noise(tails, run, ou, run_tails=run_tails)
        self.law = LogLoss(self.location, reach, noise, SCALES, measured, known)
        self.residual = self.value[:ROWS] - self.location[:ROWS]
        self.se = (frame["loss_se"] / frame["loss"]).to_numpy() if known else np.zeros(ROWS)
        self.rest = np.diag(SCALES["sigma"] ** 2 / np.asarray(measured.mixture)[:ROWS] + self.se**2)
        self.rest += ou_covariance(frame) if ou else 0.0
        self.covariance = self.rest + TAU**2 * basis @ basis.T
        self.of_runs = of_runs
        if run:
            self.covariance = self.covariance + run_covariance(frame) / of_runs[frame["run"].factorize()[0]]
        self.loadings = np.asarray(measured.loadings)[:ROWS] * reach
        self.frame = frame

    @property
    def posterior(self):
        """Mean and covariance of the weights given the losses, by the formula for jointly Gaussian vectors."""
        gain = np.linalg.solve(self.rest + self.loadings @ self.loadings.T, self.loadings).T
        return gain @ self.residual, np.eye(self.loadings.shape[1]) - gain @ self.loadings


def run_covariance(frame):
    """sigma_run^2 between the rows of one run."""
    run = frame["run"].to_numpy()
    return SCALES["sigma_run"] ** 2 * (run[:, None] == run)


def ou_covariance(frame):
    """sigma_ou^2 exp(-|ln t - ln s| / length) between the rows of one run, nothing between runs."""
    time, run = np.log(frame["tokens"].to_numpy()), frame["run"].to_numpy()
    kernel = SCALES["sigma_ou"] ** 2 * np.exp(-np.abs(time[:, None] - time) / SCALES["length_ou"])
    return kernel * (run[:, None] == run)


@every_case
def test_the_density_is_the_dense_gaussians(case, curves):
    dense = Dense(curves, **CASES[case])
    exact = multivariate_normal(cov=dense.covariance).logpdf(dense.residual)
    assert log_prob(dense.law, dense.value) == pytest.approx(exact, rel=1e-10)


def test_a_student_t_with_weights_is_the_gaussian_given_its_mixture(curves):
    normal, robust = (Dense(curves, tails=tails) for tails in ("normal", "student-t"))
    assert log_prob(robust.law, robust.value) == log_prob(normal.law, normal.value)


@pytest.mark.parametrize(("tails", "known"), [("student-t", False), ("normal", False), ("normal", True)])
def test_with_nothing_to_integrate_out_the_tails_are_exact(tails, known, curves):
    dense = Dense(curves, tails=tails, known=known, weights=0)
    scale = np.sqrt(SCALES["sigma"] ** 2 + dense.se**2)  # the mixture is of no account here
    unit = scipy.stats.t(df=4) if tails == "student-t" else scipy.stats.norm()
    exact = np.sum(unit.logpdf(dense.residual / scale) - np.log(scale))
    assert log_prob(dense.law, dense.value) == pytest.approx(exact, rel=1e-12)


@every_case
def test_what_stands_in_the_padding_changes_nothing(case, curves):
    dense = Dense(curves, **CASES[case])
    other = np.append(dense.value[:ROWS], np.linspace(-5, 5, PADDED - ROWS))
    assert log_prob(dense.law, other) == log_prob(dense.law, dense.value)


@every_case
def test_posterior_weights_have_the_mean_of_the_dense_conditional(case, curves):
    dense = Dense(curves, **CASES[case])
    np.testing.assert_allclose(
        mean_weights(dense.law, dense.value), dense.posterior[0], rtol=1e-8, atol=1e-12
    )


@every_case
def test_what_is_integrated_out_is_drawn_from_the_dense_conditional(case, curves):
    """The weights have its mean and covariance.

    The mixture is that of the noise's squares, E 1 / lambda = (4 + E t^2) / 3.
    """
    dense = Dense(curves, tails="student-t", **CASES[case])
    mean, covariance = dense.posterior
    drawn, _, mixture = map(
        np.asarray, conditionals(dense.law, dense.value, jax.random.split(jax.random.key(4), 20_000))
    )
    assert within_monte_carlo(drawn - mean, covariance)
    noise = np.diag(SCALES["sigma"] ** 2 / np.asarray(dense.law.measured.mixture)[:ROWS])
    gain = np.linalg.solve(dense.covariance, noise).T
    squares = (gain @ dense.residual) ** 2 + np.diag(noise - gain @ noise)
    inverse = 1 / mixture[:, :ROWS]
    error = inverse.std(0) / np.sqrt(len(inverse))
    assert (np.abs(inverse.mean(0) - (4 + squares / SCALES["sigma"] ** 2) / 3) < 5 * error).all()


@pytest.mark.parametrize("tails", ["normal", "student-t"])
def test_the_mixture_of_heavy_tailed_run_effects_is_drawn_given_them_and_expected_so(tails, curves):
    """E 1 / lambda = (4 + E t^2) / 3 and, given the losses, lambda = 5 / (4 + E t^2), t the effect over its scale."""
    dense = Dense(curves, tails=tails, run=True, run_tails="student-t")
    exact = multivariate_normal(cov=dense.covariance).logpdf(dense.residual)
    assert log_prob(dense.law, dense.value) == pytest.approx(exact, rel=1e-10)
    mean, covariance = dense.posterior
    t2 = (mean**2 + np.diag(covariance))[WEIGHTS:] / dense.of_runs
    np.testing.assert_allclose(expected_mixture(dense.law, dense.value)[PADDED:], 5 / (4 + t2), rtol=1e-8)
    keys = jax.random.split(jax.random.key(6), 20_000)
    inverse = 1 / np.asarray(conditionals(dense.law, dense.value, keys)[2])[:, PADDED:]
    error = inverse.std(0) / np.sqrt(len(inverse))
    assert (np.abs(inverse.mean(0) - (4 + t2) / 3) < 5 * error).all()


def test_a_model_of_heavy_tailed_run_effects_is_the_law_and_student_t_effects(curves):
    """Prior draws of ln losses: the effects' quartiles are those of a Student-t with 4 degrees of freedom."""
    dense = Dense(curves, tails="normal", run=True, run_tails="student-t", weights=0, equal=True)
    drawn = jax.jit(lambda key: dense.law.sample(key, (40_000,)))(jax.random.key(0)) - dense.location
    first, last = np.flatnonzero(dense.frame["run"] == dense.frame["run"].iloc[0])[[0, -1]]
    together = np.asarray(drawn)[:, [first, last]].mean(1)  # the effect, and noise of a known size
    rng = np.random.default_rng(1)
    scatter = SCALES["sigma"] / np.sqrt(2) * rng.standard_normal(40_000)
    exact = SCALES["sigma_run"] * rng.standard_t(4, 40_000) + scatter
    levels = [0.01, 0.1, 0.25, 0.75, 0.9, 0.99]
    np.testing.assert_allclose(np.quantile(together, levels), np.quantile(exact, levels), rtol=0.06)


@pytest.mark.parametrize("case", ["OU alone", "all"])
def test_the_path_is_drawn_from_the_dense_conditional(case, curves):
    dense = Dense(curves, **CASES[case])
    _, paths, _ = conditionals(dense.law, dense.value, jax.random.split(jax.random.key(5), 20_000))
    prior = ou_covariance(dense.frame)
    gain = np.linalg.solve(dense.covariance, prior).T
    assert within_monte_carlo(np.asarray(paths)[:, :ROWS] - gain @ dense.residual, prior - gain @ prior)


def test_the_ou_covariance_times_a_vector_is_the_dense_one(curves):
    frame = Dense(curves).frame
    vector = np.random.default_rng(3).normal(size=ROWS)
    padded = np.append(vector, np.zeros(PADDED - ROWS))
    found = ou_covariance_times(padded, SCALES, gap_of(frame))[:ROWS]
    np.testing.assert_allclose(found, ou_covariance(frame) @ vector, rtol=1e-10, atol=1e-14)


def test_normal_noise_keeps_the_mixture_that_it_was_given(curves):
    dense = Dense(curves)
    *_, mixture = conditionals(dense.law, dense.value, jax.random.split(jax.random.key(4), 2))
    np.testing.assert_array_equal(mixture[1], dense.law.measured.mixtures)


def test_expected_mixture_without_weights_is_langes(curves):
    dense = Dense(curves, tails="student-t", weights=0)
    exact = (4 + 1) / (4 + (dense.residual / SCALES["sigma"]) ** 2)
    np.testing.assert_allclose(expected_mixture(dense.law, dense.value)[:ROWS], exact, rtol=1e-12)
    assert exact.min() < 0.5 < 1 < exact.max()  # rows on both sides


@pytest.mark.parametrize("run", [False, True])
def test_expected_mixture_averages_the_squared_residual_over_the_weights(run, curves):
    dense = Dense(curves, tails="student-t", run=run)
    mean, covariance = dense.posterior
    squared = (dense.residual - dense.loadings @ mean) ** 2 + np.diag(
        dense.loadings @ covariance @ dense.loadings.T
    )
    exact = 5 / (4 + squared / SCALES["sigma"] ** 2)
    np.testing.assert_allclose(expected_mixture(dense.law, dense.value)[:ROWS], exact, rtol=1e-9)


def joined(problem, scales):
    """The model's `LogLoss` of a problem with scales and coefficients fixed."""
    values = {"E": 1.6, "A": 0.7, "alpha": 0.3, "B": 0.6, "beta": 0.25, **scales}
    with numpyro.handlers.block(), numpyro.handlers.substitute(data=values):
        return problem.model.likelihood(problem.runs, problem.measured), values


@pytest.mark.parametrize(
    ("parts", "known"), [("normal", False), ("normal", True), ("normal+run", False), ("normal+run+ou", True)]
)
def test_the_model_joins_law_drift_runs_and_noise(parts, known, curves):
    """From the user's shuffled table to the density, against the covariance written out in the table's own order."""
    table = curves if known else curves.drop(columns="loss_se")
    problem = pose(table, chinchilla, noise=parts)
    measured = weigh(problem.measured, problem.measured.mixtures)  # as the sampler does before it starts
    likelihood, v = joined(replace(problem, measured=measured), SCALES | {"tau": 0.3})
    centre = {name: np.exp(np.log(table[name]).mean()) for name in ("params", "tokens")}
    law = (
        v["E"]
        + v["A"] * (table.params / centre["params"]) ** -0.3
        + v["B"] * (table.tokens / centre["tokens"]) ** -0.25
    )
    basis = problem.paths.inside(table)
    covariance = SCALES["sigma"] ** 2 * np.eye(ROWS) + 0.3**2 * basis @ basis.T
    covariance += (run_covariance(table) if "run" in parts else 0.0) + (
        ou_covariance(table) if "ou" in parts else 0.0
    )
    covariance += np.diag((table.loss_se / table.loss) ** 2) if known else 0.0
    exact = multivariate_normal(mean=np.log(law), cov=covariance).logpdf(np.log(table.loss))
    assert log_prob(likelihood, measured.log_loss) == pytest.approx(exact, rel=1e-9)


def test_without_drift_the_model_has_no_weights(curves):
    likelihood, _ = joined(pose(curves.drop(columns="loss_se"), chinchilla, drift=None), SCALES)
    assert likelihood.reach.shape == (0,) and not likelihood.integrated


def test_heavy_tails_beside_a_known_error_are_their_convolution(curves):
    """Given the mixture a row is normal with both variances: never a Student-t of the summed scale."""
    dense = Dense(curves, tails="student-t", known=True, weights=0)
    exact = scipy.stats.norm.logpdf(dense.residual, scale=np.sqrt(np.diag(dense.covariance))).sum()
    assert dense.law.integrated
    assert log_prob(dense.law, dense.value) == pytest.approx(exact, rel=1e-10)


def gap_of(frame):
    return measured_of(frame, np.zeros((len(frame), 0))).gap


def within_monte_carlo(draws, covariance, k=5):
    """Whether the draws' second moments lie within k standard errors of a Gaussian's with this covariance."""
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / len(draws))
    centred = draws - draws.mean(0)
    mean_is = np.abs(draws.mean(0)) < k * np.sqrt(np.diag(covariance) / len(draws))
    covariance_is = np.abs(centred.T @ centred / len(draws) - covariance) < k * error
    return mean_is.all() and covariance_is.all()


def test_an_ou_path_has_the_exponential_covariance_run_by_run(curves):
    frame = Dense(curves).frame
    paths = np.asarray(ou_path(jax.random.key(0), SCALES, gap_of(frame), (10_000,)))
    assert paths.shape == (10_000, PADDED)
    assert within_monte_carlo(paths[:, :ROWS], ou_covariance(frame))


def test_an_ou_path_of_points_at_one_time_is_constant(curves):
    gap = gap_of(Dense(curves).frame)
    paths = np.asarray(ou_path(jax.random.key(0), SCALES, np.where(gap < FAR, 0.0, FAR), (10_000,)))[:, :ROWS]
    first = np.maximum.accumulate(np.where(gap == FAR, np.arange(PADDED), 0))[:ROWS]
    np.testing.assert_array_equal(paths, paths[:, first])
    assert (paths[:, 0] != paths[:, -1]).all()


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 37])
def test_prefixes_are_those_of_one_row_after_another(rows):
    rng = np.random.default_rng(rows)
    a, b = rng.uniform(0.1, 0.9, rows), rng.normal(size=(rows, 2))
    slopes, ends = prefixes(
        lambda f, s: (f[0] * s[0], s[0][..., None] * f[1] + s[1]), (jnp.array(a), jnp.array(b))
    )
    expected = [b[0]]
    for i in range(1, rows):
        expected.append(a[i] * expected[-1] + b[i])
    np.testing.assert_allclose(ends, expected, rtol=1e-12)
    np.testing.assert_allclose(slopes, np.cumprod(a), rtol=1e-12)


def test_points_at_one_time_leave_finite_gradients():
    """The filter's recursion for y, with errors e and variances v: its density's slope in every scale."""
    gap, y = jnp.array([FAR, 0.0, 0.4, FAR]), jnp.array([[0.1], [-0.1], [0.2], [0.3]])

    def height(scales):
        error, variance = ou_innovations(y, jnp.full(4, 0.01), scales, gap)
        return jnp.sum(error[:, 0] ** 2 / variance + jnp.log(variance))

    for site, slope in jax.jit(jax.jacfwd(height))({"sigma_ou": 0.03, "length_ou": 0.7}).items():
        assert np.isfinite(slope) and slope != 0, site


@pytest.mark.parametrize(
    "case",
    [
        "drift alone",
        "run effects",
        "OU alone",
        "known errors",
    ],
)
def test_samples_have_the_covariance_of_the_density(case, curves):
    weightless = {"weights": 0} if case == "known errors" else {}
    dense = Dense(curves, equal=True, **CASES[case], **weightless)
    draws = np.asarray(dense.law.sample(jax.random.key(1), (10_000,)))
    assert within_monte_carlo(draws[:, :ROWS] - dense.location[:ROWS], dense.covariance)


@pytest.mark.parametrize(
    ("tails", "unit"), [("student-t", scipy.stats.t(df=4)), ("normal", scipy.stats.norm())]
)
def test_noise_draws_and_density_are_of_one_distribution(tails, unit):
    noise, x = Noise(tails), np.linspace(-0.1, 0.1, 7)
    draws = np.asarray(0.02 * noise.tails.draw(jax.random.key(2), (10_000,)))
    assert scipy.stats.kstest(draws / 0.02, unit.cdf).pvalue > 0.01
    np.testing.assert_allclose(
        noise.tails.log_density(x, 0.02), unit.logpdf(x / 0.02) - np.log(0.02), rtol=1e-12
    )
    assert NU == 4


@pytest.mark.parametrize(
    ("wanted", "found"),
    {
        "student-t": Noise("student-t", False, False),
        "normal": Noise("normal", False, False),
        "normal+run": Noise("normal", True, False),
        "student-t + ou": Noise("student-t", False, True),
        "student-t+ou+run": Noise("student-t", True, True),
    }.items(),
)
def test_noise_is_found_by_its_name(wanted, found):
    assert find_noise(wanted) == found and find_noise(found) is found


@pytest.mark.parametrize(
    "noise", [Noise(), Noise(run=True), Noise(ou=True), Noise(run=True, ou=True), Noise(sigma=1e-6)]
)
def test_scales_are_sampled_as_shares_of_the_spread(noise):
    with numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
        scales = noise.scales(0.2)
    stated = {"sigma": ((1e-6 if noise == Noise(sigma=1e-6) else 0.03) * 0.2, 1.2)}
    stated |= {"sigma_run": (0.03 * 0.2, 1.0)} if noise.run else {}
    stated |= {"sigma_ou": (0.03 * 0.2, 1.0), "length_ou": (0.5, 1.0)} if noise.ou else {}
    assert set(scales) == set(trace) == set(stated)
    for site, (median, width) in stated.items():
        prior = trace[site]["fn"]
        assert (float(jnp.exp(prior.loc)), float(prior.scale)) == pytest.approx((median, width), rel=1e-9), (
            site
        )


def test_models_of_equal_parts_are_equal():
    one, two = (LossModel(chinchilla, Noise("normal", run=True), Drift()) for _ in range(2))
    assert one == two and hash(one) == hash(two)
    assert one != LossModel(chinchilla, Noise("normal"), Drift()) and one != LossModel(
        chinchilla, one.noise, None
    )


@pytest.mark.parametrize(
    ("noise", "drift", "heavy", "integrates"),
    [
        ("student-t", Drift(), True, True),
        ("student-t", None, True, False),
        ("normal", None, False, False),
        ("normal+run", None, False, True),
        ("student-t+ou", None, True, True),
    ],
)
def test_a_model_knows_its_tails_and_whether_it_integrates_parts_out(noise, drift, heavy, integrates):
    model = LossModel(chinchilla, find_noise(noise), drift)
    assert (model.heavy_tailed, model.integrates) == (heavy, integrates)


@pytest.mark.parametrize("tails", ["student-t", "normal"])
@pytest.mark.parametrize("variance", [0.0, 0.04, 4.0])
def test_density_beside_a_normal_is_the_convolution(tails, variance):
    residual, scale = np.array([0.0, 0.3, 1.0, 5.0]), 0.2
    unit = scipy.stats.t(NU, scale=scale) if tails == "student-t" else scipy.stats.norm(scale=scale)
    if variance:  # far beyond the farthest residual, far finer than either scale
        shift = np.linspace(-20, 20, 100_001)
        density = unit.pdf(residual[:, None] - shift) * scipy.stats.norm.pdf(shift, scale=np.sqrt(variance))
        exact = np.log(np.trapezoid(density, shift))
    else:
        exact = unit.logpdf(residual)
    np.testing.assert_allclose(
        Noise(tails).tails.log_density_plus_normal(residual, scale, variance), exact, atol=1e-5
    )


# ln densities at the residuals -.03, 0, .004 and .2, scale .01: alone, and beside normals of these variances
RESIDUALS, VARIANCES = np.array([-0.03, 0.0, 0.004, 0.2]), np.array([0.0, 1e-5, 4e-5, 1e-3])
STORED = {
    "student-t": (
        ["0x1.5afbf2109a770p-1", "0x1.cfea67585803cp+1", "0x1.c35d715ff1e3cp+1", "-0x1.fa7622702915bp+2"],
        ["0x1.5afc00af78c01p-1", "0x1.c899cce59337dp+1", "0x1.b057d32d86fa3p+1", "-0x1.dd8baa57f1358p+2"],
    ),
    "normal": (
        ["-0x1.a0a63eaba1608p-1", "0x1.d7d6705517a7dp+1", "0x1.cd98ffb1409d9p+1", "-0x1.88a0a63eaba16p+7"],
        ["-0x1.a0a63eaba1608p-1", "0x1.d1bce076c8963p+1", "0x1.bafd3874b3fe5p+1", "-0x1.f6399fb6cfca8p+3"],
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_densities_are_those_that_were_stored(name):
    """To the last bits, which another processor's logarithm may round otherwise."""
    tails = find_noise(name).tails
    alone = tails.log_density(jnp.asarray(RESIDUALS), 0.01)
    beside = tails.log_density_plus_normal(jnp.asarray(RESIDUALS), 0.01, jnp.asarray(VARIANCES))
    for found, stored in zip((alone, beside), STORED[name], strict=True):
        np.testing.assert_array_max_ulp(
            np.asarray(found), np.array([float.fromhex(x) for x in stored]), maxulp=8
        )
