r"""Drift: how the real loss departs from the law, inside the data and beyond them.

    drift(x) = tau [w + sum_j W_j(x_j)] + sum_d kappa_d h_d(x)

W_j is a Brownian motion in log10 of input j, zero at the centre of the data, with variance (share_j^2
spread^2 / range_j) per decade: spread is the standard deviation of the training ln losses, range_j the
decades that the training rows span in input j, and share_j the part of the variation that the input accounts
for. So `tau` is the share of the training variation that the law may miss, whatever the loss, the input and
their units. w ~ Normal(0, (spread / 10)^2) is the departure at the centre. Without it, curves with few points
create a funnel: as sigma shrinks the level becomes exactly determined, and NUTS diverges.

kappa h(x) is the extrapolation term, the "edge", a sum over directions: h is the number of decades beyond the
training rows in compute, in size, and in tokens per parameter below those seen; zero inside the data. It
widens and moves forecasts and leaves the fit alone.

Between knots a path is drawn straight; where the centre is no knot, the path is that straight line less its
value at the centre. On the knots, W_j is linear in independent standard normal weights, which are integrated
out in closed form while sampling (see likelihood.py) and drawn afterwards.

A drift of your own is a subclass of `AbstractDrift` whose `bind` gives a `BoundDrift`.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import jax.numpy as jnp
import numpy as np

from .._arguments import flag, items, number
from .._lazy import dist, numpyro
from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jax
    import pandas as pd

    from ..runs.arrays import Array, Unit


CELLS = 16  # pieces of a path inside the data, or one between each two levels where there are fewer
EDGE_WIDTH = 1.0  # of ln of the edge's scale
DF = 5  # degrees of freedom of the departures by direction
RIDGE = 1.0  # rows' worth, of the regression that tells the inputs' shares
LEAST_SHARE = 0.1  # of an input, before the shares are normalised
LEVEL = 0.1  # sd of the departure at the centre, as a share of the spread
BEYOND = 0.05 * 1.25 ** np.arange(32)  # widths of the pieces beyond, decades: they reach 250 decades out


class AbstractDrift(abc.ABC):
    """A family of departures from the law, with priors on its scales.

    Equal ones share their compiled programs.

    averaged: forecast with a mixture of two fits or more, with the drift and without.
    """

    averaged = True

    @abc.abstractmethod
    def sample_scales(self) -> dict[str, jax.Array]:
        """Sample the scales with NumPyro: site -> value."""

    @abc.abstractmethod
    def bind(self, frame: pd.DataFrame, unit: Unit, compute: np.ndarray, along: Sequence[str]) -> BoundDrift:
        """The drift of one table, a `BoundDrift`.

        Args:
            frame: the checked training rows.
            unit: their `Unit`: centres of the inputs, spread of ln loss.
            compute: `(row,)` training compute, up to a constant.
            along: names of the inputs along which the law may drift.
        """

    def fitted(self) -> AbstractDrift | None:
        """The part of it that a fit sees.

        Drifts that are alike inside the data share their compiled programs.
        """
        return self

    def beyond_only(self) -> AbstractDrift | None:
        """What is left of it where the law is taken as exact inside the data; None for nothing."""
        return None

    def reach(self, scales: Mapping[str, jax.Array], pieces: int) -> jax.Array:
        """Scale of each column of the basis, `(pieces,)`: by default the one scale that there is."""
        (scale,) = scales.values()
        return jnp.full(pieces, scale)


class BoundDrift(abc.ABC):
    """The drift of one table: linear in standard normal weights inside the data, anything beyond them."""

    @abc.abstractmethod
    def inside(self, frame: pd.DataFrame) -> np.ndarray:
        """Basis at rows, `(row, k)`: what a unit of each weight, times its scale, adds to ln loss."""

    def draw(
        self,
        sites: Mapping[str, np.ndarray],
        weights: np.ndarray,
        frame: pd.DataFrame,
        compute: np.ndarray,
        rng: np.random.Generator,
        *,
        paired: bool = False,
    ) -> np.ndarray:
        """Draws of the drift at rows, `(sample, row)`.

        Args:
            sites: site -> `(sample,)` or more; empty of the drift's own in draws of a fit without drift.
            weights: `(sample, k)` fitted weights, times their scales.
            frame: checked rows.
            compute: `(row,)` their training compute.
            rng: a NumPy generator: the same one gives the same draws, in `moments` too.
            paired: row i is for draw i alone, as where each draw has its own optimum: `(sample,)`.
        """
        return along(weights, self.inside(frame), paired)

    def moments(
        self,
        sites: Mapping[str, np.ndarray],
        weights: np.ndarray,
        frame: pd.DataFrame,
        compute: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Mean and variance of the drift at rows given each draw, both `(sample, row)`.

        Arguments as of `draw`.
        """
        return weights @ self.inside(frame).T, 0.0


