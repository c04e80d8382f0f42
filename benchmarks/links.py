"""Two steps beside one: another evaluation set's loss through the validation loss, or directly.

    python -m benchmarks.links

Overtraining, 104 models of three training sets: the loss on C4's validation set is forecast from params and tokens,
and goes through a fitted link to the loss on each of seven other sets (`lb.link`); beside it the other set's loss
is fitted on params and tokens itself. The sizes above `--largest` are hidden from all of them.
"""

import argparse
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

from .sets import DATA

FIRST = "c4_val"


def scored(name, drawn, truth, **about):
    """Scores of one set's forecast, on ln loss."""
    drawn, truth = np.log(drawn), np.log(truth)
    return dict(
        way=name,
        c50=score.covered(drawn, truth, 0.5).mean(),
        c90=score.covered(drawn, truth, 0.9).mean(),
        pit=score.pit(drawn, truth).mean(),
        crps=score.crps(drawn, truth).mean(),
        **about,
    )


def of_family(runs, largest, num_samples):
    """Both forecasts of every other set, for the models of one training set."""
    options = dict(num_samples=num_samples, progress=False)
    wide = runs.pivot_table(index=["run", "params", "tokens"], columns="val_set", values="loss").reset_index()
    hidden = wide["params"] > largest
    seen, new = wide[~hidden].reset_index(drop=True), wide[hidden].reset_index(drop=True)
    inputs = ["run", "params", "tokens"]
    post = lb.fit(seen[[*inputs, FIRST]].rename(columns={FIRST: "loss"}), **options)
    for name in sorted(set(runs["val_set"]) - {FIRST}):
        pairs = seen[["run", FIRST, name]].rename(columns={FIRST: "loss", name: "metric"})
        link = lb.link(post, pairs, metric="loss", **options)
        alone = lb.fit(seen[[*inputs, name]].rename(columns={name: "loss"}), **options)
        for way, drawn in (("two steps", link.draws(new)), ("one step", alone.draws(new))):
            yield scored(way, drawn.to_numpy(), new[name].to_numpy(), target=name, rows=len(new))


def main():
    """Fit, score, print the means over sets and families."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--largest", type=float, default=5e8, help="largest size that is seen")
    parser.add_argument("--num-samples", type=int, default=500)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    runs = pd.read_csv(f"{args.data}/overtraining.csv").drop_duplicates(
        ["params", "tokens", "family", "val_set"]
    )
    found = pd.DataFrame(
        [
            row | {"family": family}
            for family, rows in runs.groupby("family")
            for row in of_family(rows, args.largest, args.num_samples)
        ]
    )
    numbers = ["c50", "c90", "pit", "crps", "rows"]
    print(found.groupby(["family", "way"])[numbers].mean().round(4).to_string(), end="\n\n")
    wide = found.pivot_table(index=["family", "target"], columns="way", values="crps")
    ratio = np.exp(np.log(wide["two steps"] / wide["one step"]).mean())
    print(found.groupby("way")[numbers].mean().round(4).to_string())
    print(f"CRPS of two steps over one, geometric mean over {len(wide)} sets: {ratio:.2f}")


if __name__ == "__main__":
    main()
