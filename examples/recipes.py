"""Is the new recipe better, by how much compute, and will it stay so?

    python examples/recipes.py --out FOLDER

fits two simulated learning curves of 14 runs each jointly and prints the difference in loss and the compute
multiplier a hundred times beyond the data, and the probability that the order flips before that.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb
from lossband.plot import planning as plot_plan


def curve(weight, alpha, seed):
    """14 runs: L = 1.8 + weight (D / 1e9)^-alpha, D 1e8 to 3e10 tokens, .3 % noise on ln loss."""
    tokens = np.geomspace(1e8, 3e10, 14)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.003, 14))
    return pd.DataFrame({"tokens": tokens, "loss": (1.8 + weight * (tokens / 1e9) ** -alpha) * noise})


def main(out=Path("."), pool=0.1, **options):
    import matplotlib

    matplotlib.use("Agg")
    old, new = curve(1.2, 0.33, 1), curve(1.0, 0.3, 2)  # the new one starts better and falls more slowly
    found = lb.compare_recipes(old, new, law="power", names=("old", "new"), pool=pool, **options)
    far = {"tokens": 3e12}
    for title, table in (
        ("loss, new - old", found.difference(far)),
        ("compute, new / old", found.multiplier(far)),
    ):
        row = table.iloc[0]
        print(f"{title} at 3e12 tokens: {row['median']:.3g} (90 %: {row['lo_90']:.3g} to {row['hi_90']:.3g})")
    print(f"P(the order flips before 3e12 tokens) = {found.prob_flip(far, start={'tokens': 1e9}):.2f}")
    rows = pd.DataFrame({"tokens": np.geomspace(1e8, 3e12, 60)})
    plot_plan.multipliers(found, rows, x="tokens").figure.savefig(out / "recipes.png", dpi=150)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
