"""Health: whether a fit can be trusted, as a value. Numbers, and coded notes that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._html import notebook
from ..errors import Note
from .convergence import ess_bulk_tail, rank_rhat
from .identifiability import design_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..model.problem import Problem


@dataclass(frozen=True)
class Health:
    """Diagnostics of one fit over all coefficients and scales.

    rhat_max: worst rank-normalised split R-hat (Vehtari et al. 2021).
    ess_min: smallest bulk or tail effective sample size.
    divergences: divergent transitions after warm-up.
    ebfmi_min: smallest energy fraction of missing information of a chain.
    map_agreed: share of the starts that found the same mode.
    steps: mean leapfrog steps per draw.
    pareto_k: of the importance weights of method="laplace" (below 0.7 it can be trusted); None for NUTS,
        which has no use for it, as the other numbers have little for Laplace.
    notes: coded remarks, empty if there is nothing to say.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> codes = [note.code for note in post.health.notes]
    """

    rhat_max: float
    ess_min: float
    divergences: int
    ebfmi_min: float
    map_agreed: float
    steps: float
    notes: tuple[Note, ...] = ()
    pareto_k: float | None = None

    @property
    def ok(self) -> bool:
        """Whether its forecasts may be used: the sampler did its work, and no row contradicts the law."""
        return not {note.code for note in self.notes} & (SAMPLER_CODES | CONTRADICTIONS)

    def __str__(self) -> str:
        """The numbers in one line, and the notes."""
        line = (
            f"Laplace, Pareto k {self.pareto_k:.2f}, effective draws {self.ess_min:.0f}"
            if self.pareto_k is not None
            else (
                f"R-hat max {self.rhat_max:.3f}, ESS min {self.ess_min:.0f}, divergences {self.divergences}, "
                f"E-BFMI min {self.ebfmi_min:.2f}, modes agreed {self.map_agreed:.0%}, leapfrogs per draw "
                f"{self.steps:.1f}"
            )
        )
        return "\n".join([line, *map(str, self.notes)])

    def _repr_html_(self) -> str:
        """Whether the sampler did its work, the numbers and the notes, for a notebook."""
        title = "The sampler did its work" if self.ok else "Do not trust this fit yet"
        return notebook(title, str(self).splitlines()[0], notes=self.notes)


DRAWN = frozenset({"rhat", "ess", "divergences", "ebfmi"})
SAMPLER_CODES = DRAWN | {"modes", "pareto-k"}
# the data contradict the law: no forecast of it should be used
CONTRADICTIONS = frozenset({"rising", "families", "misfit"})


def convergence(sites: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The worst R-hat and the smallest bulk or tail ESS of coefficients and scales that are single numbers.

    Args:
        sites: site -> `(chain, draw)`.
    """
    scalars = np.stack([np.asarray(v) for v in sites.values() if np.ndim(v) == 2], -1)
    return float(np.max(rank_rhat(scalars))), float(np.min(ess_bulk_tail(scalars)))


def mixed(rhat: float, ess: float, diverging: np.ndarray) -> bool:
    """Whether chains mixed as well as so many draws can show.

    At the default draws: R-hat below 1.01, 400 effective draws, and at most two divergences. With fewer draws
    each in proportion, so that a short run is not held to be a bad one.

    Args:
        rhat: the worst one.
        ess: the smallest one.
        diverging: `(chain, draw)`.
    """
    count = diverging.size
    return not (diverging.sum() > count / 2000 or rhat > 1 + 40 / count or ess < count / 10)


def apart(rhat: float, count: int) -> bool:
    """Whether chains hold parts of the posterior of their own, which more draws of them do not join.

    Args:
        rhat: the worst one; above 1.05 at the default draws they stand apart.
        count: of the draws of all chains.
    """
    return rhat > 1 + 200 / count


