"""Which learning rate and batch should the next size train with, when no grid was finished?

    python examples/batch_and_rate.py --out FOLDER

fits half of the points of four small grids over learning rate and batch (simulated, .3 % noise) and prints the
best of both for a model four times larger, with the valley around it.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb


def sweep(seed=0):
    """Some 80 runs at four cells of params and tokens: half of each grid of seven rates and six batches."""
    rng, rows = np.random.default_rng(seed), []
    for params, tokens in ((5e7, 2e9), (1e8, 4e9), (2e8, 4e9), (4e8, 1e10)):
        best_batch, best_rate = (
            90 * (tokens / 4e9) ** 0.57,
            2.2e-3 * (params / 1e8) ** -0.6 * (tokens / 4e9) ** 0.25,
        )
        for batch in 2.0 ** np.arange(4, 10):
            for rate in best_rate * 2.0 ** np.arange(-3, 4):
                v = np.log(batch / best_batch)
                u = np.log(rate / best_rate) - 0.4 * v
                base = 1.7 + 0.6 * (params / 1e8) ** -0.32 + 0.7 * (tokens / 4e9) ** -0.3
                loss = base * np.exp(0.009 * u**2 * np.exp(0.2 * u) + 0.006 * v**2)
                rows.append((params, tokens, batch, rate, loss * np.exp(0.003 * rng.standard_normal())))
    table = pd.DataFrame(rows, columns=["params", "tokens", "batch", "lr", "loss"])
    return table.sample(frac=0.5, random_state=seed, ignore_index=True)


def main(out=Path("."), law="batch_rate", **options):
    import matplotlib

    matplotlib.use("Agg")
    post = lb.fit(sweep(), law, **options)
    best = post.optimum(("lr", "batch"), at={"params": 1.6e9, "tokens": 4e10}, bounds={"batch": (32, 4096)})
    print(best)
    best.plot().figure.savefig(out / "batch_and_rate.png", dpi=150)
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
