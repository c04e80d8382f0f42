"""Calibration of the bands on a run in progress: `lossband.watch` on published logs and on simulated runs.

    python -m benchmarks.live logs          # every run of two files from 25, 50 and 75 % of its length
    python -m benchmarks.live split         # the published multi-power-law split, through watch
    python -m benchmarks.live simulated     # 200 runs of the law itself

The truth is the run's final loss: the median over the last hundredth of its clock. Scores are of ln loss;
`width` is that of the 90 % band in percent of the loss, the median over runs; `behind` is how far the
forecast lies above the truth, in percent.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd

from lossband import score
from lossband.live.prepare import prepare
from lossband.live.watch import outlooks
from lossband.runs.schedule import add_lr_areas

from .sets import DATA

SHARES = (0.25, 0.5, 0.75)
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")  # the published split
PUBLISHED = {25e6: 0.00465, 100e6: 0.00592, 400e6: 0.00730}
# steps of a test run that watch sees in the split: twice the warm-up, before any schedule parts from the
# others
SEEN = 4000.0


def mpl(data=DATA):
    """The 27 runs of mpl_lr_schedules.csv, by name."""
    rows = pd.read_csv(f"{data}/mpl_lr_schedules.csv")
    return {
        name: run for name, run in rows[["run", "params", "schedule", "step", "lr", "loss"]].groupby("run")
    }


def modded(data=DATA):
    """The 16 logs of modded_nanogpt_long.csv, training and validation loss of eight runs, without step 0."""
    rows = pd.read_csv(f"{data}/modded_nanogpt_long.csv", low_memory=False)
    rows = rows[rows.step > 0][["run", "params", "step", "lr", "loss"]]
    return {name: run.dropna(axis=1) for name, run in rows.groupby("run")}


def final(run):
    """The final loss: the median over the last hundredth of the clock."""
    return run.loss[run.step >= 0.99 * run.step.max()].median()


def asked(runs, share, *, lr=True):
    """Each run from the first `share` of its clock, with the schedule of the rest where it is known."""
    for run in runs.values():
        run = run if lr else run.drop(columns="lr", errors="ignore")
        schedule = run[["step", "lr"]] if "lr" in run else None
        yield prepare(run[run.step <= share * run.step.max()], run.step.max(), schedule=schedule)


def row(name, found, truths):
    """Coverage, width and bias of the final loss over runs."""
    drawn = np.stack([np.log(look.draws().to_numpy()[:, -1]) for look in found], 1)
    truth = np.log(np.asarray(truths))
    low, high = score.coverage_interval(score.covered(drawn, truth, 0.9), np.arange(len(truth)))
    return {
        "what": name,
        "runs": len(truth),
        "c50": score.coverage(drawn, truth, 0.5)[0],
        "c90": score.coverage(drawn, truth, 0.9)[0],
        "c90 from": low,
        "to": high,
        "width %": 100 * np.median(score.sharpness(drawn)),
        "behind %": 100 * np.mean(np.median(drawn, 0) - truth),
        "crps": score.crps(drawn, truth).mean(),
        "rhat": max(look.posterior.health.rhat_max for look in found),
        "divergences": sum(look.posterior.health.divergences for look in found),
    }


def planned(runs):
    """Each log with the schedule that its run had: that of llm.c's own training log, else a linear warm-down.

    The Muon record holds the learning rate and then brings it linearly to zero over the last 1,800 of its
    6,200 steps (warmdown_iters in its script); the same share is assumed for the other logs of that
    repository.
    """
    cosine = modded()["llmc_gpt2_124M_10B_train"][["step", "lr"]]
    for name, run in runs.items():
        if name.startswith("llmc"):
            yield name, run.assign(lr=np.interp(run.step, cosine.step, cosine.lr))
        else:
            yield (
                name,
                run.assign(lr=np.clip((run.step.max() - run.step) / (run.step.max() * 1800 / 6200), 0, 1)),
            )


def logs(args):
    """Every run from a quarter, a half and three quarters, with its schedule and without."""
    known = mpl() | {n: r for n, r in modded().items() if "lr" in r}
    unknown = {n: r for n, r in modded().items() if "lr" not in r}
    groups = [
        ("mpl, schedule given", mpl(), True),
        (
            "mpl, constant, no lr",
            {n: r for n, r in mpl().items() if r.schedule.iloc[0].startswith("constant")},
            False,
        ),
        (
            "mpl, decayed, no lr",
            {n: r for n, r in mpl().items() if not r.schedule.iloc[0].startswith("constant")},
            False,
        ),
        ("llm.c, schedule given", {n: known[n] for n in known if n not in mpl()}, True),
        ("modded, no lr", unknown, False),
        ("modded, planned", dict(planned(unknown)), True),
    ]
    groups = [group for group in groups if args.only in group[0]]
    plans = [
        (name, share, runs, list(asked(runs, share, lr=lr))) for name, runs, lr in groups for share in SHARES
    ]
    found = iter(
        outlooks(
            [ask for *_, asks in plans for ask in asks],
            num_warmup=args.warmup,
            num_samples=args.samples,
            batch=args.batch,
        )
    )
    rows = [
        row(f"{name}, from {share:.0%}", [next(found) for _ in asks], [final(run) for run in runs.values()])
        for name, share, runs, asks in plans
    ]
    return pd.DataFrame(rows)


def split(args):
    """Three schedules fitted, six predicted from their first steps on.

    RMSE of the loss over all later rows.
    """
    runs, asks, rows = mpl(), [], []
    tests = [run for run in runs.values() if run.schedule.iloc[0] not in FITTED]
    for run in tests:
        same = [
            r
            for r in runs.values()
            if r.params.iloc[0] == run.params.iloc[0] and r.schedule.iloc[0] in FITTED
        ]
        asks.append(
            prepare(
                run[run.step <= SEEN].drop(columns="schedule"),
                run.step.max(),
                schedule=run[["step", "lr"]],
                earlier=pd.concat(same).drop(columns="schedule"),
            )
        )
    for run, look in zip(
        tests, outlooks(asks, num_warmup=args.warmup, num_samples=args.samples, batch=args.batch), strict=True
    ):
        later = add_lr_areas(run)[lambda t: t.step > SEEN]
        drawn = look.draws(later).to_numpy()
        inside = score.covered(drawn, later.loss.to_numpy(), 0.9)
        rows.append(
            {
                "params": run.params.iloc[0],
                "schedule": run.schedule.iloc[0],
                "rows": len(later),
                "square": np.mean((np.median(drawn, 0) - later.loss) ** 2),
                "c90": inside.mean(),
                "end inside": inside[-1],
                "width %": 100 * np.mean(score.sharpness(np.log(drawn))),
                "rhat": look.posterior.health.rhat_max,
            }
        )
    table = pd.DataFrame(rows)
    print(table.assign(rmse=np.sqrt(table.square)).drop(columns="square").round(4).to_string(index=False))
    means = table.groupby("params")[["square", "c90", "end inside", "width %"]].mean()
    means.insert(0, "rmse", np.sqrt(means.pop("square")))
    return means.assign(published=pd.Series(PUBLISHED)).reset_index()


def simulated_run(seed):
    """A run of the law `curve`, coefficients drawn around those of public runs, 1 % Student-t noise on every hundredth loss."""
    rng = np.random.default_rng(seed)
    step = np.arange(1, 401) * 50.0
    start, floor = (
        rng.uniform(0.3, 1.0),
        rng.choice([0.0, 0.1, 1.0]),
    )  # where the decay starts, and what is left of lr
    lr = 1e-3 * np.interp(step, [start * 20_000, 20_000 * 1.0001], [1.0, max(floor, 0.01)])
    run = add_lr_areas(pd.DataFrame({"run": f"s{seed}", "step": step, "lr": lr}))
    E, A = rng.lognormal(np.log(2.4), 0.2), rng.lognormal(np.log(0.4), 0.4)
    alpha, C = rng.lognormal(np.log(0.5), 0.5), rng.lognormal(np.log(0.12), 0.5)
    loss = E + A * (run.lr_area / run.lr_area.iloc[60]) ** -alpha + C * run.lr_mean
    return run.assign(true=loss, loss=loss * np.exp(0.01 * rng.standard_t(4, len(run)))).drop(
        columns=["lr_area", "lr_mean"]
    )


def simulated(args):
    """Coverage of the end of simulated runs, from half of their length, with the drift and without."""
    runs = [simulated_run(seed) for seed in range(args.runs)]
    rows = []
    for name, drift in (("law right, no drift in the model", None), ("law right, default drift", "default")):
        asks = [
            prepare(
                run[run.step <= 10_000].drop(columns="true"),
                20_000.0,
                schedule=run[["step", "lr"]],
                drift=drift,
            )
            for run in runs
        ]
        found = outlooks(asks, num_warmup=args.warmup, num_samples=args.samples, batch=args.batch)
        rows.append(_of_law(name, found, [run.true.iloc[-1] for run in runs]))
    return pd.DataFrame(rows)


def _of_law(name, found, truths):
    """As `row`, for the curve itself: a simulated truth has no noise."""
    return row(name, [_Smooth(look) for look in found], truths)


class _Smooth:
    """An outlook whose draws are of the curve without the noise of a measurement."""

    def __init__(self, look):
        self.posterior, self.draws = look.posterior, lambda: look.draws(kind="run")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["logs", "split", "simulated"])
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--samples", type=int, default=500, help="draws per chain")
    parser.add_argument("--batch", type=int, default=16, help="fits that run together")
    parser.add_argument("--only", default="", help="only the groups of logs whose name has this in it")
    parser.add_argument("--runs", type=int, default=200, help="simulated runs")
    args = parser.parse_args()
    start = time.time()
    table = {"logs": logs, "split": split, "simulated": simulated}[args.what](args)
    print(table.round(4).to_string(index=False))
    print(f"{args.what}: {time.time() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
