"""Recovery of the six published fits of loss by token index, and the forecast of a size that was held out.

    python -m benchmarks.positions

Simulated: a + b T^-p at 48 log-spaced indices from 1 to 1024 with normal noise of .05 nats, given as
`loss_se`, once for each of the six published fits; in how many of the 18 the 90 % interval holds the truth.
The forecast: the largest of the six is hidden from `position_by_size`, ten times with fresh noise; the share
    of its indices inside the bands.
"""

import numpy as np
import pandas as pd

import lossband as lb

FITS = (
    (4.0, 3.2, 0.47),
    (3.4, 4.0, 0.56),
    (2.9, 4.5, 0.56),
    (2.7, 4.9, 0.60),
    (2.4, 5.1, 0.61),
    (2.3, 5.4, 0.62),
)
# a, b, p by the figure's legend; its sizes are colours: a factor of four each is assumed, up to the 774M of
# its other panel
PUBLISHED = {774e6 * 4.0 ** (i - 5): fit for i, fit in enumerate(FITS)}
NOISE, INDICES = 0.05, np.unique(np.geomspace(1, 1024, 48).round())


def simulated(seed=0, indices=INDICES):
    """The six curves with noise, and its standard error."""
    rng = np.random.default_rng(seed)
    tables = []
    for params, (a, b, p) in PUBLISHED.items():
        loss = a + b * indices**-p + rng.normal(0, NOISE, len(indices))
        tables.append(
            pd.DataFrame({"run": f"N{params:.0f}", "params": params, "position": indices, "loss": loss})
        )
    return pd.concat(tables, ignore_index=True).assign(loss_se=NOISE)


def recovered(seed=0, **options):
    """Each published coefficient and its 90 % interval, and the worst R-hat."""
    table = simulated(seed)
    fits = lb.fit_many(
        [rows for _, rows in table.groupby("params")], "position", drift=None, seed=seed, **options
    )
    rows = []
    for (params, truth), post in zip(PUBLISHED.items(), fits, strict=True):
        for name, value in zip("abp", truth, strict=True):
            low, high = np.quantile(post.sites[name], [0.05, 0.95])
            rows.append(
                {
                    "params": params,
                    "name": name,
                    "truth": value,
                    "lo_90": low,
                    "hi_90": high,
                    "inside": low <= value <= high,
                }
            )
    return pd.DataFrame(rows), max(post.health.rhat_max for post in fits)


def held_out(table, **options):
    """Coverage of the largest size's rows, fitted on the others; one row a level."""
    largest = table["params"] == table["params"].max()
    post = lb.fit(table[~largest], "position_by_size", **options)
    draws, loss = np.log(post.draws(table[largest]).to_numpy()), np.log(table["loss"][largest].to_numpy())
    return {
        **dict(zip(("c50", "c90"), lb.score.coverage(draws, loss, (0.5, 0.9)), strict=True)),
        "bias": (np.median(draws, 0) - loss).mean(),
        "rhat": post.health.rhat_max,
    }


def main():
    table, rhat = recovered()
    print(table.round(3).to_string(index=False))
    print(f"inside: {table['inside'].sum()} of {len(table)} (R-hat max {rhat:.3f})\n")
    rows = [held_out(simulated(seed, INDICES[::2])) for seed in range(10)]
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(pd.DataFrame(rows).mean().round(3).to_string())


if __name__ == "__main__":
    main()
