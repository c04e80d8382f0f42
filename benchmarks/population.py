r"""Where the population scales come from.

A hierarchical fit of coupling, drift and floor over the public sweeps.

    python -m benchmarks.population            # the scales, with each group of sweeps left out in turn
    python -m benchmarks.population --score    # and the forecasts of every split under the scales of the other groups

Every sweep is fitted whole under wide priors, and its draws x of a scale are reweighed to a common normal
population (Hogg, Myers & Bovy 2010, eq. 9):

    L(mu, s) = prod_sweeps [1 / S sum_draws Normal(x; mu, s) / interim(x)]^(1 / sweeps of its group)

so that a group counts once. (mu, s) maximise it, s times a half-normal prior of width 1. The score is out of
sample twice: the larger runs are hidden from the fit, and the whole group from its priors.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import numpyro.distributions as dist
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

import lossband as lb

from .calibration import averaged, forecasts, scored
from .sets import DATA, splits, sweeps

WIDE_G, WIDE_TAU = (-0.6, 0.8), (0.15, 1.6)
TAU = lb.Drift().tau
FLOOR = (np.log(0.65), 0.5)  # of ln(E / least loss): as in the law


@dataclass(frozen=True)
class Scale:
    """A scale of the population.

    What it is in one posterior, `(draw,)`, its interim normal prior, and today's prior.
    """

    of: object
    interim: tuple
    today: tuple


SCALES = {
    "ln g": Scale(lambda post: np.log(post.sites["g"]), WIDE_G, (-0.6, 0.4)),
    "ln tau": Scale(
        lambda post: np.log(post.sites["tau"]), (np.log(WIDE_TAU[0]), WIDE_TAU[1]), (np.log(TAU[0]), TAU[1])
    ),
    "ln E / least": Scale(lambda post: np.log(post.sites["E"] / post.problem.unit.least), FLOOR, FLOOR),
}


def interim_draws(chosen, *, num_samples=1000, seed=0):
    """Draws of every scale in every sweep, fitted whole under the interim priors.

    Scale -> list of `(draw,)`.
    """
    law = lb.laws.LAWS["coupled"].with_priors(g=dist.LogNormal(*WIDE_G))
    drift = lb.Drift(tau=WIDE_TAU, averaged=False)
    posts = lb.fit_many(
        [sweep.rows for sweep in chosen], law, drift=drift, num_samples=num_samples, seed=seed
    )
    return {name: [scale.of(post).ravel() for post in posts] for name, scale in SCALES.items()}


def population(draws, interim, weights):
    """(mu, s) of the normal population of a scale.

    Args:
        draws: one `(draw,)` a sweep, from posteriors under the interim prior.
        interim: (mean, sd) of that prior.
        weights: one a sweep: how much of a piece of evidence it is.
    """

    def height(theta):
        mu, s = theta[0], np.exp(theta[1])
        ratios = [logsumexp(norm.logpdf(x, mu, s) - norm.logpdf(x, *interim)) - np.log(len(x)) for x in draws]
        return -np.dot(weights, ratios) + 0.5 * s**2 - theta[1]  # and the half-normal prior of s, in ln s

    found = minimize(height, (interim[0], np.log(interim[1] / 2)), method="Nelder-Mead")
    return found.x[0], np.exp(found.x[1])


def scales_without(group, chosen, draws):
    """(mu, s) of every scale from the sweeps of the other groups (all of them for None)."""
    groups = pd.Series([sweep.group for sweep in chosen])
    weights = (1 / groups.map(groups.value_counts())).where(groups != group, 0.0).to_numpy()
    return {name: population(draws[name], scale.interim, weights) for name, scale in SCALES.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--score", action="store_true", help="forecast every split under the scales of the other groups"
    )
    parser.add_argument("--num-samples", type=int, default=1000, help="draws per chain, of four chains")
    parser.add_argument("--data", default=DATA, help="folder of the public measurements")
    parser.add_argument("--json", help="write every split's scores here")
    args = parser.parse_args()
    used = splits(args.data)
    chosen = [sweep for sweep in sweeps(args.data) if sweep.set in {split.set for split in used}]
    draws = interim_draws(chosen, num_samples=args.num_samples)
    found = {
        group: scales_without(group, chosen, draws)
        for group in [None, *dict.fromkeys(s.group for s in chosen)]
    }
    rows = {"today": {name: scale.today for name, scale in SCALES.items()}}
    rows |= {f"without {group}" if group else "all": scales for group, scales in found.items()}
    print(pd.DataFrame(rows).T.map(lambda pair: f"{pair[0]:.2f} ({pair[1]:.2f})").to_string())
    if not args.score:
        return
    parts = []
    for name in ("plain", "coupled+drift"):
        parts.append(scored(name, used, forecasts(name, used)))
    for group in dict.fromkeys(split.group for split in used):
        (g, tau) = (found[group][name] for name in ("ln g", "ln tau"))
        options = {
            "law": lb.laws.LAWS["coupled"].with_priors(g=dist.LogNormal(*map(float, g))),
            "drift": lb.Drift(tau=(float(np.exp(tau[0])), float(tau[1]))),
        }
        mine = [split for split in used if split.group == group]
        parts.append(scored("population", mine, forecasts("population", mine, options=options)))
    scores = pd.concat(parts, ignore_index=True)
    print(averaged(scores).round(3).to_string())
    if args.json:
        scores.to_json(args.json, orient="records", indent=1)


if __name__ == "__main__":
    main()
