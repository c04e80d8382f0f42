"""The law of one training run: a power law along the run, or along its learning-rate schedule if known."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..runs.arrays import Column, Runs, clock_of
from ..runs.schedule import add_lr_areas
from .law import Law, law
from .resolve import one_input
from .terms import floor, power

if TYPE_CHECKING:
    import pandas as pd


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

        L(t) = E + A (S / S0)^-alpha + C m / m0          where the table has `lr`
        L(t) = E + A (t / t0)^-alpha                     where it has none

    ======  =========================================  ============  ======================================
    symbol  meaning                                    unit          prior
    ======  =========================================  ============  ======================================
    t       tokens, or steps if there are no tokens    as given
    S       lr summed over the run so far: `lr_area`   of lr x t
    m       lr averaged over its last 3 %: `lr_mean`   of lr
    t0 ...  geometric means over the rows              as t, S, m
    E       irreducible loss, at learning rate zero    of the loss   `floor`
    A       loss above the floor at the centre         of the loss   `weight`: a fifth of the loss
    alpha   exponent                                   none          LogNormal(ln .5, .6)
    C       loss that the learning rate m0 costs       of the loss   C / (median loss) ~
                                                                     LogNormal(ln .04, .6)
    ======  =========================================  ============  ======================================

    C_natural = C / m0 is the loss per unit of learning rate. With S2 = (m at the start - m) / (1 - lambda)
    this is the published L0 + A S^-alpha - C' S2: see `lossband.runs.schedule.add_lr_areas`, which computes
    both areas when a table has `lr`. Priors: Huber fits of runs of 25M to 400M parameters over nine
    schedules (mpl_lr_schedules) have alpha .72 to .82 and C .033 to .057 of the loss; without lr, alpha is
    smaller. The drift runs along t alone and is in every draw (`exact=False`): residuals of neighbouring
    points of one run are correlated, which independent noise cannot describe, and the law does not hold
    exactly for a run that is seen from its beginning.
    """
    return floor(runs) + power(_pace(runs), "A", "alpha", median=0.5, width=0.6) + annealing(runs)


def by_size(runs: Runs) -> jax.Array:
    r"""Runs of several sizes along their schedules: `curve` plus a power law of N, for `lossband.watch`.

        L(N, t) = E + A (N / N0)^-alpha + B (S / S0)^-beta + C m / m0

    Symbols and priors are as in `chinchilla` and `curve`.
    """
    size = power(runs.params, "A", "alpha", median=0.28, width=0.4)
    return floor(runs) + size + power(_pace(runs), "B", "beta", median=0.5, width=0.6) + annealing(runs)


def annealing(runs: Runs) -> jax.Array | float:
    """The loss that the learning rate costs, C m / m0, see `curve`; zero for a table without one."""
    if "lr_mean" not in runs.inputs:
        return 0.0
    C = numpyro.sample("C", dist.LogNormal(jnp.log(0.04 * runs.unit.typical), 0.6), infer={"level": True})
    numpyro.deterministic("C_natural", C / runs.lr_mean.centre)
    return C * runs.lr_mean / runs.lr_mean.centre
