"""The rows of the table: what runs, on which data, in which coordinates."""

from dataclasses import dataclass

NATURAL, CENTRED = {"natural": True}, {"natural": False}
NUTS = {"num_samples": 1000, "num_chains": 4}


@dataclass(frozen=True)
class Row:
    """One line of the table: a function that fits a table, in a process of its own.

    module, function: what fits, under `benchmarks.speed`.
    options: its keyword arguments.
    data: a name of `data.TABLES`.
    store: for lossband, "empty" (nothing kept on disk) or "full" (kept by an earlier process).
    group: which of the command's groups it is in.
    needs: the library without which there is no row.
    """

    name: str
    module: str
    options: dict
    data: str = "chinchilla"
    function: str = "run"
    store: str = ""
    group: str = "rivals"
    needs: str = ""


def _ours(name, store, data="chinchilla", group="ours", **options):
    return Row(
        f"lossband, {name}", "ours", NUTS | {"law": "chinchilla"} | options, data, store=store, group=group
    )


ROWS = (
    _ours("empty store", "empty", warm=0),
    _ours("full store", "full"),
    _ours("laplace, empty store", "empty", method="laplace", warm=0),
    _ours("laplace, full store", "full", method="laplace"),
    _ours("drift in every draw", "full", drift="every"),
    _ours("coupled, drift in every draw", "full", law="coupled", drift="every"),
    _ours("the default", "full", law="coupled", drift="default"),
    Row("NumPyro, natural units", "in_numpyro", NUTS | NATURAL | {"num_warmup": 1000}),
    Row("NumPyro, centred", "in_numpyro", NUTS | CENTRED | {"num_warmup": 1000}),
    Row("PyMC + nutpie, natural units", "in_pymc", NUTS | NATURAL | {"nutpie": True}, needs="nutpie"),
    Row("PyMC + nutpie, centred", "in_pymc", NUTS | CENTRED | {"nutpie": True}, needs="nutpie"),
    Row("PyMC, natural units", "in_pymc", NUTS | NATURAL | {"nutpie": False}, needs="pymc"),
    Row("PyMC, centred", "in_pymc", NUTS | CENTRED | {"nutpie": False}, needs="pymc"),
    Row("Stan, natural units", "in_stan", NUTS | NATURAL, needs="stan"),
    Row("Stan, centred", "in_stan", NUTS | CENTRED, needs="stan"),
    Row("scipy Huber, 1,000 bootstraps", "by_bootstrap", {}, function="run_huber", group="bootstraps"),
    Row(
        "simple-scaling-laws",
        "by_bootstrap",
        {},
        function="run_simple",
        group="bootstraps",
        needs="simple_scaling_laws",
    ),
    _ours("isodepth", "full", data="isodepth", group="tables"),
    Row(
        "NumPyro, centred, isodepth",
        "in_numpyro",
        NUTS | CENTRED | {"num_warmup": 1000},
        "isodepth",
        group="tables",
    ),
    Row(
        "PyMC + nutpie, centred, isodepth",
        "in_pymc",
        NUTS | CENTRED | {"nutpie": True},
        "isodepth",
        group="tables",
        needs="nutpie",
    ),
    _ours(
        "5,000 rows with OU noise",
        "full",
        "many-curves",
        "tables",
        law="power",
        noise="normal+ou",
        warm=0,
        num_samples=250,
    ),
    _ours(
        "100,000 rows", "full", "one-curve", "tables", law="power", noise="normal", warm=0, num_samples=250
    ),
)
BY_NAME = {row.name: row for row in ROWS}
GROUPS = tuple(dict.fromkeys(row.group for row in ROWS))
