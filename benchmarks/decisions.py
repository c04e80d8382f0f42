"""Do the intervals on decisions hold the truth? Simulated tables, the law right, no drift.

    python -m benchmarks.decisions                      # 200 tables each: optimal size, exponent, multiplier
    python -m benchmarks.decisions --tables 40 --only multiplier

Each table has its own truth, drawn from the law's prior on a fixed table of inputs (as in
benchmarks.recovery); the 90 % interval should hold it in 85 to 95 % of the tables. The interval of the
coverage itself is Wilson's, at 90 %.
"""

import argparse
import time

import jax
import numpy as np
import pandas as pd

from lossband.inference.fit import sample
from lossband.inference.sampler import Sampler
from lossband.laws import LAWS
from lossband.laws.recipe import per_recipe
from lossband.model.problem import NewRows, pose
from lossband.planning.allocation import allocate
from lossband.planning.recipes import Comparison
from lossband.posterior.forecast import Draws, draw_losses

from .recovery import design, simulate

BUDGET = 1e22  # ten times the compute of the table's largest run is about 6e22
FAR = {"params": 3e10, "tokens": 3e11}
BATCH = 40


def wilson(hits, count, z=1.645):
    """Interval of a share, Wilson's."""
    share, centre = hits / count, (hits / count + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return centre - half, centre + half


def worlds(law, table, count, seed):
    """Simulated problems of one law on one table of inputs, the draws that made them, and their posteriors, in batches."""
    problem = pose(table, law, drift=None)
    for start in range(0, count, BATCH):
        with jax.enable_x64(True):
            keys = jax.random.split(jax.random.key(seed + start), min(BATCH, count - start))
            made = [simulate(problem, key) for key in keys]
        posteriors = sample(
            [p for p, _ in made],
            Sampler(num_warmup=300, num_samples=500, num_chains=2),
            batch=BATCH,
            seed=seed,
        )
        for post, (_, truth) in zip(posteriors, made, strict=True):
            yield post, alone({name: np.array([value]) for name, value in truth.items()})


def alone(sites):
    """One set of coefficients as the draws of a posterior."""
    return Draws(sites, np.zeros((1, 0)), np.zeros((1, 0)), 0)


def inside(drawn, truth):
    low, high = np.quantile(drawn, [0.05, 0.95], method="nearest")
    return low <= truth <= high


def allocation(law="chinchilla", tables=200, seed=0):
    """One row a table: whether N*, tokens per parameter, the loss there and the exponent lie inside."""
    options = {"cost": None, "inference_tokens": 0.0, "bounds": None, "at": None, "levels": (0.9,)}
    rows = []
    for post, truth in worlds(law, design(law, seed=1), tables, seed):
        plan, real = (allocate(each, BUDGET, **options) for each in (post, Fixed(post.problem, truth)))
        row = {
            n: inside(plan.draws[n].to_numpy(), real.draws[n].item())
            for n in ("params", "tokens_per_param", "loss")
        }
        row |= {"exponent": inside(plan.exponent, real.exponent.item()), "rhat": post.health.rhat_max}
        row |= {"width": float(np.log10(plan.frame["params_hi_90"] / plan.frame["params_lo_90"]).iloc[0])}
        rows.append(row)
    return pd.DataFrame(rows)


def multiplier(law="chinchilla", tables=200, seed=0, pool=0.1):
    """One row a table.

    Whether the multiplier and the difference of loss at `FAR` lie inside, and the flip's probability and
    truth.
    """
    joint = per_recipe(LAWS[law], 2, pool=pool, floor=0.0)
    table = design(law, seed=1).assign(recipe=1.0 + np.arange(60) % 2)
    rows = []
    for post, truth in worlds(joint, table, tables, seed + 1):
        found = Comparison(post, ("a", "b"))
        real = Comparison(Fixed(post.problem, truth), ("a", "b"))
        drawn, true = found.multiplier_draws(FAR)[:, 0], real.multiplier_draws(FAR).item()
        gap, real_gap = (
            (d.sel(recipe="b") - d.sel(recipe="a")).to_numpy() for d in (found.draws(FAR), real.draws(FAR))
        )
        rows.append(
            {
                "multiplier": inside(drawn, true),
                "difference": inside(gap, real_gap.item()),
                "rhat": post.health.rhat_max,
                "prob_flip": found.prob_flip(FAR),
                "flip": real.prob_flip(FAR),
            }
        )
    return pd.DataFrame(rows)


class Fixed:
    """A truth in a posterior's place."""

    def __init__(self, problem, draws):
        self.problem, self._fixed, self.law = problem, draws, problem.model.law

    def assembled(self, function, paired=None):
        """As `Posterior.assembled`."""
        return function(self.problem, self._fixed, *(() if paired is None else (paired,)))

    def draws(self, new, *, kind):
        """As `Posterior.draws`."""
        return draw_losses(self.problem, self._fixed, NewRows.of(new).checked(self.problem), kind=kind)


def report(title, frame, seconds):
    print(f"{title}: {len(frame)} tables, R-hat max {frame['rhat'].max():.3f}, {seconds:.0f} s")
    for name in frame.columns[frame.dtypes == np.dtype(bool)]:
        low, high = wilson(frame[name].sum(), len(frame))
        print(f"  {name:18s} {frame[name].mean():.1%} ({low:.1%} to {high:.1%})")
    if "flip" in frame:
        print(
            f"  order flips: {frame['prob_flip'].mean():.1%} said, {frame['flip'].mean():.1%} did; "
            f"Brier {np.mean((frame['prob_flip'] - frame['flip']) ** 2):.3f}, of the mean "
            f"{frame['flip'].var(ddof=0):.3f}"
        )
    if "width" in frame:
        print(f"  median width of the 90 % interval of N*: {frame['width'].median():.2f} decades")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--only", choices=("allocation", "multiplier"))
    args = parser.parse_args()
    for title, run in {"allocation": allocation, "multiplier": multiplier}.items():
        if args.only in (None, title):
            start = time.time()
            report(title, run(tables=args.tables), time.time() - start)


if __name__ == "__main__":
    main()
