"""Which proportions of the data should the next run see, and how much would they gain?

    python examples/mixture.py --out FOLDER

fits 30 simulated mixtures of three domains, measured on two evaluation sets. It prints the proportions of the
least sum of both losses, with their intervals, and how much they gain over the best mixture that was measured.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb

DOMAINS = ["proportion_web", "proportion_code", "proportion_books"]


def sweep(seed=0):
    """30 mixtures and two losses, each falling with what the domains' tokens are worth to it: .5 % noise."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1.5, 1.5, 1.5], 30)
    worth = shares @ np.array([[0.6, 0.1], [0.1, 1.0], [1.0, 0.05]]) + 0.02
    losses = (1.6 + 0.5 * worth**-0.5) * np.exp(0.005 * rng.standard_normal((30, 2)))
    return pd.DataFrame(shares, columns=DOMAINS).assign(prose=losses[:, 0], programs=losses[:, 1])


def main(out=Path("."), law="mixture", **options):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = sweep()
    prose, programs = (
        lb.fit(runs[[*DOMAINS, name]], law, columns={name: "loss"}, **options)
        for name in ("prose", "programs")
    )
    best = prose.optimum(DOMAINS, plus=[(programs, 1.0)])
    print(best)
    measured = runs.loc[[(runs.prose + runs.programs).idxmin()], DOMAINS]
    pair = pd.concat([best.frame[["chosen"]].T, measured], ignore_index=True)
    both = sum(post.draws(pair, kind="mean").to_numpy() for post in (prose, programs))
    gain = both @ [-1.0, 1.0]
    low, high = np.quantile(gain, [0.05, 0.95])
    print(
        f"gain over the best measured mixture: {gain.mean():.4f} ({low:.4f} to {high:.4f}), P = {(gain > 0).mean():.2f}"
    )
    ax = plt.subplots(figsize=(4.6, 3), layout="constrained")[1]
    table = best.frame
    ax.errorbar(
        table["median"],
        range(3),
        xerr=abs(table[["lo_90", "hi_90"]].T.to_numpy() - table["median"].to_numpy()),
        fmt="none",
        color="#d95f02",
        label="the best, 90 % interval",
    )
    ax.plot(table["chosen"], range(3), "*", ms=11, color="#0b5394", label="least expected regret")
    ax.plot(measured.iloc[0], range(3), "o", mfc="none", color="0.3", label="best measured")
    ax.set(
        xlabel="proportion",
        yticks=range(3),
        yticklabels=[name.split("_")[1] for name in DOMAINS],
        xlim=(0, 1),
        ylim=(-0.5, 2.8),
    )
    ax.legend(fontsize=8, frameon=False, loc="upper right")
    ax.figure.savefig(out / "mixture.png", dpi=150)
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
