"""Figure 1: looped models, Real against Pred over tokens, one panel per number of loops and size."""

from typing import TYPE_CHECKING, Any

from .. import plot
from ..datasets import load_dataset
from ..evaluation.backtest import backtest
from ..runs.thin import spaced
from .base import Figure, first_line

if TYPE_CHECKING:
    import pandas as pd


WARM = 1e5  # tokens: twice the measured grid's learning-rate warm-up, before which no law of training holds


def looped(
    runs: "pd.DataFrame | None" = None,
    *,
    hide: int = 1,
    keep: int = 12,
    unit: str = "nats per byte",
    seed: int = 0,
    **options: Any,
) -> Figure:
    """By how much does the prediction sit above the real loss of larger looped models?

    Args:
        runs: curves with params, tokens, loops and loss; by default those that lossband measured.
        hide: how many of the largest sizes the fit does not see.
        keep: rows kept of each curve: neighbours on a curve say nearly the same.
        unit: of the loss, for the axis.
        seed: of the sampler.
        options: of `fit`.

    Returns:
        The `Figure`.
    """
    runs = load_dataset("looped") if runs is None else runs
    runs = runs[runs["tokens"] >= WARM]
    curves, largest = spaced(runs, keep=keep), runs["params"].unique()
    largest = sorted(largest)[-hide:]
    (post,) = backtest(curves, "looped", by="params", hide=hide, seed=seed, **options).posteriors
    held = curves[curves["params"].isin(largest)]
    tables = {
        "Gap by panel, predicted - real": post.gap(curves, by=["params", "loops"], kind="run"),
        "Bias on the hidden sizes by T_m": post.gap(held, by="loops", kind="run"),
        "Bias by N": post.gap(curves, by="params", kind="run"),
    }
    axes = plot.panels(post, runs, hidden=largest, unit=unit)
    return Figure("looped", first_line(looped), axes, tables, {"looped": post})
