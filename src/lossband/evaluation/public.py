"""The public sweeps of params and tokens among the data sets, each as one table."""

import pandas as pd

from ..datasets import load_dataset


def public_sweeps() -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Sweeps by name, and the group of each: sweeps of one group share runs or a recipe.

    Rows that their source marks as outliers are left out; no other row is chosen by its loss.

    Raises:
        InputError: no network, and no copy in the folder that LOSSBAND_DATA names.
    """
    named = {**_chinchilla(), **_isoflops(), **_overtraining()}
    return {name: rows for name, (_, rows) in named.items()}, {n: group for n, (group, _) in named.items()}


def _chinchilla() -> dict[str, tuple[str, pd.DataFrame]]:
    rows = load_dataset("chinchilla")
    return {"chinchilla": ("chinchilla", rows[rows["epoch_outlier"] == 0])}


def _isoflops() -> dict[str, tuple[str, pd.DataFrame]]:
    """Three isoFLOP sweeps; Chinchilla's overlap the set chinchilla, so that both are one group."""
    rows = load_dataset("isoflops")
    groups = {"epochai": "chinchilla", "llama": "llama", "marin": "marin"}
    families = rows[rows["outlier"] == 0].groupby("family")
    return {f"isoflops {name}": (groups[str(name).split("_")[0]], sweep) for name, sweep in families}


def _overtraining() -> dict[str, tuple[str, pd.DataFrame]]:
    """Three training sets by their loss on c4."""
    rows = load_dataset("overtraining")
    families = rows[rows["val_set"] == "c4_val"].groupby("family")
    return {
        f"overtraining {name}": ("overtraining", sweep.drop_duplicates(["params", "tokens"]))
        for name, sweep in families
    }
