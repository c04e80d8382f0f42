"""Families and evaluation sets fitted together beside fits of each alone.

    python -m benchmarks.joint families
    python -m benchmarks.joint sets
    python -m benchmarks.joint simulated

families: of each family in turn (three isoFLOP sweeps, three training sets of overtraining) twelve rows of its smaller
sizes are seen, of the others all; its larger sizes are forecast by `fit(pool="family")`, and from its twelve
rows alone.

sets: of each training set of overtraining, the macro average of every third of its eight evaluation losses is forecast for the
larger models by `fit(targets=[...]).macro()`, and by separate fits whose draws are taken as independent.

simulated: the same of tables whose runs differ by 1 % in all four of their losses, and by .4 % in each.
"""

import argparse
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from .sets import DATA

SEEN = 12  # rows of the family that is forecast


def scored(drawn, truth):
    """Scores on ln loss, means over rows."""
    drawn, truth = np.log(drawn), np.log(truth)
    return dict(
        c50=score.covered(drawn, truth, 0.5).mean(),
        c90=score.covered(drawn, truth, 0.9).mean(),
        pit=score.pit(drawn, truth).mean(),
        crps=score.crps(drawn, truth).mean(),
        rows=len(truth),
    )


def families(data, num_samples):
    """One row of scores per family and way."""
    isoflops = pd.read_csv(f"{data}/isoflops.csv")
    overtraining = pd.read_csv(f"{data}/overtraining.csv")
    tables = {
        "isoflops": isoflops[isoflops.outlier == 0],
        "overtraining": overtraining[overtraining.val_set == "c4_val"],
    }
    for name, table in tables.items():
        table = table.drop_duplicates(["family", "params", "tokens"])
        table = table[["family", "params", "tokens", "loss"]].reset_index(drop=True)
        for family, rows in table.groupby("family"):
            large = rows["params"] > rows["params"].drop_duplicates().quantile(0.6)
            seen = rows[~large].sample(min(SEEN, (~large).sum()), random_state=0)
            hidden, others = rows[large], table[table.family != family]
            options = dict(num_samples=num_samples, progress=False)
            pooled = lb.fit(pd.concat([seen, others], ignore_index=True), pool="family", **options)
            alone = lb.fit(seen.drop(columns="family"), **options)
            for way, post in (("pooled", pooled), ("alone", alone)):
                found = scored(post.draws(hidden).to_numpy(), hidden["loss"].to_numpy())
                about = dict(rhat=post.health.rhat_max, divergences=post.health.divergences)
                yield dict(table=name, of=family[:28], way=way) | found | about


def macros(data, num_samples, largest, every):
    """One row of scores per training set and way."""
    runs = pd.read_csv(f"{data}/overtraining.csv")
    for family, rows in runs.groupby("family"):
        rows = rows.drop_duplicates(["params", "tokens", "val_set"])
        wide = rows.pivot_table(index=["run", "params", "tokens"], columns="val_set", values="loss").dropna()
        names, wide = list(wide.columns)[::every], wide.reset_index()
        seen, new = wide[wide["params"] <= largest], wide[wide["params"] > largest]
        for row in both_ways(seen, new, names, num_samples=num_samples):
            yield dict(table="overtraining", of=family) | row


def simulated(num_samples, count):
    """One row of scores per simulated table and way: thirty runs are seen, twenty larger ones are not."""
    names = ["web", "code", "books", "wiki"]
    for seed in range(count):
        rng = np.random.default_rng(seed)
        params = np.append(10 ** rng.uniform(7, 8.7, 30), 10 ** rng.uniform(8.7, 9.7, 20))
        tokens = params * 10 ** rng.uniform(0.8, 2, 50)
        effect, table = rng.normal(0, 0.01, 50), dict(run=np.arange(50), params=params, tokens=tokens)
        for name in names:
            floor, a, b = rng.lognormal(np.log([1.7, 0.8, 0.6]), 0.2)
            alpha, beta = 0.35 * rng.lognormal(0, 0.1), 0.3 * rng.lognormal(0, 0.1)
            curve = floor + a * (params / 1e8) ** -alpha + b * (tokens / 2e9) ** -beta
            table[name] = curve * np.exp(effect + rng.normal(0, 0.004, 50))
        table = pd.DataFrame(table)
        options = dict(law="chinchilla", drift=None, num_samples=num_samples)
        for row in both_ways(table[:30], table[30:], names, **options):
            yield dict(table="simulated", of=seed) | row


def both_ways(seen, new, names, **options):
    """Scores of the macro average by the joint fit, and by separate ones whose draws are independent."""
    inputs, truth = ["run", "params", "tokens"], new[names].mean(axis=1).to_numpy()
    joint = lb.fit(seen.reset_index(drop=True), targets=names, progress=False, **options)
    alone = [
        lb.fit(seen[[*inputs, n]].rename(columns={n: "loss"}), seed=i, progress=False, **options)
        for i, n in enumerate(names)
    ]
    rng = np.random.default_rng(0)
    each = [rng.permutation(post.draws(new[inputs]).to_numpy()) for post in alone]
    for way, drawn, healths in (
        ("joint", joint.macro().draws(new[inputs]).to_numpy(), [joint.health]),
        ("separate", np.mean(each, axis=0), [post.health for post in alone]),
    ):
        worst = dict(rhat=max(h.rhat_max for h in healths), divergences=max(h.divergences for h in healths))
        width = np.log(np.quantile(drawn, 0.95, axis=0) / np.quantile(drawn, 0.05, axis=0)).mean()
        yield dict(way=way) | scored(drawn, truth) | dict(width_90=width) | worst


def main():
    """Fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["families", "sets", "simulated"])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--num-samples", type=int, default=500)
    parser.add_argument("--largest", type=float, default=2e8, help="sets: largest size that is seen")
    parser.add_argument("--every", type=int, default=3, help="sets: take every so many of the eight")
    parser.add_argument("--tables", type=int, default=20, help="simulated: how many")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    ways = {
        "families": lambda: families(args.data, args.num_samples),
        "sets": lambda: macros(args.data, args.num_samples, args.largest, args.every),
        "simulated": lambda: simulated(args.num_samples, args.tables),
    }
    found = pd.DataFrame(list(ways[args.what]()))
    print(found.round(4).to_string(index=False), end="\n\n")
    print(found.drop(columns=["table", "of"]).groupby("way").mean().round(4).to_string())
    wide = np.log(found.pivot_table(index=["table", "of"], columns="way", values="crps"))
    first, second = sorted(wide.columns, key=["pooled", "joint", "alone", "separate"].index)
    print(f"CRPS of {first} over {second}, geometric mean: {np.exp((wide[first] - wide[second]).mean()):.2f}")


if __name__ == "__main__":
    main()
