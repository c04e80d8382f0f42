"""lossband: Bayesian loss laws whose bands say how far the predicted curve may sit from the real one.

The package from top to bottom, imports pointing down:

    cli                         the shell
    studies, report             five figures with their questions; one HTML page
    evaluation, planning, live  calibration of the bands; what to run next; a run in progress
    inference, plot             one fit; pictures
    posterior                   what a fit returns: draws, diagnostics, forecasts, files
    model                       law x noise x drift: one model of a table's ln losses
    laws, datasets, importers   the equations; measured runs that come along; logs of other tools
    runs                        what a user brings, and what a law sees
    errors, score               what we say to the user; scores as plain array functions
"""

import importlib
from typing import Any

_HOME = {  # a name more here is a name more in __init__.pyi
    "Average": "posterior.posterior",
    "Backtest": "evaluation.backtest",
    "BenchmarkResult": "evaluation.benchmark",
    "Better": "planning.better",
    "Drift": "model.drift",
    "Health": "posterior.health",
    "InputError": "errors",
    "Law": "laws",
    "Link": "planning.link",
    "Noise": "model.noise",
    "Optimum": "planning.best",
    "Outlook": "live.watch",
    "Plan": "planning.allocation",
    "Population": "model.population",
    "Posterior": "posterior.posterior",
    "RunForecast": "live.forecast_run",
    "Schedule": "runs.schedules",
    "Tracker": "live.tracker",
    "VOCABULARY": "runs.table",
    "average": "evaluation.compare",
    "backtest": "evaluation.backtest",
    "benchmark": "evaluation.benchmark",
    "better": "planning.better",
    "check_design": "planning.next_run",
    "compare": "evaluation.compare",
    "compare_recipes": "planning.recipes",
    "fit": "inference.fit",
    "fit_many": "inference.fit",
    "floor": "laws",
    "forecast_run": "live.forecast_run",
    "import_runs": "importers",
    "law": "laws",
    "learn": "evaluation.learn",
    "link": "planning.link",
    "load": "posterior.netcdf",
    "load_dataset": "datasets",
    "next_run": "planning.next_run",
    "numpyro_model": "inference.fit",
    "power": "laws",
    "schedule": "runs.schedules",
    "thin": "runs.thin",
    "watch": "live.watch",
    "write_report": "report",
}
_MODULES = ("datasets", "laws", "model", "plot", "score")

__all__ = sorted([*_HOME, *_MODULES])
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import lossband` itself costs nothing."""
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'lossband' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
