"""lossband beside every rival.

Same rows, same priors, one machine, one order of processes, several repetitions.

    python -m benchmarks.speed --json speed.json                     # all of it
    python -m benchmarks.speed --group ours --group rivals --json speed.json
    python -m benchmarks.speed --group growth --json speed.json      # added to what is there
    python -m benchmarks.speed --repetitions 1 --rows 60 --samples 50 --limit 60

Every repetition of a row is a process of its own, and all rows run once before any runs again. "start to
posterior" is from the process's start, imports and compilation included; ESS a second is the smaller of the
bulk and tail ESS, of the worst of all coefficients, over the seconds that are left without them. JSON holds
every repetition, the machine, threads and versions.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from . import growth, report
from .processes import process, repeat
from .rows import GROUPS, ROWS

COLUMNS = (
    "row",
    "to_posterior",
    "s start",
    "s compile",
    "s warmup",
    "s sampling",
    "s warm",
    "ess_bulk",
    "ess_tail",
    "rhat",
    "ess_per_second",
    "gradients_per_effective_draw",
    "agrees",
    "peak_MB",
    "repetitions",
)
ENOUGH = 150  # seconds after which a row is not repeated again


def timed(rows, args, stores):
    """`{row name: [repetition, ...]}`: row after row, repetition after repetition."""
    results = {row.name: [] for row in rows}
    options = {"num_samples": args.samples, "num_warmup": args.samples} if args.samples else {}
    common = dict(cut={"rows": args.rows}, limit=args.limit, stores=stores)
    for row in rows:
        if (
            row.store == "full"
        ):  # what an earlier process leaves behind: programs, whatever the number of draws
            few = {"num_samples": 100} if row.options.get("method") != "laplace" else {}
            filled = repeat(row, 0, options={"warm": 0} | few | options, **common)
            print(f"{row.name}: store filled, {filled.get('failed', 'well')}", file=sys.stderr, flush=True)
    for seed in range(1, args.repetitions + 1):
        for row in rows:
            if sum(each.get("to_posterior", args.limit) for each in results[row.name]) > ENOUGH:
                continue
            mine = {} if row.module == "by_bootstrap" else options
            results[row.name].append(repeat(row, seed, options=mine, **common))
            figures = {
                k: v
                for k, v in results[row.name][-1].items()
                if k in ("to_posterior", "seconds", "failed", "rhat")
            }
            print(f"{row.name} {seed}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    return results


def imports(stores, repetitions):
    """Seconds to import JAX, lossband, and what `lossband.fit` needs, each in processes of its own."""
    return {
        name: min(
            process("benchmarks.speed.importing", [name], stores / "full", limit=60)["seconds"]
            for _ in range(repetitions)
        )
        for name in ("jax", "lossband", "lossband.fit")
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--group", action="append", choices=(*GROUPS, "imports", "growth"), help="part of it; by default all"
    )
    parser.add_argument("--row", action="append", help="only rows whose name contains this")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="of each table; by default all")
    parser.add_argument(
        "--samples", type=int, default=0, help="draws and warm-up draws a chain; by default each one's own"
    )
    parser.add_argument("--limit", type=float, default=400, help="seconds for one process")
    parser.add_argument(
        "--longest", type=int, default=growth.ROWS[-1], help="rows of the longest curve of the growth tables"
    )
    parser.add_argument(
        "--sets", type=int, default=growth.SETS[-1], help="most data sets of the growth tables"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    groups, started = args.group or [*GROUPS, "imports", "growth"], time.time()
    rows = [row for row in ROWS if row.group in groups and any(part in row.name for part in args.row or [""])]
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {"rows": {}}
    known |= {"machine": report.machine(), "options": {k: str(v) for k, v in vars(args).items()}}
    with tempfile.TemporaryDirectory(prefix="lossband-speed-") as folder:
        stores = Path(folder)
        if "imports" in groups:
            known["imports"] = imports(stores, 5)
        known["rows"] |= timed(rows, args, stores)
        if "growth" in groups:
            limits = dict(stores=stores, limit=args.limit)
            known["growth"] = growth.everything(args.longest, args.sets, **limits)
    known["seconds"] = time.time() - started
    known["table"] = list(report.lines(known["rows"]))
    known["ratios"] = list(report.ratios(known["table"]))
    if args.json:
        args.json.write_text(json.dumps(known, indent=1))
    show(known)


def show(known):
    """Print the tables."""
    print(json.dumps(known["machine"]))
    print(*report.markdown(known["table"], COLUMNS), "", sep="\n")
    print(*report.markdown(known["ratios"], ("ratio", "value", "bar", "met")), "", sep="\n")
    for what, kinds in known.get("growth", {}).items():
        for kind, sizes in kinds.items():
            lines = [{what: f"{kind} {size}", **figures} for size, figures in sizes.items()]
            columns = list(dict.fromkeys(key for line in lines for key in line if key != "failed"))
            print(*report.markdown(lines, columns), "", sep="\n")
    if "imports" in known:
        print(json.dumps({"import seconds": known["imports"]}))


if __name__ == "__main__":
    main()
