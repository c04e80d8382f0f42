"""Long tables: what a gradient takes grows as the rows, and not as their square."""

import jax
import numpy as np
import pytest

from benchmarks.speed.data import many_curves, one_curve
from lossband.inference.coordinates import Space
from lossband.model.problem import pose

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")
FEW, MANY = 2048, 16384


def taken(problem):
    """Bytes that one gradient of the potential takes beside its arguments, and its floating-point operations."""
    model, (runs, measured) = problem.model, problem.arrays
    slope = jax.grad(lambda point, runs, measured: Space.of(model, runs, measured).potential(point))
    point = np.zeros(len(Space.of(model, runs, measured).sites))
    compiled = jax.jit(slope).lower(point, runs, measured).compile()
    return compiled.memory_analysis().temp_size_in_bytes, compiled.cost_analysis()["flops"]


@pytest.mark.parametrize("noise", ["student-t", "normal", "normal+ou"])
@pytest.mark.parametrize("drift", [None, "default"])
def test_a_gradient_of_one_curve_grows_as_its_rows(noise, drift):
    """Eight times the rows, up to how well XLA fuses each size; their square would be 64 times.

    Of the operations in the OU part's loops XLA counts one turn; memory it counts in full.
    """
    few, many = (taken(pose(one_curve(rows), "power", noise=noise, drift=drift)) for rows in (FEW, MANY))
    assert many[0] < 3 * MANY / FEW * few[0]
    assert many[1] < 1.1 * MANY / FEW * few[1]


def test_run_effects_cost_no_product_of_their_columns():
    """Four times the runs are four times the columns of the run effects, and their square would be 16 times the work."""
    few, many = (
        taken(pose(many_curves(2000, runs), "power", noise="normal+run+ou", drift=None))[1]
        for runs in (32, 128)
    )
    assert many < 4 * few
