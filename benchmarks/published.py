"""Our posteriors beside published fits of the same rows.

    python -m benchmarks.published

chinchilla.csv: Besiroglu et al. 2024, arXiv:2404.10102, table 1 (Huber refit, bootstrap standard errors).
Their interval of the optimal tokens per parameter is a figure (10th to 90th percentile of bootstrap refits,
notebook data_analysis.ipynb of epoch-research/ analyzing-chinchilla) without printed numbers, so the
bootstrap is done again here on the same rows, by benchmarks.huber. looped_isodepth.csv: arXiv:2604.21106, the
    recurrence law.
"""

import numpy as np
import pandas as pd

import lossband as lb

from . import huber
from .sets import DATA

CHINCHILLA = {
    "E": (1.817, 0.026),
    "alpha": (0.348, 0.015),
    "beta": (0.366, 0.021),
    "A_natural": (482, 125),
    "B_natural": (2085, 1293),
    "a": (0.513, 0.020),
}
BUDGETS = [1e21, 1e22, 1e23, 1e24]
RECURRENCE = {"phi": 0.459, "E": 1.568, "alpha": 0.199, "beta": 0.369}


def chinchilla(data=DATA):
    """Posterior and table for Chinchilla's rows without the five that the refit drops; no drift."""
    runs = pd.read_csv(data / "chinchilla.csv")
    post = lb.fit(runs[runs["epoch_outlier"] == 0], "chinchilla", drift=None)
    draws = {**post.sites, "a": post.sites["beta"] / (post.sites["alpha"] + post.sites["beta"])}
    table = pd.DataFrame(
        {
            name: {
                "published": value,
                "se": se,
                "mean": draws[name].mean(),
                "sd": draws[name].std(),
                "off_in_se": (draws[name].mean() - value) / se,
            }
            for name, (value, se) in CHINCHILLA.items()
        }
    ).T
    return post, table


def allocation(post, num_bootstraps=200):
    """80 % interval of the optimal tokens per parameter at 1e21 to 1e24 FLOPs.

    Ours beside the bootstrap of the Huber fit.

    Returns:
        the table, and the share of our draws whose allocation exponent is at or below Hoffmann et al.'s .28 /
        (.34 + .28) with how many sds away (alpha, beta) = (.34, .28) lies from our posterior.
    """
    plan = post.optimal(BUDGETS, levels=(0.8,))
    a, b, _, alpha, beta = huber.refits(post.problem.frame, num_bootstraps=num_bootstraps).T
    share = beta / (alpha + beta)
    size = (alpha * np.exp(a) / (beta * np.exp(b))) ** (1 / (alpha + beta))
    table = plan.frame[["flops", *(f"tokens_per_param_{c}" for c in ("median", "lo_80", "hi_80"))]].copy()
    ratios = np.array([(C / 6) ** (1 - 2 * share) / size**2 for C in BUDGETS])
    table[["bootstrap_lo_80", "bootstrap_hi_80"]] = np.quantile(ratios, [0.1, 0.9], axis=1).T
    both = np.stack([post.sites["alpha"].ravel(), post.sites["beta"].ravel()])
    off = np.array([0.34, 0.28]) - both.mean(1)
    distance = np.sqrt(off @ np.linalg.solve(np.cov(both), off))
    return table, (plan.exponent <= 0.28 / 0.62).mean(), distance


def recurrence(data=DATA):
    """Posterior and table for the looped isoFLOP sweep."""
    runs = pd.read_csv(data / "looped_isodepth.csv", dtype={"run": str}).rename(
        columns={"recurrences": "loops"}
    )
    post = lb.fit(runs, "recurrence", drift=None)
    rows = {}
    for name, value in RECURRENCE.items():
        low, high = pd.Series(post.sites[name].ravel()).quantile([0.05, 0.95])
        rows[name] = {
            "published": value,
            "mean": post.sites[name].mean(),
            "lo_90": low,
            "hi_90": high,
            "inside": low <= value <= high,
        }
    return post, pd.DataFrame(rows).T


def main():
    for title, (post, table) in (("chinchilla", chinchilla()), ("recurrence", recurrence())):
        print(f"{title}: {post.health}\n{table.to_string()}\n")
        if title == "chinchilla":
            ratios, below, distance = allocation(post)
            print(f"optimal tokens per parameter\n{ratios.to_string()}")
            print(
                f"Hoffmann's (.34, .28): {distance:.1f} sds off; {below:.4f} of the draws have as small "
                "an exponent\n"
            )


if __name__ == "__main__":
    main()