def along(weights: np.ndarray, basis: np.ndarray, paired: bool = False) -> np.ndarray:
    """Weights `(sample, k)` times a basis `(row, k)`.

    `(sample, row)`, or `(sample,)` where rows and draws are pairs.
    """
    return (weights * basis).sum(1) if paired else weights @ basis.T


@dataclass(frozen=True)
class Drift(AbstractDrift):
    """The default drift: Brownian along each input inside the data, an extrapolation term beyond them.

    tau: median and log-width of the share of the training variation that the law may miss; None for a law
        that is taken as exact inside the data, where only the edge is left.
    edge: median departure per decade of compute beyond the data, as a share of the mean slope of ln loss over
        the decades that the rows span. It is in every draw, since no run beyond the data tests the law. Its
        scale is LogNormal(ln edge, 1): most sweeps go on as they were, some do not (benchmarks/README.md).
    mean: mean of that departure, where the law has several inputs: along the frontier real losses end below
        the law more often than above it (benchmarks/README.md).
    size: scale of the departure per decade of params beyond the largest size, in the same unit, Student-t
        with 5 degrees of freedom; for laws of params and tokens. Few sizes tell little of what size does.
    undertrained: mean and scale, Student-t with 5 degrees of freedom, of the departure per decade of tokens
        per parameter below the training rows': large models on few tokens end above the law more often than
        below it.
    averaged: forecast with a mixture of fits, with drift and without (or with the simpler law, where the law
        has one). Errors inside the data look cleaner than those beyond, so the data are not asked how likely
        either view is. The mixture is sharper where the law is right and as wide where it is not
        (benchmarks/README.md). False has the drift in every draw, and so have laws that no run follows
        exactly (`Law.exact`), `curve` for one.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", drift=lb.Drift(tau=(0.05, 0.8)), method="laplace")
    """

    tau: tuple[float, float] | None = (0.15, 0.8)
    edge: float = 0.08
    mean: float = -0.15
    size: float = 0.45
    undertrained: tuple[float, float] = (0.33, 0.9)
    averaged: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no scale."""
        pairs = {"undertrained": self.undertrained} | ({} if self.tau is None else {"tau": self.tau})
        for name, pair in pairs.items():
            _scale_pair(name, pair)
        for name in ("edge", "size"):
            number(name, getattr(self, name), "a number of 0 or more", LEAVE_OUT, above=0, zero=True)
        number("mean", self.mean, "a number", LEAVE_OUT)
        flag("averaged", self.averaged)

    def sample_scales(self) -> dict[str, jax.Array]:
        """Sample `tau`, the drift's one free scale."""
        assert self.tau is not None  # such a drift is not a part of what is fitted
        prior = dist.LogNormal(jnp.log(self.tau[0]), self.tau[1])
        return {"tau": numpyro.sample("tau", prior, infer={"scale": "drift"})}

    def fitted(self) -> Drift | None:
        """The part of it that a fit sees: its tau, or nothing."""
        return None if self.tau is None else Drift(self.tau)

    def beyond_only(self) -> Drift:
        """The edge alone."""
        return replace(self, tau=None)

    def bind(self, frame: pd.DataFrame, unit: Unit, compute: np.ndarray, along: Sequence[str]) -> Paths:
        """The `Paths` of one table."""
        return Paths.of(frame, unit, compute, along, drift=self)

    def edge_scale(self, unit: np.ndarray) -> np.ndarray:
        """Scale of the edge, from standard normal draws of the same shape."""
        return self.edge * np.exp(EDGE_WIDTH * unit)


DriftLike = Literal["default"] | AbstractDrift | None  # what users say for a drift


LEAVE_OUT = "Leave it out for the default."


def _scale_pair(name: str, pair: object) -> None:
    """Refuse what is not a number and a width."""
    both = items(pair)
    if len(both) != 2:
        raise InputError(f"{name}= got {pair!r}; expected two numbers.", LEAVE_OUT)
    number(name, both[0], "a number first", LEAVE_OUT, above=0 if name == "tau" else -np.inf)
    own = name == "undertrained"  # none at all is a choice there, and no prior of tau
    number(
        name,
        both[1],
        "a width second, above 0" if not own else "a width second",
        LEAVE_OUT,
        above=0,
        zero=own,
    )


