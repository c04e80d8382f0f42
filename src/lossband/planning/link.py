"""Two steps: from a loss to a metric, the whole posterior of the loss carried through a fitted sigmoid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from .._arguments import of_type
from .._html import notebook
from .._lazy import dist
from ..errors import InputError, Note, listed
from ..inference.fit import fit
from ..laws import LAWS
from ..model.problem import NewRows
from ..posterior.bands import Forecast
from ..posterior.forecast import draw_paired
from ..posterior.health import worst
from ..posterior.posterior import Posterior
from ..runs.loss_scale import as_loss, find_scale, scale_of
from ..runs.table import numbers, read_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Unpack

    from ..inference.options import LinkOptions
    from ..model.problem import Problem
    from ..plot.style import Axes
    from ..posterior.forecast import Draws, Kind
    from ..posterior.health import Health
    from ..runs.loss_scale import Metric
    from ..runs.table import RunsLike

INPUT = "confidence"  # e^-loss, the geometric mean of the probabilities that the model gave to the text
BEYOND = 0.5  # share of the draws of a row whose loss lies beyond the measured losses: then a note


@dataclass(frozen=True, repr=False)
class Link(Forecast):
    """A metric forecast from a forecast of the loss.

    first: the posterior of the loss given the runs' inputs.
    second: that of the metric given the loss; its input `confidence` is exp(-loss).

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> table = runs.assign(accuracy=1 / (1 + (runs.loss / 1.2) ** 4))
        >>> link = lb.link(post, table, metric="accuracy", method="laplace")
        >>> band = link.predict({"params": 1e7, "tokens": 1e9})
    """

    first: Posterior
    second: Posterior
    unit = "metric"

    @property
    def problem(self) -> Problem:
        """That of the loss: its inputs are the forecast's."""
        return self.first.problem

    @property
    def health(self) -> Health:
        """The worse of the two fits'."""
        return worst([self.first.health, self.second.health])

    def samples(self, rows: NewRows, kind: Kind) -> np.ndarray:
        """Draws of the metric at rows that are read already, `(sample, row)`; `kind` is that of both steps.

        Each draw of the loss goes through one draw of the sigmoid: they hold the uncertainty of both.
        """
        losses = self.first.samples(rows, kind)
        count = self.second.sites["sigma"].size
        # chains follow one another: an even choice is of all chains
        losses = losses[np.linspace(0, len(losses) - 1, count).round().astype(int)]

        def of_one(problem: Problem, draws: Draws, mine: pd.DataFrame) -> np.ndarray:
            each = [
                draw_paired(problem, draws, _rows(mine[row]), kind=kind, stream=number)
                for number, row in enumerate(mine)
            ]
            return np.stack(each, axis=1)

        return self.second.assembled(of_one, pd.DataFrame(losses))

    def _finished(self, band: pd.DataFrame, rows: NewRows) -> pd.DataFrame:
        """The bands with notes that say where the loss leaves the range that the sigmoid was fitted on."""
        band.attrs["notes"] += [str(note) for note in self._notes(rows)]
        return band

    def plot(self, new: RunsLike | None = None, **options: Any) -> Axes:
        """Draw the metric against the loss: measured models, the sigmoid's band, forecasts of new rows.

        Args:
            new: rows to forecast; each is a cross, its 90 % intervals of loss and of metric.
            options: ax, levels: see `lossband.plot.planning.sigmoid`.

        Returns:
            the matplotlib axes.
        """
        from ..plot.planning import sigmoid

        return sigmoid(self, cast(Any, new), **options)

    def _measured(self, rows: NewRows, keys: Sequence[str]) -> pd.DataFrame:
        """The rows with the measured metric as `loss`."""
        scale = self.second.problem.scale
        table = as_loss(rows.table, scale)
        frame = rows.checked(self.problem)
        frame = frame.assign(loss=numbers(table, "loss", signed=scale.signed))
        scale.check(frame["loss"])
        return frame.assign(**{name: table[name] for name in keys if name not in frame})

    def _notes(self, rows: NewRows) -> list[Note]:
        seen = -np.log(self.second.problem.frame[INPUT].to_numpy())
        losses = self.first.samples(rows, "mean")
        beyond = ((losses < seen.min()) | (losses > seen.max())).mean(0) > BEYOND
        if not beyond.any():
            return []
        middle = np.median(losses[:, beyond], axis=0)
        return [
            Note(
                "beyond-link",
                f"{beyond.sum()} rows have losses of {middle.min():.4g} to {middle.max():.4g}, outside those "
                f"that the metric was measured at ({seen.min():.4g} to {seen.max():.4g}): there the sigmoid "
                "is extrapolated. Measure the metric of a better model, of any family, if there is one.",
            )
        ]

    def __repr__(self) -> str:
        """Both fits in brief."""
        scale = self.second.problem.scale
        return "\n".join(
            [
                f"Link from the loss to {scale.column}: {len(self.second.problem.frame)} models",
                f"loss: {self.first!r}",
                f"{scale.column}: {self.second!r}",
            ]
        )

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        first, *rest = repr(self).splitlines()
        return notebook(first, "\n".join(rest))


