"""Measured tables: the one that ships with lossband, and public ones that stand beside a checkout."""

import json
from importlib.resources import files

import pandas as pd

from .errors import InputError, nearest

BUNDLED = ("looped",)


def load_dataset(name):
    """A measured table as a tidy frame, or the table at a CSV path.

    "looped": looped transformers of five sizes and 1, 2, 4 or 8 loops, trained on bytes of Python source by
    `examples/measure_looped.py`; `loss` in nats per byte on held-out text, `params` without embeddings.

    Raises:
        InputError: no such data set and no such file.
    """
    if name in BUNDLED:
        with (files("lossband") / "data" / f"{name}.csv").open(encoding="utf-8") as file:
            return pd.read_csv(file)
    if str(name).endswith(".csv"):
        return pd.read_csv(name)
    raise InputError(
        f"there is no data set {name!r}{nearest(name, BUNDLED)}",
        f"Use one of {', '.join(BUNDLED)}, or a .csv path.",
    )


def describe(name):
    """Where a bundled table comes from: script, hashes, versions, machine, units, licence."""
    if name not in BUNDLED:
        raise InputError(
            f"there is no data set {name!r}{nearest(name, BUNDLED)}", f"Use one of {', '.join(BUNDLED)}."
        )
    return json.loads((files("lossband") / "data" / f"{name}.json").read_text(encoding="utf-8"))


def thin(runs, keep=16):
    """Every run's curve at `keep` rows spread evenly in ln tokens, its last row always among them.

    Neighbouring evaluations of one run say nearly the same; thinning keeps the curve and drops the repetition.
    """
    import numpy as np

    def rows(curve):
        curve = curve.sort_values("tokens")
        place = np.log(curve["tokens"].to_numpy())
        wanted = np.linspace(place[0], place[-1], keep)
        return curve.iloc[np.unique(np.abs(place[:, None] - wanted).argmin(0))]

    return pd.concat([rows(curve) for _, curve in runs.groupby("run", sort=False)], ignore_index=True)
