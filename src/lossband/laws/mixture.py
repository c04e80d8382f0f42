"""Laws of what the data are: the proportions of their domains, and the tokenizer's vocabulary."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from .._lazy import dist, numpyro
from ..errors import InputError, listed
from ..runs.arrays import Runs
from .law import Law, law
from .terms import floor, power, weight

if TYPE_CHECKING:
    import pandas as pd

PROPORTION = "proportion_"
TOLERANCE = 0.01  # of the sum of a row's proportions: they are often rounded to two or three digits


def proportions_of(names: Iterable[object]) -> list[str]:
    """The names of a table's proportions: those that begin with `proportion_`."""
    return [name for name in names if isinstance(name, str) and name.startswith(PROPORTION)]


def _domains(found: Law, frame: "pd.DataFrame") -> tuple[str, ...]:
    """The inputs of `mixture`: every proportion, and the sizes that vary."""
    domains = proportions_of(frame.columns)
    if len(domains) < 2:
        raise InputError(
            f"the law {found.name!r} reads the proportions of two domains or more, in columns named "
            f"proportion_..., and the table has {len(domains)} (it has {listed(frame.columns, 12)}).",
            "Name yours: columns={'web': 'proportion_web', 'code': 'proportion_code'}.",
        )
    sizes = [name for name in ("params", "tokens") if name in frame and frame[name].nunique() > 1]
    return (*sizes, *domains)


def _whole(frame: "pd.DataFrame") -> None:
    """Refuse proportions that are no shares of one whole."""
    parts = frame[proportions_of(frame.columns)]
    for bad, what in (
        ((parts < 0).any(axis=1), "a proportion below 0"),
        ((parts.sum(axis=1) - 1).abs() > TOLERANCE, "proportions that do not sum to 1"),
    ):
        rows = np.flatnonzero(bad)
        if len(rows):
            raise InputError(
                f"{len(rows)} rows have {what} (rows {listed(rows)}, the first with the sum "
                f"{parts.iloc[rows[0]].sum():.4g}); expected shares of one whole.",
                "Give every domain its column, and divide by the sum: "
                "p = runs.filter(like='proportion_'); runs[p.columns] = p.div(p.sum(axis=1), axis=0).",
            )


@law(
    inputs=(),
    choose=_domains,
    check=_whole,
    along=("params", "tokens"),
    plain=(f"{PROPORTION}*",),
    source="a power law of an effective proportion, as in Shukor et al. 2025, arXiv:2507.09404; in place of "
    "the exponential of Ye et al. 2024, arXiv:2403.16952",
)
def mixture(runs: Runs) -> jax.Array:
    r"""Mixture law: every domain's tokens are worth something to the domain whose loss is measured.

        L = E + A (N / N0)^-alpha + B (D / D0)^-beta + M (h / h0)^-mu,    h = sum_k w_k r_k

    ======  ===========================================  ============  ====================================
    symbol  meaning                                      unit          prior
    ======  ===========================================  ============  ====================================
    r_k     proportion of domain k; it may be 0          none
    N, D    parameters, tokens: where they vary          as given
    h0      h at the mean proportions                    none
    E       irreducible loss                             of the loss   `floor`
    A, B    loss due to N, D at the centre               of the loss   `weight`
    M       loss due to the mixture at the centre        of the loss   `weight`
    alpha   exponents of N, D                            none          LogNormal(ln .3, .45)
    beta
    mu      exponent of the effective proportion         none          LogNormal(ln .3, .7): proportions
                                                                       span few decades
    w_k     worth of a token of domain k, only in        none          LogNormal(0, 1.5): the domain itself
            relation to the others                                     is worth a hundred times the least
    ======  ===========================================  ============  ====================================

    The sites are `w_NAME` for a column `proportion_NAME`. One fit is of one loss: fit each domain's loss by
    itself. Proportions are read as they are, and no drift runs along them.
    """
    domains = [getattr(runs, name) for name in proportions_of(runs.inputs)]
    names = [name.removeprefix(PROPORTION) for name in proportions_of(runs.inputs)]
    worth = [numpyro.sample(f"w_{name}", dist.LogNormal(0.0, 1.5)) for name in names]
    effective = sum(w * r.values for w, r in zip(worth, domains, strict=True))
    centre = sum(w * r.centre for w, r in zip(worth, domains, strict=True))
    E = floor(runs)
    sizes = [
        power(getattr(runs, n), A, alpha)
        for n, A, alpha in (("params", "A", "alpha"), ("tokens", "B", "beta"))
        if n in runs.inputs
    ]
    M = weight(domains[0], "M", slope="mu")
    mu = numpyro.sample("mu", dist.LogNormal(jnp.log(0.3), 0.7))
    return E + sum(sizes) + M * jnp.exp(-mu * jnp.log(effective / centre))


@law(
    inputs=("params", "vocabulary", "characters"),
    scale="identity",
    source="Tao et al. 2024, arXiv:2407.13623, eq. 8, with characters per token as a power of the vocabulary",
    compute=lambda runs: runs.params.values * runs.characters.values,
)
def vocabulary(runs: Runs) -> jax.Array:
    r"""Vocabulary law: loss less that of a unigram model, so that vocabularies compare; it is negative.

        L = E + A (N / N0)^-alpha + G (V / V0)^-gamma + B (H / H0)^-beta (V / V0)^delta

    ======  ===========================================  ============  ====================================
    symbol  meaning                                      unit          prior
    ======  ===========================================  ============  ====================================
    N       parameters outside the vocabulary            as given
    V       entries of the vocabulary                    none
    H       training text, in characters                 as given
    N0 ...  their geometric means over the rows          as given
    R       range of the training losses                 of the loss
    E       limit of the loss as all grow                of the loss   Normal(least loss - .2 R, .3 R)
    A G B   loss due to N, V, H at the centre            of the loss   LogNormal(ln .2 R, 1)
    alpha   exponent of N                                none          LogNormal(ln .28, .4)
    gamma   exponent of V                                none          LogNormal(ln .3, .6)
    beta    exponent of H                                none          LogNormal(ln .4, .45)
    delta   how a larger vocabulary, whose text has      none          Normal(.1, .1)
            fewer tokens, needs more text
    ======  ===========================================  ============  ====================================

    Noise and drift are added to the loss itself, not to its logarithm. Published: delta = 0.
    """
    unit = runs.unit
    E = numpyro.sample("E", dist.Normal(unit.least - 0.2 * unit.typical, 0.3 * unit.typical))
    delta = numpyro.sample("delta", dist.Normal(0.1, 0.1))
    return (
        E
        + power(runs.params, "A", "alpha", median=0.28, width=0.4)
        + power(runs.vocabulary, "G", "gamma", median=0.3, width=0.6)
        + power(runs.characters, "B", "beta", median=0.4, width=0.45) * jnp.exp(delta * runs.vocabulary.log)
    )
