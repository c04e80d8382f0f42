"""Posterior: what a fit returns. A weighted mixture of fits: draws, diagnostics, forecasts, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import flag, level_of, mapping
from .._html import notebook
from ..errors import InputError, listed
from ..model.problem import NewRows, coefficients, widest
from .bands import Forecast
from .fit_result import Fit
from .forecast import draw_losses
from .health import worst
from .tables import Table, table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import Any

    import xarray
    from numpy.typing import ArrayLike

    from ..errors import Note
    from ..laws import Law
    from ..model.problem import Problem
    from ..planning.allocation import Bounds, CostLike, Plan
    from ..planning.best import Optimum
    from ..plot.style import Axes
    from ..runs.table import RunsLike
    from .forecast import Draws, Kind
    from .health import Health


@dataclass(frozen=True)
class Posterior(Forecast):
    """The posterior of a loss law given measured runs.

    One fit, or several whose forecasts are mixed by weight.

    fits: name -> `Fit`; in what `lossband.average` returns, name -> the `Posterior` of each law.
    weights: name -> share of the forecast's draws; they sum to one.
    notes: coded remarks on how the weights came about.

    Draws of the mixture are picked from each fit by a seeded generator, as many as its weight says; its
    density is the exact mixture over all draws of all fits.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> band = post.predict({"params": 1e7, "tokens": 1e9})
    """

    fits: Mapping[str, Fit | Posterior]
    weights: Mapping[str, float]
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(cls, fit: Fit) -> Posterior:
        """The posterior of one fit alone."""
        return cls({"fit": fit}, {"fit": 1.0})

    @cached_property
    def parts(self) -> dict[str, tuple[float, Fit]]:
        """The fits at the bottom of the mixture, name -> (weight, `Fit`)."""
        found = {}
        for name, fit in self.fits.items():
            inner = fit.parts if isinstance(fit, Posterior) else {"": (1.0, fit)}
            for each, (share, part) in inner.items():
                full = ", ".join(filter(None, [name, each if len(inner) > 1 else ""]))
                found[full] = self.weights[name] * share, part
        return found

    @cached_property
    def mixed(self) -> dict[str, tuple[float, Fit]]:
        """Those of them that have a part in the forecast: their weights are above zero."""
        return {name: part for name, part in self.parts.items() if part[0] > 0}

    @cached_property
    def problem(self) -> Problem:
        """The problem of the law with the most inputs: its training rows are every law's."""
        return widest(fit.problem for _, fit in self.mixed.values())

    @property
    def law(self) -> Law:
        """The law of that problem."""
        return self.problem.model.law

    @property
    def seed(self) -> int:
        """The seed of the fit."""
        return next(iter(self.parts.values()))[1].seed

    @cached_property
    def coefficients(self) -> list[str]:
        """Names of the law's own coefficients."""
        return coefficients(self.problem)

    @cached_property
    def health(self) -> Health:
        """The worst of the fits' diagnostics."""
        return worst([fit.health for _, fit in self.mixed.values()])

    @cached_property
    def sites(self) -> dict[str, np.ndarray]:
        """Site -> draws of the mixture, `(chain, draw)`, in the order of the samples of `draws`.

        A coefficient that only some of the fits have takes the value at which theirs are those of the others:
        no drift is tau 0.
        """
        every = {name: value for _, fit in self.parts.values() for name, value in fit.draws.sites.items()}

        def of_one(problem: Problem, draws: Draws) -> dict[str, np.ndarray]:
            absent = {
                name: np.full((len(draws), *value.shape[1:]), self.law.absent.get(name, 0.0))
                for name, value in every.items()
            }
            return absent | draws.sites

        return {
            name: value.reshape(*self._shape, *value.shape[1:])
            for name, value in self.assembled(of_one).items()
        }

    def __repr__(self) -> str:
        """What was fitted to what, and whether it can be trusted."""
        chains, draws = next(iter(self.parts.values()))[1].shape
        mixed = ", ".join(f"{name} {weight:.2f}" for name, (weight, _) in self.parts.items())
        of = f"\nmixture of {mixed}" if len(self.parts) > 1 else ""
        about = (
            f"Posterior of {self.law.name!r} given {len(self.problem.frame)} rows, {chains} x {draws} draws"
        )
        return "\n".join([about + of, str(self.health), *map(str, self.notes)])

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        first, *rest = repr(self).splitlines()
        said = {str(note) for note in (*self.health.notes, *self.notes)}
        lines = "\n".join(line for line in rest if line not in said)
        return notebook(first, lines, notes=dict.fromkeys((*self.health.notes, *self.notes)))

    @property
    def cited(self) -> str:
        """Name of the fit whose coefficients are the law's.

        The first that takes the law as exact, or the first of all.
        """
        exact = [name for name, (_, fit) in self.parts.items() if fit.exact]
        return [*exact, *self.parts][0]

    def summary(self, *, level: float = 0.9) -> Table:
        """ArviZ's table of coefficients, derived quantities and scales.

        Median, mean, sd, interval, ESS, R-hat.

        Of several fits each has its own rows, under its name in the index's level `fit`: chains of different
        models are not to be pooled. The diagnostics come first, as `summary().health` and, printed, above the
        table.

        Args:
            level: of the equal-tailed intervals.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> table = post.summary(level=0.9)
            >>> exponent = table.loc[(post.cited, "alpha"), "median"]
        """
        level = level_of(level)
        tables = {name: fit.summary(level=level) for name, (_, fit) in self.mixed.items()}
        if len(tables) == 1:
            return table(next(iter(tables.values())), health=str(self.health))
        cite = f"cite the coefficients of {self.cited!r} as the law's"
        if self.parts[self.cited][1].exact:
            cite += (
                ": it takes the law as exact, as published fits do; with a drift they are those of a trend "
                "that the loss need not follow"
            )
        return table(pd.concat(tables, names=["fit", "site"]), health=f"{self.health}\n{cite}.")

    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """Draws of the loss at rows that are read already, `(sample, row)`: see `draws`."""
        return self.assembled(
            lambda problem, draws: draw_losses(problem, draws, rows.checked(problem), kind=kind)
        )

    def log_score(self, real: RunsLike | NewRows, *, columns: Mapping[str, str] | None = None) -> np.ndarray:
        """Log predictive density of measured losses, `(row,)`, in nats per unit of the loss.

        The exact mixture.

        Args:
            real: measured rows, as in `draws`, with `loss`.
            columns: the user's column names.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> nats = post.log_score(runs).mean()
        """
        rows = self._new(real, columns)
        scores = [np.log(w) + fit.log_score(rows) for w, fit in self.mixed.values()]
        return np.logaddexp.reduce(scores)

    def optimal(
        self,
        flops: ArrayLike,
        *,
        cost: CostLike = None,
        inference_tokens: float = 0.0,
        bounds: Bounds | None = None,
        at: Mapping[str, float] | None = None,
        levels: Sequence[float] = (0.9,),
    ) -> Plan:
        """The compute-optimal split of budgets between params, tokens (and loops), as a `lossband.Plan`.

        Args:
            flops: a budget or several, in FLOPs where params and tokens are raw counts.
            cost: "6ND", "6NDT" (each loop costs all parameters again), or a function of (params, tokens) or,
                for a law with loops, (params, tokens, loops) that jax can run, in the unit of `flops`, rising
                in tokens.
                Default: 6NDT for a law with loops, else 6ND.
            inference_tokens: tokens that the trained model will read or write, at 2 FLOPs per parameter each
                (times the loops, under 6NDT); the budget pays for them too.
            bounds: {"params": (low, high), "tokens": ..., "loops": ...}; loops stay within the training rows'
                by default.
            at: a value for each other input of the law, {"unique_tokens": 1e11}.
            levels: of the equal-tailed intervals.

        Raises:
            InputError: a law without params and tokens, or a budget that no run within the bounds can spend.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> plan = post.optimal(flops=[1e15, 1e16])
            >>> table = plan.frame
        """
        from ..planning.allocation import allocate  # an upward import: see tests/test_imports.py

        options: dict[str, Any] = dict(
            cost=cost, inference_tokens=inference_tokens, bounds=bounds, at=at, levels=levels
        )
        return allocate(self, flops, **options)

    def optimum(
        self,
        over: str | Sequence[str],
        *,
        at: Mapping[str, float] | None = None,
        within: float = 0.005,
        bounds: Bounds | None = None,
        candidates: RunsLike | None = None,
        plus: Sequence[tuple[Posterior, float]] = (),
        kind: Kind = "mean",
        levels: Sequence[float] = (0.9,),
    ) -> Optimum:
        """The values of some inputs at which the loss is lowest, the others held, as a `lossband.Optimum`.

        Args:
            over: the inputs to choose, one to three; all the proportions of a mixture are chosen together.
            at: a value for each other input of the law, {"params": 1e9, "tokens": 2e10}.
            within: share of the loss that counts as near the best.
            bounds: {"lr": (low, high)}; by default a factor of two beyond the training rows on either side,
                and for proportions the training rows' own ranges.
            candidates: a frame of the only values to choose from, such as the grid of a sweep.
            plus: (posterior, weight) pairs of other losses of the same runs: what is minimised is this loss
                and their weighted sum.
            kind: "mean", the law's own optimum, or "observation": which of the candidates will measure best,
                noise included.
            levels: of the equal-tailed intervals.

        Raises:
            InputError: inputs that the law does not have, or one without a value.

        Example:
            >>> import lossband as lb
            >>> post = lb.fit(lb.load_dataset("shapes"), method="laplace")
            >>> rest = {"params": 4e6, "head_dim": 32}
            >>> best = post.optimum("ff_ratio", at=rest)  # doctest: +SKIP
        """
        from ..planning.best import optimum_of  # an upward import: see tests/test_imports.py

        options: dict[str, Any] = dict(at=at, within=within, bounds=bounds)
        options |= dict(candidates=candidates, plus=plus)
        return optimum_of(self, over, kind=kind, levels=levels, **options)

    def equivalent(
        self,
        name: str,
        *,
        of: Mapping[str, float],
        at: Mapping[str, float],
        levels: Sequence[float] = (0.9,),
    ) -> pd.Series:
        """The value of one input that makes up for a change of others: the dense size that experts are worth.

        Args:
            name: the input that is solved for, "params".
            of: every input of the run whose loss is to be matched, {"params": 1e9, "experts": 64}.
            at: the inputs that change, {"experts": 1}; the others stay as in `of`.
            levels: of the equal-tailed intervals.

        Returns:
            `median`, `lo_90`, `hi_90`, in the input's unit, and `found`, the share of the draws in which a
            value within three decades gives that loss.

        Raises:
            InputError: inputs that the law does not have, or no such value in most draws.

        Example:
            >>> run = {"params": 1e9, "experts": 64}
            >>> post.equivalent("params", of=run, at={"experts": 1})  # doctest: +SKIP
        """
        from ..planning.equivalent import equivalent_of  # an upward import: see tests/test_imports.py

        return equivalent_of(self, name, of, at, levels)

    def plot(
        self, x: str | None = None, new: RunsLike | None = None, *, by: str | None = None, **options: Any
    ) -> Axes:
        """Draw the data with the median and the 50 and 90 % bands against one input; new rows are marked.

        An isoFLOP sweep is drawn as valleys, one for each budget.

        Args:
            x: the input on the horizontal axis; by default the one that the table varies along.
            new: rows that were not fitted: hollow points where they have `loss`, else diamonds with bands.
            by: the input that tells the curves apart, or "flops"; by default the one with the fewest values.
            options: ax, kind, levels, columns, unit, points: see `lossband.plot.forecast`.

        Returns:
            the matplotlib axes.

        Raises:
            InputError: an input that the law does not have, or new rows that cannot be predicted.

        Example:
            >>> import lossband as lb
            >>> post = lb.fit(lb.load_dataset("positions"), "position_by_size", method="laplace")
            >>> post.plot("position").figure.savefig("fit.png")
        """
        from ..plot.forecast import forecast  # an upward import: see tests/test_imports.py

        return forecast(self, x, new, by=by, **options)

    @cached_property
    def data(self) -> xarray.DataTree:
        """Everything as an xarray DataTree with ArviZ's groups.

        The fits stand one after another along `chain`, whose coordinate `fit` names them:
        `post.data.posterior.sel(chain=post.data.posterior.fit == "drift")` is one of them.

        Raises:
            InputError: fits with different numbers of draws; each has its own `data`.
        """
        from .tree import joined

        return joined({name: fit for name, (_, fit) in self.mixed.items()}, self)

    def save(self, path: str | os.PathLike[str], *, full: bool = False) -> Path:
        """Write the posterior to one netCDF file; `lossband.load` reads it and predicts bit for bit.

        It is written aside and moved into place: whoever looks finds the old file or the new one, whole.

        Args:
            path: of the file.
            full: also write the groups that `lossband.load` can compute again from the others, for programs
                that read the file without lossband: `posterior_predictive`, and `log_likelihood` (computed
                again it agrees to about 1e-6; a fit with "+ou" keeps it anyway).

        Returns:
            the path.

        Example:
            >>> import lossband as lb
            >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
            >>> post = lb.fit(runs, "chinchilla", method="laplace")
            >>> path = post.save("fit.nc")
        """
        from .tree import write

        return write(self, path, full=bool(flag("full", full)))

    def assembled(self, function: Callable[..., Any], paired: pd.DataFrame | None = None) -> Any:
        """What `function(problem, draws)` gives for each fit's draws, in the order of the mixture.

        Args:
            function: of a `Problem` and its `Draws`; it returns an array `(sample, ...)` or a dict of such.
            paired: a frame with a row for each sample, of which the function takes its own rows as third
                argument.

        Returns:
            the array or dict, over all samples of the mixture.
        """
        found = []
        for stream, (name, (picked, places)) in enumerate(self._picked.items()):
            _, fit = self.parts[name]
            mine = () if paired is None else (paired.iloc[places],)
            found.append((places, function(fit.problem, fit.draws.take(picked, stream), *mine)))
        if isinstance(found[0][1], dict):
            return {n: _placed([(places, made[n]) for places, made in found]) for n in found[0][1]}
        return _placed(found)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Chains and draws of the mixture.

        As many of each as the fits have, or one chain where they differ.
        """
        shapes = {fit.shape for _, fit in self.mixed.values()}
        if len({chains for chains, _ in shapes}) == 1:
            return min(shapes)
        return 1, min(chains * draws for chains, draws in shapes)

    @cached_property
    def _picked(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> (positions of its draws that the mixture takes, their places in the mixture)."""
        chains, length = self._shape
        counts = shares([weight for weight, _ in self.mixed.values()], length)
        rng = np.random.default_rng([self.seed, *b"mixture"])
        picked, start = {}, 0
        for (name, (_, fit)), count in zip(self.mixed.items(), counts, strict=True):
            if not count:
                continue
            size = fit.stats["energy"].size // chains
            whole = count == size
            of_chain = [
                np.arange(size) if whole else np.sort(rng.choice(size, count, replace=False))
                for _ in range(chains)
            ]
            places = np.arange(chains)[:, None] * length + start + np.arange(count)
            picked[name] = np.concatenate([c * size + of for c, of in enumerate(of_chain)]), places.ravel()
            start += count
        return picked


