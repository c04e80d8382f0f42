r"""Learn a population from past sweeps: priors from the fits, departures beyond the data from hidden rows.

Coefficients and scales. With x = ln of a coefficient over the median of its own prior,

    x_sweep ~ Normal(mu, s^2),    mu ~ Normal(0, w^2),    s ~ HalfNormal(w)

w the width of the law's own prior. Each sweep's posterior under that prior is reweighed to (mu, s) (Hogg,
Myers & Bovy 2010, arXiv:1008.4146, eq. 9), sweeps of one group counting as one. What a new sweep gets is the
predictive of x with mu and s drawn: a few sweeps move a prior a little, and leave it wide.

Beyond the data. The edge's mean, the mean of `undertrained`, and one factor on all the widths maximise the
log score of rows hidden by budget, size and length (see splits.py), each sweep counting as many observations
as it has hidden sizes, three at most, under normal priors about the present values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

from .. import score
from .._arguments import flag, items
from .._lazy import numpyro
from ..errors import InputError
from ..inference.fit import fit_many
from ..laws.priors import Learnt
from ..laws.resolve import LawLike
from ..model.drift import Drift
from ..model.noise import Noise
from ..model.population import Population
from ..model.problem import NewRows
from ..posterior.fit_result import Fit, data_hash
from ..posterior.forecast import law_losses, log_densities
from ..posterior.posterior import Posterior
from ..runs.arrays import double
from .splits import cuts, enough

GRID, ZOOMS = 31, 3  # values of mu, and of s; how often the grid is drawn closer about the posterior
MOST = 400  # draws of a fit that are looked at
STEP = np.array([0.15, 0.15, 0.35])  # sd of the priors of what lies beyond: both means, ln of the factor
MOST_SIZES = 3  # hidden sizes of a sweep that count as observations of their own


def learn(
    sweeps: Iterable[pd.DataFrame] | Mapping[str, pd.DataFrame],
    law: LawLike = None,
    *,
    groups: Sequence[str] | None = None,
    beyond: bool = True,
    num_samples: int = 500,
    seed: int = 0,
    method: str = "nuts",
    progress: bool | None = None,
) -> Population:
    """Learn from past sweeps what priors, and what departures beyond the data, the next one deserves.

    Args:
        sweeps: tables as `lossband.fit` takes them, one per sweep, or name -> table; two at least.
        law: as in `lossband.fit`; by default the default law of the first sweep.
        groups: a label per sweep; sweeps of one label (one recipe, several validation sets) count as one.
        beyond: whether to learn from hidden rows as well what lies beyond the data, for laws of params and
            tokens: up to five more fits per sweep.
        num_samples: draws per chain of each fit.
        seed: same seed, same population.
        method: "nuts" or "laplace", as in `lossband.fit`.
        progress: as in `lossband.fit`.

    Returns:
        a `Population`: save it, print it, hand it to `lossband.fit(..., population=)`.

    Raises:
        InputError: fewer than two sweeps, labels that do not match, or a table that cannot be fitted.

    Example:
        >>> import lossband as lb
        >>> old, new = (lb.load_dataset("looped").query(f"loops == {n}") for n in (2, 8))
        >>> past = lb.learn([old, new], "chinchilla", method="laplace", beyond=False)
        >>> post = lb.fit(new, population=past, method="laplace")
    """
    beyond = bool(flag("beyond", beyond))
    several = sweeps if isinstance(sweeps, Mapping) else enumerate(items(sweeps))
    named = {str(name): each for name, each in dict(several).items()}
    labels = list(named) if groups is None else [str(label) for label in items(groups)]
    if len(named) < 2 or len(labels) != len(named):
        raise InputError(
            f"learn got {len(named)} sweeps and {len(labels)} labels of groups; expected at least two sweeps "
            "and a label of each.",
            "A population is what several sweeps have in common; for one sweep, use lossband.fit.",
        )
    options: dict[str, Any] = dict(num_samples=num_samples, seed=seed, method=method, progress=progress)
    posts = fit_many(list(named.values()), law, **options)
    first = next(iter(posts[0].fits.values())).problem.model.law.name
    shares = [1 / labels.count(label) for label in labels]
    found = Population(first, *_priors(posts, shares), Drift(), _provenance(named, posts, labels))
    found = replace(found, drift=replace(found.drift, tau=_scale(posts, "tau", shares)))
    wanted = beyond and {"params", "tokens"} <= set(posts[0].fits[next(iter(posts[0].fits))].problem.frame)
    return replace(found, drift=_beyond(found, posts, labels, options)) if wanted else found


def _priors(posts: list[Posterior], shares: list[float]) -> tuple[dict[str, Learnt], tuple[float, float]]:
    """Learnt priors of the coefficients, and of sigma."""
    laws = {fit.problem.model.law.name: fit.problem.model.law for fit in posts[0].fits.values()}
    priors = {}
    for name, law in laws.items():
        prefix = "" if name == next(iter(laws)) else f"{name}."
        for site in law.marks:
            seen = [_relative(fit, site) for fit in _of_law(posts, name)]
            if all(each is not None for each in seen):
                draws, widths = zip(*seen, strict=True)
                priors[prefix + site] = Learnt(*predictive(draws, widths[0], shares))
    return priors, _scale(posts, "sigma", shares)


def _of_law(posts: list[Posterior], law: str) -> list[Fit]:
    """Each posterior's first fit of a law: the one with drift, where there is one."""
    return [next(f for _, f in post.parts.values() if f.problem.model.law.name == law) for post in posts]


