"""The speed benchmark: one density for all samplers, figures that can be wrong, a run of it in small."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from numpyro.infer.util import log_density

from benchmarks.speed import density, growth, in_numpyro, quality, report
from benchmarks.speed.data import many_curves, one_curve, simulated
from benchmarks.speed.rows import BY_NAME, ROWS
from lossband.inference.coordinates import Space
from lossband.model.problem import pose

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")
POINT = {"E": 1.7, "A": 0.4, "alpha": 0.33, "B": 0.5, "beta": 0.29, "sigma": 0.006}


def points():
    rng = np.random.default_rng(0)
    return [{name: value * np.exp(0.1 * rng.normal()) for name, value in POINT.items()} for _ in range(5)]


@pytest.fixture(scope="module")
def table():
    (one,) = simulated(1, 40)
    return one


def natural_of(table, at):
    ln_A = np.log(at["A"]) + at["alpha"] * np.log(table["params"]).mean()
    ln_B = np.log(at["B"]) + at["beta"] * np.log(table["tokens"]).mean()
    return at | {"A": np.exp(ln_A), "B": np.exp(ln_B)}


@pytest.mark.parametrize("natural", [False, True], ids=["centred", "natural"])
def test_the_rivals_density_is_ours_in_other_coordinates(table, natural):
    """In logarithms of the coefficients, the change to natural units has a volume of 1, so the densities are equal."""
    problem = pose(table, "chinchilla", drift=None)
    space = Space.of(problem.model, *problem.arrays)
    numbers = density.Numbers.of(table, natural)
    differences = []
    for at in points():
        ours = log_density(problem.model, problem.arrays, {}, at)[0]
        theirs = natural_of(table, at) if natural else at
        logs = sum(np.log(value) for value in at.values()), sum(np.log(value) for value in theirs.values())
        differences.append(
            ours + logs[0] - log_density(in_numpyro.model, (numbers,), {}, theirs)[0] - logs[1]
        )
        assert np.isfinite(space.potential(space.coordinates(at)))
    np.testing.assert_allclose(differences, 0.0, atol=1e-6)


@pytest.mark.parametrize("natural", [False, True], ids=["centred", "natural"])
def test_what_is_reported_is_in_one_unit(table, natural):
    draws = natural_of(table, POINT) if natural else POINT
    found = density.reported(table, {name: np.full((2, 3), value) for name, value in draws.items()}, natural)
    assert tuple(found) == density.REPORTED
    np.testing.assert_allclose([found[name][0, 0] for name in POINT], list(POINT.values()))
    np.testing.assert_allclose(found["ln A_natural"], np.log(natural_of(table, POINT)["A"]))


def draws(shift=0.0, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return {name: 3 + shift + spread * rng.normal(size=(4, 1000)) for name in ("E", "alpha")}


@pytest.mark.parametrize(("shift", "spread", "agrees"), [(0, 1, True), (0.2, 1, False), (0, 1.2, False)])
def test_samplers_that_disagree_in_mean_or_spread_are_seen(shift, spread, agrees):
    one, other = (quality.quality(each)["moments"] for each in (draws(), draws(shift, spread, seed=1)))
    apart, where = quality.disagreement(one, other)
    assert (apart < quality.AGREE) == agrees
    assert agrees or where.startswith("mean" if shift else "variance")


def test_gradients_per_effective_draw_count_the_worst_coefficient():
    slow = draws()
    slow["E"] = np.cumsum(slow["E"] - 3, axis=1)  # a random walk
    report = quality.quality(slow, gradients=10_000)
    assert report["gradients_per_effective_draw"] > 100 and report["rhat"] > 1.05
    assert quality.quality(draws(), gradients=10_000)["gradients_per_effective_draw"] < 4


def repetition(seconds, seed, **more):
    figures = {"to_posterior": sum(seconds.values()), "peak_MB": 100.0, "seconds": seconds}
    return figures | quality.quality(draws(seed=seed), 10_000) | more


def test_the_table_has_medians_ratios_and_who_is_missing():
    warm = [{"seconds": {"sampling": 0.5}} | quality.quality(draws(seed=9), 10_000)]
    results = {
        report.REFERENCE: [repetition({"start": 1.0, "compile": 0.5, "run": 0.5}, 0, warm=warm)],
        "NumPyro, natural units": [
            repetition({"start": 1.0, "compile": 9.0, "sampling": s}, 2) for s in (90.0, 100.0, 500.0)
        ],
        "PyMC + nutpie, centred": [repetition({"start": 1.0, "compile": 15.0, "sampling": 4.0}, 3)],
        "Stan, centred": [{"failed": "stan is not installed"}],
    }
    table = list(report.lines(results))
    by = {row["row"]: row for row in table}
    assert by["NumPyro, natural units"]["s sampling"] == 100.0 and by["Stan, centred"]["failed"]
    assert {row.get("agrees", "yes") for row in table} == {"yes"}
    ratios = {row["ratio"]: row for row in report.ratios(table)}
    start = ratios["lossband, full store: start to posterior over PyMC + nutpie, centred"]
    assert start["value"] == pytest.approx(2 / 20) and start["met"]
    faster = ratios["min ESS/s warm over NumPyro, natural units"]
    assert 150 < faster["value"] < 250 and not faster["met"]
    printed = "\n".join(report.markdown(table, ("row", "to_posterior", "agrees")))
    assert "failed: stan is not installed" in printed


def test_rows_have_their_tables_and_libraries_of_the_bench_group(shared_data):
    assert len(BY_NAME) == len(ROWS)
    assert {row.needs for row in ROWS} <= {"", "nutpie", "pymc", "stan", "simple_scaling_laws"}
    assert len(many_curves(200, 4)) == 200 and one_curve(100)["run"].nunique() == 1


def test_growth_figures_are_of_the_rows_that_were_asked_for(monkeypatch):
    monkeypatch.setitem(growth.COUNTS, "num_warmup", 50)
    monkeypatch.setitem(growth.COUNTS, "num_samples", 50)
    fitted = growth.rows("independent", 200)
    assert fitted["nanoseconds_per_row"] == pytest.approx(1e9 * fitted["gradient_s"] / 200)
    assert fitted["fit_peak_MB"] >= fitted["gradient_peak_MB"] >= fitted["import_MB"] > 100
    assert fitted["fit_s"] > 0 and fitted["rhat"] < 1.2
    monkeypatch.setitem(growth.FITTED, "independent", 100)
    assert "fit_s" not in growth.rows("independent", 200)


def test_the_command_runs_in_small_and_adds_to_its_file(shared_data, tmp_path):
    file = tmp_path / "speed.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed",
        "--repetitions",
        "1",
        "--samples",
        "60",
        "--rows",
        "40",
        "--json",
        str(file),
    ]
    for row in ("NumPyro, centred", "scipy Huber"):
        done = subprocess.run(
            [*command, "--row", row, "--group", "rivals", "--group", "bootstraps"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert row in done.stdout
    known = json.loads(file.read_text())
    rows = known["rows"]
    assert not any("failed" in each for repetitions in rows.values() for each in repetitions), rows
    assert {"NumPyro, centred", "scipy Huber, 1,000 bootstraps"} <= set(rows)
    assert known["machine"]["versions"]["jax"] == jax.__version__
    assert set(rows["NumPyro, centred"][0]["seconds"]) == {"start", "compile", "warmup", "sampling"}
