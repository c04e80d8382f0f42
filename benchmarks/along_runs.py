"""Do run effects and autocorrelation earn their place where rows are points along runs?

    python -m benchmarks.along_runs                   # --table looped --noise student-t+ou for a part

Three tables: the gemstones' curves at a constant learning rate and those of three models of mpl_lr_schedules
(sixteen checkpoints of each run), and the measured looped grid (twelve points of each run). The largest
model's curves are hidden, or the last half of every curve's points; the default law (`looped` for the grid)
with each noise forecasts them.
"""

import argparse
import json
import time

import pandas as pd

import lossband as lb
from lossband.cli.demo import DEMO_ROWS, WARM
from lossband.runs.thin import spaced

from .sets import sweeps

NOISES = ("student-t", "student-t+run", "student-t+ou", "student-t+run+ou")
HIDDEN = {"largest model": dict(by="params", hide=1), "ends": dict(by="end", share=0.5)}


def tables():
    """name -> rows, law."""
    curves = {s.set: s.rows for s in sweeps() if s.set in ("gemstones_hot", "mpl_constant")}
    looped = lb.load_dataset("looped")
    looped = spaced(looped[looped["tokens"] >= WARM], keep=DEMO_ROWS)
    columns = ["run", "params", "tokens", "loss"]
    return {name: (rows[columns], None) for name, rows in curves.items()} | {"looped": (looped, "looped")}


def backtested(rows, law, noise, hidden):
    """Scores of one backtest, and how well it was sampled."""
    start = time.time()
    test = lb.backtest(rows, law, noise=noise, seed=0, progress=False, **hidden)
    scores = test.calibration().iloc[-1]
    health = test.posteriors[0].health
    kept = [
        "rows",
        "runs",
        "cover_50",
        "cover_90",
        "cover_90_lo",
        "cover_90_hi",
        "bias",
        "crps",
        "log_score",
        "width_90",
    ]
    return {name: float(scores[name]) for name in kept} | {
        "rhat": health.rhat_max,
        "divergences": health.divergences,
        "seconds": time.time() - start,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="append", help="only these tables")
    parser.add_argument("--noise", action="append", choices=NOISES, help="only these noises")
    parser.add_argument("--json", help="write the scores here, after every backtest")
    args = parser.parse_args()
    found = []
    for name, (rows, law) in tables().items():
        if args.table and name not in args.table:
            continue
        for what, hidden in HIDDEN.items():
            for noise in args.noise or NOISES:
                found.append(
                    {"table": name, "hidden": what, "noise": noise} | backtested(rows, law, noise, hidden)
                )
                print(
                    pd.DataFrame(found[-1:]).round(4).to_string(index=False, header=len(found) == 1),
                    flush=True,
                )
                if args.json:
                    with open(args.json, "w") as file:
                        json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