def _relative(fit: Fit, site: str) -> tuple[np.ndarray, float] | None:
    """Ln of a coefficient's draws over its prior's median, and the prior's width; None if not log-normal."""
    problem = fit.problem
    with double(), numpyro.handlers.seed(rng_seed=0), numpyro.handlers.trace() as trace:
        problem.model.law(problem.runs)
    own = trace[site]["fn"]
    if not hasattr(own, "loc") or type(own).__name__ != "LogNormal" or np.ndim(own.loc):
        return None
    return np.log(fit.draws.sites[site]) - float(own.loc), float(own.scale)


def _scale(posts: list[Posterior], name: str, shares: list[float]) -> tuple[float, float]:
    """Median and width of a scale that is a share of the spread of ln loss, or of tau, a share itself."""
    own: Any = Drift().tau if name == "tau" else (Noise().sigma, Noise().width)
    fits = [next(iter(post.parts.values()))[1] for post in posts]
    if any(name not in fit.sites for fit in fits):
        return own
    unit = [1.0 if name == "tau" else float(fit.problem.unit.spread) for fit in fits]
    draws = [np.log(f.draws.sites[name] / u / own[0]) for f, u in zip(fits, unit, strict=True)]
    shift, width = predictive(draws, own[1], shares)
    return float(own[0] * np.exp(shift)), width


