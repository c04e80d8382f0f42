"""How surely one recipe is said to be better than another, and how many runs that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


SURE = 0.95  # probability at which a claim is made
Z = 1.645 + 0.842  # of a one-sided claim at SURE, made with a probability of 80 %


def runs_needed(difference: ArrayLike, variance: ArrayLike) -> np.ndarray:
    """The fewest runs of each of two recipes that tell a difference of their final losses.

    Args:
        difference: of the two mean final losses, not zero.
        variance: the sum of the two recipes' variances between seeds, of the same shape.

    Returns:
        whole numbers of their shape: after so many runs a claim at 95 % is made with a probability of 80 %.
    """
    return np.ceil(Z**2 * np.asarray(variance) / np.asarray(difference) ** 2)
