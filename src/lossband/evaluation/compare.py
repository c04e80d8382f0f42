r"""Law choice: score laws on rows that were hidden from them, weigh them, and average their forecasts.

Stacking weights maximise the log score of the mixture over the rows that leave-future-out hides above several
cut-offs o in compute, under a Dirichlet prior; leave-run-out, which scores interpolation, takes no part in
them:

    w = argmax  sum_o mean_{i in o} ln sum_k w_k p_k(y_i)  +  (1 / K) sum_k ln w_k

Rows above one cut-off share one forecast, so a cut-off counts as one piece of evidence; there are few of
them, so the prior, worth one cut-off, pulls the K weights towards equal ones. Source: Yao et al. 2018,
Bayesian Analysis 13(3), eq. 4, with leave-future-out in place of leave-one-out (Buerkner et al. 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import names_of, seed_of, whole
from ..errors import InputError, Note, in_table
from ..inference.batches import sample
from ..inference.sampler import Sampler
from ..model.problem import pose, widest
from ..posterior.posterior import Posterior, mixture
from ..posterior.tables import Table
from .refits import future, hidden_scores, runs_out
from .stacking import clustered_se, weigh_laws

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Unpack

    from ..inference.options import AverageOptions
    from ..plot.style import Axes
    from ..runs.table import RunsLike

    Laws = Iterable[str] | Mapping[str, Mapping[str, Any]]


RHAT, DIVERGING, EBFMI, PARETO_K = 1.05, 0.01, 0.2, 0.7  # beyond these a fit is left out


class LawTable(Table):
    """What `compare` returns: a frame with one row per law, which draws itself."""

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw how far each law forecasts behind the best, with its weight.

        Args:
            ax: matplotlib axes; new ones by default.

        Returns:
            the axes.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> names = "chinchilla", "kaplan"
            >>> laws = {name: lb.fit(runs, name, method="laplace") for name in names}
            >>> ax = lb.compare(laws, cuts=1, folds=2, num_samples=100).plot()
        """
        from ..plot.evaluation import laws

        return laws(self, ax=ax)


def compare(
    posteriors: Mapping[str, Posterior],
    *,
    cuts: int = 4,
    folds: int = 5,
    group: str = "run",
    num_warmup: int = 400,
    num_samples: int = 500,
    seed: int = 0,
    batch: int = 16,
    progress: bool | None = None,
) -> LawTable:
    """Score fitted laws on rows hidden from refits of them: the largest, and whole runs; and weigh them.

    Args:
        posteriors: name -> `Posterior`, all of the same measurements. Law, noise and drift are each one's
            own.
        cuts: at most so many cut-offs in compute for leave-future-out.
        folds: folds of leave-run-out.
        group: what goes into one fold as a whole: "run", or an input ("params": leave sizes out).
        num_warmup: of the refits, as in `fit_many`.
        num_samples: of the refits, as in `fit_many`.
        seed: of the refits, as in `fit_many`.
        batch: of the refits, as in `fit_many`.
        progress: of the refits, as in `fit_many`.

    Returns:
        a `LawTable`, one row per law, the heaviest first: `weight`, the stacking weight; for rows hidden
        above the cut-offs `future_elpd` (mean log score of ln loss a row, nats) with its standard error
        `future_elpd_se`, `future_behind` (how far behind the best law) and `future_behind_se`, `future_crps`,
        `future_cover_50`, `future_cover_90`, `future_rows`; the same with `run_` for leave-run-out; `notes`.
        Standard errors count a run as one piece of evidence. `attrs["notes"]` has the notes that concern all
        laws.

    Raises:
        InputError: fewer than two laws, or laws fitted to different measurements.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> quick = dict(num_warmup=50, num_samples=50, progress=False)
        >>> laws = {n: lb.fit(runs, n, drift=None, **quick) for n in ("chinchilla", "coupled")}
        >>> table = lb.compare(laws, cuts=1, folds=2, **quick)
    """
    _check(posteriors)
    cuts, folds = whole("cuts", cuts), whole("folds", folds)
    sampler, seed, group = Sampler(num_warmup, num_samples), seed_of(seed), names_of(group, "group")[0]
    kept, notes = _healthy(posteriors)
    problems = {name: posteriors[name].problem for name in kept}
    frame = widest(problems.values()).frame
    plans = {
        "future": future(problems.values(), cuts),
        "run": runs_out(frame, problems.values(), group, folds, seed),
    }
    options = dict(seed=seed, batch=batch, progress=progress)
    (scores,), ill = hidden_scores([problems], [plans], sampler, **options)
    weights, about = weigh_laws(scores, list(kept))
    table = LawTable({"weight": pd.Series(weights).reindex(list(posteriors), fill_value=0.0)})
    for scheme in plans:
        table = table.join(_columns(scores, scheme))
    for name, count in ill.items():
        notes.setdefault(name, []).append(
            Note("refits", f"{count} refits have an R-hat above 1.05: its scores are rough.")
        )
    said = [tuple(notes.get(name, ())) for name in table.index]
    table["notes"] = pd.Series(said, index=table.index, dtype=object)
    table.attrs["notes"] = [*about, *_fold_notes(plans, folds)]
    return table.sort_values("weight", ascending=False, kind="stable")


