"""How good draws are.

R-hat, effective sample sizes, and whether two samplers agree within Monte Carlo error.
"""

import numpy as np

AGREE = 4.0  # standard errors; the largest of sixteen normal numbers exceeds it once in a thousand


def quality(draws, gradients=None):
    """Figures of the draws `{name: (chain, draw)}`, by ArviZ.

    Args:
        gradients: how many were evaluated after warm-up, over all chains, if that is known.
    """
    from arviz_stats.base import array_stats

    kinds = {"bulk": None, "tail": (0.05, 0.95)}
    ess = {
        kind: min(float(array_stats.ess(x, 0, 1, method=kind, prob=prob)) for x in draws.values())
        for kind, prob in kinds.items()
    }
    report = {
        "rhat": max(float(array_stats.rhat(x, 0, 1)) for x in draws.values()),
        "ess_bulk": ess["bulk"],
        "ess_tail": ess["tail"],
    }
    if gradients is not None:
        report |= {
            "gradients": int(gradients),
            "gradients_per_effective_draw": float(gradients) / min(ess.values()),
        }
    return report | {"moments": {name: moments(x) for name, x in draws.items()}}


def moments(x):
    """Mean and variance of draws `(chain, draw)`, each with its Monte Carlo standard error."""
    mean, mean_se = _average(x)
    variance, variance_se = _average((x - mean) ** 2)
    return {
        "mean": mean,
        "mean_se": mean_se,
        "sd": variance**0.5,
        "variance": variance,
        "variance_se": variance_se,
    }


def _average(x):
    from arviz_stats.base import array_stats

    return float(x.mean()), float(x.std() / np.sqrt(array_stats.ess(x, 0, 1, method="mean")))


def disagreement(one, other):
    """The largest difference of the means or variances of two rows' `moments`, in its standard errors, and where it is."""
    apart = [
        (
            abs(one[name][what] - other[name][what])
            / np.hypot(one[name][f"{what}_se"], other[name][f"{what}_se"]),
            f"{what} of {name}",
        )
        for name in one
        for what in ("mean", "variance")
    ]
    return max(apart)
