"""Coverage of forecasts by an independent simulator: known errors, run effects, autocorrelation along runs.

    python -m benchmarks.known_runs --sims 500

The simulator is written from docs/model.md alone, in numpy, and shares no code with the package: runs of a
Chinchilla law with normal or Student-t scatter, and parts along runs. Each data set shows the beginnings of twelve runs;
hidden are the later points of the same runs, points between those shown, and whole new runs. If a fitted run's state
did not enter its forecast, bands of its later points would be too wide, and their 50 % bands would cover more
than half.
"""

import argparse
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

CASES = {  # noise as lb.fit takes it, and whether rows have known errors
    "known errors": ("student-t", True),
    "run effects": ("student-t+run", False),
    "autocorrelation": ("student-t+ou", False),
    "all": ("student-t+run+ou", True),
}
RUNS, POINTS, SHOWN = (
    16,
    9,
    12,
)  # twelve runs of which the first six points are shown, one between them hidden
PLACES = ("between", "later", "new run")


def simulate(rng, noise, known):
    """One data set: every point of every run, with `place` "shown" or one of `PLACES`."""
    params = np.repeat(10 ** rng.uniform(7, 9.5, RUNS), POINTS)
    point = np.tile(np.arange(POINTS), RUNS)
    tokens = params * 10 ** np.repeat(rng.uniform(0.3, 1.3, RUNS), POINTS) * 1.6**point
    E, A, B = 1.6 * np.exp(0.2 * rng.standard_normal()), *np.exp(0.3 * rng.standard_normal(2)) * (0.9, 1.1)
    alpha, beta = np.exp(np.log(0.33) + 0.2 * rng.standard_normal(2))
    curve = np.log(E + A * (params / 3e8) ** -alpha + B * (tokens / 1e10) ** -beta)
    sigma, sigma_run, sigma_ou = 0.05 * curve.std() * np.exp(0.5 * rng.standard_normal(3))
    length, run = 0.8 * np.exp(0.4 * rng.standard_normal()), np.repeat(np.arange(RUNS), POINTS)
    scatter = sigma * rng.standard_t(4, run.size)
    if "run" in noise:
        scatter += (sigma_run * rng.standard_normal(RUNS))[run]
    if "ou" in noise:  # exponential covariance in ln tokens along a run, written out
        gap = np.abs(np.log(tokens)[:, None] - np.log(tokens))
        cov = sigma_ou**2 * np.exp(-gap / length) * (run[:, None] == run)
        scatter += np.linalg.cholesky(cov + 1e-14 * np.eye(run.size)) @ rng.standard_normal(run.size)
    share = 0.06 * curve.std() * np.exp(rng.standard_normal(run.size)) if known else np.zeros(run.size)
    loss = np.exp(curve + scatter + share * rng.standard_normal(run.size))
    between, later = point == 3, point >= 6
    place = np.select([run >= SHOWN, later, between], ["new run", "later", "between"], "shown")
    table = pd.DataFrame({"run": [f"r{i}" for i in run], "params": params, "tokens": tokens, "loss": loss})
    return (table.assign(loss_se=share * loss) if known else table).assign(place=place)


def study(name, sims, seed=0, num_samples=250):
    """Rows of one case: data set, place, and PIT of each hidden point; and the fits' diagnostics."""
    noise, known = CASES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    tables = [simulate(rng, noise, known) for _ in range(sims)]
    trains = [each[each.place == "shown"].drop(columns="place") for each in tables]
    posts = lb.fit_many(
        trains, "chinchilla", noise=noise, drift=None, num_samples=num_samples, seed=seed, progress=False
    )
    rows = []
    for number, (table, post) in enumerate(zip(tables, posts, strict=True)):
        hidden = table[table.place != "shown"]
        # the exact densities' own draws: the new measurements, errors of their own included
        pit = score.pit(np.log(post.draws(hidden).to_numpy()), np.log(hidden.loss.to_numpy()))
        rows.append(pd.DataFrame({"case": name, "set": number, "place": hidden.place, "pit": pit}))
    return pd.concat(rows), [post.health for post in posts]


def report(rows):
    """Coverage by case and place, with a standard error over data sets."""
    inside = {f"c{c * 100:g}": np.abs(rows.pit - 0.5) < c / 2 for c in (0.5, 0.8, 0.9, 0.95)}
    by_set = rows.assign(**inside).groupby(["case", "place", "set"], sort=False)[list(inside)].mean()
    grouped = by_set.groupby(["case", "place"], sort=False)
    return grouped.mean().assign(se_90=grouped["c90"].std() / np.sqrt(grouped["c90"].count()))


def main():
    """Simulate, fit, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--sims", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in args.cases:
        start = time.time()
        rows, health = study(name, args.sims, args.seed)
        print(report(rows).round(3).to_string())
        worst = max(each.rhat_max for each in health), sum(each.divergences for each in health)
        print(
            f"R-hat at most {worst[0]:.2f}, {worst[1]} divergences, {time.time() - start:.0f} s\n", flush=True
        )


if __name__ == "__main__":
    main()
