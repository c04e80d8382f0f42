"""The keywords that fits share, for editors and checkers: `lb.backtest(runs, "capped", num_samples=500)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypedDict

from ..model.drift import DriftLike
from ..model.noise import NoiseLike
from ..model.population import Population
from ..runs.loss_scale import Metric
from .sampler import Method


class TakesJobs(Protocol):
    """Anything with the standard `submit`: an executor of `concurrent.futures`, or a Dask client's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `fn(*args, **kwargs)` called somewhere; its result comes through the future."""
        ...


class PlainOptions(TypedDict, total=False):
    """Of any fit, as in `lossband.fit`, but for the metric."""

    noise: NoiseLike
    drift: DriftLike
    population: Population | None
    num_warmup: int
    num_samples: int
    num_chains: int
    seed: int
    progress: bool | None


class CommonOptions(PlainOptions, total=False):
    """Of any fit, as in `lossband.fit`."""

    metric: Metric
    bounds: tuple[float, float] | None


class LinkOptions(PlainOptions, total=False):
    """Of `lossband.link`, for the sigmoid."""

    method: Method
    until_ess: float | None


class FitOptions(CommonOptions, total=False):
    """Of `lossband.fit`, but for the names of columns."""

    method: Method
    until_ess: float | None


class ManyOptions(FitOptions, total=False):
    """Of `lossband.fit_many`, but for the names of columns and what becomes of errors."""

    pool: str | None
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
