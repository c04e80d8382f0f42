"""Mixtures of posteriors: several fits' forecasts as one."""

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, listed
from ..model.problem import widest
from .bands import Forecast
from .health import worse


def alternate(fits, weights=None):
    """One posterior whose draws are of several fits to one table, interleaved; what a fit lacks is zero in its draws.

    Args:
        fits: `Posterior`s, the fullest first.
        weights: `(fit,)` shares of the draws; equal by default.
    """
    full, draws = fits[0], fits[0].stats["energy"].shape[1]
    share = np.full(len(fits), 1 / len(fits)) if weights is None else np.asarray(weights)
    counts = np.diff(np.round(np.cumsum(share) * draws).astype(int), prepend=0)
    places = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    which = np.repeat(np.arange(len(fits)), counts)[np.argsort(places, kind="stable")]

    def turns(values):
        chosen = [value if np.size(value) else np.zeros_like(values[0]) for value in values]
        return np.stack([chosen[fit][:, draw] for draw, fit in enumerate(which)], axis=1)

    nothing = np.zeros(0)
    stats = {name: turns([fit.stats[name] for fit in fits]) for name in full.stats}
    health = full.health
    for fit in fits[1:]:
        health = worse(health, fit.health, int(stats["diverging"].sum()))
    return replace(
        full,
        sites={name: turns([fit.sites.get(name, nothing) for fit in fits]) for name in full.sites},
        stats=stats,
        weights=turns([fit.weights for fit in fits]),
        effects=turns([fit.effects for fit in fits]),
        log_density=turns([fit.log_density for fit in fits]),
        health=health,
    )


@dataclass(frozen=True)
class Average(Forecast):
    """Several laws' forecasts as one, mixed by weight; it has the forecasts of a `Posterior`.

    posteriors: name -> `Posterior`.
    weights: name -> share of the draws; they sum to one.
    notes: coded remarks on how the weights came about.
    """

    posteriors: dict
    weights: dict
    notes: tuple = ()

    @property
    def problem(self):
        """The problem of the law with the most inputs: its training rows are every law's."""
        return widest(post.problem for name, post in self.posteriors.items() if self.weights[name] > 0)

    def draws(self, new, *, kind="observation", columns=None):
        """Draws of the loss at new rows, as in `Posterior.draws`: from each law its share, at random among its own."""
        import xarray

        drawn = [
            self.posteriors[name].draws(new, kind=kind, columns=columns)[picked]
            for name, picked in self._picked().items()
        ]
        return xarray.concat(drawn, "sample").rename("loss").assign_attrs(kind=kind)

    def log_score(self, real, *, columns=None):
        """Log predictive density of measured losses, `(row,)`, in nats per unit of the loss: the laws' mixture, exactly."""
        parts = [
            np.log(w) + self.posteriors[n].log_score(real, columns=columns)
            for n, w in self.weights.items()
            if w > 0
        ]
        return np.logaddexp.reduce(parts)

    def _picked(self):
        """Which draws are taken of each law: counts by largest remainders; at random, for every other one may be of a simpler law."""
        sizes = {n: self.posteriors[n].stats["energy"].size for n, w in self.weights.items() if w > 0}
        total = min(sizes.values())
        wanted = {name: self.weights[name] * total for name in sizes}
        counts = {name: int(share) for name, share in wanted.items()}
        for name in sorted(wanted, key=lambda n: counts[n] - wanted[n])[: total - sum(counts.values())]:
            counts[name] += 1
        rng = np.random.default_rng(0)
        return {n: np.sort(rng.choice(sizes[n], c, replace=False)) for n, c in counts.items() if c}

    def __repr__(self):
        parts = ", ".join(f"{name} {weight:.2f}" for name, weight in self.weights.items())
        return "\n".join([f"Average of {parts}", *map(str, self.notes)])


def _average(posteriors, weights, notes):
    unknown = [name for name in weights if name not in posteriors]
    values = np.array(list(weights.values()), dtype=float)
    if unknown or not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise InputError(
            f"weights= got {weights!r}; expected weights of {listed(posteriors)}, none below zero and not all zero.",
            "Leave it out to have them found.",
        )
    total = values.sum()
    return Average(
        dict(posteriors),
        {n: float(weights.get(n, 0.0) / total) for n in posteriors},
        tuple(dict.fromkeys(notes)),
    )
