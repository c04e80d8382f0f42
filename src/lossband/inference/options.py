"""The keywords that fits share, for editors and checkers: `lb.backtest(runs, "capped", num_samples=500)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypedDict

from ..model.drift import DriftLike
from ..model.noise import NoiseLike
from ..model.population import Population
from .sampler import Method


class TakesJobs(Protocol):
    """Anything with the standard `submit`: an executor of `concurrent.futures`, or a Dask client's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `fn(*args, **kwargs)` called somewhere; its result comes through the future."""
        ...


class CommonOptions(TypedDict, total=False):
    """Of any fit, as in `lossband.fit`."""

    noise: NoiseLike
    drift: DriftLike
    population: Population | None
    num_warmup: int
    num_samples: int
    num_chains: int
    seed: int
    progress: bool | None


class FitOptions(CommonOptions, total=False):
    """Of `lossband.fit`, but for the names of columns."""

    method: Method


class ManyOptions(FitOptions, total=False):
    """Of `lossband.fit_many`, but for the names of columns and what becomes of errors."""

    batch: int
    executor: TakesJobs | None
    folder: str | os.PathLike[str] | None


class QuickOptions(CommonOptions, total=False):
    """Of `lossband.check_design`, which chooses the method itself."""

    columns: Mapping[str, str] | None


class RecipeOptions(FitOptions, total=False):
    """Of `lossband.compare_recipes`."""

    columns: Mapping[str, str] | None


class AverageOptions(TypedDict, total=False):
    """Of `lossband.average`, as in `lossband.compare`."""

    cuts: int
    num_warmup: int
    num_samples: int
    num_chains: int
    method: Method
    seed: int
    batch: int
    progress: bool | None
