"""Contradictions: what a table of runs says against the law that was fitted to it.

Notes on the data (`rising`, `families`, `unread`, `equal-inputs`) and on the fit's own rows (`misfit`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.special import bdtr, fdtrc  # of scipy.stats, which would take a second more

from ..errors import Note, listed
from ..model.problem import Problem
from .clouds import two_clouds
from .forecast import NOTHING, Draws, law_losses, unit_scatter
from .surface import log_inputs, smooth_residuals

MAX_ROWS = 500  # of which pairs are compared
MIN_PAIRS, RISING_SHARE = 12, 0.8
EQUAL = 0.005  # inputs within half a percent are equal
MIN_SPREAD = 0.01  # of ln loss: below a percent, families and columns are not worth a note
FAMILY_SHARE, COLUMN_SHARE = 0.8, 0.4  # of the variance about a smooth surface that a column explains
CHANCE = 1e-4
FAR_APART = 8.0  # scales of the noise between equal rows; Student-t noise passes it once in 3,000 pairs
MIN_INSIDE, MIN_GROUP = 0.6, 5


def contradictions(problem: Problem, sites: Mapping[str, np.ndarray], residual: np.ndarray) -> Iterator[Note]:
    """Notes on data that contradict the law.

    Args:
        problem: the `Problem`.
        sites: site -> `(chain, draw)`, of the draws that the residuals belong to.
        residual: `(chain, draw, row)` ln loss minus law, drift and run effects, rows as in `problem.frame`.
    """
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in sites.items()}
    residual = residual.reshape(-1, residual.shape[-1])
    yield from rising(problem, flat)
    named = list(families(problem))
    yield from named or clouds(problem)
    yield from unread(problem, residual.mean(0), {note.text.split()[0] for note in named})
    yield from equal_inputs(problem, flat)
    yield from misfit(problem, flat, residual)


def rising(problem: Problem, sites: Mapping[str, np.ndarray]) -> Iterator[Note]:
    """A loss that rises with an input where the law can only fall: an accuracy, or a score."""
    names = [name for name in problem.model.law.varied if _share_rising(problem, name) > RISING_SHARE]
    names = [name for name in names if not _law_rises(problem, sites, name)]
    if names:
        yield Note(
            "rising",
            f"the loss rises with {listed(names)}, and the law falls: is it an accuracy or a score? Fit it "
            "as one (metric='accuracy'), fit a loss, or use a law that can rise.",
        )


def _share_rising(problem: Problem, name: str) -> float:
    """Share of the pairs of rows, equal in all other inputs, whose loss rises with this one; 0 if few."""
    frame = problem.frame.sample(min(len(problem.frame), MAX_ROWS), random_state=0)
    step = {n: np.subtract.outer(x, x) for n, x in log_inputs(frame, problem.model.law.inputs).items()}
    larger = step.pop(name) > EQUAL
    equal = larger & np.all([np.abs(each) < EQUAL for each in step.values()] or [larger], axis=0)
    # without a grid, pairs in which no other input is smaller
    pairs = (
        equal if equal.sum() >= MIN_PAIRS else larger & np.all([d >= -EQUAL for d in step.values()], axis=0)
    )
    if pairs.sum() < MIN_PAIRS or frame[name].nunique() < 3:
        return 0.0
    return float((np.subtract.outer(*[problem.fitted_losses(frame)] * 2) > 0)[pairs].mean())


def _law_rises(problem: Problem, sites: Mapping[str, np.ndarray], name: str) -> bool:
    """Whether the fitted law rises with an input at most of the training rows."""
    few = Draws({site: value[:64] for site, value in sites.items()}, *NOTHING)
    ahead = problem.frame.assign(**{name: 1.1 * problem.frame[name]})
    here, there = (law_losses(problem, few, rows) for rows in (problem.frame, ahead))
    return float((there > here).mean()) > 0.5


def families(problem: Problem) -> Iterator[Note]:
    """A column of text that says most of what a smooth surface through the inputs leaves."""
    for name, column in _labels(problem).items():
        share, chance = _explained(problem, _dummies(column))
        if share > FAMILY_SHARE and chance < CHANCE and _apart(problem, column) > MIN_SPREAD:
            yield Note(
                "families",
                f"{name} parts the rows into families ({listed(sorted(set(column.astype(str))), 4)}) whose "
                f"losses differ by {_apart(problem, column):.0%} at equal inputs, and the law has one curve. "
                f"Fit each by itself, or all at once with pool={name!r}.",
            )


def clouds(problem: Problem) -> Iterator[Note]:
    """Two families that no column names: two clouds of losses, one above the other at equal inputs."""
    found = two_clouds(problem.frame, problem.model.law.inputs, problem.fitted_losses(problem.frame))
    if found is not None:
        upper, distance = found
        yield Note(
            "families",
            f"the losses lie on two surfaces {distance:.0%} apart ({upper.sum()} rows on the upper, for "
            f"instance rows {listed(np.flatnonzero(upper), 4)}): two tokenizers, data sets or recipes in one "
            "table? Fit each by itself.",
        )


def unread(problem: Problem, residual: np.ndarray, named: set[str]) -> Iterator[Note]:
    """A column that varies, is not read, and explains what the law leaves.

    Args:
        problem: the `Problem`.
        residual: `(row,)`, the posterior mean.
        named: columns that another note names.
    """
    for name, column in _settings(problem).items():
        if name in named:
            continue
        basis = _basis(column)
        share, chance = max(_explained(problem, basis), _explained(problem, basis, residual))
        if share > COLUMN_SHARE and chance < CHANCE:
            yield Note(
                "unread",
                f"{name} varies and the law does not read it, and it explains {share:.0%} of the variance "
                "that the inputs leave. Fit the rows of one value, or use a law that has it as an input.",
            )


def equal_inputs(problem: Problem, sites: Mapping[str, np.ndarray]) -> Iterator[Note]:
    """Rows of equal inputs whose losses differ by far more than the noise: an input is missing."""
    frame = problem.frame
    keys = [np.round(x / EQUAL) for x in log_inputs(frame, problem.model.law.inputs).values()]
    log_loss = pd.Series(problem.fitted_losses(frame), frame.index)
    groups = log_loss.groupby(keys)
    # the noise scale of a fit grows with what it has to cover: the mode of the pairs' own spread bounds it
    scale = np.sqrt(np.mean(sites["sigma"] ** 2 + sites.get("sigma_run", np.zeros(1)) ** 2))
    apart = groups.max() - groups.min()
    among = groups.transform("std").dropna()
    missing = len(among) > 5 and np.median(among) > max(0.03, 0.2 * np.std(log_loss))
    if len(apart) and (apart.max() > max(MIN_SPREAD, FAR_APART * scale) or missing):
        rows = groups.indices[apart.idxmax()]
        yield Note(
            "equal-inputs",
            f"rows {listed(rows, 4)} have equal inputs and losses {apart.max():.1%} apart, the noise being "
            f"{scale:.1%}: something that the law does not read differs between them. Add it as an input, or "
            "keep the rows of one setting.",
        )


def misfit(problem: Problem, sites: Mapping[str, np.ndarray], residual: np.ndarray) -> Iterator[Note]:
    """Groups of rows that lie outside their own 90 % bands: a value of an input, or a run."""
    inside, groups = _inside(problem, sites, residual), list(_groups(problem))
    for name, value, rows in groups:
        count, share = len(rows), inside[rows].mean()
        if share < MIN_INSIDE and bdtr(inside[rows].sum(), count, 0.9) < 0.01 / len(groups):
            yield Note(
                "misfit",
                f"only {share:.0%} of the {count} rows at {name} {value} lie inside their own 90 % bands: "
                "the law cannot follow them. Leave them out, or use another law.",
            )


def _inside(problem: Problem, sites: Mapping[str, np.ndarray], residual: np.ndarray) -> np.ndarray:
    """Whether each row lies inside its own 90 % band, `(row,)`."""
    rng = np.random.default_rng(0)
    unit = unit_scatter(problem.model.noise.tails, 0, residual.shape)
    frame = problem.frame
    known = problem.scale.error(frame["loss_se"], frame["loss"]) if "loss_se" in frame else 0.0
    normal = np.sqrt(np.square(np.asarray(known)) + np.square(sites.get("sigma_ou", np.zeros(1)))[:, None])
    noise = sites["sigma"][:, None] * unit + normal * rng.standard_normal(residual.shape)
    return np.abs((noise < residual).mean(0) - 0.5) < 0.45


def _groups(problem: Problem) -> Iterator[tuple[str, str, np.ndarray]]:
    """(column, value, positions) of every run and every value of an input that has five rows."""
    for name in ("run", *problem.model.law.varied):
        column = problem.frame[name].reset_index(drop=True)
        indices = column.groupby(column).indices
        if len(indices) > 1:
            for value, rows in indices.items():
                if len(rows) >= MIN_GROUP:
                    yield name, value if isinstance(value, str) else f"{value:.4g}", np.asarray(rows)


def _settings(problem: Problem) -> dict[str, pd.Series]:
    """Columns that may be a missing input: they vary, are no outcome and no function of one input."""
    found = {}
    for name, column in ({} if problem.others is None else problem.others).items():
        text = not pd.api.types.is_numeric_dtype(column)
        column = column.astype(str if text else float)
        levels = column.nunique()
        if levels < 2 or column.isna().any() or (text and levels > len(column) / 3):
            continue
        if not text and abs(column.corr(problem.frame["loss"], method="spearman")) > 0.9:
            continue  # another measurement of the loss
        if not text and _computed(problem, column):
            continue  # training compute, or the like
        if not any(_follows(column, problem.frame[each]) for each in ("run", *problem.model.law.inputs)):
            found[str(name)] = column
    return found


def _labels(problem: Problem) -> dict[str, pd.Series]:
    """Those of them that are text, or numbers of at most four values."""
    return {n: c for n, c in _settings(problem).items() if c.dtype != float or c.nunique() <= 4}


def _computed(problem: Problem, column: pd.Series) -> bool:
    """Whether a column is, up to jitter, a product of powers of the inputs: 95 % of its logarithm follow."""
    if column.le(0).any():
        return False
    values = np.log(column.to_numpy())
    left, used = smooth_residuals(problem.frame, problem.model.law.inputs, values)
    return len(values) > 2 * used and left.std() < 0.05**0.5 * values.std()


def _follows(column: pd.Series, key: pd.Series) -> bool:
    """Whether a column is one value at each value of another, which repeats."""
    values = key.nunique()
    return values <= len(key) / 2 and bool((column.groupby(key.to_numpy()).nunique() == 1).all())


def _dummies(column: pd.Series) -> np.ndarray:
    """`(row, level - 1)`: a column of 0 and 1 for each level but the first."""
    return pd.get_dummies(column.reset_index(drop=True), drop_first=True).to_numpy(float)


def _basis(column: pd.Series) -> np.ndarray:
    """What a column may add: an offset of each level, or a parabola in the rank."""
    if column.dtype != float or column.nunique() <= 6:
        return _dummies(column)
    rank = column.rank(pct=True).to_numpy() - 0.5
    return np.column_stack([rank, rank**2])


def _explained(
    problem: Problem, basis: np.ndarray, residual: np.ndarray | None = None
) -> tuple[float, float]:
    """Share of the residuals' variance that a basis explains, and how often chance gives as much (F test).

    The residuals are given, or those of a smooth surface, of which the basis is cleared too.
    """
    frame, inputs = problem.frame, problem.model.law.inputs
    if residual is None:
        residual, used = smooth_residuals(frame, inputs, problem.fitted_losses(frame))
        basis, _ = smooth_residuals(frame, inputs, basis)
    else:
        residual, basis, used = residual - residual.mean(), basis - basis.mean(0), 1
    left = residual - basis @ np.linalg.lstsq(basis, residual, rcond=None)[0]
    rank = int(np.linalg.matrix_rank(basis, tol=1e-6 * len(basis)))
    free = len(residual) - used - rank
    if rank == 0 or free < 3 or not residual.std() > 0:
        return 0.0, 1.0
    share = 1 - np.sum(left**2) / np.sum(residual**2)
    return share, float(fdtrc(rank, free, share / rank / max((1 - share) / free, 1e-12)))


def _apart(problem: Problem, column: pd.Series) -> float:
    """How far the families' losses lie from one another about a common surface, in ln loss."""
    log_loss = problem.fitted_losses(problem.frame)
    residual, _ = smooth_residuals(problem.frame, problem.model.law.inputs, log_loss)
    return float(np.ptp(pd.Series(residual).groupby(column.to_numpy()).median()))
