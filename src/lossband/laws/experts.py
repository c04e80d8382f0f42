"""Laws of models of which a token passes a part, or which it passes several times at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from .._lazy import dist, numpyro
from ..errors import InputError, listed
from ..runs.arrays import Column, Runs
from .law import Law, law
from .terms import floor, power

if TYPE_CHECKING:
    import pandas as pd


def _at_least_one(name: str, what: str) -> "Callable[[pd.DataFrame], None]":
    """A check that a column is nowhere below one."""

    def check(frame: "pd.DataFrame") -> None:
        bad = (frame[name] < 1).to_numpy().nonzero()[0]
        if len(bad):
            raise InputError(
                f"{name} is below 1 in {len(bad)} rows (rows {listed(bad)}); expected {what}.",
                f"Correct the column, or drop the rows with runs[runs.{name} >= 1].",
            )

    return check


def _worth(one: Column, factor: jax.Array, centre: jax.Array) -> Column:
    """A column times a factor, with the factor's value at the centre of the data."""
    return type(one)(one.values * factor, one.centre * centre, one.least, one.typical)


@law(
    inputs=("params", "experts"),
    source="N^a E^b of Clark et al. 2022, arXiv:2202.01169, eq. 1, above a floor",
    compute=lambda runs: runs.params.values,
    check=_at_least_one("experts", "1 for a dense model, or more"),
)
def experts(runs: Runs) -> jax.Array:
    r"""Experts law: E experts make a dense model of N parameters worth E^phi times as many.

        L(N, E) = F + A (N_eff / N0)^-alpha,    N_eff = N E^phi

    ======  ==========================================  ============  =====================================
    symbol  meaning                                     unit          prior
    ======  ==========================================  ============  =====================================
    N       parameters of the dense model: those that   as given
            a token passes with one expert
    E       experts per layer; 1 is the dense model     none
    N0      N_eff at the geometric means                as N
    F       irreducible loss, the site `E`              of the loss   `floor`
    A       loss due to N_eff at the centre             of the loss   `weight`
    alpha   exponent of N_eff                           none          LogNormal(ln .28, .4)
    phi     worth of experts: 0 nothing, 1 as many      none          Normal(.4, .25): published .3 to .6
            dense parameters
    ======  ==========================================  ============  =====================================

    N E^phi is the dense model of equal loss. Compute is that of N: one expert is used at a time. Clark et
    al. have no floor, and let phi fall with ln N and saturate in E; on their 193 models a floor with one
    phi forecasts the largest size better (see benchmarks/README.md).
    """
    phi = numpyro.sample("phi", dist.Normal(0.4, 0.25))
    E = runs.experts
    effective = _worth(runs.params, E.values**phi, E.centre**phi)
    return floor(runs) + power(effective, "A", "alpha", median=0.28, width=0.4)


@law(
    inputs=("params", "experts"),
    source="Clark et al. 2022, arXiv:2202.01169, eq. 1",
    compute=lambda runs: runs.params.values,
    check=_at_least_one("experts", "1 for a dense model, or more"),
)
def experts_bilinear(runs: Runs) -> jax.Array:
    r"""Experts law as published: ln loss is bilinear in ln N and ln E, without a floor.

        ln L = ln R - a ln(N / N0) - b ln(E / E0) + c ln(N / N0) ln(E / E0)

    ======  ==========================================  ============  =====================================
    symbol  meaning                                     unit          prior
    ======  ==========================================  ============  =====================================
    N, E    parameters of the dense model, experts      as given
    N0, E0  their geometric means over the rows         as given
    R       loss at the centre                          of the loss   R / (median loss) ~ LogNormal(0, .3)
    a       exponent of N                               none          LogNormal(ln .08, .5): published .08
    b       exponent of E at the centre                 none          LogNormal(ln .03, .7)
    c       how the gain of experts shrinks with N      none          Normal(0, .01): published .007
    ======  ==========================================  ============  =====================================
    """
    R = numpyro.sample("R", dist.LogNormal(jnp.log(runs.unit.typical), 0.3))
    a = numpyro.sample("a", dist.LogNormal(jnp.log(0.08), 0.5))
    b = numpyro.sample("b", dist.LogNormal(jnp.log(0.03), 0.7))
    c = numpyro.sample("c", dist.Normal(0.0, 0.01))
    n, e = runs.params.log, runs.experts.log
    return R * jnp.exp(-a * n - b * e + c * n * e)


