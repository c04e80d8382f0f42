r"""The numbers that papers print, beside ours: approaches 2 and 3 of Hoffmann et al. on a posterior's rows.

Approach 2: a parabola of the loss in ln N through each budget's runs; the line of ln N* against ln C through
the minima. Approach 3: Chinchilla's law by a Huber loss, from which N* = G (C / 6)^a in closed form,

    a = beta / (alpha + beta),      G = (alpha A / (beta B))^(1 / (alpha + beta))

Approach 3 is bootstrapped over runs, approach 2 over the residuals of each parabola.

Source: Hoffmann et al. 2022, arXiv:2203.15556, sections 3.2 and 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._arguments import of_type, seed_of, whole
from .._html import notebook
from ..errors import InputError, Note, listed
from ..posterior.posterior import Posterior
from ..runs.levels import clusters, is_isoflop
from .huber import refits

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

LEAST = 3  # sizes per budget that a parabola needs
METHODS = ("lossband", "isoFLOP parabolas", "Huber and bootstrap")


@dataclass(frozen=True, repr=False)
class Classic:
    """Classical estimates beside a posterior's.

    frame: one row per method and quantity: `method`, `quantity`, `median`, `lo_90`, `hi_90`. Quantities: the
        exponent of N* in C, E, alpha and beta, and N*, D* and the loss there per budget. Approach 2 has the
        exponent, N* and D* alone.
    notes: coded remarks: approach 2 needs an isoFLOP sweep; budgets whose minimum lies outside their sizes.
    """

    frame: pd.DataFrame
    notes: tuple[Note, ...]

    def table(self) -> pd.DataFrame:
        """One row per quantity, one column per method: "median (lo_90 to hi_90)" as text."""
        text = self.frame.apply(
            lambda row: f"{row['median']:.4g} ({row['lo_90']:.4g} to {row['hi_90']:.4g})", axis=1
        )
        wide = self.frame.assign(text=text).pivot(index="quantity", columns="method", values="text")
        order = list(dict.fromkeys(self.frame["quantity"]))
        return wide.reindex(order)[[m for m in METHODS if m in wide]].fillna("").rename_axis(columns=None)

    def __repr__(self) -> str:
        """The table and the notes."""
        return "\n".join([self.table().to_string(), *map(str, self.notes)])

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        return notebook("Classical estimates beside the posterior's", frame=self.table(), notes=self.notes)


def classic(post: Posterior, flops: ArrayLike, *, num_bootstraps: int = 200, seed: int = 0) -> Classic:
    """Set an isoFLOP parabola fit and a Huber fit with bootstrap beside a posterior, on the same rows.

    Args:
        post: a `Posterior` of a law of params and tokens.
        flops: budgets, in FLOPs at 6 x params x tokens.
        num_bootstraps: refits of each classical method.
        seed: of the resampling.

    Returns:
        a `Classic`.

    Raises:
        InputError: a law of other inputs.

    Example:
        >>> import lossband as lb
        >>> from lossband.evaluation.classic import classic
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> table = classic(post, [1e15], num_bootstraps=5).table()
    """
    of_type("post", post, Posterior, "Fit one: lossband.fit(runs).")
    if not {"params", "tokens"} <= set(post.law.inputs) or "loops" in post.law.inputs:
        raise InputError(
            f"the classical fits take params and tokens; the law {post.law.name!r} takes "
            f"{listed(post.law.inputs)}.",
            "Fit a law of params and tokens.",
        )
    count, rng = whole("num_bootstraps", num_bootstraps, least=2), np.random.default_rng(seed_of(seed))
    plan = post.optimal(flops)
    budgets = plan.frame["flops"].to_numpy()
    runs = post.problem.frame.assign(flops=lambda t: 6 * t["params"] * t["tokens"])
    found = {METHODS[0]: _ours(post, plan)}
    parabolas, notes = _parabolas(runs, budgets, count, rng)
    found |= {METHODS[1]: parabolas} if parabolas else {}
    found[METHODS[2]] = _huber(runs, budgets, count, seed)
    rows = [
        {"method": method, "quantity": quantity, **_interval(drawn)}
        for method, quantities in found.items()
        for quantity, drawn in quantities.items()
    ]
    return Classic(pd.DataFrame(rows), tuple(notes))


def _interval(drawn: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95])
    return {"median": middle, "lo_90": low, "hi_90": high}


def _ours(post: Posterior, plan: Any) -> dict[str, np.ndarray]:
    """Draws of the posterior's quantities; coefficients are those of the fit to cite."""
    found = {"exponent": plan.exponent}
    sites = post.parts[post.cited][1].draws.sites
    found |= {name: np.ravel(sites[name]) for name in ("E", "alpha", "beta") if name in sites}
    for i, budget in enumerate(plan.frame["flops"]):
        drawn = (plan.draws[name].to_numpy()[:, i] for name in ("params", "tokens", "loss"))
        found |= _at(budget, *drawn)
    return found


