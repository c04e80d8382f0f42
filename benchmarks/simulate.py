"""Simulation: data from the model's own prior, fitted by the model.

Ranks must be uniform, bands must cover what they say.

    python -m benchmarks.simulate --sims 500 --processes 2                  # every law and every noise
    python -m benchmarks.simulate --laws chinchilla coupled power --sims 1000
    python -m benchmarks.simulate --cases coupled/student-t/default chinchilla/normal/none --out
    simulation.json

A data set is 60 rows whose coefficients, scales, drift and noise come from the prior, and four new rows that
continue the same world from the middle of the inputs to a decade beyond the largest. Over data sets (Talts et
al. 2018, arXiv:1804.06788)

    rank of the truth among 63 posterior draws ~ Uniform{0, ..., 63},     P(new loss inside the 90 % band) = .9

for each coefficient and scale, if and only if prior, likelihood, sampler and forecast belong together. Ranks
are binned and tested by chi-square; p-values are corrected over all coefficients of all cases (Holm 1979),
and the level is 1 %. Sixty-three draws of 1,000 are nearly independent; the report gives the worst R-hat and
the smallest ESS, and no fit is left out.

The priors are stated in units of the data: the smallest and the median training loss, their spread, the
centres of the inputs. Taken from each simulated table anew, these units would make every data set's prior
another one than it was drawn from, and the ranks would mean nothing. So one table of placeholder losses fixes
the unit (`problem.unit`, and the drift's paths with it), and only ln loss is replaced (as a user's data would
after fixing the unit by hand).
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, replace

import jax
import numpy as np
import pandas as pd
from scipy.stats import chisquare

from lossband import score
from lossband.inference.coordinates import Space
from lossband.inference.fit import sample
from lossband.inference.mode import prior_draw
from lossband.inference.sampler import Sampler
from lossband.laws import LAWS
from lossband.model.drift import Drift
from lossband.model.problem import NewRows, pose
from lossband.posterior.forecast import Draws, draw_losses

from .recovery import design

THINNED = 63  # posterior draws that a truth is ranked among: ranks 0 to 63
REACH = (
    0.0,
    0.25,
    0.5,
    1.0,
)  # decades of every input beyond its largest; the first row stands at the middle instead
NUM_RUNS = 12  # runs of five points, where the noise has parts along runs
LEVELS = (0.5, 0.8, 0.9, 0.95)
NOISES = ("normal", "student-t", "normal+run", "normal+ou", "student-t+run", "student-t+run+ou")


@dataclass(frozen=True)
class Case:
    """A model by name: law, noise, and drift "default" or "none"; written "coupled/student-t/default".

    The drift is in every draw: an averaged one is two posteriors, and no prior has them both.
    """

    law: str
    noise: str = "student-t"
    drift: str = "none"

    def __str__(self):
        return f"{self.law}/{self.noise}/{self.drift}"

    def pose(self):
        """The problem whose unit and inputs every simulated data set shares."""
        table = design(self.law)
        if "+" in self.noise:
            table = _along_runs(table)
        return pose(
            table, self.law, noise=self.noise, drift=None if self.drift == "none" else Drift(averaged=False)
        )


def _along_runs(table):
    """The design as runs of five points: each run keeps its first row's inputs, all but the clock."""
    clock = "tokens" if "tokens" in table else "step"
    first = table.index // (len(table) // NUM_RUNS) * (len(table) // NUM_RUNS)
    kept = table.loc[first].reset_index(drop=True).assign(run=[f"run{i}" for i in first])
    return kept.assign(**{clock: table[clock], "loss": table["loss"]})


def new_rows(problem):
    """Four rows, each of a run of its own.

    The inputs' centre, then their largest values and up to a decade beyond.
    """
    frame, inputs = problem.frame, problem.model.law.inputs
    rows = {n: [problem.unit.centre[n], *(frame[n].max() * 10.0**r for r in REACH[1:])] for n in inputs}
    return NewRows(pd.DataFrame(rows).assign(run=[f"new{i}" for i in range(len(REACH))])).checked(problem)


