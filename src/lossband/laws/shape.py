"""The law of architecture shape: how much a ratio away from the best one costs."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from ..errors import InputError
from ..runs.arrays import Runs
from ..runs.table import INPUTS
from .law import Law, law
from .terms import floor, power, valley

if TYPE_CHECKING:
    import pandas as pd


AXES = ("ff_ratio", "aspect_ratio", "head_dim")


def _varied_axes(found: Law, frame: "pd.DataFrame") -> tuple[str, ...]:
    """The inputs of `shape`: parameters, and the ratios that vary in the table."""
    axes = tuple(name for name in AXES if name in frame and frame[name].nunique() > 1)
    if not axes:
        raise InputError(
            f"the law {found.name!r} needs one of {', '.join(AXES)} to vary, and none does.",
            f"Add the column: {'; '.join(f'{name} is {INPUTS[name]}' for name in AXES)}.",
        )
    return ("params", *axes)


@law(
    inputs=(),
    source="Kaplan et al. 2020, arXiv:2001.08361, fig. 5; the asymmetric parabola is lossband's",
    compute=lambda runs: runs.params.values,
    choose=_varied_axes,
)
def shape(runs: Runs) -> jax.Array:
    r"""Architecture shape: a law of size, times a valley in each ratio around its own best value.

        L(N, x) = [E + A (N / N0)^-alpha] exp(sum_j U_j(x_j))
        U_j(x) = k_j (ln x - ln x_j*)^2,   k_j = below_j for x < x_j*, above_j for x >= x_j*
        x_j* = best_j (N / N0)^shift_j

    ==============  ====================================  ============  ====================================
    symbol          meaning                               unit          prior
    ==============  ====================================  ============  ====================================
    N               parameters (say which)                as given
    x_j             those of ff_ratio, aspect_ratio,      none
                    head_dim that vary in the table
    E               irreducible loss                      of the loss   `floor`
    A               what N0 adds to it                    of the loss   `weight`
    alpha           exponent of N                         none          LogNormal(ln .28, .4)
    {j}_best        best ratio at N0                      of x_j        its geometric mean, LogNormal(0, 1)
    {j}_shift       of ln best in ln N                    none          Normal(0, .15)
    {j}_below ...   rise of ln loss per squared ln x      none          LogNormal(ln .01, 1.2)
    {j}_above       below or above the best
    ==============  ====================================  ============  ====================================

    All sizes share the sides of a valley, and the best ratio is a power of N, so that every size informs the
    others. See `valley` for the reasons of the priors.
    """
    axes = [axis for axis in AXES if axis in runs.inputs]
    size = floor(runs) + power(runs.params, "A", "alpha", median=0.28, width=0.4)
    return size * jnp.exp(sum(valley(getattr(runs, axis), axis, runs.params) for axis in axes))