def examine(
    sites: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    found: Mapping[str, Any],
    prior: Mapping[str, np.ndarray],
    problem: Problem,
    names: Sequence[str],
) -> Health:
    """Health of a fit.

    Args:
        sites: site -> `(chain, draw)`.
        stats: `energy`, `diverging`, `steps`, each `(chain, draw)`.
        found: what `find_mode` says of the mode, and the `convergence` of the draws: `rhat`, `ess`; or, of
            Laplace's, `pareto_k`, `importance_ess`.
        prior: site -> `(sample,)`.
        problem: the `Problem`.
        names: the law's own coefficients.
    """
    agreed, curvature = float(found["agreed"]), float(found["curvature_min"])
    about = [*problem.notes, *_mode_notes(agreed, curvature), *design_notes(problem, sites, prior, names)]
    if "pareto_k" in found:
        k, ess = float(found["pareto_k"]), float(found["importance_ess"])
        return Health(np.nan, ess, 0, np.nan, agreed, 0.0, (*_laplace_notes(k, ess), *about), k)
    rhat, ess = float(found["rhat"]), float(found["ess"])
    energy, divergences = stats["energy"], int(stats["diverging"].sum())
    ebfmi = float(np.min(np.mean(np.diff(energy, axis=1) ** 2, axis=1) / np.var(energy, axis=1)))
    notes = (*_sampler_notes(rhat, ess, divergences, ebfmi), *about)
    return Health(rhat, ess, divergences, ebfmi, agreed, float(stats["steps"].mean()), notes)


def worst(every: Sequence[Health]) -> Health:
    """Health of a mixture of fits to one table: the worst of each number.

    Divergences are counted over all of them.

    Args:
        every: `Health` of each fit, that of the fullest model first: its notes on the table stand for all.
    """
    first, *others = every
    if not others:
        return first
    if any(health.pareto_k is not None for health in every):
        return max(every, key=lambda health: -np.inf if health.pareto_k is None else health.pareto_k)
    rhat, ess = max(health.rhat_max for health in every), min(health.ess_min for health in every)
    ebfmi, agreed = (min(getattr(health, name) for health in every) for name in ("ebfmi_min", "map_agreed"))
    divergences, steps = (
        sum(health.divergences for health in every),
        np.mean([health.steps for health in every]),
    )
    said = {
        note.code: note for health in every for note in health.notes if note.code in SAMPLER_CODES - DRAWN
    }
    about = [note for note in first.notes if note.code not in SAMPLER_CODES]
    notes = (*_sampler_notes(rhat, ess, divergences, ebfmi), *said.values(), *about)
    return Health(rhat, ess, divergences, ebfmi, agreed, float(steps), notes)


def _sampler_notes(rhat: float, ess: float, divergences: int, ebfmi: float) -> Iterator[Note]:
    if not rhat < 1.01:
        yield Note(
            "rhat",
            f"the chains disagree (R-hat {rhat:.3f}, wanted below 1.01). Take more draws, or a simpler law.",
        )
    if not ess > 400:
        yield Note(
            "ess",
            f"only {ess:.0f} effective draws (wanted above 400): interval ends are noisy. Raise num_samples.",
        )
    if divergences:
        yield Note(
            "divergences",
            f"{divergences} divergent transitions: part of the posterior may be missed. Tighten a prior.",
        )
    if not ebfmi > 0.3:
        yield Note(
            "ebfmi",
            f"low energy mixing (E-BFMI {ebfmi:.2f}, wanted above 0.3): tails may be missed. Tighten a "
            "prior.",
        )


def _laplace_notes(k: float, ess: float) -> Iterator[Note]:
    if not k < 0.7:
        yield Note(
            "pareto-k",
            f"the Laplace approximation is unreliable (Pareto k {k:.2f}, wanted below 0.7). Use "
            "method='nuts'.",
        )
    if not ess > 400:
        yield Note(
            "ess",
            f"only {ess:.0f} effective draws (wanted above 400): interval ends are noisy. Use method='nuts'.",
        )


def _mode_notes(agreed: float, curvature: float) -> Iterator[Note]:
    if agreed < 0.25:
        yield Note(
            "modes", f"only {agreed:.0%} of the starts found this mode: there may be another. Compare seeds."
        )
    if curvature <= 0:
        yield Note(
            "curvature",
            "the Hessian at the mode is not positive definite: the covariance of the warm-up draws whitened "
            "the space instead.",
        )
