"""The OU process at new rows: a known run goes on from where its fitted path stands, a new run starts afresh.

The process is Markov: of a known run, the fitted values at the nearest training rows before and after a new
row tell all that the path tells of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ..model.ou import between
from ..runs.arrays import clock_of, order_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE = -1  # no such training row


class Neighbours(NamedTuple):
    """Of new rows: the nearest training rows of the same run, and how far they are.

    before, after: `(row,)` positions in the training frame, `NONE` where there is none.
    since, until: `(row,)` the distances in ln time.
    """

    before: np.ndarray
    after: np.ndarray
    since: np.ndarray
    until: np.ndarray


def neighbours(seen: pd.DataFrame, new: pd.DataFrame) -> Neighbours:
    """The `Neighbours` of new rows among the training rows; none at all where their clocks differ."""
    clock = clock_of(seen)
    times, runs = (np.log(new[clock_of(new)].to_numpy(float)), new["run"].to_numpy())
    before, after = (np.full(len(new), NONE) for _ in range(2))
    since, until = (np.full(len(new), np.inf) for _ in range(2))
    if clock != clock_of(new):
        return Neighbours(before, after, since, until)
    known = {name: np.asarray(rows) for name, rows in seen.groupby("run", sort=False).indices.items()}
    for name in set(runs) & set(known):
        here = np.flatnonzero(runs == name)
        at = known[name][np.argsort(seen[clock].to_numpy(float)[known[name]], kind="stable")]
        clocks = np.log(seen[clock].to_numpy(float)[at])
        place = np.searchsorted(clocks, times[here], side="right")
        early, late = place > 0, place < len(at)
        before[here[early]], since[here[early]] = (
            at[place[early] - 1],
            times[here[early]] - clocks[place[early] - 1],
        )
        after[here[late]], until[here[late]] = at[place[late]], clocks[place[late]] - times[here[late]]
    return Neighbours(before, after, since, until)


def ou_moments(
    seen: pd.DataFrame, sites: Mapping[str, np.ndarray], path: np.ndarray | None, new: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the process at each new row given each draw, both `(sample, row)`.

    Args:
        seen: the training frame.
        sites: with `sigma_ou` and `length_ou`, `(sample,)`.
        path: `(sample, row)` the process at the training rows; None to start each run afresh.
        new: checked new rows.
    """
    near = neighbours(seen if path is not None else seen.iloc[:0], new)
    mean, share = _expected(near, sites, path)
    return mean, share * sites["sigma_ou"][:, None] ** 2


def ou_draws(
    seen: pd.DataFrame,
    sites: Mapping[str, np.ndarray],
    path: np.ndarray | None,
    new: pd.DataFrame,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws of the process at new rows, `(sample, row)`; rows of one run move together.

    By Matheron's rule: a fresh path through the new rows and their neighbours, moved by what is expected of
    its distance from the fitted one there. Arguments as of `ou_moments`.
    """
    near = neighbours(seen if path is not None else seen.iloc[:0], new)
    used = np.unique(np.concatenate([near.before, near.after]))
    used = used[used != NONE]
    clock = clock_of(new)
    both = pd.concat([seen.iloc[used][["run", clock]] if len(used) else new.iloc[:0], new])[["run", clock]]
    fresh = _fresh(both.reset_index(drop=True), sites, rng)
    if path is None or not len(used):
        return fresh[:, len(used) :]
    gone = np.zeros_like(path)
    gone[:, used] = path[:, used] - fresh[:, : len(used)]
    return fresh[:, len(used) :] + _expected(near, sites, gone)[0]


def _expected(
    near: Neighbours, sites: Mapping[str, np.ndarray], path: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean given the values of a path at the neighbours, and the share of the variance that is left."""
    length = sites["length_ou"][:, None]
    left, right, share = between(np.exp(-near.since / length), np.exp(-near.until / length))
    if path is None:
        return np.zeros_like(share), share
    return left * path[:, near.before] + right * path[:, near.after], share


def _fresh(rows: pd.DataFrame, sites: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The process at rows with no known state, `(sample, row)`, row after row along each run."""
    order, clock = order_of(rows), clock_of(rows)
    run, time = rows["run"].to_numpy()[order], np.log(rows[clock].to_numpy(float)[order])
    unit = rng.standard_normal((len(sites["sigma_ou"]), len(rows)))
    path, length = np.empty_like(unit), sites["length_ou"]
    for i, row in enumerate(order):
        goes_on = i > 0 and run[i] == run[i - 1]
        rho = np.exp(-(time[i] - time[i - 1]) / length) if goes_on else 0.0
        last = path[:, order[i - 1]] if goes_on else 0.0
        path[:, row] = rho * last + np.sqrt(1 - rho**2) * unit[:, i]
    return sites["sigma_ou"][:, None] * path
