"""Tokens from compute: D = C / 6N, for a table of sizes and FLOPs."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..errors import Note

FLOPS_PER_TOKEN = 6  # per parameter, forward and backward: Kaplan et al. 2020, arXiv:2001.08361, section 2.1


def with_tokens(
    frame: pd.DataFrame, inputs: Iterable[str] | None = None
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """A table of params and flops with tokens = flops / 6 params, and a note that says so.

    Args:
        frame: what `read_runs` returns.
        inputs: of the law, if it is known; otherwise both columns must vary.

    Returns:
        The table as it is where it has tokens, or loops (which cost FLOPs of their own), or where the law
        does not need tokens; and the notes.
    """
    if "tokens" in frame or "loops" in frame or not {"params", "flops"} <= set(frame):
        return frame, ()
    sizes, budgets = (frame[name].to_numpy() for name in ("params", "flops"))
    if not all(_positive(values) for values in (sizes, budgets)):
        return frame, ()
    wanted = min(len(np.unique(sizes)), len(np.unique(budgets))) > 1 if inputs is None else "tokens" in inputs
    if not wanted:
        return frame, ()
    tokens = [float(f"{each:.12g}") for each in budgets / (FLOPS_PER_TOKEN * sizes)]
    text = "the table has params and flops: tokens are flops / (6 params)."
    return frame.assign(tokens=tokens), (Note("tokens", text),)


def _positive(values: np.ndarray) -> bool:
    return values.dtype.kind in "iuf" and bool(np.all(np.isfinite(values) & (values > 0)))
