"""Batches: problems of one model and size together in one program, here or by an executor, kept in a folder."""

import os
import warnings
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

from .._cache import digest
from ..errors import InputError
from ..model.problem import coefficients, twins
from ..posterior.health import examine
from ..posterior.mixture import alternate
from ..posterior.netcdf import load
from ..posterior.posterior import Posterior, data_hash, fit_weights
from . import laplace
from .blas import OneThread
from .nuts import KEEP, TUNE, WHITEN
from .programs import compiled, computed, spread
from .store import TRACING, keep_compiled

STRETCH = 100  # draws a call of the compiled program: the unit of the progress bar


def sample(
    problems,
    num_warmup=400,
    num_samples=1000,
    num_chains=4,
    *,
    seed=0,
    method="nuts",
    progress=None,
    batch=16,
    executor=None,
    folder=None,
):
    """Posteriors of problems, in their order: those of one model and one size run together, `batch` at a time.

    A problem whose drift is averaged is fitted as it is and as its `twins`. `executor` and
    `folder` as in `lossband.fit_many`.
    """
    averaged = [i for i, problem in enumerate(problems) if problem.model.averaged]
    others = [twins(problems[i]) for i in averaged]
    every = [*problems, *(other for each in others for other in each)]
    options = (num_warmup, num_samples, num_chains), method, seed
    paths = [folder and Path(folder) / f"{_name(problem, options)}.nc" for problem in every]
    posteriors = [_kept(*each) for each in zip(paths, every, strict=True)]
    chunks = list(_chunks(every, posteriors, batch, whole=executor is not None))
    with _bar(progress, len(chunks) * (1 if executor else _num_steps(num_warmup, num_samples))) as bar:
        jobs = [([every[i] for i in chunk], size, *options) for chunk, size in chunks]
        for (chunk, _), fitted in zip(chunks, _run(executor, jobs, bar), strict=True):
            for i, posterior in zip(chunk, fitted, strict=True):
                posteriors[i] = posterior
                if folder:
                    Path(folder).mkdir(parents=True, exist_ok=True)
                    posterior.save(paths[i])
    rest = iter(posteriors[len(problems) :])
    for i, each in zip(averaged, others, strict=True):
        parts = [posteriors[i], *(next(rest) for _ in each)]
        weights = fit_weights(parts) if problems[i].model.law.crossed else None
        posteriors[i] = alternate(parts, weights)
    return posteriors[: len(problems)]


def _chunks(problems, posteriors, batch, *, whole):
    """(positions of problems of one model and size without a posterior, how many of them one program takes).

    As many as one program takes, or, as a unit of work for an executor, a `whole` batch.
    """
    groups = {}
    for i, problem in enumerate(problems):
        groups.setdefault((problem.model, problem.size), []).append(i)
    size = _together(batch, max(map(len, groups.values()), default=1))  # one number of tables, one program
    step = batch if whole else size
    for group in groups.values():
        left = [i for i in group if posteriors[i] is None]
        yield from ((left[i : i + step], size) for i in range(0, len(left), step))


def _together(batch, largest):
    """How many problems one program takes, of groups of which the largest has so many; the last of a group is padded to it.

    On a processor, where they run one after another, padding costs as much as fits do: less than a sixteenth of the largest group, and several
    together only because a call of a program has a cost of its own.
    """
    wanted = max(jax.device_count(), largest // 16) if jax.default_backend() == "cpu" else largest
    return min(batch, wanted)


def _run(executor, jobs, bar):
    """Results of `fit_chunk` on each job, in order, as they come: here on all cores, or wherever the executor says."""
    if executor is None and len(jobs) > 1 and jax.default_backend() == "cpu":
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda job: fit_chunk(*job, bar), jobs)
        return
    if executor is None:
        yield from (fit_chunk(*job, bar) for job in jobs)
        return
    bar.set_description("waiting for the executor")
    futures = [_submit(executor, job) for job in jobs]
    for job, future in zip(jobs, futures, strict=True):
        try:
            result = future.result()
        except BrokenExecutor:
            warnings.warn("the executor lost a worker: this batch runs here.", RuntimeWarning, stacklevel=4)
            result = fit_chunk(*job)
        bar.update()
        yield result


def _submit(executor, job):
    """The job's future; one that fails as the executor did, if it takes no more jobs."""
    try:
        return executor.submit(fit_chunk, *job)
    except BrokenExecutor as error:
        from concurrent.futures import Future

        failed = Future()
        failed.set_exception(error)
        return failed


def _name(problem, options):
    """What a posterior is kept under: its data, what its model computes, the options, the version."""
    identity = computed(problem.model, problem.size)
    if identity is None:
        raise InputError(
            f"folder= cannot keep fits of the law {problem.model.law.name!r}: it calls back into Python, so that "
            "nobody can say whether it is still the same.",
            "Leave folder= out.",
        )
    return digest(data_hash(problem.frame), identity, repr(options), version("lossband"))[:32]


