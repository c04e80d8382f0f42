"""Fit a law to measured runs: the mode, the whitening, NUTS; one table or a batch, by the same programs."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, overload

import jax
import numpy as np

from .._arguments import flag, of_type, one_of, path_of, seed_of, whole
from .._store import keep_compiled
from ..errors import InputError, in_table
from ..laws.recipe import FAMILY
from ..model.noise import find_noise
from ..model.population import Population
from ..model.problem import pose
from ..posterior.sets import Sets, melted
from ..runs.arrays import double
from ..runs.table import read_runs
from .batches import sample
from .executors import usable
from .options import ManyOptions
from .programs import compiled
from .sampler import Sampler

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any, Unpack

    from ..laws.resolve import LawLike
    from ..model.drift import DriftLike
    from ..model.noise import NoiseLike
    from ..model.problem import Problem
    from ..posterior.posterior import Posterior
    from ..runs.loss_scale import Metric
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
    until_ess: float | None = None,
    progress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    population: Population | None = None,
    metric: Metric = "loss",
    bounds: tuple[float, float] | None = None,
    pool: str | None = None,
    targets: Sequence[str] | str | None = None,
) -> Posterior:
    """Fit a loss law to measured runs and return its posterior.

    Args:
        runs: one row per measurement: a frame, or the path of a CSV file, with `loss` and the law's inputs,
            and optionally `run` (label), `loss_se` (known standard error). Columns as in
            `lossband.VOCABULARY`. The path of an export (W&B's table of runs and others) or a log is read as
            by `lossband.import_runs`.
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
        until_ess: stop sampling as soon as every coefficient has so many effective draws, 400 say, and after
            `num_samples` draws per chain at the latest.
        progress: True or False; None shows a bar on a terminal only.
        columns: the user's column names, {"N": "params"}.
        population: what past sweeps taught, from `lossband.learn`: its law, priors and drift.
        metric: "loss"; or "error" or "accuracy", a metric between two bounds, in a column of that name (or
            `loss`). The law is then of minus ln of the share that is right, noise and drift are on its
            logarithm, and no band leaves the bounds.
        bounds: of the metric, (0, 1) by default: (0.25, 1) says that 0.25 is chance.
        pool: a column of labels, "family": recipes, tokenizers or data sets in one table. Each has a curve of
            its own, whose coefficients are partly pooled with the others'; new rows name their family.
        targets: columns of the losses of several evaluation sets, or "metric" for a long table with columns
            `metric` and `loss`. One fit: coefficients partly pooled, a run's effect shared by its sets.

    Returns:
        a `Posterior`. Its `health` says whether it can be trusted. With `targets` it forecasts every set, and
        `post.macro(weights)` their mean.

    Raises:
        InputError: unusable input, with the rows, what was expected, and what to do.

    Example:
        >>> import lossband as lb
        >>> post = lb.fit(lb.load_dataset("positions"), "position_by_size", method="laplace")
        >>> table = post.summary()
    """
    options: dict[str, Any] = dict(
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        seed=seed,
        method=method,
        until_ess=until_ess,
    )
    options |= dict(noise=noise, drift=drift, progress=progress, population=population)
    options |= dict(metric=metric, bounds=bounds, pool=pool)
    if targets is not None:
        return _of_sets(runs, law, targets, columns, options)
    return fit_many([runs], law, columns=columns, **options)[0]


def _of_sets(
    runs: RunsLike,
    law: LawLike,
    targets: Sequence[str] | str,
    columns: Mapping[str, str] | None,
    options: dict[str, Any],
) -> Sets:
    """One fit of several evaluation sets."""
    if options["pool"] is not None:
        raise InputError("both pool= and targets= are given.", "Fit the sets of each family by themselves.")
    noise = find_noise(options["noise"])
    if not noise.run:  # a run that went wrong did so in all sets
        noise = replace(noise, run=True, run_tails=noise.tails if noise.tails.gaussian else noise.run_tails)
    options["noise"] = noise
    table = melted(read_runs(runs, columns=columns), targets)
    options["pool"] = FAMILY
    post = fit_many([table], law, **options)[0]
    return Sets(post.fits, post.weights, post.notes)


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
    until_ess: float | None = None,
    progress: bool | None = None,
    columns: Mapping[str, str] | None = None,
    population: Population | None = None,
    metric: Metric = "loss",
    bounds: tuple[float, float] | None = None,
    pool: str | None = None,
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
        until_ess: as in `fit`.
        progress: as in `fit`.
        columns: as in `fit`.
        population: as in `fit`.
        metric: as in `fit`.
        bounds: as in `fit`.
        pool: as in `fit`.
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

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped")
        >>> tables = [rows for _, rows in runs.groupby("loops")]
        >>> posts = lb.fit_many(tables, "chinchilla", method="laplace", drift=None)
    """
    sampler, seed, batch = (
        Sampler(num_warmup, num_samples, num_chains, method, until_ess),
        seed_of(seed),
        whole("batch", batch),
    )
    one_of("errors", errors, ("raise", "return"), "Leave it out to raise.")
    tables, executor = _several(tables), usable(executor)
    folder = None if folder is None else _made(path_of(folder, "folder= the path of a folder"))
    if population is not None:
        hint = "Learn one with lossband.learn(sweeps), or load it: lossband.Population.load(path)."
        of_type("population", population, Population, hint)
        law, noise, drift = population.applied(law, noise, drift)
    model: dict[str, Any] = dict(noise=noise, drift=drift, columns=columns)
    model |= dict(metric=metric, bounds=bounds, pool=pool)
    names = [f"tables[{i}]" if len(tables) > 1 else "" for i in range(len(tables))]
    found = [_posed(*each, errors, law, **model) for each in zip(names, tables, strict=True)]
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


def _made(folder: Path) -> Path:
    """The folder, which is there now: said before the first fit, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"folder= {str(folder)!r} cannot be made: {error.strerror}.", "Name another folder."
        ) from None
    return folder


def _several(tables: object) -> list[RunsLike]:
    """The tables as a list, where several tables were given and not one."""
    one = isinstance(tables, str | Mapping | os.PathLike) or hasattr(tables, "columns")
    if one or not isinstance(tables, Iterable) or getattr(tables, "ndim", 1) == 0:
        raise InputError(
            f"tables= got a {type(tables).__name__}; expected a list of tables.",
            "For one table: lossband.fit(table), or fit_many([table]).",
        )
    return list(tables)


def _posed(name: str, table: RunsLike, errors: str, *law: LawLike, **options: Any) -> Problem | InputError:
    """The table's `Problem`, or the error that it raised where errors are to be returned."""
    try:
        with in_table(name):
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
    metric: Metric = "loss",
    bounds: tuple[float, float] | None = None,
    pool: str | None = None,
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
        metric: as in `fit`.
        bounds: as in `fit`.
        pool: as in `fit`.
        seed: as in `fit`.
        observe: condition on the measured losses; False samples them, for prior predictive draws. Heavy tails
            beside a drift enter as a scale mixture with the weights that `fit` finds at the mode.

    Returns:
        a model with the law's sites, the scales, and `log_loss`, `(row,)`: the rows by run and time, then
        padding.

    Example:
        >>> import lossband as lb
        >>> from numpyro.infer.util import log_density
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> model = lb.numpyro_model(runs, "chinchilla")
    """
    seed, observe = seed_of(seed), bool(flag("observe", observe))
    about: dict[str, Any] = dict(columns=columns, metric=metric, bounds=bounds, pool=pool)
    problem = pose(runs, law, noise=noise, drift=drift, **about)
    arrays = problem.arrays
    if observe:
        with double():
            keep_compiled()
            stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], arrays)
            begin, *_ = compiled(problem.model.fitted, problem.size)
            _, measured, _, _ = begin(*stacked, np.int64(seed), num_chains=4)
        arrays = arrays[0], jax.tree.map(lambda leaf: np.asarray(leaf)[0], measured)
    return functools.partial(problem.model, *arrays, observe=observe)
