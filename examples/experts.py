"""What dense model is a model with experts worth, at a size that was never trained?

    python examples/experts.py --out FOLDER

fits a simulated sweep of five dense sizes with up to 64 experts, forecasts a size four times larger, and prints
its dense equivalent for each number of experts.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb


def sweep(seed=0):
    """25 runs: N 1e7 to 1.6e8 with 1 to 64 experts, worth E^.35 as many parameters; .5 % noise."""
    rng = np.random.default_rng(seed)
    params, experts = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 1.6e8, 5), [1, 4, 8, 16, 64]))
    loss = 1.8 + 1.1 * (params * experts**0.35 / 1e8) ** -0.25
    noise = np.exp(0.005 * rng.standard_normal(len(loss)))
    return pd.DataFrame({"params": params, "experts": experts, "loss": loss * noise})


def main(out=Path("."), law="experts", **options):
    import matplotlib

    matplotlib.use("Agg")
    runs = sweep()
    post = lb.fit(runs, law, **options)
    larger = pd.DataFrame({"params": 6.4e8, "experts": [1, 4, 8, 16, 64]})
    print(post.predict(larger)[["params", "experts", "median", "lo_90", "hi_90"]].to_string(index=False))
    dense = {
        e: post.equivalent("params", of={"params": 6.4e8, "experts": e}, at={"experts": 1}) for e in (8, 64)
    }
    print(pd.DataFrame(dense).T.rename_axis("experts").to_string(float_format=lambda x: f"{x:.3g}"))
    post.plot("params", larger, by="experts").figure.savefig(out / "experts.png", dpi=150)
    return dense


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
