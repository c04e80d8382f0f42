"""Growth: rows against seconds and megabytes, and data sets against fits a second.

A process for each size.
"""

import json
import resource
import sys
import time

import numpy as np

from . import data
from .compiling import Compiling
from .processes import process

COUNTS = {"num_warmup": 400, "num_samples": 250, "num_chains": 4}
ROWS = (1_000, 10_000, 100_000, 1_000_000)
SETS = (16, 64, 256, 1000)
LONG = {  # name -> options of the fit of one curve
    "independent": {"law": "power", "noise": "normal"},
    "ou": {"law": "power", "noise": "normal+ou"},
}
FITTED = {"independent": 100_000, "ou": 1_000}  # rows up to which the whole fit is timed too
BATCH = 16


def rows(kind, count):
    """One curve of `count` rows, drift off.

    A gradient's cost, peak memory, and the seconds of a fit where it is not too long.
    """
    import lossband as lb
    from lossband.model.problem import pose

    table, options = data.one_curve(count), LONG[kind] | {"drift": None}
    report = {"import_MB": _peak()} | gradient(pose(table, **options))
    report |= {"nanoseconds_per_row": 1e9 * report["gradient_s"] / count, "gradient_peak_MB": _peak()}
    if count > FITTED[kind]:
        return report
    clock, started = Compiling(), time.perf_counter()
    post = lb.fit(table, seed=0, **COUNTS, **options)
    seconds = time.perf_counter() - started - clock.seconds
    steps = float(_only(post).stats["steps"].mean())
    return report | {
        "fit_s": seconds,
        "leapfrogs": steps,
        "rhat": post.health.rhat_max,
        "fit_peak_MB": _peak(),
    }


def gradient(problem, repeats=8):
    """Seconds of one chain's gradient of a problem's potential, compiled, the least of three measurements."""
    import jax

    from lossband.inference.coordinates import Space
    from lossband.model.measured import weigh

    model, (runs, measured) = problem.model, problem.arrays
    with jax.enable_x64(True):
        measured = jax.jit(weigh)(measured, measured.mixture)

        @jax.jit
        def many(runs, measured, point):
            slope = jax.grad(Space.of(model, runs, measured).potential)
            return jax.lax.scan(lambda at, _: (at - 1e-12 * slope(at), None), point, None, length=repeats)[0]

        point = np.zeros(len(Space.of(model, runs, measured).sites))
        seconds = [_seconds(lambda: jax.block_until_ready(many(runs, measured, point))) for _ in range(4)]
    return {"gradient_s": min(seconds[1:]) / repeats, "gradient_compile_s": seconds[0] - min(seconds[1:])}


def _seconds(action):
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def sets(kind, count):
    """Fits a second of `count` simulated sweeps of 100 rows, `BATCH` at a time, after a first batch that compiles."""
    import lossband as lb

    tables = list(data.simulated(count))
    options = COUNTS | {"law": "chinchilla", "drift": None, "batch": min(BATCH, count)}
    started = time.perf_counter()
    lb.fit_many(tables[: options["batch"]], seed=1, **options)
    first, before = time.perf_counter() - started, _peak()
    started = time.perf_counter()
    posts = lb.fit_many(tables, seed=0, **options)
    seconds = time.perf_counter() - started
    steps = np.stack([_only(post).stats["steps"] for post in posts])
    return {
        "seconds": seconds,
        "fits_per_second": count / seconds,
        "first_batch": first,
        "batch": options["batch"],
        "leapfrogs": float(steps.mean()),
        "rhat_below_1.01": float(np.mean([post.health.rhat_max < 1.01 for post in posts])),
        "ess_min_median": float(np.median([post.health.ess_min for post in posts])),
        "divergences": int(sum(post.health.divergences for post in posts)),
        "peak_MB": _peak(),
        "peak_MB_first_batch": before,
        "results_MB": sum(map(_held, posts)),
    }


def _only(post):
    """The one fit of a posterior without drift."""
    (fit,) = post.fits.values()
    return fit


def _held(post):
    """Megabytes of a posterior's arrays."""
    fit = _only(post)
    arrays = [
        *fit.sites.values(),
        *fit.stats.values(),
        *fit.prior.values(),
        fit.weights,
        fit.effects,
        fit.log_density,
    ]
    return sum(np.asarray(array).nbytes for array in arrays) / 1e6


def thinned(kind, count):
    """One curve of `count` rows and its bins by `lb.thin`.

    How far apart their posteriors' means and sds are.
    """
    import lossband as lb

    from .quality import disagreement, moments

    table = data.one_curve(count)
    options = {"law": "power", "drift": None, "num_warmup": 400, "num_samples": 1000}
    few = lb.thin(table)
    posts, seconds = [], []
    for rows_, noise in ((table, "normal"), (few, lb.Noise("normal", sigma=1e-6))):
        started = time.perf_counter()
        posts.append(lb.fit(rows_, noise=noise, seed=0, **options))
        seconds.append(time.perf_counter() - started)
    # in one unit: A is the loss at each table's own centre
    logs = [np.log(post.sites["A_natural"]) for post in posts]
    draws = [
        {"E": p.sites["E"], "alpha": p.sites["alpha"], "ln A_natural": a}
        for p, a in zip(posts, logs, strict=True)
    ]
    found = [{name: moments(x) for name, x in each.items()} for each in draws]
    apart, where = disagreement(*found)
    shift = max(abs(found[1][n]["mean"] - found[0][n]["mean"]) / found[0][n]["sd"] for n in found[0])
    ratio = [found[1][n]["sd"] / found[0][n]["sd"] for n in found[0]]
    return {
        "rows": len(table),
        "bins": len(few),
        "seconds": seconds[0],
        "seconds_thinned": seconds[1],
        "largest_shift_of_a_mean_in_sds": shift,
        "ratio_of_sds": [min(ratio), max(ratio)],
        "standard_errors_apart": apart,
        "where": where,
    }


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def everything(longest, most, *, stores, limit):
    """All growth tables, up to a curve of `longest` rows and `most` data sets."""
    lengths = [count for count in ROWS if count <= longest] or [longest]
    numbers = [count for count in SETS if count <= most] or [most]
    common = dict(stores=stores, limit=limit)
    return {
        "rows": table("rows", LONG, lengths, **common),
        "sets": table("sets", ["chinchilla, 100 rows"], numbers, **common),
        "thinned": table("thinned", ["power"], [min(longest, 20_000)], **common),
    }


def table(what, kinds, counts, *, stores, limit):
    """The figures of every kind and count, `{kind: {count: figures}}`.

    A size that does not finish ends its kind.
    """
    report = {}
    for kind in kinds:
        report[kind] = {}
        for count in counts:
            figures = process(
                "benchmarks.speed.growth", [what, kind, str(count)], stores / "full", limit=limit
            )
            report[kind][count] = figures
            print(f"{what} {kind} {count}: {json.dumps(figures)}", file=sys.stderr, flush=True)
            if "failed" in figures:
                break
    return report


def main():
    what, kind, count, *_ = sys.argv[1:]
    print(json.dumps({"rows": rows, "sets": sets, "thinned": thinned}[what](kind, int(count))), flush=True)


if __name__ == "__main__":
    main()
