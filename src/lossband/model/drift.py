r"""Drift: how the real loss departs from the law, inside the data and beyond them.

    drift(x) = tau [w + sum_j W_j(x_j)] + kappa h(x)

W_j is a Brownian motion in log10 of input j, zero at the centre of the data, with variance (share_j^2 spread^2 / range_j)
per decade: spread is the standard deviation of the training ln losses and range_j the decades that the training
rows span in input j, share_j the part of the variation that the input accounts for, so that `tau` is the share
of the training variation that the law may miss, whatever the loss, the input and their units. w ~ Normal(0, (spread / 10)^2) is the departure at the centre: if the law were exact there, a curve
of hardly more points than the paths have pieces would fix its level the better the smaller sigma is, a neck in which samplers stick.
h is the number of decades of compute beyond the largest training run, zero
inside the data: it widens forecasts and leaves the fit alone.

Between knots a path is drawn straight; where the centre is no knot, the path is that straight line less its value at the
centre. On the knots, W_j is linear in independent standard normal weights, which are integrated out in closed form while
sampling (see noise.py) and drawn afterwards.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from .._lazy import dist, numpyro
from ..errors import InputError

CELLS = 16  # pieces of a path inside the data, or one between each two levels where there are fewer
EDGE_WIDTH = 1.0  # of ln of the edge's scale
RIDGE = 1.0  # rows' worth, of the regression that tells the inputs' shares
LEAST_SHARE = 0.1  # of an input, before the shares are normalised
LEVEL = 0.1  # sd of the departure at the centre, as a share of the spread
BEYOND = 0.05 * 1.25 ** np.arange(32)  # widths of the pieces beyond, decades: they reach 250 decades out


@dataclass(frozen=True)
class Drift:
    """The priors of the drift.

    tau: median and log-width of the share of the training variation that the law may miss.
    edge: median departure per decade of compute beyond the data, as a share of the mean slope of ln loss over the
        decades that the rows span. It is in every draw, for no law is exact where nobody looked. Its scale is
        LogNormal(ln edge, 1): most sweeps go on as they were, some do not (benchmarks/README.md).
    mean: mean of that departure, where the law has several inputs: along the frontier real losses end below the
        law more often than above it (benchmarks/README.md).
    averaged: let every other draw take the law as exact inside the data, without paths; or, where the law has a `simpler` one, be of that.
        Errors inside the data look cleaner than those beyond, so the data are not asked how likely either view is: both
        weigh the same. It is sharper where the law is right and as wide where it is not (benchmarks/README.md). False
        has the law and its drift in every draw, and so have laws that no run follows exactly (`Law.exact`), `curve` for one.
    """

    tau: tuple = (0.15, 0.8)
    edge: float = 0.08
    mean: float = -0.15
    averaged: bool = True

    def scale(self):
        """Sample `tau`, the drift's one free scale."""
        return numpyro.sample("tau", dist.LogNormal(jnp.log(self.tau[0]), self.tau[1]))

    def edge_scale(self, unit):
        """Scale of the edge, from standard normal draws of the same shape."""
        return self.edge * np.exp(EDGE_WIDTH * unit)

    def edge_mean(self, paths):
        """Mean of the edge: of a law of several inputs only, for one input has no frontier."""
        return self.mean if len(paths.knots) > 1 else 0.0


def find_drift(wanted):
    """The `Drift` that a user means: "default", None for none, or a `Drift`."""
    if wanted is None or isinstance(wanted, Drift):
        return wanted
    if wanted == "default":
        return Drift()

    raise InputError(
        f"drift= takes 'default', None or a lossband.Drift, and got {wanted!r}.",
        "Leave it out for the default.",
    )


