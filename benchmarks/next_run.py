"""Does the chosen run tell more than another? Runs are added one at a time until the target's sd is down to a share.

    python -m benchmarks.next_run            # simulated sweeps, then chinchilla.csv with most rows masked

Policies: `informative` (lb.next_run, every run costs 1), `per FLOP` (lb.next_run, cost 6ND), `random`, and
`largest` (the largest compute not yet run). The target is ln of the expected loss far beyond all candidates.
A policy that has not got there within the steps counts as one step more, with all the compute of its steps.
"""

import argparse

import numpy as np
import pandas as pd

import lossband as lb

from .sets import DATA

FIT = {"law": "chinchilla", "drift": None, "method": "laplace", "num_samples": 250}
POLICIES = ("informative", "per FLOP", "random", "largest")


def simulated(count, seed=0):
    """Sweeps of 7 x 7 runs with coefficients spread around the published ones, and noise of .5 % on ln loss."""
    rng = np.random.default_rng(seed)
    params, tokens = (m.ravel() for m in np.meshgrid(np.geomspace(1e7, 3e9, 7), np.geomspace(5e8, 1e11, 7)))
    sweeps = []
    for _ in range(count):
        E, A, B, alpha, beta = np.array([1.7, 0.5, 0.5, 0.33, 0.33]) * np.exp(
            rng.normal(0, [0.1, 0.3, 0.3, 0.15, 0.15])
        )
        law = E + A * (params / 2e8) ** -alpha + B * (tokens / 7e9) ** -beta
        noise = np.exp(rng.normal(0, 0.005, len(law)))
        sweeps.append(pd.DataFrame({"params": params, "tokens": tokens, "loss": law * noise}))
    return sweeps


def choose(policy, post, left, target, rng):
    """Position in `left` of the run that a policy takes next."""
    flops = left["params"] * left["tokens"]
    if policy == "random":
        return int(rng.integers(len(left)))
    if policy == "largest":
        return int(np.argmax(flops))
    cost = "6ND" if policy == "per FLOP" else None
    return int(lb.next_run(post, left, target=target, cost=cost).chosen.index[0])


def race(sweeps, start, steps, target, *, seed=0):
    """Add runs to every sweep by every policy.

    One row a sweep, policy and step, with the target's sd and the FLOPs spent.

    Args:
        sweeps: (policy, table) pairs.
        start: how many of the smallest runs are there at first.
    """
    rng = np.random.default_rng(seed)
    tables = [
        t.iloc[np.argsort((t["params"] * t["tokens"]).to_numpy())].reset_index(drop=True) for _, t in sweeps
    ]
    taken = [list(range(start)) for _ in sweeps]
    spent, rows = np.zeros(len(sweeps)), []
    for step in range(steps + 1):
        posts = lb.fit_many(
            [t.iloc[k] for t, k in zip(tables, taken, strict=True)], **FIT, batch=len(tables), seed=seed
        )
        for i, ((policy, _), post) in enumerate(zip(sweeps, posts, strict=True)):
            sd = float(np.log(post.draws(pd.DataFrame([target]), kind="mean")).std())
            rows.append({"sweep": i, "policy": policy, "step": step, "sd": sd, "flops": spent[i]})
            left = tables[i].drop(index=taken[i])
            pick = left.index[choose(policy, post, left.reset_index(drop=True), target, rng)]
            taken[i].append(pick)
            spent[i] += 6 * tables[i].loc[pick, "params"] * tables[i].loc[pick, "tokens"]
    return pd.DataFrame(rows)


SHARES = (1 / 2, 1 / 4, 1 / 6)


def report(title, frame, steps, share):
    """Experiments and compute until the sd is down to a share of the first.

    Means over sweeps, and the ratio to random's.
    """
    sums = {}
    for (policy, sweep), rows in frame.groupby(["policy", "sweep"]):
        done = rows[rows["sd"] <= share * rows["sd"].iloc[0]]
        reached = done.iloc[0] if len(done) else rows.iloc[-1]
        sums[policy, sweep] = (
            reached["step"] if len(done) else steps + 1,
            reached["flops"],
            len(done) > 0,
            rows["sd"].iloc[-1] / rows["sd"].iloc[0],
        )
    table = (
        pd.DataFrame(sums, index=["experiments", "flops", "got there", "sd left at the end"])
        .T.astype(float)
        .groupby(level=0)
        .mean()
    )
    table["random / it, experiments"] = table.loc["random", "experiments"] / table["experiments"]
    table["random / it, flops"] = table.loc["random", "flops"] / table["flops"]
    print(
        f"{title}; sd down to {share:.2f} of the "
        f"first\n{table.loc[list(POLICIES)].to_string(float_format=lambda x: f'{x:.3g}')}\n",
        flush=True,
    )
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=10)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    pairs = [(policy, table) for table in simulated(args.sweeps) for policy in POLICIES]
    frame = race(pairs, 8, args.steps, {"params": 3e10, "tokens": 1e12})
    for share in SHARES:
        report(f"simulated, {args.sweeps} sweeps of 49 runs from the 8 smallest", frame, args.steps, share)
    runs = pd.read_csv(DATA / "chinchilla.csv")
    runs = runs.loc[runs["epoch_outlier"] == 0, ["params", "tokens", "loss"]]
    pairs = [(p, runs) for p in POLICIES for _ in range(8 if p == "random" else 1)]
    frame = race(pairs, 17, 12, {"params": 3e10, "tokens": 5.6e11})
    for share in SHARES:
        report("chinchilla.csv, from its 17 smallest runs; random: 8 orders", frame, 12, share)


if __name__ == "__main__":
    main()
