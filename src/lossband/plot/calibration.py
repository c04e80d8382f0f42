"""Calibration of the bands, as a picture."""

from typing import Any

import numpy as np

from .style import PRED, Axes


def reliability(test: Any, *, ax: Axes | None = None) -> Axes:
    """Observed against nominal coverage of a backtest's bands; calibrated bands lie on the diagonal."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(3.6, 3.4), layout="constrained")[1]
    nominal = np.linspace(0.02, 0.98, 49)
    distance = np.abs(test.frame["pit"].to_numpy() - 0.5)
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, label="calibrated")
    ax.plot(nominal, [(distance <= level / 2).mean() for level in nominal], color=PRED, label="observed")
    ax.set(xlabel="nominal coverage", ylabel="observed coverage", xlim=(0, 1), ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return ax


def pit(test: Any, *, bins: int = 10, ax: Axes | None = None) -> Axes:
    """Histogram of a backtest's PIT: flat if the bands are calibrated.

    A U means bands that are too narrow, a hump bands that are too wide, a slope a bias (high on the right:
    real losses above the forecast). Every run has the same weight. The shaded range holds nine of ten
    bars of a calibrated forecast of as many runs.
    """
    import matplotlib.pyplot as plt
    from scipy.stats import binom

    ax = ax or plt.subplots(figsize=(3.6, 3.4), layout="constrained")[1]
    rows = test.frame.groupby("run")["pit"].transform("size")
    runs = test.frame["run"].nunique()
    low, high = binom.ppf([0.05, 0.95], runs, 1 / bins) * bins / runs
    ax.axhspan(low, high, color="0.9", lw=0, label=f"calibrated, {runs} runs")
    ax.axhline(1, color="0.6", lw=1)
    ax.hist(
        test.frame["pit"],
        np.linspace(0, 1, bins + 1).tolist(),
        weights=bins / rows / runs,
        color=PRED,
        alpha=0.7,
        label="observed",
    )
    ax.set(xlabel="PIT, share of the draws below", ylabel="density", xlim=(0, 1))
    ax.legend(frameon=False, fontsize=8, loc="upper center")
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    return ax
