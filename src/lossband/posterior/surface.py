"""A smooth surface through a table, which knows nothing of a law: ln loss as a parabola in log inputs."""

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd


def log_inputs(frame: pd.DataFrame, inputs: Iterable[str]) -> dict[str, np.ndarray]:
    """Name -> natural logarithm of each input, `(row,)`; one that is zero or below somewhere as it is."""
    values = {name: frame[name].to_numpy(float) for name in inputs}
    return {name: np.log(x) if (x > 0).all() else x for name, x in values.items()}


def smooth_residuals(
    frame: pd.DataFrame, inputs: Iterable[str], values: np.ndarray
) -> tuple[np.ndarray, int]:
    """What a parabola in the log inputs leaves of `values`, `(row, ...)`, and how many coefficients it has.

    Args:
        frame: the checked rows.
        inputs: the law's inputs; one that does not vary has no part in it.
        values: `(row, ...)` what the surface is drawn through.
    """
    columns = [np.ones(len(frame))]
    unit = [(x - x.mean()) / x.std() for x in log_inputs(frame, inputs).values() if x.std() > 0]
    columns += [*unit, *(a * b for a, b in itertools.combinations_with_replacement(unit, 2))]
    design = np.column_stack(columns)
    left = values - design @ np.linalg.lstsq(design, values, rcond=1e-8)[0]
    return left, int(np.linalg.matrix_rank(design, tol=1e-6))
