"""The law of one training run: a power law along the run, or along its learning-rate schedule if known."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..errors import InputError, listed
from ..runs.arrays import Column, Runs, clock_of
from ..runs.names import columns_line
from ..runs.schedule import add_lr_areas
from .law import Law, law
from .resolve import one_input
from .terms import exponent, floor, power, weight

if TYPE_CHECKING:
    import pandas as pd


LEAST_LOST, MOST_LOST = (
    -1.0,
    0.9,
)  # shares of the first row's clock; with all of it lost, the loss is infinite


def _clock_and_schedule(found: Law, frame: "pd.DataFrame") -> tuple[str, ...]:
    """The inputs of `curve`: the run's clock, and the two areas of its learning rate where they are known."""
    clock = clock_of(frame)
    if clock is None:
        return one_input(found, frame)
    has_lr = "lr" in frame or {"lr_area", "lr_mean"} <= set(frame)
    return (clock, "lr_area", "lr_mean") if has_lr else (clock,)


def _clock(runs: Runs) -> Column:
    """The clock: the one input that is neither a size nor an area of the learning rate."""
    (name,) = set(runs.inputs) - {"params", "lr_area", "lr_mean"}
    return getattr(runs, name)


def _pace(runs: Runs) -> Column:
    """What the power law runs along: the learning rate summed, or the clock where there is none."""
    return runs.lr_area if "lr_area" in runs.inputs else _clock(runs)


@law(
    inputs=(),
    source="Tissue et al. 2024, arXiv:2408.11029, eq. 1",
    compute=lambda runs: _clock(runs).values,
    along=("tokens", "step"),
    choose=_clock_and_schedule,
    derive=add_lr_areas,
    carries=("lr",),
    exact=False,
)
def curve(runs: Runs) -> jax.Array:
    r"""One training run: a power law in the summed learning rate, and a term in its recent average.

        L(t) = E + A ((S - u S1) / (S0 - u S1))^-alpha + C m / m0     where the table has `lr`
        L(t) = E + A ((t - u t1) / (t0 - u t1))^-alpha                where it has none

    ======  =========================================  ============  ======================================
    symbol  meaning                                    unit          prior
    ======  =========================================  ============  ======================================
    t       tokens, or steps if there are no tokens    as given
    S       lr over its peak, summed: `lr_area`        as t
    m       lr averaged over its late part: `lr_mean`  of the peak
    S1, t1  the smallest of the rows                   as S, t
    u       share of S1 lost to the warm-up, -1 to .9  none          u = 1.9 w - 1, w ~ Beta(4, 3)
    t0 ...  geometric means over the rows              as t, S, m
    E       irreducible loss, at learning rate zero    of the loss   `floor`
    A       loss above the floor at the centre         of the loss   `weight`: a fifth of the loss
    alpha   exponent                                   none          LogNormal(ln .5, .6)
    C       loss that the learning rate m0 costs       of the loss   C / (median loss) ~
                                                                     LogNormal(ln .04, .6)
    ======  =========================================  ============  ======================================

    Steps of a warm-up, and the first ones after it, do less than later ones. A power law from t = 0 takes the
    bend that they leave for the floor: on a public run its forecast at three times the length was off
    by .018, with u by .004 (25M parameters).

    C_natural = C / m0 is what the highest learning rate costs. With S2 = (m at the start - m) / (1 - lambda)
    this is the published L0 + A S^-alpha - C' S2: see `lossband.runs.schedule.add_lr_areas`, which computes
    both areas when a table has `lr`. Priors: Huber fits of runs of 25M to 400M parameters over nine
    schedules (mpl_lr_schedules) have alpha .72 to .82 and C .033 to .057 of the loss; without lr, alpha is
    smaller. The drift runs along t alone and is in every draw (`exact=False`): residuals of neighbouring
    points of one run are correlated, which independent noise cannot describe, and the law does not hold
    exactly for a run that is seen from its beginning.
    """
    return floor(runs) + progress(runs, "A", "alpha") + annealing(runs)


def _size_and_schedule(found: Law, frame: "pd.DataFrame") -> tuple[str, ...]:
    """The inputs of `trajectory`: the size, and those of `curve`."""
    clock = clock_of(frame)
    if clock is None or "params" not in frame:
        raise InputError(
            "the law 'trajectory' reads params, and tokens or step; the table has "
            f"{listed(frame.columns, 12)}.",
            f"Name yours: {columns_line(frame.columns)}.",
        )
    return ("params", *_clock_and_schedule(found, frame))


@law(
    inputs=(),
    source="Tissue et al. 2024, arXiv:2408.11029, eq. 1; Hoffmann et al. 2022, arXiv:2203.15556, eq. 2",
    compute=lambda runs: runs.params * _clock(runs).values,
    along=("params", "tokens", "step"),
    choose=_size_and_schedule,
    derive=add_lr_areas,
    carries=("lr",),
    exact=False,
)
def trajectory(runs: Runs) -> jax.Array:
    r"""Whole curves of runs of several sizes, along their clock and their learning rate.

        L(N, t) = E + A (N / N0)^-alpha + (N / N0)^kappa [B ((S - u S1) / (S0 - u S1))^-beta + C m / m0]

    ======  =========================================  ============  ======================================
    symbol  meaning                                    unit          prior
    ======  =========================================  ============  ======================================
    N       parameters                                 count
    S, m    of the schedule, as in `curve`; without    as t
            `lr`, S is the clock and there is no C
    E       irreducible loss, at learning rate zero    of the loss   `floor`
    A, B    losses above the floor at the centre       of the loss   `weight`: a fifth of the loss
    alpha   exponent of the size                       none          LogNormal(ln .28, .4)
    beta    exponent along the run                     none          LogNormal(ln .5, .6)
    C, u    as in `curve`
    kappa   how what is left to learn grows with N     none          Normal(0, .1)
    ======  =========================================  ============  ======================================

    Fit it with noise="student-t+run+ou" to points of runs that finished and runs that did not, thinned to
    some tens per run (`lossband.thin`): rows of one run share an effect and resemble their neighbours.
    `lossband.forecast_run` gives the curve of a run that has not begun.
    """
    size = power(runs.params, "A", "alpha", median=0.28, width=0.4)
    kappa = numpyro.sample("kappa", dist.Normal(0.0, 0.1))
    along = progress(runs, "B", "beta") + annealing(runs)
    return floor(runs) + size + jnp.exp(kappa * runs.params.log) * along


def progress(runs: Runs, A: str, alpha: str) -> jax.Array:
    """The power law along a run, of whose first row a share is lost to the warm-up: see `curve`."""
    pace = _pace(runs)
    a, exp = weight(pace, A, slope=alpha), exponent(alpha, 0.5, 0.6)
    share = numpyro.sample("w", dist.Beta(4.0, 3.0))
    lost = (LEAST_LOST + (MOST_LOST - LEAST_LOST) * share) * pace.least
    centre = pace.centre - lost
    numpyro.deterministic(f"{A}_natural", a * centre**exp)
    return a * jnp.exp(-exp * jnp.log((pace.values - lost) / centre))


def annealing(runs: Runs) -> jax.Array | float:
    """The loss that the learning rate costs, C m / m0, see `curve`; zero for a table without one."""
    if "lr_mean" not in runs.inputs:
        return 0.0
    C = numpyro.sample("C", dist.LogNormal(jnp.log(0.04 * runs.unit.typical), 0.6), infer={"level": True})
    numpyro.deterministic("C_natural", C / runs.lr_mean.centre)
    return C * runs.lr_mean / runs.lr_mean.centre
