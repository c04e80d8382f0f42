"""How large a model does a budget want, and how sure is that?

    python examples/allocation.py --out FOLDER

fits a simulated sweep of 49 runs (Chinchilla's law, .5 % noise) and prints the best size, tokens and loss at
ten times and a thousand times the largest run's compute, with all sizes that cost at most .5 % of the loss.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb
from lossband.plot import planning as plot_plan


def sweep(seed=0):
    """49 runs: N 1e7 to 1e9, D 1e9 to 5e10, by Hoffmann et al.'s law with .5 % noise on ln loss."""
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e9, 5e10, 7)))
    law = 1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.005, len(law)))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": law * noise})


def main(out=Path("."), law="coupled", **options):
    import matplotlib

    matplotlib.use("Agg")
    runs = sweep()
    post = lb.fit(runs, law, **options)
    largest = 6 * (runs["params"] * runs["tokens"]).max()
    plan = post.optimal([10 * largest, 1000 * largest])
    print(plan)
    plot_plan.valleys(plan)[0].figure.savefig(out / "allocation.png", dpi=150)
    return plan


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
