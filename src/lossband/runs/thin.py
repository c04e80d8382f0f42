"""Binning: a long training curve as a few points, bin means with their standard errors or robust medians."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from .._arguments import whole
from ..errors import InputError, Note
from .arrays import clock_of
from .start import without_start
from .table import numbers, read_runs

FEW = 8  # a bin with fewer rows keeps them: too few to tell their scatter
FEWEST = 12  # medians that a short log is thinned to at least, where it has as many rows
TINY = 1e-4  # relative error that no measured loss is better than: rounding in the log


def thin(runs: Any, bins: int = 128, *, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    r"""Every run's curve as the means of its ln losses in bins evenly spaced in ln tokens (or step).

        ln loss_b = mean ln loss_i,  ln tokens_b = mean ln tokens_i,  loss_se_b = loss_b s / sqrt(n_b)

    s is the run's scatter around straight lines in ln tokens within its bins; a bin with fewer than eight
    rows keeps them as they are. For rows that scatter independently and normally, a smooth law learns
    nearly the same from the means: the curve bends by less than their errors within a bin. Their standard
    errors then are the whole scatter, so fit them with noise=lossband.Noise("normal", sigma=1e-6): the
    posterior of the law is that of the rows within Monte Carlo error. noise="normal" gives the means a
    scatter of their own, which the prior puts at 3 % of the spread and which down-weights the fullest bins:
    a posterior mean moved by .4 of its standard deviation on 20,000 rows. Tails and autocorrelation finer
    than a bin are averaged away: do not thin to see the noise itself, nor for bands of single measurements.

    Args:
        runs: a frame or CSV path with loss, tokens or step, and run where there are several.
        bins: number of bins per run.
        columns: your column name -> lossband's, as in `fit`.

    Returns:
        A frame of the same columns, one row per bin. `loss_se` is the standard error by the scatter, also
        where the table had one. Other columns of positive numbers are geometric means over the bin; all
        others are those of its first row.

    Raises:
        InputError: no tokens or step, or numbers that have no logarithm.

    Example:
        >>> import lossband as lb
        >>> short = lb.thin(lb.load_dataset("long"), bins=32)
    """
    table = read_runs(runs, columns=columns)
    clock = clock_of(table)
    if clock is None:
        raise InputError("thin needs the order of a run's points: a column tokens or step.", "Add one.")
    bins = whole("bins", bins)
    table, begun = without_start(table, (clock,))
    said = (*table.attrs.get("notes", ()), *begun)
    table = table.assign(**{name: numbers(table, name) for name in ("loss", clock)})
    groups = [rows for _, rows in table.groupby("run", sort=False)] if "run" in table else [table]
    thinned = pd.concat([_thinned(rows, clock, bins) for rows in groups], ignore_index=True)
    thinned.attrs["notes"] = said
    return thinned


def cells(clock: ArrayLike, bins: int) -> list[np.ndarray]:
    """Positions of the rows in each non-empty one of `bins` that are even in the log of the rising clock."""
    time = np.log(np.asarray(clock, dtype=float))
    edges = np.linspace(time[0], time[-1], bins + 1)[1:-1]
    return [part for part in np.split(np.arange(len(time)), np.searchsorted(time, edges)) if len(part)]


def _thinned(rows: pd.DataFrame, clock: str, bins: int) -> pd.DataFrame:
    """One run's bins, in the order of training."""
    rows = rows.sort_values(clock)
    time, log_loss = np.log(rows[clock].to_numpy(float)), np.log(rows["loss"].to_numpy(float))
    parts = cells(rows[clock], bins)
    many = [part for part in parts if len(part) >= FEW] or [np.arange(len(rows))]
    squares = sum(_squares(time[part], log_loss[part]) for part in many)
    scatter = np.sqrt(squares / max(sum(len(part) - 2 for part in many), 1))
    kept = [part for part in parts if len(part) >= FEW]
    kept += [[i] for part in parts if len(part) < FEW for i in part]
    return pd.DataFrame([_mean(rows.iloc[part], scatter) for part in sorted(kept, key=lambda part: part[0])])


def _squares(time: np.ndarray, log_loss: np.ndarray) -> float:
    """Sum of squares around a straight line."""
    design = np.column_stack([np.ones_like(time), time - time.mean()])
    return float(np.sum((log_loss - design @ np.linalg.lstsq(design, log_loss)[0]) ** 2))


def _mean(rows: pd.DataFrame, scatter: float) -> dict[str, Any]:
    """One row in place of several, its standard error from their scatter."""
    row: dict[Any, Any] = rows.iloc[0].to_dict()
    for name in rows.columns:
        values = rows[name]
        if name != "loss_se" and pd.api.types.is_numeric_dtype(values) and (values > 0).all():
            row[name] = float(np.exp(np.log(values.to_numpy(float)).mean()))
    row["loss_se"] = row["loss"] * scatter / np.sqrt(len(rows))
    return row