def simulate(problem, sims, seed):
    """Data sets from the prior.

    Problems, the truths of the sampled sites `(sim,)`, and the new rows' losses `(sim, row)`.

    A simulated world is a forecast from prior draws: the drift inside the data and the effects of the
    training runs come from their priors, and everything else is drawn as `Posterior.draws` draws it.
    """
    rng = np.random.default_rng([seed, 1])
    with jax.enable_x64(True):
        space = Space.of(problem.model, *problem.arrays)
        sites = jax.jit(jax.vmap(lambda key: prior_draw(space, key)))(
            jax.random.split(jax.random.key(seed), sims)
        )
    sites = {name: np.asarray(value) for name, value in sites.items()}
    zero = np.zeros(sims)
    weights = sites.get("tau", zero)[:, None] * rng.standard_normal((sims, problem.measured.drift.shape[1]))
    effects = sites.get("sigma_run", zero)[:, None] * rng.standard_normal(
        (sims, problem.measured.effect.shape[1])
    )
    new = new_rows(problem)
    both = pd.concat([problem.frame[new.columns], new], ignore_index=True)
    losses = draw_losses(problem, Draws(sites, weights, effects, seed + 1_000_003), both)
    train, future = np.split(losses, [len(problem.frame)], axis=1)
    names = list(space.sites)
    return [with_losses(problem, loss) for loss in train], {name: sites[name] for name in names}, future


def with_losses(problem, losses):
    """The problem with other losses `(row,)`, in the order of its frame, and the unit that it had."""
    log_loss = np.zeros(len(problem.measured.mask))
    log_loss[: len(losses)] = np.log(losses)[problem.order]
    return replace(
        problem,
        frame=problem.frame.assign(loss=losses),
        measured=replace(problem.measured, log_loss=log_loss),
    )


def study(case, sims, *, seed=0, batch=20, num_samples=250, fitted=None):
    """Simulate and fit.

    Args:
        case: what the data come from.
        fitted: the case that fits them, by default the same; another one must be found out.

    Returns:
        a dict: `ranks` site -> `(sim,)`; `pit` `(sim, row)` of the new rows; `rhat`, `ess`, `divergences`,
            each `(sim,)`.
    """
    simulated, model = case.pose(), (fitted or case).pose()
    problems, truth, future = simulate(simulated, sims, seed)
    fits = [
        replace(model, frame=p.frame, measured=replace(model.measured, log_loss=p.measured.log_loss))
        for p in problems
    ]
    new = new_rows(model)
    ranks, pits, health = {}, [], []
    for post, i in zip(
        sample(fits, Sampler(num_samples=num_samples), batch=batch, seed=seed, progress=False),
        range(sims),
        strict=True,
    ):
        for name in truth.keys() & post.sites.keys():
            draws = np.ravel(post.sites[name])
            kept = draws[np.linspace(0, len(draws) - 1, THINNED).round().astype(int)]
            ranks.setdefault(name, []).append(int((kept < truth[name][i]).sum()))
        pits.append(score.pit(np.log(post.draws(new).to_numpy()), np.log(future[i])))
        health.append((post.health.rhat_max, post.health.ess_min, post.health.divergences))
    rhat, ess, divergences = map(list, zip(*health, strict=True))
    return {
        "ranks": ranks,
        "pit": [p.tolist() for p in pits],
        "rhat": rhat,
        "ess": ess,
        "divergences": divergences,
    }


def uniformity(ranks):
    """Chi-square p-value of ranks `(sim,)` in 0 to 63.

    Bins of equal probability, ten data sets each or more, sixteen at most.
    """
    bins = 2 ** int(np.clip(np.log2(len(ranks) / 10), 1, 4))
    counts = np.bincount(np.asarray(ranks) * bins // (THINNED + 1), minlength=bins)
    return float(chisquare(counts).pvalue)


def corrected(p_values):
    """Holm's p-values.

    The smallest times how many there are, the next times one less, and none below the one before.
    """
    p, order = np.asarray(p_values, float), np.argsort(p_values)
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    return np.minimum(steps, 1.0)[np.argsort(order)]


def merged(parts):
    """Results of several batches of one case as one."""
    together = {key: sum((part[key] for part in parts), []) for key in ("pit", "rhat", "ess", "divergences")}
    return together | {"ranks": {n: sum((part["ranks"][n] for part in parts), []) for n in parts[0]["ranks"]}}


def report(results):
    """Two frames.

    A row a coefficient of each case (p-value, corrected, mean rank), and a row a case (coverage, health).
    """
    ranks = pd.DataFrame(
        {"case": case, "site": site, "sims": len(r), "mean_rank": np.mean(r) / THINNED, "p": uniformity(r)}
        for case, result in results.items()
        for site, r in sorted(result["ranks"].items())
    )
    ranks["p_corrected"] = corrected(ranks["p"])
    cases = []
    for case, result in results.items():
        distance = np.abs(np.array(result["pit"]) - 0.5)
        rates = {f"c{100 * level:g}": (distance <= level / 2).mean() for level in LEVELS}
        by_row = {f"c90@{r:g}": (d <= 0.45).mean() for r, d in zip(REACH, distance.T, strict=True)}
        cases.append(
            {
                "case": case,
                "sims": len(distance),
                **rates,
                **by_row,
                "rhat_max": max(result["rhat"]),
                "ess_min": min(result["ess"]),
                "rhat>1.05": int((np.array(result["rhat"]) > 1.05).sum()),
                "divergences": sum(result["divergences"]),
            }
        )
    return ranks, pd.DataFrame(cases)


def default_cases(laws=None):
    """Every law (or these) with the default noise and no drift.

    And without `laws` every noise, and the drift, before them.
    """
    cases = [Case(law) for law in laws or LAWS]
    if laws:
        return cases
    noises = [Case("chinchilla", noise) for noise in reversed(NOISES) if noise != "student-t"]
    drifts = [Case("chinchilla", noise, "default") for noise in ("normal", "student-t")]
    return [*noises, *drifts, Case("coupled", drift="default"), Case("power", drift="default"), *cases]


def _task(arguments):
    case, sims, seed, options = arguments
    start = time.time()
    return case, study(case, sims, seed=seed, **options), time.time() - start


def _own_cores(counter, share):
    """Give a worker process its own cores before JAX counts them: its threads then stay off the others'."""
    with counter.get_lock():
        worker, counter.value = counter.value, counter.value + 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [cores[(worker * share + i) % len(cores)] for i in range(share)])


