"""Two clouds: whether a table's losses lie on two surfaces of one form, one above the other."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from .surface import log_inputs, smooth_residuals

MIN_ROWS = 12
MIN_SHARE = 0.2  # of the rows in the smaller cloud
MIN_DISTANCE, MIN_SEPARATION = 0.03, 5.0  # in ln loss; in standard deviations within a cloud
MIN_MIXED = 0.25  # share of the rows whose nearest neighbour lies in the other cloud
ROUNDS = 20


def two_clouds(
    frame: pd.DataFrame, inputs: Iterable[str], log_loss: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """Which rows lie on the upper of two surfaces, `(row,)`, and their distance in ln loss; None for one.

    Rows are assigned to the nearer of two parallel surfaces, and the surfaces drawn again, until nothing
    changes. They count as two if they are narrow beside their distance and if neighbours lie on both.

    Args:
        frame: the checked rows, with `loss`.
        inputs: the law's inputs.
        log_loss: `(row,)` ln loss, or the loss where it is fitted as it is.
    """
    if len(frame) < MIN_ROWS:
        return None
    upper = smooth_residuals(frame, inputs, log_loss)[0] > 0
    for _ in range(ROUNDS):
        if min(upper.mean(), 1 - upper.mean()) < MIN_SHARE:
            return None
        distance, left = _surfaces(frame, inputs, log_loss, upper)
        nearer = left + distance * upper > distance / 2
        if np.array_equal(nearer, upper):
            break
        upper = nearer
    separated = distance > max(MIN_DISTANCE, MIN_SEPARATION * left.std())
    return (upper, distance) if separated and _mixed(frame, inputs, upper) > MIN_MIXED else None


def _surfaces(
    frame: pd.DataFrame, inputs: Iterable[str], log_loss: np.ndarray, upper: np.ndarray
) -> tuple[float, np.ndarray]:
    """Distance of the two surfaces, and what they leave, `(row,)`."""
    both, _ = smooth_residuals(frame, inputs, np.column_stack([log_loss, upper.astype(float)]))
    loss, member = both.T
    distance = float(member @ loss / (member @ member))
    return distance, loss - distance * member


def _mixed(frame: pd.DataFrame, inputs: Iterable[str], upper: np.ndarray) -> float:
    """Share of the rows whose nearest neighbour, in standard log inputs, lies on the other surface."""
    from scipy.spatial import KDTree

    points = np.column_stack([x / max(x.std(), 1e-12) for x in log_inputs(frame, inputs).values()])
    nearest = np.asarray(KDTree(points).query(points, k=2)[1])
    other = np.where(nearest[:, 0] == np.arange(len(points)), nearest[:, 1], nearest[:, 0])
    return float((upper[other] != upper).mean())
