"""Bands, gaps and probabilities from drawn losses."""

import numpy as np
import pandas as pd

from ..errors import InputError
from ..model.problem import read_new

LEVELS = (0.5, 0.8, 0.9, 0.95)


def summarise(problem, new, losses, *, kind, levels):
    """Equal-tailed intervals of drawn losses `(sample, row)`, one row each.

    Returns:
        a frame with the inputs, `mean`, `median`, `sd`, `lo_90`, `hi_90`, ... in the unit of the loss, and
        `extrapolation`, the distance from the ranges of the training rows in decades. `frame.attrs` says the
        kind and that the intervals are equal-tailed.
    """
    frame = new[[c for c in ("run", *problem.model.law.inputs) if c in new]].copy()
    frame["mean"], frame["median"], frame["sd"] = losses.mean(0), np.median(losses, 0), losses.std(0)
    for level in levels:
        if not 0 < level < 1:
            raise InputError(
                f"levels= has {level!r}; expected numbers between 0 and 1.", "A 90 % band is 0.9."
            )
        frame[f"lo_{named(level)}"], frame[f"hi_{named(level)}"] = np.quantile(
            losses, [(1 - level) / 2, (1 + level) / 2], axis=0
        )
    frame["extrapolation"] = problem.paths.extrapolation(new)
    frame.attrs.update(kind=kind, interval="equal-tailed", levels=tuple(levels))
    return frame


def named(level):
    """A level as a column's suffix: .9 is "90", .975 is "97.5"."""
    return f"{100 * level:g}"


def gaps(real, predicted, observed, *, by="run", level=0.9):
    """Signed distance predicted - real, averaged over the rows of each curve, with its own interval.

    Args:
        real: a checked frame of measured rows, with `loss`.
        predicted: draws of the curve, `(sample, row)`.
        observed: draws of new measurements, `(sample, row)`.
        by: what one curve is: a column of `real` or several.

    Returns:
        a frame, one row a curve: `by`, `rows`, `gap` (the posterior mean, in the unit of the loss; above zero the
        prediction is too high), `lo_90`, `hi_90`, and `inside_50`, `inside_90`, the share of the curve's rows
        inside the bands of a new observation.
    """
    loss, suffix, rows = real["loss"].to_numpy(), named(level), []
    for name, index in real.groupby(by, sort=False).indices.items():
        gap = (predicted[:, index] - loss[index]).mean(1)
        row = dict(
            zip(
                [by] if isinstance(by, str) else by,
                np.atleast_1d(np.asarray(name, dtype=object)),
                strict=True,
            )
        )
        row |= {"rows": len(index), "gap": gap.mean()}
        row[f"lo_{suffix}"], row[f"hi_{suffix}"] = np.quantile(gap, [(1 - level) / 2, (1 + level) / 2])
        for share in (0.5, level):
            low, high = np.quantile(observed[:, index], [(1 - share) / 2, (1 + share) / 2], axis=0)
            row[f"inside_{named(share)}"] = ((low <= loss[index]) & (loss[index] <= high)).mean()
        rows.append(row)
    return pd.DataFrame(rows)


class Forecast:
    """What can be asked of whatever draws losses at new rows: a `Posterior`, or an `Average` of several.

    A subclass has `draws(new, kind=, columns=)`, the draws as an xarray of dimensions (sample, row), and `problem`, which
    says what the inputs are and how far a row is from the training rows.
    """

    def predict(self, new, *, kind="observation", levels=LEVELS, columns=None):
        """Bands at new rows: see `lossband.posterior.bands.summarise` for the columns.

        Args:
            new: a frame or CSV with the law's inputs; `run` labels are used where the noise has a run effect.
            kind: "mean" (the law, its coefficients' uncertainty, and the drift), "run" (a new training run) or
                "observation" (a new measurement).
            levels: of the equal-tailed intervals.
        """
        losses = self.draws(new, kind=kind, columns=columns).to_numpy()
        return summarise(
            self.problem, read_new(self.problem, new, columns=columns), losses, kind=kind, levels=levels
        )

    def gap(self, real, *, by="run", kind="mean", level=0.9, columns=None):
        """Signed distance predicted - real, per curve, with its own interval: see `lossband.posterior.bands.gaps`."""
        frame = read_new(self.problem, real, columns=columns, loss=True)
        predicted, observed = (
            self.draws(real, kind=k, columns=columns).to_numpy() for k in (kind, "observation")
        )
        return gaps(frame, predicted, observed, by=by, level=level)

    def prob(self, new, *, below, kind="observation", columns=None):
        """P(loss < below) at each new row, `(row,)`, for a new measurement (or another `kind`)."""
        return (self.draws(new, kind=kind, columns=columns) < below).mean("sample").to_numpy()
