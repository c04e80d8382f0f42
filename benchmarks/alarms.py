"""Alarms of a run in progress: how often false, how soon true, and the 65B run from four points of its way.

python -m benchmarks.alarms [--runs 300]

false     runs with at least one alarm in any of twenty looks as the log grows; simulated logs have Student-t
          noise of four degrees of freedom about a falling curve, independent or with autocorrelation .5
found     spikes (2 % of the run), shifts and rises (a sigma in 2 % of the run) put at 60 % of the log, in
          standard deviations of single rows: share found, share named rightly once the log has ended, and
          the median delay of the first alarm in per cent of the run
long      one 65B run to 1.4 trillion tokens under its published cosine: the band on its final loss
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import lossband as lb
from lossband.live.alarm import events_of

from .sets import DATA

ROWS, LOOKS, AT = 3000, 20, 0.6
SIGMA = 0.01
LOGS = {  # file: the column of the clock
    "golf": "step",
    "openclip_curves": "step",
    "modded_nanogpt_long": "step",
    "mpl_lr_schedules": "step",
    "replicates_nanogpt": "step",
}


def simulated(rng, n=ROWS, memory=0.0):
    """ln losses of a run that goes well."""
    noise = SIGMA * rng.standard_t(4, size=n) / np.sqrt(2)
    for i in range(1, n if memory else 1):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    return np.log(2 + 6 * np.arange(1.0, n + 1) ** -0.35) + noise


def looks(clock, losses):
    """The events of each look as the log grows."""
    ends = np.linspace(len(losses) / LOOKS, len(losses), LOOKS).astype(int)
    return [(clock[end - 1], events_of(clock[:end], losses[:end])) for end in ends]


def alarmed(clock, losses):
    return any(events for _, events in looks(clock, losses))


def false_alarms(runs):
    rng = np.random.default_rng(0)
    rows = []
    for n in (100, 1000, 10_000):
        for memory in (0.0, 0.5):
            clock = np.arange(1.0, n + 1)
            share = np.mean([alarmed(clock, np.exp(simulated(rng, n, memory))) for _ in range(runs)])
            rows.append(
                {"logs": f"simulated, {n} rows, autocorrelation {memory}", "runs": runs, "false": share}
            )
    for name, clock in LOGS.items():
        table = pd.read_csv(f"{DATA}/{name}.csv", low_memory=False).dropna(subset=[clock, "loss"])
        by = ["run", "split"] if "split" in table else ["run"]
        logs = [log.sort_values(clock) for _, log in table[table[clock] > 0].groupby(by)]
        share = np.mean([alarmed(log[clock].to_numpy(), log["loss"].to_numpy()) for log in logs])
        rows.append({"logs": name, "runs": len(logs), "false": share})
    return pd.DataFrame(rows)


def detections(runs):
    rng, clock, start = np.random.default_rng(1), np.arange(1.0, ROWS + 1), int(AT * ROWS)
    late = clock[start:] - clock[start]
    shapes = {
        "spike": lambda s: s * SIGMA * (late < 0.02 * ROWS),
        "shift": lambda s: s * SIGMA + 0 * late,
        "rise": lambda s: s * SIGMA * late / (0.02 * ROWS),
    }
    rows = []
    for kind, shape in shapes.items():
        for size in (1, 2, 5):
            found, named, delays = [], [], []
            for _ in range(runs):
                y = simulated(rng)
                y[start:] += shape(size)
                seen = [now for now, events in looks(clock, np.exp(y)) if events and now >= start]
                events = events_of(clock, np.exp(y))
                found.append(bool(seen))
                named.append(bool(events) and events[-1].kind == kind)
                delays += [100 * (seen[0] - start) / ROWS] if seen else []
            rows.append(
                {
                    "what": kind,
                    "sigma": size,
                    "found": np.mean(found),
                    "named": np.mean(named),
                    "delay %": np.median(delays) if delays else np.nan,
                }
            )
    return pd.DataFrame(rows)


def long_run():
    """Forecasts of the last loss of the 65B run, the mean of its last hundredth."""
    log = pd.read_csv(f"{DATA}/long_run_65b.csv")[["tokens", "loss"]]
    until = log["tokens"].max()
    warmup = 2000 * 1.4e12 / 351_000 if until > 1e12 else 0
    plan = lb.schedule("cosine", peak=1.5e-4, warmup=warmup, until=until * (1 + 1e-9), final=1.5e-5)
    final = log["loss"].tail(len(log) // 100).median()
    rows = []
    for share in (0.1, 0.25, 0.5, 0.75):
        seen = log[log["tokens"] <= share * until]
        start = time.perf_counter()
        outlook = lb.watch(seen, schedule=plan, progress=False)
        end = outlook.end().iloc[0]
        events = "; ".join(
            f"{e.kind} at {e.start / 1e9:.0f}B (+{e.size:.0%})" for e in events_of(seen.tokens, seen.loss)
        )
        rows.append(
            {
                "seen": share,
                "median": end["median"],
                "lo_90": end["lo_90"],
                "hi_90": end["hi_90"],
                "final": final,
                "inside": end["lo_90"] < final < end["hi_90"],
                "seconds": time.perf_counter() - start,
                "events": events,
            }
        )
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    warnings.filterwarnings("ignore")
    print(long_run().to_string(index=False, float_format="%.4f"), "\n", flush=True)
    print(false_alarms(runs).to_string(index=False, float_format="%.4f"), "\n", flush=True)
    print(detections(max(20, runs // 3)).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
