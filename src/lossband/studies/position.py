"""Figures 2 and 3: loss by token position, by model size and along training."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .. import plot
from ..datasets import load_dataset
from ..errors import InputError
from ..inference.fit import fit, fit_many
from ..posterior.posterior import Posterior
from .base import Figure, first_line, flat, interval


def position(
    runs: pd.DataFrame | None = None,
    *,
    hide: int = 1,
    beyond: float = 4.0,
    indices: int = 20,
    unit: str = "nats per byte",
    seed: int = 0,
    **options: Any,
) -> Figure:
    """How does the loss of a token fall with its index, and how will it in a model that was not trained?

    Args:
        runs: rows of params, position and loss; by default those that lossband measured.
        hide: how many of the largest sizes the fit does not see.
        beyond: the size to forecast, over the largest measured one.
        indices: token indices kept of each size, log-spaced.
        unit: of the loss, for the axis.
        seed: of the sampler.
        options: of `fit`.

    Returns:
        The `Figure`.
    """
    import matplotlib.pyplot as plt

    runs = some_indices(load_dataset("positions") if runs is None else runs, indices)
    sizes = np.unique(runs["params"])
    hidden = sizes[len(sizes) - hide :]
    seen = runs[~runs["params"].isin(hidden)]
    post = fit(seen, "position_by_size", seed=seed, **options)
    alone = fit_many([runs[runs["params"] == size] for size in sizes], "position", seed=seed, **options)
    every = np.append(sizes, beyond * sizes[-1])
    tables = {
        "Exponent p by size": exponents(post, every, dict(zip(sizes, alone, strict=True))),
        "Held-out size, share of indices inside the bands": _held_out(
            post, runs[runs["params"].isin(hidden)]
        ),
        f"Forecast of a model {beyond:g} times as large as the largest": _forecast(post, runs, every[-1]),
    }
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.0), layout="constrained")
    plot.position(post, runs, hidden=hidden, sizes=every[-1], ax=axes[0], unit=unit)
    plot.exponents(tables["Exponent p by size"], ax=axes[1])
    return Figure("position", first_line(position), axes, tables, {"by_size": post})


def exponents(post: Posterior, sizes: Iterable[float], alone: Mapping[float, Posterior]) -> pd.DataFrame:
    """The exponent p of each size: by the joint law, and by a fit to that size alone where there is one."""
    draws, N0 = flat(post), float(post.problem.unit.centre["params"])
    rows = []
    for size in sizes:
        row = {"params": size} | interval(draws["p"] * (size / N0) ** draws["p_slope"])
        rows.append(row | (interval(flat(alone[size])["p"], name="alone_") if size in alone else {}))
    return pd.DataFrame(rows)


def _held_out(post: Posterior, rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return pd.DataFrame()
    return post.gap(rows, by="params")


def _forecast(post: Posterior, runs: pd.DataFrame, size: float) -> pd.DataFrame:
    index = np.unique(runs["position"])
    some = index[np.unique(np.linspace(0, len(index) - 1, 6).round().astype(int))]
    return post.predict(
        pd.DataFrame({"position": some, "params": size, "run": "a new run"}), levels=(0.5, 0.9)
    )


def position_step(
    runs: pd.DataFrame | None = None,
    *,
    within: float = 0.01,
    skip: float = 0.02,
    indices: int = 8,
    unit: str = "nats per byte",
    seed: int = 0,
    **options: Any,
) -> Figure:
    """At which step does a token index stop improving?

    Args:
        runs: rows of one model's position, step and loss; by default the largest that lossband measured.
        skip: share of the run that is left out at its start: warm-up, before which no law of training holds.
        indices: token indices kept, log-spaced.
        within: an index has stopped improving where its loss is within this share of what endless training
            gives it.
        unit: of the loss, for the axis.
        seed: of the sampler.
        options: of `fit`.

    Returns:
        The `Figure`.
    """
    import matplotlib.pyplot as plt

    if runs is None:
        every = load_dataset("position_steps")
        runs = pd.DataFrame(every[every["params"] == every["params"].max()])
    if "params" in runs and runs["params"].nunique() > 1:
        raise InputError(
            f"the table has {runs['params'].nunique()} sizes; expected one model's rows.",
            "Choose one: runs[runs.params == runs.params.max()].",
        )
    runs = some_indices(runs[runs["step"] >= skip * runs["step"].max()], indices)
    post = fit(runs, "position_by_step", seed=seed, **options)
    last = last_steps(post, np.unique(runs["position"]), within=within)
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.0), layout="constrained")
    plot.position_step(post, runs, last=last, ax=axes[0], unit=unit)
    plot.last_steps(last, runs["step"].max(), within=within, ax=axes[1])
    title = f"Step after which less than {within:.0%} of the loss is left to gain"
    return Figure("position-step", first_line(position_step), axes, {title: last}, {"by_step": post})


def last_steps(post: Posterior, positions: Iterable[float], *, within: float = 0.01) -> pd.DataFrame:
    """The step at which each index comes within a share of the loss that endless training gives it.

    Median and 90 % interval, by the law alone: with c = b T^-p and the loss
    E + [c^(1/g) + (B s^-beta)^(1/g)]^g, it is where the bracket's power is (1 + within) (E + c) - E.
    """
    v, rows = flat(post), []
    for index in positions:
        context = v["b"] * index ** -v["p"]
        left = (1 + within) * (v["E"] + context) - v["E"]
        training = (left ** (1 / v["g"]) - context ** (1 / v["g"])) ** v["g"]
        rows.append({"position": index} | interval((v["B_natural"] / training) ** (1 / v["beta"])))
    return pd.DataFrame(rows)


def some_indices(runs: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows at about `count` of the token indices, log-spaced, the first and the last among them."""
    index = np.unique(runs["position"])
    wanted = np.geomspace(index[0], index[-1], count)
    kept = index[np.unique(np.abs(np.log(index[:, None] / wanted)).argmin(0))]
    return runs[runs["position"].isin(kept)]