@dataclass(frozen=True)
class Paths:
    """Where the Brownian paths of one data set bend, and how far its compute reaches.

    centre: input -> value at which its path is zero.
    knots: input -> `(cell + 1,)` log10(x / centre), rising, over the training rows.
    spread: standard deviation of ln loss over the training rows.
    top, span: log10 of the largest training compute, and the decades that the training rows span: in compute, or in an input
        that spans more, as in a sweep of few budgets.
    """

    centre: dict
    knots: dict
    spread: float
    top: float
    span: float
    share: dict

    @classmethod
    def of(cls, frame, unit, compute, along=None):
        """The paths of a checked training frame.

        Args:
            compute: `(row,)` its training compute.
            along: the inputs that have a path; by default all.
        """
        knots = {}
        for name in unit.centre if along is None else along:
            centre = unit.centre[name]
            level = np.unique(np.log10(frame[name].to_numpy() / centre))
            knots[name] = level if len(level) <= CELLS + 1 else np.linspace(level[0], level[-1], CELLS + 1)
        log_compute = np.log10(np.asarray(compute))
        span = max(map(np.ptp, (log_compute, *(np.log10(frame[name]) for name in unit.centre))))
        share = _shares(frame, unit, list(knots))
        return cls(dict(unit.centre), knots, float(unit.spread), log_compute.max(), span, share)

    def inside(self, frame):
        """Basis of the paths on the training knots, `(row, k)`: the pieces between 0 and x, padded to a multiple of 8, and the level."""
        pieces = [
            self._unit(name) * _pieces(self._log(frame, name), edges) for name, edges in self.knots.items()
        ]
        basis = np.hstack(pieces)
        padding, level = (
            np.zeros((len(frame), -basis.shape[1] % 8)),
            np.full((len(frame), 1), LEVEL * self.spread),
        )
        return np.hstack([basis, padding, level])

    def beyond(self, frame):
        """Basis of the paths' continuations beyond the training rows, on both sides of every input, `(row, k)`."""
        reach = np.append(0.0, np.cumsum(BEYOND))
        parts = []
        for name, edges in self.knots.items():
            x = self._log(frame, name)
            parts += [
                self._unit(name) * _pieces(np.maximum(out, 0.0), reach)
                for out in (x - edges[-1], edges[0] - x)
            ]
        return np.hstack(parts)

    def edge(self, compute):
        """Departure per unit of `edge` at each row, `(row,)`: mean slope times the decades of compute beyond the data."""
        return (
            self.spread / self.span * np.maximum(np.log10(np.asarray(compute)) - self.top, 0.0)
            if self.span
            else 0.0 * np.asarray(compute)
        )

    def extrapolation(self, frame):
        """Distance of each row from the training rows' ranges, decades, `(row,)`; 0 inside."""
        out = [
            np.maximum(0, np.maximum(x - e[-1], e[0] - x))
            for x, e in ((self._log(frame, n), e) for n, e in self.knots.items())
        ]
        return np.linalg.norm(out, axis=0)

    def _log(self, frame, name):
        return np.log10(np.asarray(frame[name], dtype=float) / self.centre[name])

    def _unit(self, name):
        return self.share[name] * self.spread / np.sqrt(np.ptp(self.knots[name]))


def _shares(frame, unit, names):
    """Share of the training variation of ln loss that each input accounts for: name -> number, of unit norm.

    By regression on the inputs' logarithms, with a ridge of one row and no share under a tenth: an input that moves
    the loss little leaves little for the law to miss along it, whatever the other inputs do.
    """
    if len(names) == 1:
        return {names[0]: 1.0}
    inputs = np.stack([np.log10(frame[name].to_numpy(float) / unit.centre[name]) for name in names], axis=1)
    inputs = inputs / inputs.std(axis=0)
    losses = np.log(frame["loss"].to_numpy(float))
    losses = (losses - losses.mean()) / losses.std() if losses.std() else losses
    slopes = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(len(names)), inputs.T @ losses)
    share = np.sqrt(slopes**2 + LEAST_SHARE**2)
    return dict(zip(names, share / np.linalg.norm(share), strict=True))


def _pieces(x, edges):
    """Signed length of [0, x] in each cell over the root of the cell's width, `(row, cell)`: Brownian increments."""
    left, right = edges[:-1], edges[1:]
    x = x[:, None]
    return (np.clip(x, left, right) - np.clip(0.0, left, right)) / np.sqrt(right - left)
