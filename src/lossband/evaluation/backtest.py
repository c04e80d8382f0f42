"""Backtest: hide the largest runs, fit the rest, and count how often the bands cover what was hidden."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from .. import score
from .._arguments import items, levels_of, names_of, whole
from .._html import notebook
from ..errors import InputError, Note, listed, nearest
from ..inference.fit import fit_many
from ..model.problem import NewRows, pose, read_for
from ..posterior.ahead import UNUSABLE, forecast_notes
from ..posterior.bands import LEVELS, named, summarise
from ..posterior.health import CONTRADICTIONS
from ..posterior.tables import Table
from ..runs.arrays import clock_of
from ..runs.loss_scale import scale_of
from ..runs.start import without_start
from ..runs.table import numbers
from .against import AGAINST, against
from .calibration import _quarters, diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..errors import Note
    from ..inference.options import ManyOptions
    from ..laws.law import Law
    from ..laws.resolve import LawLike
    from ..plot.style import Axes
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike


@dataclass(frozen=True, repr=False)
class Backtest:
    """Forecasts of hidden rows, and how they did.

    frame: one row per hidden measurement and cut-off: `hidden` (how many values of `by` were hidden, or which
        share), the run and inputs, `loss`, the band's columns, `extrapolation` in decades, and the scores of
        ln loss: `pit`, `crps`, `log_score` (the exact mixture over the draws), `bias` (ln median - ln loss:
        above zero the forecast is too high), and `inside_50`, `inside_90`, ...
    posteriors: the fit of each cut-off.
    levels: of the bands.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> test = lb.backtest(runs, "chinchilla", by="params", hide=1, method="laplace")
        >>> share = test.frame["inside_90"].mean()
    """

    frame: pd.DataFrame
    posteriors: tuple[Posterior, ...]
    levels: tuple[float, ...] = field(default=LEVELS)

    def calibration(self, by: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Observed coverage and scores, one row per value of `by` (a column, or several), and one for all.

        Returns:
            a frame: `rows`, `runs`; `cover_50`, `cover_90`, ... the observed coverage, and for the 90 % band
            (or the widest below it) `cover_90_lo`, `cover_90_hi`, its 90 % interval with a run as one piece
            of evidence; `pit_mean` (one half if unbiased); `bias` of ln loss; `crps` and `log_score` of ln
            loss; `width_90`, the mean width of that band over the median. A column with more than twelve
            values is cut into quarters. `attrs["notes"]` says where it fails, and the likely cause: a law too
            rigid or too steep, badly tuned small runs, a drift prior too tight, unequal noise.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> test = lb.backtest(runs, "chinchilla", by="params", hide=1, method="laplace")
            >>> table = test.calibration(by="params")
        """
        frame = self.frame
        keys = [] if by is None else names_of(by, "by")
        if absent := [key for key in keys if key not in frame]:
            raise InputError(
                f"by= names {listed(absent)}, and the hidden rows have {listed(frame.columns, 12)}.",
                "Name one of them, or several.",
            )
        parts = [(dict.fromkeys(keys, "all"), frame)]
        if keys:
            groups = frame.groupby([_quarters(frame[key]) for key in keys], sort=True, observed=True)
            parts = [(dict(zip(keys, value, strict=True)), rows) for value, rows in groups] + parts
        table = Table([names | self._row(rows) for names, rows in parts])
        table.attrs["notes"] = diagnose(table, [rows for _, rows in parts], self._main)
        return table

    def __repr__(self) -> str:
        """How often the bands covered what was hidden."""
        return f"{self._title}\n\n{self.calibration()}"

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        table = self.calibration()
        return notebook(self._title, frame=pd.DataFrame(table), notes=table.attrs["notes"])

    def plot(self, *, level: float | None = None, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draw the forecasts of the hidden rows, with their bands, against the real losses.

        Args:
            level: of the bands; .9 by default, or the widest of the backtest's.
            axes: two matplotlib axes; new ones by default.

        Returns:
            the two axes: predicted against real losses, and their difference in percent.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("positions")
            >>> axes = lb.backtest(runs, "position_by_size", method="laplace").plot()
        """
        from ..plot.evaluation import hidden

        return hidden(self, level=float(self._main) / 100 if level is None else level, axes=axes)

    @property
    def _title(self) -> str:
        inside = self.frame[f"inside_{self._main}"]
        return f"the {self._main} % band covers {inside.sum()} of {len(inside)} hidden losses"

    @property
    def notes(self) -> tuple[Note, ...]:
        """Coded notes: the hidden rows against the bands (`one-sided`, `narrow`), and `few-levels`, `far`."""
        ahead = [
            note
            for post, (_, rows) in zip(self.posteriors, self.frame.groupby("hidden", sort=False), strict=True)
            for note in forecast_notes(post.problem, rows)
        ]
        return (*against(self.frame, self._main), *{note.code: note for note in ahead}.values())

    @property
    def ok(self) -> bool:
        """Whether forecasts of this kind may be used: the hidden rows do not contradict the bands.

        Nor do the fitted rows contradict the law.
        """
        said = {note.code for note in self.notes}
        contradicted = {note.code for post in self.posteriors for note in post.health.notes} & CONTRADICTIONS
        return not said & (AGAINST | UNUSABLE) and not contradicted

    @property
    def _main(self) -> str:
        return named(0.9 if 0.9 in self.levels else max(self.levels))

    def _row(self, rows: pd.DataFrame) -> dict[str, float]:
        main = self._main
        inside = rows[f"inside_{main}"].to_numpy(bool)
        low, high = score.coverage_interval(inside, rows["run"].to_numpy(), level=0.9)
        cover = {f"cover_{named(level)}": rows[f"inside_{named(level)}"].mean() for level in self.levels}
        width = (rows[f"hi_{main}"] - rows[f"lo_{main}"]) / rows["median"]
        return {
            "rows": len(rows),
            "runs": rows["run"].nunique(),
            **cover,
            f"cover_{main}_lo": low,
            f"cover_{main}_hi": high,
            "pit_mean": rows["pit"].mean(),
            "bias": rows["bias"].mean(),
            "crps": rows["crps"].mean(),
            "log_score": rows["log_score"].mean(),
            f"width_{main}": width.mean(),
        }


def backtest(
    runs: RunsLike,
    law: LawLike = None,
    *,
    by: str = "params",
    hide: int | Sequence[int] | None = None,
    share: float | Sequence[float] | None = None,
    levels: Sequence[float] = LEVELS,
    columns: Mapping[str, str] | None = None,
    **options: Unpack[ManyOptions],
) -> Backtest:
    """Hide the largest values of a column, refit on the rest, forecast what was hidden, and score it.

    Args:
        runs: as in `fit`.
        law: as in `fit`.
        by: the column whose largest values are hidden ("params", "tokens", "loops", "flops", ...), a run
            going with its largest row, so that no run is on both sides; or "end", for the end of every run's
            curve.
        hide: how many distinct values to hide, or several numbers for several cut-offs. Default: 1.
        share: instead, which share of the distinct values (of each curve's rows, for by="end") to hide.
        levels: of the bands.
        columns: the user's column names, {"N": "params"}.
        options: of `fit`: noise, drift, num_samples, seed, ...

    Returns:
        a `Backtest`.

    Raises:
        InputError: nothing left to fit, or nothing to hide.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> test = lb.backtest(runs, "chinchilla", by="params", hide=1, method="laplace")
        >>> table = test.calibration()
    """
    cuts, levels = _cuts(hide, share), levels_of(levels)
    table, law = _checked(runs, law, columns, options)
    masks = [_hidden(table, by, cut, share is not None) for cut in cuts]
    posteriors = fit_many([table[~mask] for mask in masks], law, **options)
    frames = [
        _scored(post, table[mask], cut, levels)
        for post, mask, cut in zip(posteriors, masks, cuts, strict=True)
    ]
    return Backtest(pd.concat(frames, ignore_index=True), tuple(posteriors), tuple(levels))


def _cuts(hide: int | Sequence[int] | None, share: float | Sequence[float] | None) -> Sequence[float]:
    """The cut-offs: numbers of values, or shares of them."""
    if hide is not None and share is not None:
        raise InputError("both hide= and share= are given.", "Give one of them.")
    if share is not None:
        return levels_of(share, "share")
    counts = items(1 if hide is None else hide)
    if not counts:
        raise InputError("hide= is empty; expected how many values to hide.", "Leave it out for 1.")
    return [whole("hide", count) for count in counts]


def _checked(
    runs: RunsLike, law: LawLike, columns: Mapping[str, str] | None, options: Mapping[str, Any]
) -> tuple[pd.DataFrame, Law]:
    """The table and its law, refused where a fit of the whole would refuse it.

    The table keeps its other columns, and has run labels.
    """
    scale = scale_of(options.get("metric", "loss"), options.get("bounds"))
    table, law, notes = read_for(runs, law, columns=columns, scale=scale)
    chosen = {name: options[name] for name in ("noise", "drift") if name in options}
    problem = pose(table, law, **chosen)
    clock = clock_of(table) if problem.model.noise.ou else None
    table, _ = without_start(table, (*law.inputs, clock))
    if any(note.code == "tokens" for note in notes):  # fits and forecasts derive them again
        table.attrs["derived"] = "tokens"
    return table.assign(run=table["run"] if "run" in table else [f"row{i}" for i in range(len(table))]), law


def _hidden(table: pd.DataFrame, by: str, cut: float, is_share: bool) -> np.ndarray:
    """Which rows a cut-off hides, `(row,)`."""
    if not isinstance(by, str):
        raise InputError(f"by= got {by!r}; expected one column, or 'end'.", "For instance by='params'.")
    if by == "end":
        if not is_share:
            raise InputError(
                "by='end' got hide=; it needs a share of each curve.", "For the last quarter: share=0.25."
            )
        own = table.drop(columns=table.attrs.get("derived", []))  # tokens from FLOPs order no run's points
        if (clock := clock_of(own)) is None:
            raise InputError(
                "by='end' needs to know the order of a run's points, and the table has neither tokens "
                "nor step.",
                "Add one of them, or hide by another column.",
            )
        rank = table.groupby("run")[clock].rank(method="first")
        mask = (rank > np.ceil((1 - cut) * table.groupby("run")[clock].transform("size"))).to_numpy()
    else:
        if by not in table:
            raise InputError(
                f"the table has no column {by!r} to hide by (it has {listed(table.columns, 12)})"
                f"{nearest(by, table.columns)}",
                "Name one of its columns with by=.",
            )
        largest = numbers(table, by, zero=True).groupby(table["run"]).transform("max")
        values = np.unique(largest)
        count = max(1, round(cut * len(values))) if is_share else cut
        if not 0 < count < len(values):
            raise InputError(
                f"hide= asks for {cut} of the {len(values)} distinct values of {by}; at least one must "
                "stay on each side.",
                f"Hide between 1 and {len(values) - 1}.",
            )
        mask = (largest >= values[-int(count)]).to_numpy()
    if mask.all() or not mask.any():
        raise InputError(
            f"the cut-off {cut!r} by {by!r} hides {mask.sum()} of {len(mask)} rows.", "Choose another."
        )
    return mask


def _scored(post: Posterior, rows: pd.DataFrame, cut: float, levels: Sequence[float]) -> pd.DataFrame:
    """The hidden rows with their forecasts and scores."""
    new = NewRows.of(rows)
    drawn = post.draws(new, kind="observation").to_numpy()
    frame = summarise(post.problem, new.checked(post.problem), drawn, kind="observation", levels=levels)
    scale = post.problem.scale
    losses, truth = scale.fitted(drawn), scale.fitted(rows["loss"].to_numpy(float))
    frame.insert(0, "hidden", cut)
    extra = [c for c in rows if c not in frame and c not in ("loss_se",)]
    frame = pd.concat([frame, rows[extra].reset_index(drop=True)], axis=1)
    frame["pit"], frame["crps"] = score.pit(losses, truth), score.crps(losses, truth)
    frame["log_score"], frame["bias"] = (
        post.log_score(new) - scale.log_slope(truth),
        np.median(losses, 0) - truth,
    )
    for level in levels:
        frame[f"inside_{named(level)}"] = score.covered(losses, truth, level)
    return frame
