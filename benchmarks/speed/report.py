"""The report: a table of medians and ratios from the repetitions, and what machine they are of."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from .quality import AGREE, disagreement
from .rows import BY_NAME

LIBRARIES = (
    "lossband",
    "jax",
    "jaxlib",
    "numpyro",
    "numpy",
    "scipy",
    "pandas",
    "pymc",
    "pytensor",
    "nutpie",
    "pystan",
    "simple-scaling-laws",
    "arviz-stats",
)
REFERENCE = "lossband, full store"


def machine():
    """Processor, cores, threads' settings and versions: what the figures are of."""
    try:
        with open("/proc/cpuinfo") as file:
            name = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    threads = {
        key: value for key, value in os.environ.items() if key.endswith("_NUM_THREADS") or key == "XLA_FLAGS"
    }
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads or "the libraries' defaults",
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
    }


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def lines(results):
    """Rows of the table, dicts of medians, from `{row name: [repetition, ...]}`.

    Warm fits get a row of their own.
    """
    reference = _moments(results.get(REFERENCE, []))
    for name, repetitions in results.items():
        good = [each for each in repetitions if "failed" not in each]
        if not good:
            yield {"row": name, "failed": repetitions[-1]["failed"] if repetitions else "not run"}
            continue
        figures = {key: median(each[key] for each in good) for key in ("to_posterior", "peak_MB")}
        figures |= _medians([each["seconds"] for each in good], "s ") | {"repetitions": len(good)}
        yield {"row": name, **figures, **_judged(name, good, reference)}
        if warm := [fit for each in good for fit in each.get("warm", ())]:
            seconds = {"s warm": median(sum(fit["seconds"].values()) for fit in warm)}
            phases = _medians([fit["seconds"] for fit in warm], "s ")
            yield {
                "row": f"{name}: warm",
                **seconds,
                **phases,
                "repetitions": len(warm),
                **_judged(name, warm, reference),
            }


def _judged(name, repetitions, reference):
    """ESS a second and the like.

    Whether the draws agree with lossband's where both sample the same density.
    """
    if "ess_bulk" not in repetitions[0]:
        return {}
    report = {key: median(each[key] for each in repetitions) for key in ("rhat", "ess_bulk", "ess_tail")}
    report["ess_per_second"] = median(
        min(each["ess_bulk"], each["ess_tail"]) / _drawing(each["seconds"]) for each in repetitions
    )
    if "gradients_per_effective_draw" in repetitions[0]:
        report["gradients_per_effective_draw"] = median(
            each["gradients_per_effective_draw"] for each in repetitions
        )
    if reference and name != REFERENCE and same_density(name):
        apart, where = min(disagreement(reference, each["moments"]) for each in repetitions)
        report["agrees"] = "yes" if apart < AGREE else f"no: {where}, {apart:.1f} standard errors"
    return report


def same_density(name):
    """Whether a row samples what the reference does: Chinchilla's rows, its law, no drift."""
    row = BY_NAME[name]
    plain = row.module != "ours" or (row.options["law"] == "chinchilla" and not row.options.get("drift"))
    return (
        row.data == "chinchilla"
        and plain
        and row.module != "by_bootstrap"
        and row.options.get("method") != "laplace"
    )


def _drawing(seconds):
    """Seconds of a fit without the process's start and compilation."""
    return sum(value for phase, value in seconds.items() if phase not in ("start", "compile"))


def _medians(each, prefix):
    return {f"{prefix}{key}": median(one[key] for one in each) for key in each[0]}


def _moments(repetitions):
    """The moments of the reference's last fit, its own Monte Carlo errors beside them."""
    good = [each for each in repetitions if "moments" in each]
    return good[-1]["moments"] if good else None


def ratios(table):
    """The issue's ratios, from the table's rows: name -> (ours, theirs, ratio, bar, met)."""
    by = {row["row"]: row for row in table if "failed" not in row}
    warm = f"{REFERENCE}: warm"

    def ratio(name, bar, mine, theirs, key, *, at_least):
        if mine in by and theirs in by and key in by[mine] and key in by[theirs]:
            value = by[mine][key] / by[theirs][key]
            yield {
                "ratio": name,
                "value": value,
                "bar": bar,
                "met": value >= bar if at_least else value <= bar,
            }

    for rival, bar in (
        ("NumPyro, natural units", 400),
        ("PyMC + nutpie, natural units", 150),
        ("PyMC + nutpie, centred", 20),
    ):
        yield from ratio(f"min ESS/s warm over {rival}", bar, warm, rival, "ess_per_second", at_least=True)
    for mine, bar in ((REFERENCE, 0.15), ("lossband, empty store", 0.8)):
        for rival in ("PyMC + nutpie, natural units", "PyMC + nutpie, centred"):
            yield from ratio(
                f"{mine}: start to posterior over {rival}", bar, mine, rival, "to_posterior", at_least=False
            )
    slow = "lossband, drift in every draw: warm"
    yield from ratio("warm seconds, drift in every draw over none", 3, slow, warm, "s warm", at_least=False)
    if warm in by:
        value = by[warm]["gradients_per_effective_draw"]
        yield {"ratio": "gradients per effective draw", "value": value, "bar": 10, "met": value <= 10}


def markdown(rows, columns):
    """A table for people."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        cells = [_cell(row.get(column, "")) for column in columns]
        if "failed" in row:
            cells[1] = f"failed: {row['failed'].splitlines()[-1][:80]}"
        yield f"| {' | '.join(cells)} |"


def _cell(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