Average = Posterior  # what `lossband.average` returns, by the name that it had


def mixture(
    fits: Mapping[str, Fit] | Mapping[str, Posterior],
    weights: Mapping[str, float] | pd.Series | None = None,
    notes: Iterable[Note] = (),
) -> Posterior:
    """A `Posterior` of several fits or posteriors.

    Args:
        fits: name -> `Fit` or `Posterior`, all of the same measurements.
        weights: name -> weight, none below zero; they are made to sum to one. Equal by default.
        notes: coded remarks on how they came about.

    Raises:
        InputError: weights of other names, negative ones, or none above zero.
    """
    weights = dict.fromkeys(fits, 1.0) if weights is None else mapping("weights", weights, "Leave it out.")
    numbers = [value if isinstance(value, Real) else np.nan for value in weights.values()]
    values = np.array(numbers, dtype=float)
    usable = np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0
    if not set(weights) <= set(fits) or not usable:
        raise InputError(
            f"weights= got {weights!r}; expected weights of {listed(fits)}, "
            "none below zero and not all zero.",
            "Leave it out to have them found.",
        )
    shared = {name: float(weights.get(name, 0.0) / values.sum()) for name in fits}
    return Posterior(dict(fits), shared, tuple(dict.fromkeys(notes)))


def shares(weights: Sequence[float], total: int) -> np.ndarray:
    """Whole numbers proportional to weights that sum to `total`: by largest remainders."""
    wanted = np.asarray(weights, dtype=float) / np.sum(weights) * total
    counts = np.floor(wanted + 1e-9).astype(int)
    most = np.argsort(counts - wanted, kind="stable")[: total - counts.sum()]
    counts[most] += 1
    return counts


def _placed(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One array of the parts' rows at their places."""
    total = sum(len(places) for places, _ in found)
    first = np.asarray(found[0][1])
    out = np.empty((total, *first.shape[1:]), first.dtype)
    for places, values in found:
        out[places] = values
    return out
