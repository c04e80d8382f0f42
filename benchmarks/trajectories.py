"""Whole curves of the largest size, hidden wholly: pointwise and simultaneous coverage, and CRPS.

    python -m benchmarks.trajectories [--samples 400]

Of each set the runs of the largest size are hidden, the others fitted by `trajectory` at sixteen points a run,
and each hidden curve is forecast at its own sixteen points by `lossband.forecast_run`.

    c90       share of the points inside the pointwise 90 % band
    whole     share of the curves that lie wholly inside the 90 % envelope
    crps      of ln loss at the points
    scaled    the same for a point forecast: the curve of the next smaller size at the same schedule and clock,
              moved by what a power law through the last two sizes says of the loss there
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score
from lossband.runs.schedule import add_lr_areas
from lossband.runs.thin import evenly

from .sets import DATA

POINTS = 16


def mpl():
    rows = pd.read_csv(f"{DATA}/mpl_lr_schedules.csv")
    return rows.rename(columns={"schedule": "kind"})[["run", "kind", "params", "step", "lr", "loss"]]


def gemstones():
    """The shapes nearest to an aspect of sixty layers' width, constant rate: one run per size."""
    rows = pd.read_csv(f"{DATA}/gemstones.csv").query("phase == 'hot'")
    rows = rows.assign(params=rows.params - 50304 * rows.d_model, kind="hot")
    return rows[["run", "kind", "params", "tokens", "loss"]].query("params > 0")


def vocab():
    """Checkpoints of cosine runs, each down to a tenth at its own end; the file has no rates: the plan's stand in."""
    rows = pd.read_csv(f"{DATA}/vocab16k.csv").assign(kind="one")
    ends = rows.groupby("params").tokens.transform("max")
    rows["lr"] = lb.schedule("cosine", until=1, final=0.1)(rows.tokens / ends)
    return rows[["run", "kind", "params", "tokens", "lr", "loss"]]


def looped():
    rows = lb.load_dataset("looped").query("loops == 4 and seed == 0").assign(kind="one")
    return rows[["run", "kind", "params", "step", "lr", "loss"]]


SETS = {"mpl_lr_schedules": mpl, "looped": looped, "vocab16k": vocab, "gemstones": gemstones}


def thinned(run, clock):
    """Sixteen points of a run, from a thirty-second of its end on."""
    run = run[run[clock] >= run[clock].max() / 32].sort_values(clock)
    return run.iloc[evenly(run[clock], POINTS)]


def scaled(rest, hidden, clock):
    """ln losses of the point forecast at a hidden run's points."""
    same = rest[rest.kind == hidden.kind.iloc[0]]
    sizes = np.sort(same.params.unique())[-2:]
    curves = []
    for size in sizes:
        run = same[same.params == size].sort_values(clock)
        run = run[run.run == run.run.iloc[-1]]
        curves.append(np.interp(np.log(hidden[clock]), np.log(run[clock]), np.log(run.loss)))
    slope = (curves[1] - curves[0]) / np.log(sizes[1] / sizes[0])
    return curves[1] + slope * np.log(hidden.params.iloc[0] / sizes[1])


def judged(name, noise, samples):
    """One row of scores of a set."""
    rows = SETS[name]()
    clock = "tokens" if "tokens" in rows else "step"
    whole = add_lr_areas(rows)
    largest = whole.params.max()
    hidden = [run for _, run in whole[whole.params == largest].groupby("run")]
    rest = whole[whole.params < largest]
    seen = pd.concat([thinned(run, clock) for _, run in rest.groupby("run")], ignore_index=True)
    start = time.perf_counter()
    post = lb.fit(seen.drop(columns="kind"), "trajectory", noise=noise, num_samples=samples, progress=False)
    took, out, waits = time.perf_counter() - start, [], []
    for run in hidden:
        points = thinned(run, clock)
        schedule = {"schedule": run[[clock, "lr"]]} if "lr" in run else {}
        start = time.perf_counter()
        end = {"params": float(largest), clock: float(run[clock].max())}
        forecast = lb.forecast_run(post, **schedule, **end)
        envelope = forecast.envelope()
        waits.append(time.perf_counter() - start)
        truth = points.loss.to_numpy()
        draws = forecast.draws(points.drop(columns=["loss", "kind"]).assign(run="new")).to_numpy()
        at = [
            np.interp(np.log(points[clock]), np.log(envelope[clock]), envelope[side])
            for side in ("lo_90", "hi_90")
        ]
        out.append(
            {
                "c50": score.covered(draws, truth, 0.5).mean(),
                "c90": score.covered(draws, truth, 0.9).mean(),
                "whole": np.all((truth > at[0]) & (truth < at[1])),
                "end": score.covered(draws, truth, 0.9)[-1],
                "crps": score.crps(np.log(draws), np.log(truth)).mean(),
                "scaled": np.abs(scaled(rest, points, clock) - np.log(truth)).mean(),
            }
        )
    mean = pd.DataFrame(out).mean()
    about = {"set": name, "noise": noise, "curves": len(hidden), "rows": len(seen), **mean}
    return about | {"fit s": took, "forecast s": np.median(waits), "rhat": post.health.rhat_max}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--noise", nargs="*", default=["normal+run+ou"])
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    for noise in args.noise:
        for name in args.sets:
            row = judged(name, noise, args.samples)
            print(pd.DataFrame([row]).to_string(index=False, float_format="%.4f"), flush=True)


if __name__ == "__main__":
    main()
