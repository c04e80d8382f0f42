"""Whether bands are true, as a picture."""

from typing import Any

import numpy as np

from .style import PRED, Axes


def reliability(test: Any, *, ax: Axes | None = None) -> Axes:
    """Observed against nominal coverage of a backtest's bands; on the diagonal the bands are true."""
    import matplotlib.pyplot as plt

    ax = ax or plt.subplots(figsize=(3.6, 3.4), layout="constrained")[1]
    nominal = np.linspace(0.02, 0.98, 49)
    distance = np.abs(test.frame["pit"].to_numpy() - 0.5)
    ax.plot([0, 1], [0, 1], color="0.6", lw=1, label="true bands")
    ax.plot(nominal, [(distance <= level / 2).mean() for level in nominal], color=PRED, label="observed")
    ax.set(xlabel="nominal coverage", ylabel="observed coverage", xlim=(0, 1), ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return ax


def pit(test: Any, *, bins: int = 10, ax: Axes | None = None) -> Axes:
    """Where a backtest's measurements fell in their forecasts: flat if the bands are true.

    A U is a band too narrow, a hump one too wide, a slope a bias (high on the right: real losses above the forecast). Every run weighs
    the same, and the shaded range holds nine of ten bars of a true forecast of so many runs.
    """
    import matplotlib.pyplot as plt
    from scipy.stats import binom

    ax = ax or plt.subplots(figsize=(3.6, 3.4), layout="constrained")[1]
    rows = test.frame.groupby("run")["pit"].transform("size")
    runs = test.frame["run"].nunique()
    low, high = binom.ppf([0.05, 0.95], runs, 1 / bins) * bins / runs
    ax.axhspan(low, high, color="0.9", lw=0, label=f"true bands, {runs} runs")
    ax.axhline(1, color="0.6", lw=1)
    ax.hist(
        test.frame["pit"],
        np.linspace(0, 1, bins + 1),
        weights=bins / rows / runs,
        color=PRED,
        alpha=0.7,
        label="observed",
    )
    ax.set(xlabel="PIT, share of the draws below", ylabel="density", xlim=(0, 1))
    ax.legend(frameon=False, fontsize=8, loc="upper center")
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    return ax