def predictive(draws: Sequence[np.ndarray], width: float, shares: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of x for a new sweep, given posteriors of x of the past ones.

    Args:
        draws: of x for each sweep, `(sample,)`, under the prior Normal(0, width^2).
        width: of that prior.
        shares: how much each sweep counts.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> mean, sd = predictive([rng.normal(0.5, 0.1, 400) for _ in range(50)], 1.0, [1.0] * 50)
        >>> bool(abs(mean - 0.5) < 0.05 and sd < 0.2)
        True
    """
    low, high = np.array([-2.5, 0.05]) * width, np.array([2.5, 2.5]) * width
    for _ in range(ZOOMS):
        mu, s = np.meshgrid(*(np.linspace(*ends, GRID) for ends in zip(low, high, strict=True)))
        weight = _posterior(draws, width, shares, mu, s)
        middle = np.array([np.sum(weight * mu), np.sum(weight * s)])
        reach = 5 * np.sqrt([np.sum(weight * (x - m) ** 2) for x, m in zip((mu, s), middle, strict=True)])
        low, high = np.maximum(low, middle - reach), np.minimum(high, middle + reach)
    return float(middle[0]), float(np.sqrt(np.sum(weight * (s**2 + (mu - middle[0]) ** 2))))


def _posterior(
    draws: Sequence[np.ndarray], width: float, shares: Sequence[float], mu: np.ndarray, s: np.ndarray
) -> np.ndarray:
    """Probability of each (mu, s) on a grid."""
    log = norm.logpdf(mu, 0, width) + norm.logpdf(s, 0, width)
    for each, share in zip(draws, shares, strict=True):
        x = np.asarray(each)[:: max(1, len(each) // MOST), None, None]
        ratio = norm.logpdf(x, mu, s) - norm.logpdf(x, 0, width)
        log = log + share * (logsumexp(ratio, axis=0) - np.log(len(x)))
    return np.exp(log - logsumexp(log))


def _provenance(named: Mapping, posts: list[Posterior], groups: list[str]) -> tuple[dict, ...]:
    frames = [next(iter(post.fits.values())).problem.frame for post in posts]
    return tuple(
        {"name": name, "group": group, "rows": len(frame), "sha256": data_hash(frame)}
        for name, group, frame in zip(named, groups, frames, strict=True)
    )


def _beyond(found: Population, posts: list[Posterior], groups: list[str], options: dict) -> Drift:
    """The population's drift with what lies beyond the data learnt from hidden rows."""
    tasks = []
    for post, group in zip(posts, groups, strict=True):
        frame = next(iter(post.fits.values())).problem.frame
        tasks += [
            (group, train, hidden) for kind, train, hidden in cuts(frame) if enough(kind, train, hidden)
        ]
    if not tasks:
        return found.drift
    fits = fit_many([train for _, train, _ in tasks], population=found, **options)
    hidden = [_Hidden.of(post, rows, group) for post, (group, _, rows) in zip(fits, tasks, strict=True)]
    counts = pd.Series([each.group for each in hidden]).value_counts()

    def height(numbers: np.ndarray) -> float:
        drift = _with(found.drift, numbers)
        scores = [each.count * each.score(drift) / counts[each.group] for each in hidden]
        return -sum(scores) + 0.5 * np.sum((numbers / STEP) ** 2)

    corners = np.vstack([np.zeros(3), np.diag(STEP)])  # from 0 itself its first steps would be next to none
    options = dict(xatol=0.01, fatol=0.01, maxfev=80, initial_simplex=corners)
    best = minimize(height, np.zeros(3), method="Nelder-Mead", options=options)
    return _with(found.drift, best.x)


def _with(drift: Drift, numbers: np.ndarray) -> Drift:
    """The drift with its means moved, and its widths beyond the data times a factor."""
    mean, undertrained, log_factor = map(float, numbers)
    factor = float(np.exp(log_factor))
    middle, spread = drift.undertrained
    return replace(
        drift,
        mean=drift.mean + mean,
        edge=drift.edge * factor,
        size=drift.size * factor,
        undertrained=(middle + undertrained, spread * factor),
    )


@dataclass(frozen=True)
class _Hidden:
    """Hidden rows under a posterior: all that does not depend on what is learnt, computed once.

    parts: (weight, problem, draws, frame, curves) of each fit of the mixture.
    group: of the sweep.
    count: how many observations the rows count for.
    """

    parts: list[tuple]
    group: str
    count: int

    @classmethod
    def of(cls, post: Posterior, rows: pd.DataFrame, group: str) -> _Hidden:
        """The rows under each fit of the posterior, by evenly spaced draws."""
        parts = []
        for weight, fit in post.mixed.values():
            picked = np.linspace(0, len(fit.draws) - 1, MOST // 2).astype(int)
            draws, frame = fit.draws.take(picked), NewRows.of(rows).measured(fit.problem)
            parts.append((weight, fit.problem, draws, frame, law_losses(fit.problem, draws, frame)))
        return cls(parts, group, min(MOST_SIZES, rows.params.nunique()))

    def score(self, drift: Drift) -> float:
        """Mean log score of a row under other numbers beyond the data."""
        each = []
        for weight, problem, draws, frame, curves in self.parts:
            own = drift if problem.model.fitted.drift is not None else drift.beyond_only()
            moved = replace(problem, paths=replace(problem.paths, drift=own))
            each.append(np.log(weight) + score.mixture(log_densities(moved, draws, frame, curves=curves)))
        return float(np.mean(np.asarray(logsumexp(each, axis=0))))
