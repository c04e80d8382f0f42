"""One row, once, in this process: prints its figures as a line of JSON.

python -m benchmarks.speed.one "NumPyro, centred" '{"seed": 3, "num_samples": 100}' '{"rows": 60}'
1732000000.0
"""

import importlib
import json
import resource
import sys
import time

from .data import TABLES
from .quality import quality
from .rows import BY_NAME


def measured(row, options, cut, started):
    """Figures of a row: seconds by phase, from the process's start to the posterior, peak memory, quality."""
    table = TABLES[row.data]()
    table = table.iloc[:: max(1, len(table) // cut["rows"])] if cut.get("rows") else table
    run = getattr(importlib.import_module(f".{row.module}", __package__), row.function)
    result = run(table.reset_index(drop=True), **row.options | options)
    if isinstance(result, tuple):
        seconds, draws, gradients = result
        result = {"seconds": seconds, "ready": time.time()}
    else:
        draws, gradients = result.pop("draws"), result.pop("gradients")
    to_posterior = result.pop("ready") - started
    start = to_posterior - sum(result["seconds"].values())
    result["seconds"] = {"start": start} | result["seconds"]
    result |= {
        "to_posterior": to_posterior,
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    return result | (quality(draws, gradients) if draws and len(next(iter(draws.values()))) > 1 else {})


def main():
    name, options, cut, started = sys.argv[1:]
    print(
        json.dumps(measured(BY_NAME[name], json.loads(options), json.loads(cut), float(started))), flush=True
    )


if __name__ == "__main__":
    main()