def find_drift(wanted: DriftLike) -> AbstractDrift | None:
    """The `Drift` that a user means: "default", None for none, or a `Drift`."""
    if wanted is None or isinstance(wanted, AbstractDrift):
        return wanted
    if isinstance(wanted, str) and wanted == "default":
        return Drift()
    raise InputError(
        f"drift= takes 'default', None or a lossband.Drift, and got {wanted!r}.",
        "Leave it out for the default.",
    )


@dataclass(frozen=True)
class Paths(BoundDrift):
    """The default drift of one table.

    Where the Brownian paths of one data set bend, and how far its compute reaches.

    centre: input -> value at which its path is zero.
    knots: input -> `(cell + 1,)` log10(x / centre), rising, over the training rows.
    spread: standard deviation of ln loss over the training rows.
    top, span: log10 of the largest training compute, and the decades that the training rows span: in compute,
        or in an input that spans more, as in a sweep of few budgets.
    share: input -> share of the training variation that it accounts for.
    least_ratio: log10 of the fewest tokens per parameter of the training rows; minus infinity where the law
        has not both.
    drift: the priors of what lies beyond.
    """

    centre: Mapping[str, Array | float]
    knots: dict[str, np.ndarray]
    spread: float
    top: float
    span: float
    share: dict[str, float]
    least_ratio: float = -np.inf
    drift: Drift = Drift()

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        unit: Unit,
        compute: np.ndarray,
        along: Sequence[str] | None = None,
        *,
        drift: Drift = Drift(),
    ) -> Paths:
        """The paths of a checked training frame.

        Args:
            frame: the checked training rows.
            unit: their `Unit`.
            compute: `(row,)` their training compute.
            along: the inputs that have a path; by default all.
            drift: the priors.
        """
        knots = {}
        for name in unit.centre if along is None else along:
            centre = unit.centre[name]
            level = np.unique(np.log10(frame[name].to_numpy() / centre))
            knots[name] = level if len(level) <= CELLS + 1 else np.linspace(level[0], level[-1], CELLS + 1)
        log_compute = np.log10(np.asarray(compute))
        span = max(map(np.ptp, (log_compute, *(np.log10(frame[name]) for name in unit.centre))))
        share = _shares(frame, unit, list(knots))
        both = {"params", "tokens"} <= set(knots)
        ratio = np.log10(frame["tokens"] / frame["params"]).min() if both else -np.inf
        return cls(dict(unit.centre), knots, float(unit.spread), log_compute.max(), span, share, ratio, drift)

    def inside(self, frame: pd.DataFrame) -> np.ndarray:
        """Basis of the paths on the training knots, `(row, k)`.

        Pieces between 0 and x, padded to a multiple of 8, and the level.
        """
        if self.drift.tau is None:
            return np.zeros((len(frame), 0))
        pieces = [
            self._unit(name) * _pieces(self._log(frame, name), edges) for name, edges in self.knots.items()
        ]
        basis = np.hstack(pieces)
        padding, level = (
            np.zeros((len(frame), -basis.shape[1] % 8)),
            np.full((len(frame), 1), LEVEL * self.spread),
        )
        return np.hstack([basis, padding, level])

    def beyond(self, frame: pd.DataFrame) -> np.ndarray:
        """Basis of the paths beyond the training rows, on both sides of every input, `(row, k)`."""
        reach = np.append(0.0, np.cumsum(BEYOND))
        parts = []
        for name, edges in self.knots.items():
            x = self._log(frame, name)
            parts += [
                self._unit(name) * _pieces(np.maximum(out, 0.0), reach)
                for out in (x - edges[-1], edges[0] - x)
            ]
        return np.hstack(parts)

    def edge(self, compute: np.ndarray) -> np.ndarray:
        """Departure per unit of `edge` at each row, `(row,)`.

        Mean slope times the decades of compute beyond the data.
        """
        return self._slope * np.maximum(np.log10(np.asarray(compute)) - self.top, 0.0)

    def directions(self, frame: pd.DataFrame) -> np.ndarray:
        """Departure per unit of `size` and of `undertrained` at each row, `(row, 2)`.

        Mean slope times decades beyond.
        """
        if not np.isfinite(self.least_ratio):
            return np.zeros((len(frame), 2))
        size = self._log(frame, "params") - self.knots["params"][-1]
        under = self.least_ratio - np.log10(np.asarray(frame["tokens"]) / np.asarray(frame["params"]))
        return self._slope * np.maximum(np.column_stack([size, under]), 0.0)

    def draw(
        self,
        sites: Mapping[str, np.ndarray],
        weights: np.ndarray,
        frame: pd.DataFrame,
        compute: np.ndarray,
        rng: np.random.Generator,
        *,
        paired: bool = False,
    ) -> np.ndarray:
        """Draws at rows: the fitted paths inside, fresh continuations of them and the edge beyond.

        See `BoundDrift.draw`.
        """
        beyond, edge, fresh = self._fresh(weights, frame, compute, rng)
        paths = along(weights, self.inside(frame), paired)
        kappa = self._mean + self.drift.edge_scale(fresh[:, 0]) * fresh[:, 1]
        steps = along(_tau(sites) * fresh[:, 2:], beyond, paired)
        middle, scale = self._by_direction(len(weights), rng)
        aside = along(middle + scale * rng.standard_normal(scale.shape), self.directions(frame), paired)
        return paths + steps + along(kappa[:, None], edge[:, None], paired) + aside

    def moments(
        self,
        sites: Mapping[str, np.ndarray],
        weights: np.ndarray,
        frame: pd.DataFrame,
        compute: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance at rows given each draw and the scales of the edge, drawn as in `draw`."""
        beyond, edge, fresh = self._fresh(weights, frame, compute, rng)
        middle, scale = self._by_direction(len(weights), rng)
        directions = self.directions(frame)
        mean = weights @ self.inside(frame).T + self._mean * edge + directions @ middle
        steps = _tau(sites) ** 2 * (beyond**2).sum(1) + scale**2 @ (directions**2).T
        return mean, steps + (self.drift.edge_scale(fresh[:, 0])[:, None] * edge) ** 2

    def _by_direction(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Means `(direction,)` of size and undertrained, and scales `(sample, direction)`: Student-t."""
        mean, spread = self.drift.undertrained
        tails = np.sqrt(DF / rng.chisquare(DF, (count, 2)))
        return np.array([0.0, mean]), np.array([self.drift.size, spread]) * tails

    @property
    def _slope(self) -> float:
        """Mean slope of ln loss per decade over the training rows; 0 where they span none."""
        return self.spread / self.span if self.span else 0.0

    @property
    def _mean(self) -> float:
        """Mean of the edge: of a law of several inputs only, for one input has no frontier."""
        return self.drift.mean if len(self.knots) > 1 else 0.0

    def _fresh(
        self, weights: np.ndarray, frame: pd.DataFrame, compute: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Basis beyond the data, the edge's reach, and standard normal draws.

        The edge's scale, the edge, the pieces.
        """
        beyond = self.beyond(frame)
        return beyond, self.edge(compute), rng.standard_normal((len(weights), beyond.shape[1] + 2))

    def _log(self, frame: pd.DataFrame, name: str) -> np.ndarray:
        return np.log10(np.asarray(frame[name], dtype=float) / self.centre[name])

    def _unit(self, name: str) -> float:
        return self.share[name] * self.spread / np.sqrt(np.ptp(self.knots[name]))


def _tau(sites: Mapping[str, np.ndarray]) -> np.ndarray | float:
    """Tau of each draw, `(sample, 1)`, or 0 where the law is taken as exact."""
    return np.asarray(sites["tau"])[:, None] if "tau" in sites else 0.0


def _shares(frame: pd.DataFrame, unit: Unit, names: list[str]) -> dict[str, float]:
    """Share of the training variation of ln loss that each input accounts for: name -> number, of unit norm.

    By regression on the inputs' logarithms, with a ridge of one row and no share under a tenth: an input that
    moves the loss little leaves little for the law to miss along it, whatever the other inputs do.
    """
    if len(names) == 1:
        return {names[0]: 1.0}
    inputs = np.stack([np.log10(frame[name].to_numpy(float) / unit.centre[name]) for name in names], axis=1)
    inputs = inputs / inputs.std(axis=0)
    losses = frame["loss"].to_numpy(float)
    losses = np.log(losses) if (losses > 0).all() else losses  # one that is fitted as it is may be negative
    losses = (losses - losses.mean()) / losses.std() if losses.std() else losses
    slopes = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(len(names)), inputs.T @ losses)
    share = np.sqrt(slopes**2 + LEAST_SHARE**2)
    return dict(zip(names, share / np.linalg.norm(share), strict=True))


def _pieces(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Signed length of [0, x] in each cell over the root of the cell's width, `(row, cell)`.

    Brownian increments.
    """
    left, right = edges[:-1], edges[1:]
    x = x[:, None]
    return (np.clip(x, left, right) - np.clip(0.0, left, right)) / np.sqrt(right - left)