def _kept(path, problem):
    """The problem's posterior in a file, if it is there."""
    if not path or not path.exists():
        return None
    return replace(load(path, law=problem.model.law), problem=problem)


def fit_chunk(problems, size, counts, method, seed, bar=None):
    """Posteriors of problems of one model and one size, by programs that take `size` of them: a unit of work for any process."""
    bar = _bar(False, 1) if bar is None else bar
    parts = [problems[i : i + size] for i in range(0, len(problems), size)]
    with jax.enable_x64(True), OneThread():
        keep_compiled()
        padded = ((part + part[-1:] * (size - len(part)), len(part)) for part in parts)
        return [post for full, wanted in padded for post in _sample(full, wanted, *counts, method, seed, bar)]


def _num_steps(num_warmup, num_samples):
    """Ticks of the progress bar: the mode, every stretch of draws, and the finish."""
    length = min(STRETCH, num_samples)
    return 2 + -(-num_warmup // length) - (-num_samples // length)


def _sample(problems, wanted, num_warmup, num_samples, num_chains, method, seed, bar):
    """Posteriors of the first `wanted` problems of one model and one size; every array has a leading axis of problems."""
    devices = spread(len(problems), num_chains)
    with TRACING:
        begin, draw, propose, finish = compiled(problems[0].model, problems[0].size, devices)
    runs, measured = jax.tree.map(lambda *leaves: np.stack(leaves), *(problem.arrays for problem in problems))
    number = np.int64(seed)
    bar.set_description("finding the mode")
    chains, measured, found, prior = begin(runs, measured, number, num_chains=num_chains)
    jax.block_until_ready(found)
    bar.update()
    if method == "nuts":
        stretches = _nuts(draw, runs, measured, chains, num_warmup, num_samples, bar)
    else:
        count = num_chains * num_samples
        proposals = map(np.asarray, propose(runs, measured, chains, number, count=count))
        found, stretches = _laplace(*proposals, found, (num_chains, num_samples), seed)
    bar.set_description("finishing")
    kept = [finish(runs, measured, stretch["position"], stretch["weights"]) for stretch in stretches]
    stats, kept = jax.tree.map(
        lambda *parts: np.concatenate(parts, axis=2)[:, :, :num_samples], *zip(stretches, kept, strict=True)
    )
    bar.update()
    each = jax.tree.map(np.asarray, (stats, kept, found, prior))
    with TRACING:
        return [
            _posterior(p, *jax.tree.map(lambda leaf: leaf[i], each), seed)
            for i, p in enumerate(problems[:wanted])
        ]


def _nuts(draw, runs, measured, chains, num_warmup, num_samples, bar):
    """Stretches of draws after warm-up: dicts of `(problem, chain, draw, ...)`."""
    stretches, length = [], min(STRETCH, num_samples)
    warming = -(-num_warmup // length)
    learning = [WHITEN] * (warming - 1) + [
        TUNE
    ]  # at last the step size alone, in the whitening that the draws are taken in
    for adapt in learning + [KEEP] * -(-num_samples // length):
        bar.set_description("sampling" if adapt == KEEP else "warming up")
        chains, stretch = draw(runs, measured, chains, np.int32(adapt), length=length)
        if adapt == KEEP:
            stretches.append(jax.block_until_ready(stretch))
        bar.update()
    return stretches


def _laplace(draws, weights, log_weights, found, shape, seed):
    """Importance-corrected draws as one stretch, and what was found with the Pareto k and the effective draws."""
    chosen, k, effective = zip(*(laplace.correct(each, shape, seed) for each in log_weights), strict=True)
    kept = {
        name: np.stack([of_one[i] for of_one, i in zip(values, chosen, strict=True)])
        for name, values in {"position": draws, "weights": weights}.items()
    }
    flat = np.zeros(kept["position"].shape[:-1])
    found = found | {"pareto_k": np.array(k), "importance_ess": np.array(effective)}
    return found, [kept | {"energy": flat, "diverging": flat > 0, "steps": flat, "acceptance": flat + 1}]


def _posterior(problem, stats, kept, found, prior, seed):
    """One problem's `Posterior`, its rows back in the user's order."""
    sites, weights, effects, log_density = kept
    rows = np.argsort(problem.order)
    weights = weights[..., : problem.pieces]  # the padding's own are of no use
    stats = {name: stats[name] for name in ("energy", "diverging", "steps", "acceptance")}
    health = examine(sites, stats, found, prior, problem, coefficients(problem))
    return Posterior(problem, sites, weights, effects, stats, log_density[..., rows], prior, health, seed)


def _bar(progress, total):
    """A progress bar on stderr: by default on a terminal only."""
    from tqdm import tqdm

    return tqdm(total=total, disable=None if progress is None else not progress, leave=False)
