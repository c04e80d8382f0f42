"""Does the band on a run's final loss hold it? Every long public run, from its first 25, 50 and 75 %.

    python -m benchmarks.curves                       # all three tables
    python -m benchmarks.curves mpl --noise student-t+ou

`mpl`: 27 runs of 25M to 400M parameters over nine learning-rate schedules, which the law reads. `modded`: 15
curves (training and validation loss) of 124M and 1.5B parameters, followed along their learning rate:
constant and then linear to zero, from the step at which the validation loss bends. `stable`: the same up to
that step, without a learning rate. The rows after the first 2 % of the run are thinned to the medians of 48
log-spaced bins, the final loss too.
"""

import argparse
import time

import numpy as np
import pandas as pd

import lossband as lb
from lossband.runs.schedule import add_lr_areas
from lossband.runs.thin import medians

from .sets import DATA

FRACTIONS = (0.25, 0.5, 0.75)
BENDS = {  # share of the run at which the linear warm-down begins, read off the bend of the validation loss
    "modded_A": 0.72,
    "modded_B": 0.72,
    "modded_C": 0.72,
    "modded_D": 0.72,
    "modded_E": 0.72,
    "modded_Muon": 0.71,
    "modded_SOAP": 0.70,
}
SKIP, BINS = 0.02, 48


def mpl():
    """run -> rows with tokens (in steps) and lr."""
    table = pd.read_csv(DATA / "mpl_lr_schedules.csv").rename(columns={"step": "tokens"})
    return dict(list(table[["run", "tokens", "lr", "loss"]].groupby("run")))


def modded():
    """run -> rows with tokens and lr, which is as given, or one until the run bends and then falls to zero."""
    table = pd.read_csv(DATA / "modded_nanogpt_long.csv").query("tokens > 0")
    runs = {}
    for name, rows in table[["run", "tokens", "lr", "loss"]].groupby("run"):
        bend = next((share for start, share in BENDS.items() if name.startswith(start + "_")), None)
        if bend is not None:
            rows = rows.assign(lr=np.clip((1 - rows["tokens"] / rows["tokens"].max()) / (1 - bend), 0, 1))
        if rows["lr"].notna().all():  # the validation rows of one run have none
            runs[name] = rows
    return runs


def stable():
    """The runs of `modded` with a bend, up to it, without a learning rate."""
    runs = {name: rows[rows["lr"] == 1].drop(columns="lr") for name, rows in modded().items()}
    return {name: rows for name, rows in runs.items() if len(rows) > BINS // 2}


def prepare(rows):
    """The run's bins, its learning-rate areas computed on all rows before."""
    rows = add_lr_areas(rows)
    kept = rows[rows["tokens"] >= SKIP * rows["tokens"].max()].sort_values("tokens")
    return medians(kept, "tokens", BINS).drop(columns="precision")


def forecast(runs, *, noise="student-t", seed=0, **options):
    """One row a run and fraction: the band on the last bin's loss, and whether it holds it."""
    cuts = [(name, share) for name in runs for share in FRACTIONS]
    binned = {name: prepare(rows) for name, rows in runs.items()}
    seen = [binned[n][binned[n]["tokens"] <= share * binned[n]["tokens"].max()] for n, share in cuts]
    posts, results = lb.fit_many(seen, "curve", noise=noise, seed=seed, **options), []
    for (name, share), post in zip(cuts, posts, strict=True):
        last = binned[name].tail(1)
        band, real = post.predict(last, levels=(0.5, 0.9)).iloc[0], last["loss"].item()
        results.append(
            {
                "run": name,
                "share": share,
                "rows": len(post.problem.frame),
                "real": real,
                "median": band["median"],
                "lo_90": band["lo_90"],
                "hi_90": band["hi_90"],
                "c50": band["lo_50"] <= real <= band["hi_50"],
                "c90": band["lo_90"] <= real <= band["hi_90"],
                "bias": np.log(band["median"] / real),
                "width_90": np.log(band["hi_90"] / band["lo_90"]),
                "rhat": post.health.rhat_max,
                "ess": post.health.ess_min,
                "divergences": post.health.divergences,
            }
        )
    return pd.DataFrame(results)


def summarised(results):
    """Coverage of the final loss by fraction."""
    table = results.groupby("share").agg(
        runs=("run", "size"),
        c50=("c50", "mean"),
        c90=("c90", "mean"),
        bias=("bias", "mean"),
        miss=("bias", lambda b: b.abs().mean()),
        width_90=("width_90", "mean"),
        rhat_max=("rhat", "max"),
        divergences=("divergences", "sum"),
    )
    return table.reset_index()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help="mpl, modded, stable; default: all")
    parser.add_argument("--noise", default="student-t")
    parser.add_argument("--samples", type=int, default=500)
    args = parser.parse_args()
    for name in args.sets or ("mpl", "modded", "stable"):
        start = time.time()
        results = forecast(globals()[name](), noise=args.noise, num_samples=args.samples)
        print(results.round(4).to_string(index=False))
        print(
            f"\n{name}, noise {args.noise} ({time.time() - start:.0f} "
            f"s)\n{summarised(results).round(3).to_string(index=False)}\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
