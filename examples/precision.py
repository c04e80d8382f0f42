"""In how many bits can the next size be trained, and what does that cost in parameters?

    python examples/precision.py --out FOLDER

fits a simulated sweep of four sizes trained in 3 to 16 bits, and prints, for a size four times larger, the fewest
bits whose loss is within 1 % of the best, and how many parameters in 16 bits a model in 4 bits is worth.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb

NEXT = {"params": 1.6e9, "tokens": 3e10}


def sweep(seed=0):
    """40 runs of Kumar et al.'s form with .4 % noise on ln loss."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(np.geomspace(3e7, 4e8, 4), [2e9, 1e10], [3.0, 4.0, 6.0, 8.0, 16.0])
    params, tokens, bits = (m.ravel() for m in grid)
    effective = params * -np.expm1(-bits / 2.67)
    loss = 1.8 + 0.9 * (effective / 1e8) ** -0.4 + 0.6 * (tokens / 5e9) ** -0.35
    noise = np.exp(0.004 * rng.standard_normal(len(params)))
    return pd.DataFrame({"params": params, "tokens": tokens, "bits": bits, "loss": loss * noise})


def main(out=Path("."), law="precision", **options):
    import matplotlib

    matplotlib.use("Agg")
    post = lb.fit(sweep(), law, **options)
    best = post.optimum("bits", at=NEXT, within=0.01, bounds={"bits": (2, 16)})
    print(f"fewest bits within 1 % of the best, median: {best.frame.near_lo.item():.2g}")
    for bits in (3, 4, 8):
        worth = post.equivalent("params", of={**NEXT, "bits": bits}, at={"bits": 16})
        print(
            f"{bits} bits: worth {worth['median']:.3g} ({worth['lo_90']:.3g} to {worth['hi_90']:.3g}) params in 16"
        )
    best.plot().figure.savefig(out / "precision.png", dpi=150)
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