def _at(budget: float, params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> dict[str, np.ndarray]:
    """The quantities of one budget under their names."""
    return {f"N* at {budget:.3g}": params, f"D* at {budget:.3g}": tokens, f"loss at {budget:.3g}": loss}


def _huber(runs: pd.DataFrame, budgets: np.ndarray, count: int, seed: int) -> dict[str, np.ndarray]:
    """Approach 3: refits of Chinchilla's law, and the optimum of each in closed form."""
    log_a, log_b, log_e, alpha, beta = refits(runs, num_bootstraps=count, seed=seed).T
    found = {"exponent": beta / (alpha + beta), "E": np.exp(log_e), "alpha": alpha, "beta": beta}
    log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
    for budget in budgets:
        params = np.exp(log_g + found["exponent"] * np.log(budget / 6))
        tokens = budget / 6 / params
        loss = np.exp(log_e) + np.exp(log_a) * params**-alpha + np.exp(log_b) * tokens**-beta
        found |= _at(budget, params, tokens, loss)
    return found


def _parabolas(
    runs: pd.DataFrame, budgets: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], list[Note]]:
    """Approach 2: the line of ln N* against ln C through the budgets' minima, with resampled residuals."""
    if not is_isoflop(runs):
        text = "the rows are no isoFLOP sweep (several sizes at each of a few budgets): no parabolas."
        return {}, [Note("no-isoflop", text)]
    groups = [rows for _, rows in runs.groupby(clusters(runs["flops"]))]
    groups = [rows for rows in groups if rows["params"].nunique() >= LEAST]
    logs = [(np.log(rows["params"].to_numpy()), np.log(rows["loss"].to_numpy())) for rows in groups]
    bowls = [np.polyfit(x, y, 2) for x, y in logs]
    good = [
        b[0] > 0 and x.min() <= -b[1] / (2 * b[0]) <= x.max() for b, (x, _) in zip(bowls, logs, strict=True)
    ]
    at = np.array([np.log(rows["flops"]).mean() for rows in groups])
    notes = [] if all(good) else [_outside(np.exp(at)[~np.array(good)])]
    if sum(good) < 2:
        return {}, notes
    minima = np.stack([_minima(*each, count, rng) for each, fine in zip(logs, good, strict=True) if fine])
    minima = minima[:, np.isfinite(minima).all(0)]
    slope, level = np.polyfit(at[good], minima, 1)
    if lost := count - minima.shape[1]:
        text = f"{lost} of {count} resamples had a budget without a minimum and are left out."
        notes.append(Note("no-minimum", text))
    drawn = {"exponent": slope}
    for budget in budgets:
        params = np.exp(level + slope * np.log(budget))
        drawn |= {f"N* at {budget:.3g}": params, f"D* at {budget:.3g}": budget / 6 / params}
    return drawn, notes


def _minima(x: np.ndarray, y: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Ln N at the minimum of a budget's parabola, `(resample,)`; NaN where a resample has none."""
    bowl = np.polyfit(x, y, 2)
    residual = (y - np.polyval(bowl, x)) * np.sqrt(len(x) / max(len(x) - 3, 1))
    again = np.polyval(bowl, x)[:, None] + rng.choice(residual, size=(len(x), count))
    curvature, slope, _ = np.polyfit(x, again, 2)
    return np.where(curvature > 0, -slope / (2 * curvature), np.nan)


def _outside(budgets: np.ndarray) -> Note:
    text = f"the sizes at {listed(f'{budget:.3g}' for budget in budgets)} FLOPs hold no minimum: left out."
    return Note("no-minimum", text)
