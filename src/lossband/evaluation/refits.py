"""Refits without some rows: which rows to hide, and how well each law forecasts what it did not see.

Leave-future-out hides everything above a cut-off in compute, which is the question that a scaling law is
asked. Leave-run-out hides whole runs (or sizes) anywhere, which is interpolation: it tells how well a law
describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import score
from ..errors import InputError, listed
from ..inference.batches import sample
from ..model.problem import NewRows, coefficients, pose, widest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ..inference.sampler import Sampler
    from ..model.problem import Problem
    from ..posterior.posterior import Posterior


APART = 0.1  # decades of compute: two cut-offs nearer than this ask the same
SCORES = ("log_score", "crps", "inside_50", "inside_90")


def future(problems: Iterable[Problem], cuts: int) -> list[np.ndarray]:
    """Which rows leave-future-out hides: masks `(row,)`, one a cut-off in compute, at most `cuts` of them.

    Cut-offs fall into the widest gaps of ln compute, at least a tenth of a decade apart. Each leaves every
    law of `problems` twice as many rows as it has coefficients, and three values of each of its inputs; they
    are spread evenly over those that do.
    """
    problems = list(problems)
    reference = widest(problems)
    log_compute = np.log10(np.asarray(reference.compute(reference.frame)))
    usable = [t for t in _thresholds(log_compute) if all(_enough(p, log_compute <= t) for p in problems)]
    chosen = np.unique(np.linspace(0, len(usable) - 1, cuts).round().astype(int)) if usable else []
    return [log_compute > usable[i] for i in chosen]


def runs_out(
    frame: pd.DataFrame, problems: Iterable[Problem], group: str, folds: int, seed: int
) -> list[np.ndarray]:
    """Which rows leave-run-out hides: masks `(row,)`, one a fold of whole groups.

    Folds that leave too little are left out.
    """
    if group not in frame:
        raise InputError(
            f"group= names {group!r}, and the fitted rows have {listed(frame.columns)}.", "Name one of them."
        )
    code, names = pd.factorize(frame[group])
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold = shuffled[code] % folds
    masks = [fold == f for f in range(min(folds, len(names)))]
    return [mask for mask in masks if all(_enough(problem, ~mask) for problem in problems)]


def hidden_scores(
    sets: Sequence[Mapping[str, Problem]],
    plans: Sequence[Mapping[str, Sequence[np.ndarray]]],
    sampler: Sampler,
    **options: Any,
) -> tuple[list[pd.DataFrame], dict[str, int]]:
    """Refit every law without each mask's rows, and score its forecasts of them.

    One law's refits run together.

    Args:
        sets: a list of name -> `Problem`, the laws of one table each.
        plans: for each, scheme -> masks `(row,)`.
        sampler: the `Sampler` of the refits.
        options: of `lossband.inference.batches.sample`: seed, batch, progress.

    Returns:
        a list of frames, one row per hidden row, law, scheme and cut: `law`, `scheme`, `cut`, `row`, `run`
        and the scores of ln loss; and law -> how many of its refits have an R-hat above 1.05.
    """
    scores, ill = [[] for _ in sets], {}
    for name in dict.fromkeys(name for problems in sets for name in problems):
        jobs = [
            (i, scheme, cut, mask)
            for i, plan in enumerate(plans)
            if name in sets[i]
            for scheme, masks in plan.items()
            for cut, mask in enumerate(masks)
        ]
        refits = sample([_without(sets[i][name], mask) for i, _, _, mask in jobs], sampler, **options)
        for (i, scheme, cut, mask), post in zip(jobs, refits, strict=True):
            scores[i].append(
                _scored(post, sets[i][name].frame[mask]).assign(law=name, scheme=scheme, cut=cut)
            )
        if bad := sum(post.health.rhat_max > 1.05 for post in refits):
            ill[name] = bad
    empty = pd.DataFrame(columns=["law", "scheme", "cut", "row", "run", *SCORES])
    return [pd.concat(each, ignore_index=True) if each else empty for each in scores], ill


def _thresholds(log_compute: np.ndarray) -> list[float]:
    """Cut-offs: middles of the gaps between neighbours that are the widest within `APART` decades."""
    levels = np.unique(log_compute)
    gaps, middles = np.diff(levels), (levels[1:] + levels[:-1]) / 2
    chosen = []
    for j in np.argsort(-gaps, kind="stable"):
        if all(abs(middles[j] - middle) >= APART for middle in chosen):
            chosen.append(middles[j])
    return sorted(chosen)


def _enough(problem: Problem, kept: np.ndarray) -> bool:
    """Whether the rows of a mask are enough to fit a problem's law."""
    frame = problem.frame[kept]
    varied = all(len(np.unique(np.log10(frame[name]).round(2))) >= 3 for name in problem.model.law.varied)
    return len(frame) >= max(8, 2 * len(coefficients(problem))) and varied


def _without(problem: Problem, mask: np.ndarray) -> Problem:
    """The problem without a mask's rows, padded to the whole one's shape."""
    model = problem.model
    return pose(
        problem.frame[~mask], model.law, noise=model.noise, drift=model.drift, least=problem.measured.shape
    )


def _scored(post: Posterior, rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of ln loss at hidden rows."""
    new = NewRows.of(rows)
    scale = post.problem.scale
    losses, truth = scale.fitted(post.draws(new).to_numpy()), scale.fitted(rows["loss"].to_numpy())
    inside = {f"inside_{round(100 * level)}": score.covered(losses, truth, level) for level in (0.5, 0.9)}
    values = {
        "log_score": post.log_score(new) - scale.log_slope(truth),
        "crps": score.crps(losses, truth),
        **inside,
    }
    return pd.DataFrame({"row": rows.index, "run": rows["run"].to_numpy(), **values})
