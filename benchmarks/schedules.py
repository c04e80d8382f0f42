"""Laws of the learning rate by least squares, on the published split of the multi-power law.

    python -m benchmarks.schedules

Of each size three schedules are fitted (Huber loss of ln loss, delta .001) and six predicted, nothing of them
seen. RMSE of the loss, the mean over the six schedules, and of the worst.

    ours      the form of the law `curve`: E + A (S - u S1)^-alpha + C m
    one       the same with one memory of 3 % of the run and no loss to the warm-up, as it was before
    mpl       Luo et al. 2025, arXiv:2503.12811: E + A S^-alpha + B sum of drops (1 - (1 + c S_k lr_k^-gamma)^-beta),
              the area of its warm-up counted
    mpl .5    the same with gamma = .5
"""

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from lossband.runs import schedule

from .live import FITTED, PUBLISHED, mpl

WARMUP = 2160  # steps before the first row of these logs


def prepared(run):
    """What the forms read of a run, at its rows."""
    run = run.sort_values("step")
    t, lr = run.step.to_numpy(float), run.lr.to_numpy()
    area = np.append(0.0, np.cumsum(np.diff(t) * (lr[1:] + lr[:-1]) / 2)) + lr[0] * (t[0] - WARMUP / 2)
    since = area[:, None] - area[None, :]
    areas = schedule.add_lr_areas(run[["run", "step", "lr"]])
    one = one_memory(t, lr / lr.max())
    mean, full = areas.lr_mean.to_numpy(), areas.lr_area.to_numpy()
    return {
        "t": t,
        "lr": lr,
        "S": area,
        "since": since,
        "m": mean,
        "one": one,
        "full": full,
        "y": run.loss.to_numpy(),
    }


def one_memory(t, lr, memory=0.03):
    """The rate averaged over the last 3 % of the run."""
    out = [lr[0]]
    for i, width in enumerate(np.diff(np.log(t))):
        kept = np.exp(-width / memory)
        out.append(out[-1] * kept + lr[i + 1] * (1 - kept))
    return np.array(out)


def ours(v, x):
    lost = (1.9 / (1 + np.exp(-v[4])) - 1) * x["full"][0]
    return v[0] + np.exp(v[1]) * ((x["full"] - lost) / 1e4) ** -v[2] + np.exp(v[3]) * x["m"]


def one(v, x):
    return v[0] + np.exp(v[1]) * (x["full"] / 1e4) ** -v[2] + np.exp(v[3]) * x["one"]


def multi_power(v, x, gamma=None):
    gamma = v[6] if gamma is None else gamma
    drops = np.append(0.0, np.diff(x["lr"]))
    since = np.maximum(x["since"], 0)
    answer = 1 - (1 + np.exp(v[4]) * since * x["lr"][None, :] ** -gamma) ** -v[5]
    return (
        v[0] + np.exp(v[1]) * x["S"] ** -v[2] + np.exp(v[3]) * (np.where(x["since"] >= 0, answer, 0) @ drops)
    )


START = [2.5, -0.9, 0.5, -2.3, 0.0]
STARTS = [[2.6, -0.7, 0.5, 6.0, c, 0.5, gamma] for c in (-1, 1, 3) for gamma in (0.3, 0.6)]
FORMS = {
    "ours": (ours, [START]),
    "one": (one, [START[:4]]),
    "mpl": (multi_power, STARTS),
    "mpl .5": (lambda v, x: multi_power(v, x, 0.5), STARTS),
}


def fitted(form, starts, runs):
    """Least squares from the best of several starts."""

    def apart(v):
        with np.errstate(all="ignore"):
            rest = [np.log(np.maximum(form(v, x), 1e-3)) - np.log(x["y"]) for x in runs]
        return np.nan_to_num(np.concatenate(rest), nan=1.0)

    tries = [least_squares(apart, v, loss="huber", f_scale=0.001, max_nfev=300) for v in starts]
    return min(tries, key=lambda found: found.cost).x


def main():
    rows = []
    for size, group in pd.concat(mpl().values()).groupby("params"):
        runs = {name: prepared(run) for name, run in group.groupby("schedule")}
        for name, (form, starts) in FORMS.items():
            v = fitted(form, starts, [runs[each] for each in FITTED])
            errors = {
                n: np.sqrt(np.mean((form(v, x) - x["y"]) ** 2)) for n, x in runs.items() if n not in FITTED
            }
            worst = max(errors, key=errors.get)
            mean = np.mean(list(errors.values()))
            row = {"params": size, "form": name, "mean": mean, "worst": errors[worst], "which": worst}
            rows.append(row | {"published": PUBLISHED[size]})
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
