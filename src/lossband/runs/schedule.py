"""The learning-rate schedule of a run as two inputs of a law: its sum so far, and its recent average."""

import numpy as np
import pandas as pd

from ..errors import InputError, listed
from .arrays import clock_of
from .table import numbers

MEMORIES = (0.002, 0.01, 0.05, 0.25, 1.25)  # shares of the run so far that the learning rate is averaged over


def add_lr_areas(frame: pd.DataFrame, past: pd.DataFrame | None = None) -> pd.DataFrame:
    r"""Add `lr_area` and `lr_mean`, computed per run from the rows' clock t (tokens, else steps) and `lr`.

        lr_area(t) = int_0^t lr dt' / peak
        lr_mean(t) = mean over k of m_k(t) / peak
        d m_k / d ln t = sqrt(lr / peak) (lr - m_k) / MEMORIES[k]

    The peak is the highest rate of the run: it falls with the size of a model, whose steps then do no less.
    `lr_area` is the S1 of Tissue et al. 2024, over the peak. Their S2, the annealing momentum with decay
    lambda, is the fall of an exponentially averaged learning rate: S2 = (lr(0) - average(t)) / (1 - lambda).
    A loss answers to a drop of the learning rate at many time scales: at first fast, and for long a little
    (Luo et al. 2025, arXiv:2503.12811, a power of the summed learning rate since the drop). Here five
    averages stand for them, over shares of the run so far that are even in their logarithm, so that it means
    the same in steps and in tokens; at a low rate they are slower, by its root, as published there.

    Between rows lr is interpolated linearly; before a run's first row it is that row's.

    Args:
        frame: rows with `lr` (zero is allowed) and `tokens` or `step`, in any order; a frame that has both
            areas, or no `lr`, is returned unchanged.
        past: a training table; where it has rows of the same run, the areas continue from them.

    Returns:
        The frame with the two columns: `lr_area` in the unit of the clock, `lr_mean` a share of the peak.

    Raises:
        InputError: a forecast's run that starts in the middle: later than every run of `past` did.
    """
    if "lr" not in frame or {"lr_area", "lr_mean"} <= set(frame):
        return frame
    clock = clock_of(frame)
    if clock is None:
        raise InputError(
            "the table has lr and neither tokens nor step.",
            "Add one: it says how long each learning rate held.",
        )
    rows = pd.DataFrame(
        {
            "run": frame["run"].astype(str) if "run" in frame else "",
            "t": numbers(frame, clock),
            "lr": numbers(frame, "lr", zero=True),
        }
    )
    rows["place"] = np.arange(len(rows))
    rows = pd.concat([_before(rows, past, clock), rows]).sort_values(["run", "t"], kind="stable")
    parts = [_areas(run["t"].to_numpy(), _relative(run["lr"].to_numpy())) for _, run in rows.groupby("run")]
    rows["lr_area"], rows["lr_mean"] = np.hstack(parts)
    rows = rows[rows["place"] >= 0].sort_values("place")
    return frame.assign(lr_area=rows["lr_area"].to_numpy(), lr_mean=rows["lr_mean"].to_numpy())


def _before(rows: pd.DataFrame, past: pd.DataFrame | None, clock: str) -> pd.DataFrame:
    """The rows of `past` that stand before the new rows of the same runs."""
    if past is None or "lr" not in past:
        return rows.iloc[:0]
    first = rows.groupby("run")["t"].min()
    known = pd.DataFrame({"run": past["run"], "t": past[clock], "lr": past["lr"], "place": -1})
    latest = known.groupby("run")["t"].min().max()
    late = [run for run, t in first.items() if run not in set(known["run"]) and t > latest * (1 + 1e-9)]
    if late:
        least = first[first.index.isin(late)].min()
        raise InputError(
            f"the learning rate of {listed(late)} is given from {clock} = {least:g} only; "
            f"expected it from {latest:g} or before, where the fitted runs start.",
            "Give the rows of the whole schedule, or the labels of fitted runs.",
        )
    return known[known["t"] < known["run"].map(first)]


def _relative(lr: np.ndarray) -> np.ndarray:
    """Rates over their highest; as they are where none is above zero."""
    return lr / (lr.max() or 1.0)


def _areas(t: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """`lr_area` and `lr_mean` at the rows of one run, `(2, row)`, from its rates over their peak."""
    area = lr[0] * t[0] + np.append(0.0, np.cumsum(np.diff(t) * (lr[1:] + lr[:-1]) / 2))
    pace = np.sqrt((lr[1:] + lr[:-1]) / 2)
    width = np.diff(np.log(t)) * pace
    # lr straight in what the averages run along: the exact step of each over one piece
    slope = np.divide(np.diff(lr), width, out=np.zeros_like(width), where=width > 0)
    memory = np.array(MEMORIES)
    lag, kept = slope[:, None] * memory, np.exp(-width[:, None] / memory)
    mean = np.empty((len(lr), len(memory)))
    mean[0] = lr[0]
    for i in range(len(width)):
        mean[i + 1] = lr[i + 1] - lag[i] + (mean[i] - lr[i] + lag[i]) * kept[i]
    return np.stack([area, mean.mean(1)])