@law(
    inputs=("params", "streams"),
    source="Chen et al. 2025, arXiv:2505.10475, eq. 5",
    check=_at_least_one("streams", "1 for an ordinary model, or more"),
)
def parallel(runs: Runs) -> jax.Array:
    r"""Parallel law: P streams of one model make its parameters worth 1 + k ln P times as many.

        L(N, P) = E + A (N_eff / N0)^-alpha,    N_eff = N (1 + k ln P)

    ======  ==========================================  ============  =====================================
    symbol  meaning                                     unit          prior
    ======  ==========================================  ============  =====================================
    N       parameters of the model                     as given
    P       streams; 1 is the ordinary model            none
    N0      N_eff at the geometric means                as N
    E       irreducible loss                            of the loss   `floor`
    A       loss due to N_eff at the centre             of the loss   `weight`
    alpha   exponent of N_eff                           none          LogNormal(ln .25, .4): published .2
    k       worth of e times the streams                none          LogNormal(ln .35, .6): published .33
                                                                      and .39
    ======  ==========================================  ============  =====================================

    Compute is N P: every stream runs the whole model.
    """
    k = numpyro.sample("k", dist.LogNormal(jnp.log(0.35), 0.6))
    P = runs.streams
    effective = _worth(runs.params, 1 + k * jnp.log(P.values), 1 + k * jnp.log(P.centre))
    return floor(runs) + power(effective, "A", "alpha", median=0.25, width=0.4)


def _with_first_stage(found: Law, frame: "pd.DataFrame") -> tuple[str, ...]:
    """The inputs of `sparse`: tokens of a first stage too, where the table has several numbers of them."""
    first = "first_tokens" in frame and frame["first_tokens"].nunique() > 1
    return ("params", "active", "total", "tokens", *(["first_tokens"] if first else []))


def _sizes(frame: "pd.DataFrame") -> None:
    """Refuse models of which a token passes more than there is."""
    bad = (frame["active"] > frame["total"] * (1 + 1e-9)).to_numpy().nonzero()[0]
    if len(bad):
        raise InputError(
            f"active is larger than total in {len(bad)} rows (rows {listed(bad)}); expected the parameters "
            "that a token passes, and those of all experts.",
            "Are the two exchanged? columns={'yours': 'total'} names them.",
        )


@law(
    inputs=(),
    choose=_with_first_stage,
    check=_sizes,
    along=("params", "active", "tokens"),
    source="parameters and sparsity: Abnar et al. 2025, arXiv:2501.12370; two stages: Liew et al. 2025, "
    "arXiv:2502.03009",
    compute=lambda runs: runs.active.values * runs.tokens.values,
)
def sparse(runs: Runs) -> jax.Array:
    r"""Sparse law: active and total parameters beside the dense model's, and tokens of one or two stages.

        L = E + A (N_eff / N0)^-alpha + B (D / D0)^-beta (D1 / D1_0)^-delta
        N_eff = N (N_active / N)^phi (N_total / N_active)^psi

    ========  ========================================  ============  =====================================
    symbol    meaning                                   unit          prior
    ========  ========================================  ============  =====================================
    N         parameters of the dense model that the    as given
              sparse one is made of
    N_active  parameters that a token passes            as N
    N_total   parameters of all experts                 as N
    D         tokens (of the second stage)              as given
    D1        `first_tokens`, of a first stage;         as given
              without such a column the factor is one
    N0        N_eff at the geometric means              as N
    E         irreducible loss                          of the loss   `floor`
    A, B      loss due to N_eff, D at the centre        of the loss   `weight`
    alpha     exponent of N_eff                         none          LogNormal(ln .28, .4)
    beta      exponent of D                             none          LogNormal(ln .32, .45)
    delta     exponent of D1                            none          Normal(.05, .1)
    phi       worth of active parameters: 1 as dense    none          Normal(.8, .3)
    psi       worth of parameters that are not active   none          Normal(.1, .15)
    ========  ========================================  ============  =====================================

    Compute is N_active D.
    """
    phi = numpyro.sample("phi", dist.Normal(0.8, 0.3))
    psi = numpyro.sample("psi", dist.Normal(0.1, 0.15))
    N, active, total = runs.params, runs.active, runs.total
    worth = (active.values / N.values) ** phi * (total.values / active.values) ** psi
    centre = (active.centre / N.centre) ** phi * (total.centre / active.centre) ** psi
    of_tokens = power(runs.tokens, "B", "beta", median=0.32, width=0.45)
    if "first_tokens" in runs.inputs:
        of_tokens = of_tokens * jnp.exp(
            -numpyro.sample("delta", dist.Normal(0.05, 0.1)) * runs.first_tokens.log
        )
    return floor(runs) + power(_worth(N, worth, centre), "A", "alpha", median=0.28, width=0.4) + of_tokens
