"""Fit problems in batches: one model and size in one program, here or by an executor, kept in a folder."""

from __future__ import annotations

import functools
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from .. import score
from .._arguments import flag, seed_of, whole
from .._cache import digest
from .._store import TRACING, keep_compiled
from ..errors import InputError
from ..model.problem import coefficients, components
from ..posterior.contradictions import contradictions
from ..posterior.fit_result import Fit, data_hash
from ..posterior.health import examine
from ..posterior.netcdf import load
from ..posterior.posterior import Posterior, mixture
from ..runs.arrays import double
from . import laplace
from .blas import OneThread
from .interrupt import side_by_side
from .programs import EVERY, compiled, computed, spread
from .rounds import finished, rounds, ticks

if TYPE_CHECKING:
    import os
    from concurrent.futures import Future

    from tqdm import tqdm

    from ..model.problem import Problem
    from .options import TakesJobs
    from .sampler import Sampler

    Job = tuple[list[Problem], int, Sampler, int]
    # of a fit: statistics, what is kept of the draws, what was found at the mode, draws from the prior
    Parts = tuple[dict[str, np.ndarray], tuple[Any, ...], dict[str, Any], dict[str, np.ndarray]]


# of the weights of fits, per nat of expected log density per row: best of e^-9 to e^4 on 77 splits
SHARPNESS = 2.7
INTERRUPTED: set[str] = set()  # calls of fit_many of which a job was interrupted in this process


