"""Figure 5: what an architecture's shape costs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from .. import plot
from ..datasets import load_dataset
from ..inference.fit import fit
from ..posterior.posterior import Posterior
from .base import Figure, first_line, flat, interval


def shape(runs: pd.DataFrame | None = None, *, within: float = 0.01, seed: int = 0, **options: Any) -> Figure:
    """Which shape is best, which shapes are nearly as good, and what does a worse one cost in compute?

    Args:
        runs: rows of params, loss, and ff_ratio, aspect_ratio or head_dim; `axis` names the one that a row
            varies; by default those that lossband measured.
        within: how far a shape near the best may lie above it, as a share of the loss.
        seed: of the sampler.
        options: of `fit`.

    Returns:
        The `Figure`.
    """
    import matplotlib.pyplot as plt

    runs = load_dataset("shapes") if runs is None else runs
    runs = runs.drop(
        columns="loss_se", errors="ignore"
    )  # of the held-out text, which all shapes share: it cancels
    once = runs.drop_duplicates(runs.columns.difference(["axis"]))  # the run at which the sweeps cross
    post = fit(once, "shape", seed=seed, **options)
    _, *axes_of_shape = post.law.inputs
    sizes = sorted(runs.groupby("size" if "size" in runs else "params")["params"].median())
    best = best_shapes(post, axes_of_shape, sizes, within=within)
    figure, axes = plt.subplots(
        1,
        len(axes_of_shape),
        figsize=(3.8 * len(axes_of_shape), 3.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, ax in zip(axes_of_shape, axes[0], strict=True):
        rows = best[best["axis"] == axis]
        near = rows[["from_median", "to_median"]].iloc[len(rows) // 2].tolist()
        plot.shape(post, runs, axis=axis, near=near, ax=ax)
    tables = {
        f"Best ratio, and the ratios within {within:.0%} of it, by size": best,
        f"Extra compute that makes up for a loss {within:.0%} higher, at equal tokens (share)": extra_compute(
            post, sizes, within=within
        ),
    }
    return Figure("shape", first_line(shape), axes, tables, {"shape": post})


def best_shapes(
    post: Posterior, axes: Iterable[str], sizes: Iterable[float], *, within: float = 0.01
) -> pd.DataFrame:
    """The best ratio of every axis and size, and the range where the loss is within a share of the best."""
    v, N0, rows = flat(post), float(post.problem.unit.centre["params"]), []
    for axis in axes:
        for size in sizes:
            best = v[f"{axis}_best"] * (size / N0) ** v[f"{axis}_shift"]
            down, up = (
                np.exp(np.sqrt(np.log1p(within) / v[f"{axis}_{side}"])) for side in ("below", "above")
            )
            row = (
                interval(best, name="best_")
                | interval(best / down, name="from_")
                | interval(best * up, name="to_")
            )
            rows.append({"axis": axis, "params": size} | row)
    return pd.DataFrame(rows)


def extra_compute(post: Posterior, sizes: Iterable[float], *, within: float = 0.01) -> pd.DataFrame:
    """Extra parameters, and so compute at equal tokens, that lower the loss by `within`: N'/N - 1.

    By the law of size. Infinite where the floor is nearer than that.
    """
    v, N0, rows = flat(post), float(post.problem.unit.centre["params"]), []
    for size in sizes:
        gain = v["A"] * (size / N0) ** -v["alpha"]
        left = (v["E"] + gain) / (1 + within) - v["E"]
        with np.errstate(invalid="ignore", divide="ignore"):
            more = np.where(left > 0, (gain / left) ** (1 / v["alpha"]) - 1, np.inf)
        rows.append({"params": size} | interval(more))
    return pd.DataFrame(rows)