def link(
    post: Posterior,
    table: RunsLike,
    *,
    metric: Metric = "accuracy",
    bounds: tuple[float, float] | None = None,
    columns: Mapping[str, str] | None = None,
    **options: Unpack[LinkOptions],
) -> Link:
    """Forecast a metric in two steps: inputs to loss by a posterior, loss to metric by a sigmoid fitted here.

        -ln(share right) = E + S(loss),   S rising as exp(alpha loss) up to a plateau near chance

    As in the two-step forecasts of Bhagia et al. 2024 (arXiv:2412.04403), with both posteriors.

    Args:
        post: of the loss, given params, tokens, ...
        table: one row per model of any kind, with `loss` (the one that `post` forecasts) and the metric, in a
            column of its name; its other columns are not read.
        metric: "accuracy", "error", or "loss" for another loss, in a column `metric`.
        bounds: of the metric: see `fit`.
        columns: the user's column names, {"lambada_acc": "accuracy"}.
        options: of `fit`, for the sigmoid.

    Returns:
        a `Link`, which forecasts as a posterior does: predict, draws, gap, prob.

    Raises:
        InputError: a table without losses or metric, or metrics outside their bounds.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> table = runs.assign(accuracy=1 / (1 + (runs.loss / 1.2) ** 4))
        >>> link = lb.link(post, table, metric="accuracy", method="laplace")
        >>> chance = link.prob({"params": 1e7, "tokens": 1e9}, below=0.9)
    """
    of_type("post", post, Posterior, "Fit one: lossband.fit(runs).")
    frame = read_runs(table, columns=columns)
    loss = numbers(frame, "loss", signed=post.problem.scale.signed)
    column = _column(metric, bounds)
    if column not in frame:
        raise InputError(
            f"link reads the metric from a column {column!r}, and the table has {listed(frame.columns, 12)}.",
            f"Name yours: columns={{'yours': {column!r}}}.",
        )
    kept = ["run"] if "run" in frame else []
    pairs = frame[kept].assign(**{INPUT: np.exp(-loss), "loss": frame[column]})
    if f"{column}_se" in frame:
        pairs["loss_se"] = frame[f"{column}_se"]
    # minus ln of the share right changes by a factor of e^1.5 per nat of loss, give or take e^.8
    steep = dist.LogNormal(np.log(1.5), 0.8)
    law = replace(LAWS["power_saturated"], inputs=(INPUT,)).with_priors(alpha=steep)
    return Link(post, fit(pairs, law, metric=metric, bounds=bounds, **options))


def _column(metric: Metric, bounds: tuple[float, float] | None) -> str:
    """The table's column that holds the metric."""
    scale = scale_of(metric, bounds)
    return "metric" if scale is None else find_scale(scale).column


def _rows(losses: pd.Series) -> pd.DataFrame:
    """Rows of the sigmoid's input, of no known run."""
    return pd.DataFrame({"run": "forecast", INPUT: np.exp(-losses.to_numpy(float))})