def sample(
    problems: Sequence[Problem],
    sampler: Sampler,
    *,
    seed: int = 0,
    progress: bool | None = None,
    batch: int = 16,
    executor: TakesJobs | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> list[Posterior]:
    """Posteriors of problems, in their order.

    A problem whose drift is averaged is fitted as each of its `components`.

    Args:
        problems: `Problem`s.
        sampler: the `Sampler`.
        seed: of the draws.
        progress: True or False; None shows a bar on a terminal only.
        batch: at most so many problems at once in one program.
        executor: as in `lossband.fit_many`.
        folder: as in `lossband.fit_many`.
    """
    progress, seed, batch = flag("progress", progress, none=True), seed_of(seed), whole("batch", batch)
    parts = [components(problem) for problem in problems]
    every = [each for mixed in parts for each in mixed.values()]
    fits = iter(_fits(every, sampler, seed, progress, batch, executor, folder))
    posteriors = []
    for problem, mixed in zip(problems, parts, strict=True):
        named = {name: next(fits) for name in mixed}
        weights = fit_weights(named) if problem.model.law.crossed and len(named) > 1 else None
        posteriors.append(mixture(named, weights))
    return posteriors


def _fits(
    problems: Sequence[Problem],
    sampler: Sampler,
    seed: int,
    progress: bool | None,
    batch: int,
    executor: TakesJobs | None,
    folder: str | os.PathLike[str] | None,
) -> list[Fit]:
    """The `Fit` of each problem.

    Those of one model and one size run together, and those in the folder are read.
    """
    options = sampler, seed
    paths = [Path(folder) / f"{_name(problem, options)}.nc" if folder else None for problem in problems]
    fits = [_kept(*each) for each in zip(paths, problems, strict=True)]
    chunks = list(_chunks(problems, fits, batch, whole=executor is not None))
    with _bar(progress, len(chunks) * (1 if executor else ticks(sampler))) as bar:
        jobs = [([problems[i] for i in chunk], size, *options) for chunk, size in chunks]
        for (chunk, _), fitted in zip(chunks, _run(executor, jobs, bar), strict=True):
            for i, fit in zip(chunk, fitted, strict=True):
                fits[i] = fit
                if (path := paths[i]) is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with TRACING:  # the file records a curve of the law, and other batches trace it meanwhile
                        Posterior.of(fit).save(path)
    return cast("list[Fit]", fits)


def fit_weights(fits: Mapping[str, Fit]) -> dict[str, float]:
    """Weights of fits to one table, name -> number.

    Proportional to exp(e times the expected log density per row).

    The expected log density of new rows like the training rows is WAIC's (Watanabe 2010). A fit that
    describes the rows worse by a nat each is nearly left out, and fits that describe them alike weigh the
    same, however many rows there are: what is seen inside the data says little of which fit forecasts
    better (benchmarks/README.md).

    Args:
        fits: name -> `Fit`.
    """
    densities = [fit.densities.reshape(-1, fit.densities.shape[-1]) for fit in fits.values()]
    expected = np.array([np.mean(score.mixture(each) - each.var(0)) for each in densities])
    weights = np.exp(SHARPNESS * (expected - expected.max()))
    return dict(zip(fits, (weights / weights.sum()).tolist(), strict=True))


def _chunks(
    problems: Sequence[Problem], fits: Sequence[Fit | None], batch: int, *, whole: bool
) -> Iterator[tuple[list[int], int]]:
    """(positions of problems of one model and size without a fit, how many of them one program takes).

    As many as one program takes, or, as a unit of work for an executor, a `whole` batch.
    """
    groups = {}
    for i, problem in enumerate(problems):
        groups.setdefault((problem.model.fitted, problem.size), []).append(i)
    size = _together(batch, max(map(len, groups.values()), default=1))  # one number of tables, one program
    step = batch if whole else size
    for group in groups.values():
        left = [i for i in group if fits[i] is None]
        yield from ((left[i : i + step], size) for i in range(0, len(left), step))


def _together(batch: int, largest: int) -> int:
    """How many problems one program takes, of groups of which the largest has so many.

    The last of a group is padded to it.

    On a processor, where they run one after another, padding costs as much as fits do: less than a sixteenth
    of the largest group, and several together only because a call of a program has a cost of its own.
    """
    wanted = max(jax.device_count(), largest // 16) if jax.default_backend() == "cpu" else largest
    return min(batch, wanted)


def _run(executor: TakesJobs | None, jobs: Sequence[Job], bar: tqdm) -> Iterator[list[Fit]]:
    """Results of `fit_chunk` on each job, in order, as they come.

    Here on all cores, or wherever the executor says.
    """
    if executor is None and len(jobs) > 1 and jax.default_backend() == "cpu":
        yield from side_by_side(fit_chunk, jobs, bar)
        return
    if executor is None:
        yield from (fit_chunk(*job, bar) for job in jobs)
        return
    bar.set_description("waiting for the executor")
    call = uuid.uuid4().hex
    futures = [_submit(executor, call, job) for job in jobs]
    try:
        for job, future in zip(jobs, futures, strict=True):
            try:
                result = future.result()
            except BrokenExecutor:
                warnings.warn(
                    "the executor lost a worker: this batch runs here.", RuntimeWarning, stacklevel=4
                )
                result = fit_chunk(*job)
            bar.update()
            yield result
    finally:  # Ctrl-C, or one batch that failed: the others need not begin
        for future in futures:
            future.cancel()


def elsewhere(call: str, *job: Any) -> list[Fit]:
    """`fit_chunk` in a worker; after Ctrl-C in a job, no other of the same call begins in that process.

    A terminal sends the signal to every worker, and a pool hands each its next job before that can be
    cancelled.
    """
    if call in INTERRUPTED:
        raise KeyboardInterrupt
    try:
        return fit_chunk(*job)
    except KeyboardInterrupt:
        INTERRUPTED.add(call)
        raise


def _submit(executor: TakesJobs, call: str, job: Job) -> Future[list[Fit]]:
    """The job's future; one that fails as the executor did, if it takes no more jobs."""
    try:
        return executor.submit(elsewhere, call, *job)
    except BrokenExecutor as error:
        from concurrent.futures import Future

        failed = Future()
        failed.set_exception(error)
        return failed


def _name(problem: Problem, options: tuple[Sampler, int]) -> str:
    """What a fit is kept under: its data, what its model computes, the options, the version."""
    identity = computed(problem.model.fitted, problem.size)
    if identity is None:
        raise InputError(
            f"folder= cannot keep fits of the law {problem.model.law.name!r}: it calls back into Python, "
            "so that nobody can say whether it is still the same.",
            "Leave folder= out.",
        )
    others = "" if problem.others is None else problem.others.to_csv()  # notes speak of them
    return digest(data_hash(problem.frame), others, identity, repr(options), version("lossband"))[:32]


def _kept(path: Path | None, problem: Problem) -> Fit | None:
    """The problem's fit in a file, if it is there."""
    if not path or not path.exists():
        return None
    model = problem.model
    try:
        ((_, fit),) = load(path, law=model.law, noise=model.noise, drift=model.drift).parts.values()
    except InputError as error:  # a damaged file, or an older format
        warnings.warn(f"{error.what} This table is fitted again.", RuntimeWarning, stacklevel=2)
        return None
    return replace(fit, problem=problem)


def fit_chunk(
    problems: list[Problem], size: int, sampler: Sampler, seed: int, bar: tqdm | None = None
) -> list[Fit]:
    """The `Fit`s of problems of one model and one size, by programs that take `size` of them.

    A unit of work for any process.
    """
    bar = _bar(False, 1) if bar is None else bar
    parts = [problems[i : i + size] for i in range(0, len(problems), size)]
    with double(), OneThread():
        keep_compiled()
        padded = ((part + part[-1:] * (size - len(part)), len(part)) for part in parts)
        return [fit for full, wanted in padded for fit in _sample(full, wanted, sampler, seed, bar)]


def _sample(problems: list[Problem], wanted: int, sampler: Sampler, seed: int, bar: tqdm) -> list[Fit]:
    """Fits of the first `wanted` problems of one model and one size.

    Every array has a leading axis of problems.
    """
    num_chains, num_samples = sampler.num_chains, sampler.num_samples
    devices = spread(len(problems), num_chains)
    with TRACING:
        begin, draw, propose, finish = compiled(problems[0].model.fitted, problems[0].size, devices)
    runs, measured = jax.tree.map(lambda *leaves: np.stack(leaves), *(problem.arrays for problem in problems))
    number = np.int64(seed)
    bar.set_description("finding the mode")
    chains, measured, found, prior = begin(runs, measured, number, num_chains=num_chains)
    jax.block_until_ready(found)
    bar.update()
    of_block = functools.partial(finish, runs, measured, chains.breadth)
    gather = functools.partial(finished, of_block, num_samples)
    if sampler.method == "nuts":
        draw = functools.partial(draw, runs, measured)
        stats, kept, about = rounds(draw, gather, chains, sampler, bar)
    else:
        count = num_chains * num_samples
        draws, weights, heights = map(np.asarray, propose(runs, measured, chains, number, count=count))
        about, blocks = _laplace(draws, weights, heights, (num_chains, num_samples), seed)
        stats, kept = gather(blocks)
    bar.set_description("finishing")
    bar.update()
    each = jax.tree.map(np.asarray, (stats, kept, found | about, prior))
    with TRACING:
        return [
            _fit(p, *cast("Parts", jax.tree.map(lambda leaf, i=i: leaf[i], each)), seed)
            for i, p in enumerate(problems[:wanted])
        ]


def _laplace(
    draws: np.ndarray,
    weights: np.ndarray,
    log_weights: np.ndarray,
    shape: tuple[int, int],
    seed: int,
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """The Pareto k and the effective draws, `(problem,)`; importance-corrected draws as one block."""
    chosen, k, effective = zip(*(laplace.correct(each, shape, seed) for each in log_weights), strict=True)
    kept = {
        name: np.stack([of_one[i] for of_one, i in zip(values, chosen, strict=True)])
        for name, values in {"position": draws, "weights": weights}.items()
    }
    flat = np.zeros(kept["position"].shape[:-1])
    about = {"pareto_k": np.array(k), "importance_ess": np.array(effective)}
    return about, [kept | {"energy": flat, "diverging": flat > 0, "steps": flat, "acceptance": flat + 1}]


def _fit(
    problem: Problem,
    stats: dict[str, np.ndarray],
    kept: tuple[Any, ...],
    found: Mapping[str, Any],
    prior: dict[str, np.ndarray],
    seed: int,
) -> Fit:
    """One problem's `Fit`, its rows back in the user's order."""
    sites, weights, effects, path, log_density, residual = kept
    rows = np.argsort(problem.order)
    weights = weights[..., : problem.pieces]  # the padding's own are of no use
    stats = {name: stats[name] for name in ("energy", "diverging", "steps", "acceptance")}
    health = examine(sites, stats, found, prior, problem, coefficients(problem))
    every = {name: value[:, ::EVERY] for name, value in sites.items()}
    remarks = contradictions(problem, every, residual[..., rows])
    health = replace(health, notes=(*health.notes, *remarks))
    path = path[..., rows] if path.size else None
    return Fit(problem, sites, weights, effects, stats, log_density[..., rows], prior, health, seed, path)


def _bar(progress: bool | None, total: int) -> tqdm:
    """A progress bar on stderr: by default on a terminal only."""
    from tqdm import tqdm

    return tqdm(total=total, disable=None if progress is None else not progress, leave=False)
