"""A against B with a few seeds each: which ends lower, by how much, and how many steps that saves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from .._arguments import items, level_of, number, one_of, seed_of, short
from .._html import notebook
from ..errors import InputError, Note
from ..posterior.bands import interval_row
from ..posterior.claims import SURE, runs_needed
from .seeds import SPREAD, Seeds, far_seeds, seeds_of, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..plot.style import Axes
    from ..runs.table import RunsLike


DRAWS = 4000
UNEQUAL = 0.01  # runs whose ends differ by more are said to


def better(
    a: RunsLike,
    b: RunsLike,
    target: float | None = None,
    *,
    names: Sequence[str] = ("a", "b"),
    spread: float | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Better:
    """Say how surely recipe `a` ends lower than recipe `b`, from a few training runs (seeds) of each.

    The final loss of a seed is normal about its recipe's mean. The standard deviation between seeds has a
    prior, so that one seed each already gives an answer, and is nearly shared by the recipes. The posterior
    is exact (a grid over the two standard deviations); no sampler runs.

    Args:
        a: runs of one recipe: `step` or `tokens`, `loss`, and `run` where there are several seeds.
        b: runs of the other; numbers of seeds, and steps, may differ.
        target: a loss, for `steps_saved`; by default the mean final loss of `b`.
        names: of the recipes.
        spread: the prior median of the standard deviation between seeds' final losses, in the unit of the
            loss, where other replicates are known. Default: .0004 of the loss.
        columns: the user's names, {"iteration": "step"}.
        seed: of the draws.

    Returns:
        a `Better`.

    Raises:
        InputError: no clock, a run of one row, clocks that differ, or losses that are no numbers.

    Source:
        The prior's spread: 15 recipes of modded-nanogpt with 5 to 16 seeds each have .0002 to .0006 of the
        loss.

    Example:
        >>> import lossband as lb
        >>> import numpy as np, pandas as pd
        >>> step = np.arange(100, 3001, 100.0)
        >>> def runs(floor, seeds):
        ...     shift = 0.001 * np.random.default_rng(len(seeds)).normal(size=len(seeds))
        ...     return pd.concat([pd.DataFrame({"run": s, "step": step, "loss": floor + d + 40 / step})
        ...                       for s, d in zip(seeds, shift)])
        >>> found = lb.better(runs(3.27, "uv"), runs(3.28, "wxyz"), target=3.30)
        >>> 0.95 < found.prob <= 1
        True
    """
    two = items(names)
    if len(two) != 2 or not all(isinstance(name, str) for name in two) or two[0] == two[1]:
        raise InputError(f"names= got {short(names)}; expected two that differ.", "names=('old', 'new').")
    pair = (seeds_of(two[0], a, columns), seeds_of(two[1], b, columns))
    if pair[0].clock != pair[1].clock:
        raise InputError(
            f"{pair[0].name!r} counts {pair[0].clock} and {pair[1].name!r} counts {pair[1].clock}.",
            "Give both the same clock.",
        )
    typical = SPREAD * float(np.mean([each.finals.mean() for each in pair]))
    if spread is not None:
        typical = number("spread", spread, "a standard deviation above 0", "For instance .001.", above=0)
    if target is not None:
        target = number("target", target, "a loss above 0", "Give one: target=3.28.", above=0)
    values, weights = spreads(pair, typical)
    return Better(*pair, target, values, weights, seed_of(seed), _notes(pair, spread))


@dataclass(frozen=True, repr=False)
class Better:
    """How two recipes compare at the end of their runs, as `lossband.better` found it.

    a, b: the runs of each recipe, their curves and final losses.
    target: the loss asked for, or None.
    spreads: nodes of the posterior of the two standard deviations between seeds, `(2, node)`.
    weights: of the nodes, `(node,)`.
    seed: of the draws.
    notes: coded remarks on the runs.

    Example:
        >>> import lossband as lb
        >>> import pandas as pd
        >>> old = pd.DataFrame({"step": [1000, 2000, 3000], "loss": [3.5, 3.35, 3.30]})
        >>> new = pd.DataFrame({"step": [1000, 2000, 3000], "loss": [3.4, 3.28, 3.27]})
        >>> bool(lb.better(new, old).difference["hi_90"] < 0)
        True
    """

    a: Seeds
    b: Seeds
    target: float | None
    spreads: np.ndarray
    weights: np.ndarray
    seed: int
    notes: tuple[Note, ...] = ()

    @property
    def prob(self) -> float:
        """P(the mean final loss of `a` is below that of `b`)."""
        apart = self.b.finals.mean() - self.a.finals.mean()
        scale = np.sqrt(
            sum(s**2 / len(e.finals) for s, e in zip(self.spreads, (self.a, self.b), strict=True))
        )
        return float(np.sum(self.weights * ndtr(apart / scale)))

    @property
    def difference(self) -> pd.Series:
        """Mean final loss of `a` less that of `b`: `median`, `lo_90`, `hi_90`; below 0, `a` is better."""
        means, _ = self.draws
        return interval_row(means[0] - means[1])

    @property
    def steps_saved(self) -> pd.Series:
        """The clock at which `b` reaches the target less that at which `a` does, both on their mean curves.

        Entries `target`, `prob` (both reach it within their runs), `median`, `lo_90`, `hi_90`: over the draws
        in which at least one does; minus infinity where only `b` does. A curve moves with the uncertainty of
        its mean. Schedules that end earlier would change the curves; this compares the runs as they were.
        """
        target = float(self.b.finals.mean()) if self.target is None else self.target
        times = [
            self._reached(each, means, target) for each, means in zip(self._pair, self.draws[0], strict=True)
        ]
        either = np.isfinite(times[0]) | np.isfinite(times[1])
        both = np.isfinite(times[0]) & np.isfinite(times[1])
        saved = times[1][either] - times[0][either]
        saved = saved if either.any() else np.array([np.nan])
        found = interval_row(saved, method="inverted_cdf")
        return pd.Series({"target": target, "prob": both.mean(), **found})

    @property
    def more_seeds(self) -> pd.Series:
        """How many more seeds of each recipe settle which is better: `median`, `lo_90`, `hi_90`.

        For the difference and the spreads of each draw, the fewest seeds after which a claim at 95 % is made
        with a probability of 80 %, less those there are. All 0 where `prob` is above .95 or below .05.
        """
        if not 1 - SURE < self.prob < SURE:
            return interval_row(np.zeros(1))
        means, scale = self.draws
        needed = runs_needed(means[0] - means[1], np.sum(scale**2, axis=0))
        now = min(len(self.a.finals), len(self.b.finals))
        return interval_row(np.maximum(needed - now, 0), method="inverted_cdf")

    def finals(self, *, kind: str = "mean", level: float = 0.9) -> pd.DataFrame:
        """The final loss by recipe: of its mean, or of a seed that was not run.

        Args:
            kind: "mean", or "run" for one further seed.
            level: of the interval.

        Returns:
            a frame with a row per recipe: `seeds`, `spread` (median of the standard deviation between seeds),
            `median`, `lo_90`, `hi_90`.
        """
        kind, level = one_of("kind", kind, ("mean", "run"), "Leave it out for the mean."), level_of(level)
        rng, rows = np.random.default_rng([self.seed, 1]), {}
        for each, means, scale in zip(self._pair, *self.draws, strict=True):
            losses = means + (scale * rng.normal(size=len(means)) if kind == "run" else 0)
            rows[each.name] = {
                "seeds": len(each.finals),
                "spread": np.median(scale),
                **interval_row(losses, level),
            }
        return pd.DataFrame(rows).T.astype({"seeds": int})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw every seed's final loss, each recipe's mean with its 90 % interval, and a new seed's band."""
        from ..plot.planning import seeds

        return seeds(self, ax=ax)

    @cached_property
    def draws(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws of the mean final losses and of the spreads, each `(2, sample)`."""
        rng = np.random.default_rng(self.seed)
        scale = self.spreads[:, rng.choice(len(self.weights), DRAWS, p=self.weights)]
        centre = np.array([[each.finals.mean()] for each in self._pair])
        count = np.array([[len(each.finals)] for each in self._pair])
        return centre + scale / np.sqrt(count) * rng.normal(size=scale.shape), scale

    @property
    def _pair(self) -> tuple[Seeds, Seeds]:
        return self.a, self.b

    @staticmethod
    def _reached(each: Seeds, means: np.ndarray, target: float) -> np.ndarray:
        """When the mean curve, moved to each drawn mean, first reaches a loss: `(sample,)`, or infinity."""
        clock, losses = each.mean_curve()
        lowest, logs = np.minimum.accumulate(losses), np.log(clock)
        wanted = target - (means - each.finals.mean())
        j = np.searchsorted(-lowest, -wanted)  # the first point at or below
        inside = np.clip(j, 1, len(clock) - 1)
        high, low = losses[inside - 1], losses[inside]
        share = np.clip((high - wanted) / np.where(high > low, high - low, 1), 0, 1)
        times = np.exp(logs[inside - 1] + share * (logs[inside] - logs[inside - 1]))
        return np.where(j == 0, clock[0], np.where(j < len(clock), times, np.inf))

    def __str__(self) -> str:
        """Three lines and the notes."""
        a, b, saved, more = self.a.name, self.b.name, self.steps_saved, self.more_seeds
        lines = [
            f"{a} ends lower than {b} with probability {self.prob:.3f} "
            f"({len(self.a.finals)} and {len(self.b.finals)} seeds)",
            f"final loss of {a} less that of {b}: {_shown(self.difference, '{:+.4f}')}",
        ]
        if saved["prob"] > 0.05:
            what = f"{self.a.clock}s saved" if self.a.clock == "step" else "tokens saved"
            lines.append(f"{what} to a loss of {saved['target']:.4f}: {_shown(saved, '{:,.0f}')}")
        if more["hi_90"] > 0:
            lines.append(f"further seeds of each that settle it: {_shown(more, '{:,.0f}')}")
        return "\n".join([*lines, *map(str, self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """What `print` shows, for a notebook."""
        first, *rest = str(self).splitlines()
        return notebook(first, "\n".join(rest), self.finals())


def _shown(found: pd.Series, form: str) -> str:
    ends = [form.format(found[name]) if math.isfinite(found[name]) else "never" for name in found.index[-3:]]
    return f"{ends[0]}, 90 % interval {ends[1]} to {ends[2]}"


def _notes(pair: tuple[Seeds, Seeds], spread: float | None) -> tuple[Note, ...]:
    notes = [note for each in pair for note in each.notes]
    few = [each.name for each in pair if len(each.finals) == 1]
    if len(few) == 2 and spread is None:
        text = (
            "each recipe has one seed: how far seeds differ comes from the prior alone, .0004 of the loss. "
            "Run a second seed, or say what you know: spread=."
        )
        notes.append(Note("one-seed", text))
    far = [f"{label} of {each.name}" for each in pair for label in far_seeds(each)]
    if far:
        text = f"{', '.join(far)} ended far from the other seeds of its recipe; seeds are taken as normal."
        notes.append(Note("far-seed", text))
    ends = [each.ends for each in pair]
    if max(map(np.max, ends)) > (1 + UNEQUAL) * min(map(np.min, ends)):
        clock = pair[0].clock
        text = (
            f"runs end at different {clock}s: prob and difference compare each at its own end; steps_saved "
            "compares them at one loss."
        )
        notes.append(Note("unequal-lengths", text))
    return tuple(notes)