def run(tasks, processes, deadline):
    """Results of the tasks as they end, `(case, result, seconds)`.

    What is not done at the deadline is ended.
    """
    if processes == 1:
        for task in tasks:
            if time.time() < deadline:
                yield _task(task)
        return
    context = multiprocessing.get_context("spawn")
    share = max(1, len(os.sched_getaffinity(0)) // processes)
    with context.Pool(processes, _own_cores, (context.Value("i", 0), share)) as pool:
        results = pool.imap_unordered(_task, tasks)
        for _ in tasks:
            try:
                yield results.next(timeout=max(0.0, deadline - time.time()))
            except multiprocessing.TimeoutError:
                return  # leaving the pool ends its workers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--laws", nargs="+", choices=LAWS, help="these laws with Student-t noise, without drift"
    )
    parser.add_argument(
        "--cases", nargs="+", default=[], help="law/noise/drift, as coupled/student-t/default"
    )
    parser.add_argument("--sims", type=int, default=500, help="data sets a case")
    parser.add_argument("--chunk", type=int, default=100, help="data sets a task")
    parser.add_argument("--batch", type=int, default=20, help="data sets fitted as one batch")
    parser.add_argument("--num-samples", type=int, default=250, help="draws per chain, of four chains")
    parser.add_argument(
        "--processes", type=int, default=1, help="worker processes, which share the cores evenly"
    )
    parser.add_argument(
        "--deadline", type=float, default=np.inf, help="seconds after which unfinished tasks are left out"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write ranks, PIT values and diagnostics here, after every task")
    args = parser.parse_args()
    start = time.time()
    cases = [Case(*text.split("/")) for text in args.cases]
    cases += default_cases(args.laws) if args.laws or not cases else []
    options = {"batch": args.batch, "num_samples": args.num_samples}
    chunks = [min(args.chunk, args.sims - first) for first in range(0, args.sims, args.chunk)]
    tasks = [(case, sims, args.seed * 1000 + i, options) for i, sims in enumerate(chunks) for case in cases]
    parts = {}
    for case, result, seconds in run(tasks, args.processes, start + args.deadline):
        parts.setdefault(str(case), []).append(result)
        print(f"{case}: {len(result['rhat'])} data sets in {seconds:.0f} s", file=sys.stderr, flush=True)
        if args.out:
            with open(args.out, "w") as file:
                json.dump({name: merged(each) for name, each in parts.items()}, file)
    results = {str(case): merged(parts[str(case)]) for case in cases if str(case) in parts}
    if missing := [str(case) for case in cases if len(parts.get(str(case), [])) < len(chunks)]:
        print(f"not finished by the deadline: {', '.join(missing)}", file=sys.stderr)
    if not results:
        sys.exit("no task was finished: give more time, or smaller tasks (--chunk)")
    ranks, coverage = report(results)
    print(ranks.round(4).to_string(index=False))
    print(coverage.round(3).to_string(index=False))
    failed = ranks[ranks.p_corrected < 0.01]
    print(f"{len(ranks)} coefficients, {len(failed)} not uniform at 1 % (Holm); {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
