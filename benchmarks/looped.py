"""The looped law on measured looped models, by the protocol of arXiv:2510.25741, appendix E.1.

    python -m benchmarks.looped

Fit on every three of the five sizes (10 combinations), on the first 25, 50 and 75 % of the tokens, and on
every pair of loop counts (6); score all points by R2 of the loss, as published, and the unseen points by the
coverage of the bands. The published figures are of other models (53M to 1.36B parameters): they show the kind
    of number, not a rival.
"""

import itertools
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score
from lossband.cli.demo import DEMO_ROWS, WARM
from lossband.runs.thin import spaced

PUBLISHED = {
    "all": "0.960",
    "3 of 5 sizes": "0.954",
    "tokens 25 %": "0.939",
    "tokens 50 %": "0.961",
    "tokens 75 %": "0.962",
    "2 of 4 loops": "0.958",
}


def cuts(curves):
    """(kind, rows to fit) of the protocol, each mask `(row,)`."""
    yield "all", np.ones(len(curves), bool)
    for sizes in itertools.combinations(np.unique(curves["params"]), 3):
        yield "3 of 5 sizes", curves["params"].isin(sizes).to_numpy()
    for share in (25, 50, 75):
        yield f"tokens {share} %", (curves["tokens"] <= share / 100 * curves["tokens"].max()).to_numpy()
    for pair in itertools.combinations(np.unique(curves["loops"]), 2):
        yield "2 of 4 loops", curves["loops"].isin(pair).to_numpy()


def evaluate(curves, law="looped", **options):
    """One row a fit: R2 over all points, coverage, bias and CRPS of ln loss over the unseen ones."""
    chosen = list(cuts(curves))
    rows = []
    for (kind, mask), post in zip(
        chosen, lb.fit_many([curves[mask] for _, mask in chosen], law, **options), strict=True
    ):
        draws = post.draws(curves).to_numpy()
        loss = curves["loss"].to_numpy()
        r2 = 1 - np.sum((np.median(draws, 0) - loss) ** 2) / np.sum((loss - loss.mean()) ** 2)
        row = {
            "fit on": kind,
            "rows": mask.sum(),
            "R2": r2,
            "rhat": post.health.rhat_max,
            "divergences": post.health.divergences,
        }
        if not mask.all():
            unseen, truth = np.log(draws[:, ~mask]), np.log(loss[~mask])
            row |= dict(zip(("cover_50", "cover_90"), score.coverage(unseen, truth, (0.5, 0.9)), strict=True))
            row |= {"bias": (np.median(unseen, 0) - truth).mean(), "crps": score.crps(unseen, truth).mean()}
        rows.append(row)
    return pd.DataFrame(rows)


def main():
    runs = lb.load_dataset("looped")
    curves = spaced(runs[runs["tokens"] >= WARM], keep=DEMO_ROWS)
    start = time.time()
    table = evaluate(curves)
    grouped = table.groupby("fit on", sort=False)
    shown = grouped[["R2", "cover_50", "cover_90", "bias", "crps"]].mean()
    shown.insert(0, "fits", grouped.size())
    shown.insert(1, "published R2", pd.Series(PUBLISHED))
    shown["R2 worst"], shown["rhat max"], shown["divergences"] = (
        grouped["R2"].min(),
        grouped["rhat"].max(),
        grouped["divergences"].sum(),
    )
    print(shown.to_string(float_format=lambda v: f"{v:.3f}"))
    print(f"{len(table)} fits in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
