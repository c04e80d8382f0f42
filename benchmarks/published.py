"""Our posteriors beside published fits of the same rows.

    python -m benchmarks.published

chinchilla.csv: Besiroglu et al. 2024, arXiv:2404.10102, table 1 (Huber refit, bootstrap standard errors).
looped_isodepth.csv: arXiv:2604.21106, the recurrence law.
"""

import pandas as pd

import lossband as lb

from .sets import DATA

CHINCHILLA = {
    "E": (1.817, 0.026),
    "alpha": (0.348, 0.015),
    "beta": (0.366, 0.021),
    "A_natural": (482, 125),
    "B_natural": (2085, 1293),
    "a": (0.513, 0.020),
}
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


if __name__ == "__main__":
    main()