def average(
    posteriors: Mapping[str, Posterior],
    *,
    weights: Mapping[str, float] | pd.Series | None = None,
    **options: Unpack[AverageOptions],
) -> Posterior:
    """Average the forecasts of fitted laws, by stacking weights.

    Args:
        posteriors: name -> `Posterior`, all of the same measurements.
        weights: name -> weight, for instance `compare(...)["weight"]`; by default they are found by
            leave-future-out.
        options: of `compare`: cuts, num_samples, seed, ...

    Returns:
        a `Posterior` whose `fits` are those given; its `notes` say how the weights came about.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> quick = dict(method="laplace", drift=None)
        >>> laws = {name: lb.fit(runs, name, **quick) for name in ("chinchilla", "coupled")}
        >>> post = lb.average(laws, weights={"chinchilla": 1, "coupled": 3})
    """
    _check(posteriors)
    if weights is None:
        kept, notes = _healthy(posteriors)
        problems = {name: posteriors[name].problem for name in kept}
        cuts = future(problems.values(), whole("cuts", options.pop("cuts", 4)))
        sampler, others = Sampler.of(options, num_samples=500)
        (scores,), _ = hidden_scores([problems], [{"future": cuts}], sampler, **others)
        weights, about = weigh_laws(scores, list(kept))
        return mixture(posteriors, weights, [*sum(notes.values(), []), *about])
    return mixture(posteriors, weights)


def averaged(table: RunsLike, laws: Laws, **options: Any) -> Posterior:
    """Fit several laws to one table and average them: see `averaged_many`."""
    return averaged_many([table], laws, **options)[0]


def averaged_many(
    tables: Sequence[RunsLike],
    laws: Laws,
    *,
    cuts: int = 4,
    least: tuple[int, int, int] = (0, 0, 0),
    num_warmup: int = 400,
    num_samples: int = 1000,
    seed: int = 0,
    batch: int = 16,
    progress: bool | None = None,
) -> list[Posterior]:
    """Fit several laws to each table, with the refits that weigh them, in few batches; average each table's.

    Args:
        tables: as in `fit_many`.
        laws: names of laws, or name -> options of `fit` that pose a model: {"plain": {"law": "chinchilla",
            "drift": None}}.
        cuts: at most so many cut-offs for leave-future-out.
        least: pad all arrays to at least this shape, so that fewer programs are compiled.
        num_warmup: as in `fit_many`, for the fits and the refits.
        num_samples: as in `fit_many`, for the fits and the refits.
        seed: as in `fit_many`, for the fits and the refits.
        batch: as in `fit_many`, for the fits and the refits.
        progress: as in `fit_many`, for the fits and the refits.

    Returns:
        a list of `Posterior`, in the order of the tables.
    """
    laws = laws if isinstance(laws, dict) else {name: {"law": name} for name in laws}
    sets = []
    for i, table in enumerate(tables):
        with in_table(f"tables[{i}]"):
            sets.append({name: pose(table, least=least, **model) for name, model in laws.items()})
    sampler = Sampler(num_warmup, num_samples)
    options: dict[str, Any] = dict(seed=seed, batch=batch, progress=progress)
    fitted = {name: sample([problems[name] for problems in sets], sampler, **options) for name in laws}
    posteriors = [{name: fitted[name][i] for name in laws} for i in range(len(sets))]
    kept = [_healthy(each) for each in posteriors]
    healthy = [
        {name: problems[name] for name in names} for problems, (names, _) in zip(sets, kept, strict=True)
    ]
    plans = [{"future": future(problems.values(), cuts)} for problems in healthy]
    scores, _ = hidden_scores(healthy, plans, sampler, **options)
    averages = []
    for each, table, problems, (_, notes) in zip(posteriors, scores, healthy, kept, strict=True):
        weights, about = weigh_laws(table, list(problems))
        averages.append(mixture(each, weights, [*sum(notes.values(), []), *about]))
    return averages


