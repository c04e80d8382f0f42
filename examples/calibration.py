"""Do the bands cover larger models than those that were fitted? By size, on two sweeps.

    python examples/calibration.py [folder] [looped] [chinchilla]

"looped" ships with lossband; the two largest sizes are hidden, one and both. "chinchilla" is public (fetched,
or read from the folder that LOSSBAND_DATA names); the top third of its compute budgets is hidden.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import lossband as lb


def looped(rows=12, **options):
    """Twelve evaluations of each looped run after warm-up, the largest one and two of five sizes hidden."""
    runs = lb.load_dataset("looped")
    runs = runs[runs.tokens >= 1e5].groupby("run").tail(rows)
    return lb.backtest(runs, "looped", by="params", hide=[1, 2], **options)


def chinchilla(**options):
    """The published refit's runs, budgets rounded to a tenth of a decade, the top third hidden."""
    runs = lb.load_dataset("chinchilla")
    runs = runs[runs.epoch_outlier == 0]
    runs = runs.assign(flops=10 ** np.log10(6.0 * runs.params * runs.tokens).round(1))
    return lb.backtest(runs, by="flops", share=1 / 3, **options)


def answer(tests, out):
    """Print the calibration by model size, and draw reliability and PIT of every sweep."""
    out.mkdir(parents=True, exist_ok=True)
    columns = [
        "params",
        "rows",
        "runs",
        "cover_50",
        "cover_90",
        "cover_90_lo",
        "cover_90_hi",
        "pit_mean",
        "bias",
        "width_90",
    ]
    figure, axes = plt.subplots(
        2, len(tests), figsize=(3.6 * len(tests), 6.8), layout="constrained", squeeze=False
    )
    for (name, test), column in zip(tests.items(), axes.T, strict=True):
        table = test.calibration(by="params")
        print(f"\n{name}\n{table[columns].round(3).to_string(index=False)}")
        print(*(str(note) for note in table.attrs["notes"]), sep="\n")
        lb.plot.reliability(test, ax=column[0]).set_title(name)
        lb.plot.pit(test, ax=column[1])
        table.to_csv(out / f"{name}.csv", index=False)
    figure.savefig(out / "calibration.png", dpi=150)
    plt.close(figure)


def main(out, names=("looped", "chinchilla"), **options):
    answer({name: {"looped": looped, "chinchilla": chinchilla}[name](**options) for name in names}, out)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "calibration"), sys.argv[2:] or ("looped", "chinchilla"))
