"""Fit a law to measured runs: the mode, the whitening, NUTS; one table or a batch, by the same programs."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, overload

import jax
import numpy as np

from .._arguments import flag, one_of, path_of, seed_of, whole
from ..errors import InputError
from ..model.problem import pose
from ..runs.arrays import double
from .batches import sample
from .executors import usable
from .options import ManyOptions
from .programs import compiled
from .sampler import Sampler
from .store import keep_compiled

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any, Unpack

    from ..laws.resolve import LawLike
    from ..model.drift import DriftLike
    from ..model.noise import NoiseLike
    from ..model.population import Population
    from ..model.problem import Problem
    from ..posterior.posterior import Posterior
    from ..runs.table import RunsLike
    from .options import TakesJobs
    from .sampler import Method


def fit(
    runs: RunsLike,
    law: LawLike = None,
    *,
    noise: NoiseLike = "student-t",
    drift: DriftLike = "default",
    num_warmup: int = 400,
    num_samples: int = 1000,
    num_chains: int = 4,
    seed: int = 0,
    method: Method = "nuts",
    progress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    population: Population | None = None,
) -> Posterior:
    """Fit a loss law to measured runs and return its posterior.

    Args:
        runs: one row per measurement: a frame, or the path of a CSV file, with `loss` and the law's inputs,
            and optionally `run` (label), `loss_se` (known standard error). Columns as in
            `lossband.VOCABULARY`.
        law: a name, a `Law`, or any NumPyro function of the runs. By default `capped` for a table with params
            and tokens, and `power_saturated` for one with a single input.
        noise: "student-t" or "normal" noise on ln loss, with "+run" (run effects) and "+ou"
            (autocorrelation).
        drift: "default", None for no departure from the law, or a `Drift` with other priors.
        num_warmup: draws per chain that the sampler adapts in; they are dropped.
        num_samples: draws per chain that are kept.
        num_chains: chains, all advanced together.
        seed: same seed, same draws.
        method: "nuts", or "laplace" for a quick answer: draws around the mode, corrected by importance; its
            `health.pareto_k` says whether it can be trusted.
        progress: True or False; None shows a bar on a terminal only.
        columns: the user's column names, {"N": "params"}.
        population: what past sweeps taught, from `lossband.learn`: its law, priors and drift.

    Returns:
        a `Posterior`. Its `health` says whether it can be trusted.

    Raises:
        InputError: unusable input, with the rows, what was expected, and what to do.
    """
    options = ManyOptions(
        noise=noise,
        drift=drift,
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        method=method,
        progress=progress,
    )
    options |= dict(noise=noise, drift=drift, progress=progress, population=population)
    return fit_many([runs], law, columns=columns, **options)[0]


@overload
def fit_many(
    tables: Iterable[RunsLike],
    law: LawLike = None,
    *,
    columns: Mapping[str, str] | None = None,
    errors: Literal["raise"] = "raise",
    **options: Unpack[ManyOptions],
) -> list[Posterior]: ...
@overload
def fit_many(
    tables: Iterable[RunsLike],
    law: LawLike = None,
    *,
    columns: Mapping[str, str] | None = None,
    errors: Literal["return"],
    **options: Unpack[ManyOptions],
) -> list[Posterior | InputError]: ...
def fit_many(
    tables: Iterable[RunsLike],
    law: LawLike = None,
    *,
    noise: NoiseLike = "student-t",
    drift: DriftLike = "default",
    num_warmup: int = 400,
    num_samples: int = 1000,
    num_chains: int = 4,
    seed: int = 0,
    method: Method = "nuts",
    progress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    population: Population | None = None,
    batch: int = 16,
    executor: TakesJobs | None = None,
    folder: str | os.PathLike[str] | None = None,
    errors: Literal["raise", "return"] = "raise",
) -> list[Posterior] | list[Posterior | InputError]:
    """Fit one law to many tables.

    Tables of one size class run together in one program, over all devices that JAX sees.

    Args:
        tables: frames or CSV paths, as in `fit`.
        law: as in `fit`.
        noise: as in `fit`.
        drift: as in `fit`.
        num_warmup: as in `fit`.
        num_samples: as in `fit`.
        num_chains: as in `fit`.
        seed: as in `fit`.
        method: as in `fit`.
        progress: as in `fit`.
        columns: as in `fit`.
        population: as in `fit`.
        batch: at most so many tables at once; it bounds the memory.
        executor: where the batches run: anything with the standard `submit(function, *args)`, such as
            `concurrent.futures.ProcessPoolExecutor` (with its "spawn" context) or a Dask client's
            `get_executor()`. Batches of workers that died run here. Answers do not depend on it.
        folder: keep every posterior there as soon as its batch is done, and take from there those that are
            already known for the same table, law, options and version: a run that was stopped goes on where
                it was.
        errors: "raise", or "return" to put the `InputError` of an unusable table in its place and fit the
            others.

    Returns:
        a list of `Posterior`s in the order of the tables, each as `fit` would return it up to rounding.
    """
    sampler, seed, batch = (
        Sampler(num_warmup, num_samples, num_chains, method),
        seed_of(seed),
        whole("batch", batch),
    )
    one_of("errors", errors, ("raise", "return"), "Leave it out to raise.")
    tables, executor = _several(tables), usable(executor)
    folder = None if folder is None else path_of(folder, "folder= the path of a folder")
    if population is not None:
        law, noise, drift = population.applied(law, noise, drift)
    found = [_posed(table, errors, law, noise=noise, drift=drift, columns=columns) for table in tables]
    fitted = sample(
        [each for each in found if not isinstance(each, InputError)],
        sampler,
        seed=seed,
        progress=progress,
        batch=batch,
        executor=executor,
        folder=folder,
    )
    fitted = iter(fitted)
    return [each if isinstance(each, InputError) else next(fitted) for each in found]


def _several(tables: object) -> list[RunsLike]:
    """The tables as a list, where several tables were given and not one."""
    one = isinstance(tables, str | Mapping | os.PathLike) or hasattr(tables, "columns")
    if one or not isinstance(tables, Iterable) or getattr(tables, "ndim", 1) == 0:
        raise InputError(
            f"tables= got a {type(tables).__name__}; expected a list of tables.",
            "For one table: lossband.fit(table), or fit_many([table]).",
        )
    return list(tables)


def _posed(table: RunsLike, errors: str, *law: LawLike, **options: Any) -> Problem | InputError:
    """The table's `Problem`, or the error that it raised where errors are to be returned."""
    try:
        return pose(table, *law, **options)
    except InputError as error:
        if errors == "raise":
            raise
        return error


