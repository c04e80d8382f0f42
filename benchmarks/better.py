"""A against B on seeds of real recipes: true bands for a new seed, false claims, and claims that hold.

    python -m benchmarks.better [--repeats 200]

142 runs of one 124M model, recipes with 4 to 16 seeds (modded-nanogpt, the halves that are public here).

    new seed   fit k seeds of a recipe (beside k of another), predict each of its others: share inside
    false      halves of one recipe: how often one is claimed to be better, in either direction by one-sided 5 %
               claims, so 10 % in all by a test that is exact; printed per direction
    claims     k seeds of two recipes that all seeds together tell apart (Welch, p < .001): how often the right
               one is claimed to be better

beside Welch's t test on the finals and the rule of a public record table, (difference + .0045 per 100 steps) /
sqrt(1 / n1 + 1 / n2) >= .004.
"""

import argparse

import numpy as np
import pandas as pd
from scipy.stats import norm, ttest_ind

import lossband as lb

from .sets import DATA

RULE, PER_STEP = 0.004, 0.0045 / 100


def recipes(data=DATA):
    """Name -> {seed: its curve}, of recipes whose runs have one length."""
    rows = pd.read_csv(f"{data}/replicates_nanogpt.csv").query("step > 0")
    return {
        name: {run: curve for run, curve in recipe.groupby("run")} for name, recipe in rows.groupby("family")
    }


def final(curve):
    """Last validation loss, and the step at which it was taken."""
    last = curve.loc[curve.step.idxmax()]
    return last.loss, last.step


def joined(recipe, seeds):
    """The table of some seeds of a recipe."""
    return pd.concat([recipe[seed] for seed in seeds])


def claims(recipe_a, a, recipe_b, b):
    """Whether each method claims a to be better than b: {method: bool}."""
    ends = [[final(recipe[seed]) for seed in seeds] for recipe, seeds in ((recipe_a, a), (recipe_b, b))]
    (loss_a, steps_a), (loss_b, steps_b) = (np.array(each).T for each in ends)
    gain = loss_b.mean() - loss_a.mean() + PER_STEP * (steps_b.mean() - steps_a.mean())
    several = min(len(a), len(b)) > 1
    welch = ttest_ind(loss_a, loss_b, equal_var=False, alternative="less").pvalue if several else 1.0
    return {
        "lossband": lb.better(joined(recipe_a, a), joined(recipe_b, b)).prob > 0.95,
        "Welch": bool(welch < 0.05),
        "rule": bool(gain / np.sqrt(1 / len(a) + 1 / len(b)) >= RULE),
    }


def new_seed(found, rng, repeats):
    """Coverage of the bands of a new seed by number of seeds, with the standard error over recipes."""
    names, rows = list(found), []
    for k in (1, 2, 3, 4):
        for name in names:
            hits = []
            for _ in range(max(1, repeats // len(names))):
                other = rng.choice([each for each in names if each != name])
                seeds = rng.permutation(list(found[name]))
                beside = rng.permutation(list(found[other]))[:k]
                fit = lb.better(joined(found[name], seeds[:k]), joined(found[other], beside))
                losses = np.array([final(found[name][seed])[0] for seed in seeds[k:]])
                for level in (0.5, 0.9):
                    low, high = fit.finals(kind="run", level=level).iloc[0][-2:]
                    hits.append((k, name, level, np.mean((losses > low) & (losses < high))))
            rows += hits
    frame = pd.DataFrame(rows, columns=["seeds", "recipe", "level", "inside"])
    by_recipe = frame.groupby(["seeds", "level", "recipe"]).inside.mean().unstack("level")
    table = by_recipe.groupby("seeds").agg(["mean", "sem"])
    table.columns = [f"c{100 * level:.0f}{'' if what == 'mean' else ' se'}" for level, what in table.columns]
    return table


def false_claims(found, rng, repeats):
    """Share of claims between halves of one recipe, per direction."""
    rows = []
    for recipe in found.values():
        for _ in range(max(1, repeats // len(found))):
            seeds = rng.permutation(list(recipe))
            half = len(seeds) // 2
            for a, b in ((seeds[:half], seeds[half:]), (seeds[half:], seeds[:half])):
                rows.append(claims(recipe, a, recipe, b))
    return pd.DataFrame(rows).mean()


def true_claims(found, rng, repeats):
    """Share of right claims by number of seeds, of pairs of recipes that all their seeds tell apart."""
    rows, names = [], list(found)
    ends = {name: [final(curve)[0] for curve in recipe.values()] for name, recipe in found.items()}
    pairs = [
        (a, b)
        for a in names
        for b in names
        if ttest_ind(ends[a], ends[b], equal_var=False, alternative="less").pvalue < 0.001
    ]
    for k in (1, 2, 3, 4):
        for a, b in [pairs[i] for i in rng.integers(len(pairs), size=max(1, repeats // 2))]:
            chosen = [rng.permutation(list(found[name]))[:k] for name in (a, b)]
            rows.append({"seeds": k} | claims(found[a], chosen[0], found[b], chosen[1]))
    return pd.DataFrame(rows).groupby("seeds").mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats, found, rng = parser.parse_args().repeats, recipes(), np.random.default_rng(0)
    count = 2 * len(found) * max(1, repeats // len(found))
    print(f"a new seed's loss inside its band, mean over {len(found)} recipes")
    print(new_seed(found, rng, repeats).round(3).to_string())
    print(
        f"\nfalse claims between halves of one recipe, of {count} (5 % nominal; +- "
        f"{norm.ppf(0.84) * np.sqrt(0.05 * 0.95 / count):.3f} were they independent)"
    )
    print(false_claims(found, rng, repeats).round(3).to_string())
    print("\nright claims by seeds of each")
    print(true_claims(found, rng, repeats).round(3).to_string())


if __name__ == "__main__":
    main()
