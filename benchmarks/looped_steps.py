"""The step-wise looped law on measured losses after each loop, the largest size held out.

    python -m benchmarks.looped_steps

Every looped model that was trained for two loops or more has a loss after each of them; four rows of each
curve are kept. The law `looped_step` is fitted to all but the largest of the five sizes, and its bands there
are scored by the loop.
"""

import time

import pandas as pd

import lossband as lb
from lossband.cli.demo import WARM
from lossband.runs.thin import spaced

KEEP = 4  # rows of each curve


def per_loop(runs):
    """The table of losses after each loop: `loops` are those applied, `max_loops` those of training."""
    kept = spaced(runs[(runs["tokens"] >= WARM) & (runs["loops"] > 1)], keep=KEEP)
    parts = [
        kept[["run", "params", "tokens"]].assign(loops=s, max_loops=kept["loops"], loss=kept[f"loss_{s}"])
        for s in range(1, kept["loops"].max() + 1)
    ]
    return pd.concat(parts).dropna(subset=["loss"]).reset_index(drop=True)


def main():
    start = time.time()
    test = lb.backtest(per_loop(lb.load_dataset("looped")), "looped_step", by="params", hide=1)
    (post,) = test.posteriors
    print(post.health, f"({len(post.problem.frame)} rows, {time.time() - start:.0f} s)\n")
    print(
        test.calibration(by=["max_loops", "loops"]).to_string(index=False, float_format=lambda v: f"{v:.3f}")
    )
    print(post.summary().to_string(float_format=lambda v: f"{v:.4g}"))


if __name__ == "__main__":
    main()
