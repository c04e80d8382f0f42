"""Identifiability: which coefficients a table of runs cannot determine, and the run that would."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Note
from .forecast import NOTHING, Draws, law_losses

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from ..model.problem import Problem


CODES = frozenset({"one-ratio", "few-levels", "floor", "prior"})
# sd of ln E above which the floor is called unseen: the ends of its 90 % interval lie a factor of two apart
UNSEEN = 0.2
KEPT = 0.9  # share of the prior's width above which a coefficient is called uninformed
STRETCHES = (1.0, 10.0, 100.0)  # how far beyond the largest value of an input a further run is looked for


def design_notes(
    problem: Problem, sites: Mapping[str, np.ndarray], prior: Mapping[str, np.ndarray], names: Sequence[str]
) -> Iterator[Note]:
    """Notes on a design.

    Args:
        problem: the `Problem`.
        sites: site -> `(chain, draw)`, from the posterior or from its Laplace approximation.
        prior: site -> `(sample,)`.
        names: the law's own coefficients.
    """
    frame, law = problem.frame, problem.model.law
    inputs = list(law.varied)
    if {"params", "tokens"} <= set(inputs):
        yield from _ratio_notes(frame)
    for name in inputs:
        levels = np.unique(np.round(np.log10(frame[name]), 2))
        if len(levels) < 3:
            yield Note(
                "few-levels",
                f"{name} has {len(levels)} distinct values: its exponent and the floor rest on the prior. "
                f"Add a third, for instance {10 ** (2 * levels[-1] - levels[0]):.3g}.",
            )
    for name in names:
        if np.ndim(sites[name]) != 2:
            continue
        if name in law.floors and _width(sites[name]) > UNSEEN:
            low, high = np.quantile(sites[name], [0.05, 0.95])
            yield Note(
                "floor",
                f"the floor {name} is weakly identified: its 90 % interval is {low:.3g} to {high:.3g}. "
                f"{_run_for(problem, sites, name, inputs)}",
            )
        elif _width(sites[name]) > KEPT * _width(prior[name]):
            yield Note(
                "prior",
                f"{name} is weakly identified: its posterior is as wide as its prior. Add runs that "
                "vary it, or state a prior.",
            )


def _ratio_notes(frame: pd.DataFrame) -> Iterator[Note]:
    ratio = np.log(frame["tokens"] / frame["params"])
    if np.std(ratio) < 0.05:
        largest = frame.iloc[int((frame["tokens"] * frame["params"]).argmax())]
        yield Note(
            "one-ratio",
            f"all runs have about {np.exp(ratio.mean()):.3g} tokens per parameter: alpha and beta cannot "
            "be told apart. "
            f"Add runs at another ratio, for instance params {largest['params'] / 3:.3g} and tokens "
            f"{largest['tokens'] * 3:.3g}, "
            "of the largest run's compute.",
        )


def _run_for(problem: Problem, sites: Mapping[str, np.ndarray], name: str, inputs: list[str]) -> str:
    """The one larger run that would narrow a coefficient most, in words."""
    if not inputs:
        return "Measure rows that differ more."
    largest, frame = problem.frame[inputs].max(), problem.frame
    rows = frame.iloc[np.zeros(len(STRETCHES) ** len(inputs) - 1, int)].reset_index(drop=True)
    rows[inputs] = np.array(
        [
            largest.to_numpy() * np.array(f)
            for f in itertools.product(STRETCHES, repeat=len(inputs))
            if max(f) > 1
        ]
    )
    flat = {site: np.asarray(value).reshape(-1) for site, value in sites.items() if np.ndim(value) == 2}
    seen = problem.scale.of_law(law_losses(problem, Draws(flat, *NOTHING), rows))
    covariance = np.cov(np.column_stack([np.log(flat[name]), seen]), rowvar=False)
    share = reduction_of(covariance, np.mean(flat["sigma"] ** 2)) / covariance[0, 0]
    best = rows.iloc[int(share.argmax())]
    where = ", ".join(f"{n} {best[n]:.3g}" for n in inputs)
    return (
        f"A run at {where} would take {share.max():.0%} of the variance of its logarithm, "
        "by the law and without drift."
    )


def reduction_of(covariance: np.ndarray, noise: float) -> np.ndarray:
    """What seeing each candidate takes from the variance of a target, `(candidate,)`: cov^2 / (var + noise).

    Args:
        covariance: `(1 + candidate, 1 + candidate)`, the target first.
        noise: variance of what is seen about its expectation.
    """
    return covariance[0, 1:] ** 2 / (np.diag(covariance)[1:] + noise)


def _width(draws: np.ndarray) -> float:
    """Spread of a coefficient.

    Of its logarithm where it is positive, so that a shift of scale does not count.
    """
    return np.std(np.log(draws)) if np.all(draws > 0) else np.std(draws)