def numpyro_model(
    runs: RunsLike,
    law: LawLike = None,
    *,
    noise: NoiseLike = "student-t",
    drift: DriftLike = "default",
    columns: Mapping[str, str] | None = None,
    observe: bool = True,
    seed: int = 0,
) -> Callable[[], None]:
    """The NumPyro model that `fit` samples, as a function of no arguments, for any NumPyro tool.

    Args:
        runs: as in `fit`.
        law: as in `fit`.
        noise: as in `fit`.
        drift: as in `fit`.
        columns: as in `fit`.
        seed: as in `fit`.
        observe: condition on the measured losses; False samples them, for prior predictive draws. Heavy tails
            beside a drift enter as a scale mixture with the weights that `fit` finds at the mode.

    Returns:
        a model with the law's sites, the scales, and `log_loss`, `(row,)`: the rows by run and time, then
        padding.
    """
    seed, observe = seed_of(seed), flag("observe", observe)
    problem = pose(runs, law, noise=noise, drift=drift, columns=columns)
    arrays = problem.arrays
    if observe:
        with double():
            keep_compiled()
            stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], arrays)
            begin, *_ = compiled(problem.model.fitted, problem.size)
            _, measured, _, _ = begin(*stacked, np.int64(seed), num_chains=4)
        arrays = arrays[0], jax.tree.map(lambda leaf: np.asarray(leaf)[0], measured)
    return functools.partial(problem.model, *arrays, observe=observe)
