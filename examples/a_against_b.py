"""Does a new recipe beat the old one? Three seeds against four, the noise of single seeds in the answer.

    uv run python examples/a_against_b.py [FOLDER]

The runs are simulated: validation losses along a decaying schedule, the new recipe ends about .006 lower in fewer
steps, and seeds differ by .0015.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb

SEEDS = 0.0015


def recipe(floor, length, seeds, rng):
    """The curves of some seeds of a recipe."""
    step = np.arange(100.0, length + 1, 100)
    curve = floor + 1.1 * (step / 100) ** -0.6 + 0.08 * (1 - step / length)
    shifts = SEEDS * rng.normal(size=seeds)
    return pd.concat(
        [pd.DataFrame({"run": f"seed {i}", "step": step, "loss": curve + d}) for i, d in enumerate(shifts)]
    )


def main(folder="."):
    """Compare, print, draw."""
    rng = np.random.default_rng(2)
    old, new = recipe(3.200, 3200, 4, rng), recipe(3.191, 3000, 3, rng)
    found = lb.better(new, old, target=3.345, names=("new", "old"))
    print(found)
    print(found.finals(kind="run"))
    found.plot().figure.savefig(Path(folder) / "a_against_b.png", dpi=150)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