def _columns(scores: pd.DataFrame, scheme: str) -> pd.DataFrame:
    """A scheme's part of the table, one row a law."""
    rows = scores[scores["scheme"] == scheme]
    names = {"crps": "crps", "inside_50": "cover_50", "inside_90": "cover_90"}
    columns = [f"{scheme}_{c}" for c in ("elpd", "elpd_se", "behind", "behind_se", *names.values(), "rows")]
    if rows.empty:
        return pd.DataFrame(columns=columns, dtype=float)
    wide = rows.pivot(index=["cut", "row", "run"], columns="law", values="log_score")
    run, best = wide.index.get_level_values("run"), wide[wide.mean().idxmax()]
    table = pd.DataFrame(
        {
            law: [x.mean(), clustered_se(x, run), (best - x).mean(), clustered_se(best - x, run)]
            for law, x in wide.items()
        },
        index=columns[:4],
    ).T
    means = (
        rows.groupby("law")[list(names)].mean().rename(columns={a: f"{scheme}_{b}" for a, b in names.items()})
    )
    return table.join(means).assign(**{columns[-1]: len(wide)})


def _fold_notes(plans: Mapping[str, Sequence[np.ndarray]], folds: int) -> Iterator[Note]:
    if len(plans["run"]) < folds:
        text = (
            f"{len(plans['run'])} of {folds} folds could be fitted without their runs: "
            "the others leave too little."
        )
        yield Note("few-folds", text)


def _healthy(posteriors: Mapping[str, Posterior]) -> tuple[list[str], dict[str, list[Note]]]:
    """Names of the laws whose fits can be used, and name -> notes on those left out.

    None is if all would be.
    """
    ill = {name: "; ".join(_ills(post)) for name, post in posteriors.items()}
    kept = [name for name in posteriors if not ill[name]]
    if not kept:
        text = "no law has a healthy fit: none is left out, and the weights cannot be trusted."
        return list(posteriors), {name: [Note("all-unhealthy", text)] for name in posteriors}
    notes = {
        n: [Note("unhealthy", f"{n} is left out: {why}. Fit it again.")] for n, why in ill.items() if why
    }
    return kept, notes


def _ills(post: Posterior) -> list[str]:
    """What is wrong with a fit.

    The bounds are looser than those of its notes, which warn before the forecasts suffer.
    """
    health = post.health
    if health.pareto_k is not None:
        return [f"Pareto k {health.pareto_k:.2f}"] if not health.pareto_k < PARETO_K else []
    diverging = health.divergences / sum(np.prod(fit.shape) for _, fit in post.parts.values())
    checks = {
        f"R-hat {health.rhat_max:.3f}": health.rhat_max < RHAT,
        f"{diverging:.1%} of the draws diverge": diverging < DIVERGING,
        f"E-BFMI {health.ebfmi_min:.2f}": health.ebfmi_min > EBFMI,
    }
    return [what for what, fine in checks.items() if not fine]


def _check(posteriors: Mapping[str, Posterior]) -> None:
    fitted = isinstance(posteriors, dict) and all(isinstance(p, Posterior) for p in posteriors.values())
    if not fitted or len(posteriors) < 2:
        raise InputError(
            "expected at least two laws, by name.", "Pass a dict: {'chinchilla': post, 'kaplan': other}."
        )
    (first, one), *others = posteriors.items()
    for name, other in others:
        same = len(other.problem.frame) == len(one.problem.frame) and all(
            (other.problem.frame[c].to_numpy() == one.problem.frame[c].to_numpy()).all()
            for c in ("run", "loss")
        )
        if not same:
            raise InputError(
                f"{first!r} and {name!r} were fitted to different measurements; their scores cannot be "
                "compared.",
                "Fit both to the same rows, in the same order.",
            )