def medians(run: pd.DataFrame, clock: str, bins: int) -> pd.DataFrame:
    """At most `bins` points of a run, even in ln of its clock: each bin's median loss, at its middle row.

    A point stands for three rows on average, where the log has so many, so that the median ignores a spike.
    `precision` is 1 / (se^2 + typical se^2), relative to that of the last point. For three rows or more,
    se = sqrt(pi / 2n) times the scatter of single rows. The typical se is the median over the points; it
    stands for errors that averaging does not reduce. The scatter comes from the absolute differences
    between neighbours, which a few spikes or a trend do not move, or from the log's own `loss_se`.
    """
    log_loss = np.log(run["loss"].to_numpy())
    bins = int(np.clip(len(run) // 3, min(bins, FEWEST), bins))
    points, errors = [], []
    scatter = point_scatter(log_loss)
    for index in cells(run[clock], bins):
        loss, count = np.exp(np.median(log_loss[index])), len(index)
        own = (
            np.sqrt(np.mean(run["loss_se"].to_numpy(float)[index] ** 2)) / loss
            if "loss_se" in run
            else scatter
        )
        points.append(run.iloc[index[count // 2]].to_dict() | {"loss": loss})
        errors.append(own * np.sqrt((np.pi / 2 if count > 2 else 1) / count))
    precision = 1 / (np.square(errors) + np.median(errors) ** 2)
    return (
        pd.DataFrame(points)
        .drop(columns="loss_se", errors="ignore")
        .assign(precision=precision / precision[-1])
    )


def point_scatter(log_loss: np.ndarray) -> float:
    """Standard deviation of single ln losses about the curve: robust, from the differences of neighbours."""
    if len(log_loss) < 4:
        return TINY
    return max(1.4826 * np.median(np.abs(np.diff(log_loss))) / np.sqrt(2), TINY)


# A run is fitted from 1 / SPAN of where it is now: a power law does not hold for its first steps.
SPAN = 32.0


def drop_overtaken(run: pd.DataFrame, clock: str) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """A log in the order of its clock: where the clock goes back, the later rows replace the earlier ones.

    There the run was restarted.

    Args:
        run: rows of one run in the order in which they were logged.
        clock: the column that orders them, "tokens" or "step".

    Returns:
        The rows that no later row repeats or goes back behind, and a note if there are others.

    Raises:
        InputError: more than half of the rows would be dropped: the log is not in its order.
    """
    t = run[clock].to_numpy()
    after = np.append(np.minimum.accumulate(t[::-1])[::-1][1:], np.inf)
    kept, back = t < after, np.flatnonzero(np.diff(t) <= 0)
    if kept.sum() < len(t) / 2:
        raise InputError(
            f"{clock} goes back {len(back)} times, and {len(t) - kept.sum()} of {len(t)} rows would be "
            "overtaken; expected the log of one run in its order.",
            f"Sort it: runs.sort_values({clock!r}), and pass one run.",
        )
    if not len(back):
        return run, ()
    where = ", ".join(f"{t[i]:g} to {t[i + 1]:g}" for i in back[:3]) + (", ..." if len(back) > 3 else "")
    text = (
        f"{clock} goes back at {len(back)} place(s) ({where}): {(~kept).sum()} rows were overtaken by later "
        "ones, which count."
    )
    return run[kept].reset_index(drop=True), (Note("restart", text),)


def drop_start(run: pd.DataFrame, clock: str) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """The rows that a law of the run can describe, and notes on the others.

    They come after the warm-up, and within a factor of `SPAN` of the last.
    """
    t, notes = run[clock].to_numpy(), []
    start = t[-1] / SPAN
    if "lr" in run:
        lr = run["lr"].to_numpy()
        peak = np.argmax(lr >= 0.99 * lr.max())
        if peak > 0 and 2 * t[peak] > start:
            start = min(2 * t[peak], t[-1] / 2)
            text = (
                f"the learning rate rises until {clock} {t[peak]:g}: rows before {start:g} are left out of "
                "the fit."
            )
            notes.append(Note("warm-up", text))
    early = t < start
    if early.any() and not notes:
        text = (
            f"{early.sum()} rows before {clock} {start:g}, the first {1 / SPAN:.0%} of the run so far, are "
            "left out of the fit."
        )
        notes.append(Note("early", text))
    return run[~early], tuple(notes)


def evenly(clock: ArrayLike, count: int) -> np.ndarray:
    """Positions of the rows nearest to `count` points, both ends among them, even in ln of the clock."""
    log_clock = np.log(np.asarray(clock, dtype=float))
    wanted = np.linspace(log_clock[0], log_clock[-1], count)
    return np.unique(np.abs(log_clock[:, None] - wanted).argmin(axis=0))


def spaced(runs: pd.DataFrame, keep: int = 16) -> pd.DataFrame:
    """Every run's curve at `keep` of its rows, spread evenly in ln tokens, its last row always among them.

    Neighbouring evaluations of one run say nearly the same: this keeps the curve and drops the repetition.
    `lossband.thin` averages the single rows of a log instead.
    """

    def rows(curve: pd.DataFrame) -> pd.DataFrame:
        curve = curve.sort_values("tokens")
        return curve.iloc[evenly(curve["tokens"], keep)]

    return pd.concat([rows(curve) for _, curve in runs.groupby("run", sort=False)], ignore_index=True)
