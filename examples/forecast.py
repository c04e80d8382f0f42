"""Where does a ten times larger budget land? An isoFLOP sweep, its three largest budgets hidden from the fit.

    python examples/forecast.py --out FOLDER

The sweep is public (Hoffmann et al.'s runs; fetched, or read from the folder that LOSSBAND_DATA names). The
budgets up to a tenth of the largest are fitted at the default settings. Prints how many of the hidden losses
the bands cover, and draws them: forecast.png.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb

LEVELS = (0.5, 0.9)


def sweep():
    """`params`, `tokens`, `loss` and `budget`, in FLOPs, of nine isoFLOP curves."""
    runs = lb.load_dataset("isoflops")
    runs = runs[runs.family.str.contains("chinchilla")]  # all of them: `outlier` was judged by the losses
    return runs.assign(budget=[float(f"{flops:.0e}") for flops in runs.flops])


def along(runs, count=60):
    """Rows along the sizes of one budget, the tokens those that it buys: D = C / 6N."""
    sizes = np.geomspace(runs.params.min(), runs.params.max(), count)
    return pd.DataFrame({"params": sizes, "tokens": runs.budget.iloc[0] / (6 * sizes)})


def draw(post, runs, hidden, path):
    """Measured losses of every budget, and the bands of those that were hidden."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for budget, part in runs.groupby("budget"):
        new = budget in hidden
        color, fill = (lb.plot.REAL, {}) if new else ("0.35", {"mfc": "white"})
        said = ("hidden" if new else "fitted") if budget in (min(hidden), runs.budget.min()) else None
        ax.plot(part.params, part.loss, "o", color=color, ms=4, label=said, zorder=3, **fill)
        rows = along(part)
        band = post.predict(rows, levels=LEVELS)
        for level, shade in ((90, 0.22), (50, 0.4)) if new else ():
            ends = band[f"lo_{level}"], band[f"hi_{level}"]
            said = f"{level} % band" if budget == min(hidden) else None
            ax.fill_between(rows.params, *ends, color=lb.plot.PRED, alpha=shade, lw=0, label=said)
        ax.plot(rows.params, band["median"], "--", color=lb.plot.PRED if new else "0.6", lw=1)
        at = rows.params.iloc[0], band["median"].iloc[0]
        name = f"{budget:.0e}".replace("e+", "e")
        ax.annotate(name, at, (-6, 0), textcoords="offset points", fontsize=7, ha="right", va="center")
    top = 1.08 * runs.groupby("budget").loss.min().max()
    left = runs.params.min() / 1.6
    ax.set(
        xscale="log",
        xlabel="parameters N",
        ylabel="loss, nats per token",
        xlim=(left, None),
        ylim=(None, top),
    )
    left_out = (runs.loss > top).sum()
    above = f"; {left_out} fitted losses lie above the frame" if left_out else ""
    ax.set_title(f"budget in FLOPs at the left of each curve{above}", fontsize=8, loc="right", color="0.35")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(out=Path("."), **options):
    import matplotlib

    matplotlib.use("Agg")
    runs = sweep()
    fitted = runs[runs.budget <= runs.budget.max() / 9.9]
    rest = runs.drop(fitted.index)
    post = lb.fit(fitted[["params", "tokens", "loss"]], seed=0, **options)
    band, real = post.predict(rest, levels=LEVELS), rest.loss.to_numpy()
    print(f"{len(fitted)} runs up to {fitted.budget.max():.0e} FLOPs were fitted")
    for level in (50, 90):
        inside = (band[f"lo_{level}"] <= real) & (real <= band[f"hi_{level}"])
        print(f"the {level} % band covers {inside.sum()} of {len(rest)} hidden losses")
    off = (band["median"] / real - 1).median()
    print(f"the median forecast is {off:+.1%} off (median over the hidden runs)")
    draw(post, runs, set(rest.budget), out / "forecast.png")
    return post


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
