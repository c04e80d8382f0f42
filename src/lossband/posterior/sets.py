"""Several evaluation sets of the same runs, fitted together: forecasts that move together, and their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._arguments import items, mapping, number, short
from ..errors import InputError, listed, nearest
from ..laws.recipe import FAMILY
from ..model.problem import NewRows
from ..runs.table import read_runs
from .bands import Forecast
from .posterior import Posterior

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model.problem import Problem
    from ..runs.table import RunsLike
    from .forecast import Kind
    from .health import Health

SET = "metric"  # the column that names the evaluation set, in long tables and in forecasts
HINT = (
    "Give one column of losses per set, targets=['loss_web', 'loss_code'], or a long table with the columns "
    "'metric' and 'loss' and targets='metric'."
)


@dataclass(frozen=True, repr=False)
class Sets(Posterior):
    """The posterior of several evaluation sets: one law, coefficients partly pooled, run effects shared.

    A row without a column `metric` is forecast for every set, one row per set.
    """

    @property
    def names(self) -> list[str]:
        """Of the sets, in the order of the forecasts."""
        return sorted(set(self.problem.frame[FAMILY]))

    def _finished(self, band: pd.DataFrame, rows: NewRows) -> pd.DataFrame:
        """The bands with the set of each row in `metric`."""
        band = band.drop(columns="recipe")
        band.insert(1, SET, rows.table[FAMILY].to_numpy())
        return band

    def macro(self, weights: Mapping[str, float] | None = None) -> Macro:
        """The weighted mean over the sets, as a forecast: it has their correlations.

        Args:
            weights: set -> weight; equal by default. They are made to sum to one.

        Raises:
            InputError: another set, a negative weight, or none above zero.
        """
        known = self.names
        weights = (
            dict.fromkeys(known, 1.0) if weights is None else mapping("weights", weights, "Leave it out.")
        )
        for name, weight in weights.items():
            if name not in known:
                raise InputError(
                    f"weights= names {name!r}, which is no set of the fit{nearest(name, known)}",
                    f"The sets are {listed(known)}.",
                )
            number(
                "weights", weight, f"a weight of 0 or more for {name!r}", "Leave it out.", above=0, zero=True
            )
        total = sum(weights.values())
        if not total:
            raise InputError("weights= are all 0.", "Leave it out for the plain mean.")
        return Macro(self, {name: float(weights.get(name, 0.0) / total) for name in known})

    def _new(self, new: RunsLike | NewRows, columns: Mapping[str, str] | None) -> NewRows:
        """The rows, each for every set unless they name theirs."""
        if isinstance(new, NewRows):
            return new
        table = read_runs(new, columns=columns)
        if columns is None:
            here = {mine: ours for mine, ours in self.problem.columns.items() if mine in table}
            table = table.rename(columns=here)
        return NewRows(long_of(_labelled(table, "new row"), self.names))


@dataclass(frozen=True)
class Macro(Forecast):
    """A weighted mean of the losses of several sets.

    sets: their posterior.
    weights: set -> share.
    """

    sets: Sets
    weights: dict[str, float]

    @property
    def problem(self) -> Problem:
        """That of the sets."""
        return self.sets.problem

    @property
    def health(self) -> Health:
        """That of the sets' fit."""
        return self.sets.health

    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """Draws of the mean at rows that are read already, `(sample, row)`: see `draws`."""
        table = rows.table
        long = NewRows(
            pd.concat([table.assign(**{FAMILY: name}) for name in self.weights], ignore_index=True)
        )
        losses = np.split(self.sets.samples(long, kind), len(self.weights), axis=1)
        return np.tensordot(list(self.weights.values()), losses, axes=1)

    def _finished(self, band: pd.DataFrame, rows: NewRows) -> pd.DataFrame:
        """The bands without the number of the set that the rows stand for."""
        return band.drop(columns="recipe")

    def _new(self, new: RunsLike | NewRows, columns: Mapping[str, str] | None) -> NewRows:
        """The rows once each, as the first set's; `loss` is the mean where every set was measured."""
        if isinstance(new, NewRows):
            return new
        table = read_runs(new, columns=columns)
        names = list(self.weights)
        if set(names) <= set(table.columns):
            mean = sum(weight * table[name] for name, weight in self.weights.items())
            table = table.drop(columns=names).assign(loss=mean)
        return NewRows(_labelled(table, "new row").assign(**{FAMILY: names[0]}))


def long_of(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """One row per row and set: `family` is the set, `loss` its loss where the table has it as a column.

    A table with a column `metric` is long already.
    """
    if SET in table:
        return table.rename(columns={SET: FAMILY}) if FAMILY not in table else table
    table = _labelled(table)
    kept = table.drop(columns=[c for c in (*names, "loss", FAMILY) if c in table])
    parts = [
        kept.assign(**{FAMILY: name}, **({"loss": table[name]} if name in table else {})) for name in names
    ]
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def _labelled(table: pd.DataFrame, word: str = "row") -> pd.DataFrame:
    """The table with a run label in every row: the sets of one row share its run's effect."""
    return table if "run" in table else table.assign(run=[f"{word} {i}" for i in range(len(table))])


def melted(table: pd.DataFrame, targets: Any) -> pd.DataFrame:
    """The long table that several sets are fitted on.

    Args:
        table: with one column of losses per set, or long.
        targets: names of the columns, or "metric" for a long table.

    Raises:
        InputError: fewer than two sets, columns that are not there, or a run without one of the sets.
    """
    if isinstance(targets, str) and targets == SET:
        if SET not in table:
            raise InputError(f"the table has no column {SET!r} (it has {listed(table.columns, 12)}).", HINT)
        if table[SET].isna().any():
            raise InputError(f"{SET} is missing in {table[SET].isna().sum()} rows.", "Name every row's set.")
        long = table.assign(**{SET: table[SET].astype(str)})
        _whole(long)
        long = long.drop(columns=FAMILY, errors="ignore").rename(columns={SET: FAMILY})
        return long if "run" in long else long.assign(run=_place(long.rename(columns={FAMILY: SET})))
    names = items(targets)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < 2:
        raise InputError(f"targets= got {short(targets)}; expected a list of two columns or more.", HINT)
    if absent := [name for name in names if name not in table]:
        raise InputError(
            f"targets= names {listed(absent)}, which the table has not (it has {listed(table.columns, 12)})"
            f"{nearest(absent[0], table.columns)}",
            HINT,
        )
    return long_of(table, names)


def _place(table: pd.DataFrame) -> pd.Series:
    """Number of the rows that are one measurement of all sets: equal in all columns but set and loss."""
    keys = [name for name in table if name not in (SET, "loss", "loss_se", FAMILY)]
    return "row " + table.groupby(keys, dropna=False, sort=False).ngroup().astype(str)


def _whole(table: pd.DataFrame) -> None:
    """Refuse a long table in which a measurement lacks one of the sets."""
    place, known = _place(table), set(table[SET])
    count = table.groupby(place)[SET].transform("nunique")
    rows = np.flatnonzero(count < len(known))
    if len(rows):
        missing = sorted(known - set(table.loc[place == place.iloc[rows[0]], SET]))
        raise InputError(
            f"{len(rows)} rows are of measurements without one of the sets (rows {listed(rows, 4)}; the "
            f"first has no {listed(missing, 4)}); expected all of {listed(sorted(known), 6)} at each.",
            "Measure it, drop these rows, or leave that set out.",
        )
