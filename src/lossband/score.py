"""Scores of a forecast given as draws: of calibrated forecasts, the sharper is the better.

Every function takes `draws`, shape (sample, row), the draws of the posterior predictive for each new
measurement, and `observed`, shape (row,), what was then measured, in the same unit. Give both in log loss to
score relative errors. Scores have shape (row,) and are not averaged, so that the caller chooses which rows
weigh the same. CRPS and interval score: smaller is better; log score: larger is better.

scipy is imported where it is used: every fit would wait for it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def crps(draws: ArrayLike, observed: ArrayLike) -> np.ndarray:
    """Continuous ranked probability score: the absolute error of a forecast that is a distribution.

        CRPS(F, y) = integral (F(z) - 1{z >= y})^2 dz = E|X - y| - E|X - X'| / 2

    with X, X' drawn independently from the forecast F, here the empirical distribution of the draws.

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.

    Returns:
        Score in the unit of the draws, shape (row,); 0 is perfect.

    Raises:
        ValueError: shapes that do not match, or values that are not finite.

    Example:
        >>> crps([[0.0], [2.0]], [1.0]).item()
        0.5

    Source: Gneiting and Raftery (2007), eq. 20 and 21; estimator "qd" of scoringrules.
    """
    from scoringrules import crps_ensemble

    draws, observed = _checked(draws, observed)
    return crps_ensemble(observed, draws, m_axis=0, estimator="qd")


def log_score(draws: ArrayLike, observed: ArrayLike) -> np.ndarray:
    """Log density that the forecast gave to what was measured, from a Gaussian kernel on the draws.

        log p(y) = log (1 / S) sum_s Normal(y; x_s, h),    h = 0.9 min(sd, IQR / 1.34) S^(-1/5)

    S is the number of draws x_s of the row, sd their standard deviation, IQR their interquartile range. The
    smaller of the two keeps a few extreme draws from blurring the body. Far outside the draws the density
    falls off as a Gaussian of width h, so a miss is punished harder than under a forecast with a real tail.

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.

    Returns:
        Score in nats, shape (row,); larger is better.

    Raises:
        ValueError: shapes that do not match, values that are not finite, or a row whose draws have no spread.

    Example:
        >>> flat = np.linspace(0, 2, 1001)[:, None]
        >>> round(log_score(flat, [1.0]).item(), 2)      # log 1/2
        -0.69

    Source: Silverman (1986), Density Estimation, eq. 3.31.
    """
    draws, observed = _checked(draws, observed)
    num_draws = len(draws)
    low, high = np.quantile(draws, [0.25, 0.75], axis=0)
    spread = np.minimum(draws.std(axis=0, ddof=1), (high - low) / 1.34)
    if flat := np.flatnonzero(spread <= 0).tolist():
        raise ValueError(
            f"the draws of {len(flat)} row(s) have no spread (rows {_few(flat)}); a density needs an "
            "interquartile range above 0. Score a point forecast with `crps`, which needs none."
        )
    h = 0.9 * spread * num_draws ** (-1 / 5)  # Silverman, eq. 3.31
    kernel = -0.5 * ((observed - draws) / h) ** 2
    from scipy.special import logsumexp

    return logsumexp(kernel, axis=0) - np.log(num_draws * h * np.sqrt(2 * np.pi))


def mixture(log_densities: ArrayLike) -> np.ndarray:
    """Log density of a forecast that is a mixture over posterior draws, from each draw's own density.

        log p(y) = log (1 / S) sum_s p(y | theta_s)

    Exact where `log_score` smooths: the draws stand for the parameters, and the noise keeps its own tails.

    Args:
        log_densities: log p(y | theta_s) of each measurement given each draw, shape (sample, row).

    Returns:
        Score in nats, shape (row,); larger is better.

    Raises:
        ValueError: not (sample, row), or values that are NaN or +infinity; -infinity, a density of 0, is
            allowed.

    Example:
        >>> round(mixture([[0.0], [-np.inf]]).item(), 2)      # log 1/2
        -0.69

    Source: Gelman et al. (2014), Statistics and Computing 24, eq. 5: the computed log pointwise predictive
    density.
    """
    densities = np.asarray(log_densities, dtype=float)
    if densities.ndim != 2 or not len(densities):
        raise ValueError(
            f"log densities have shape {densities.shape}, expected (sample, row). Flatten chains first."
        )
    if bad := np.argwhere(np.isnan(densities) | (densities == np.inf)).tolist():
        raise ValueError(
            f"log densities have {len(bad)} value(s) that are NaN or +infinity (at {_few(bad)}); expected "
            "numbers. Look at the fit that made them."
        )
    from scipy.special import logsumexp

    return logsumexp(densities, axis=0) - np.log(len(densities))


def covered(draws: ArrayLike, observed: ArrayLike, level: float) -> np.ndarray:
    """Whether each measurement fell inside the band, the equal-tailed interval of the draws.

        q((1 - level) / 2) <= y <= q((1 + level) / 2)      q: quantile of the draws

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.
        level: nominal probability of the band, between 0 and 1.

    Returns:
        Booleans, shape (row,).

    Raises:
        ValueError: shapes that do not match, values that are not finite, or a level outside (0, 1).

    Example:
        >>> covered([[0.0, 0.0], [1.0, 1.0]], [0.5, 2.0], 0.9).tolist()
        [True, False]
    """
    draws, observed = _checked(draws, observed)
    low, high = _band(draws, level)
    return (low <= observed) & (observed <= high)


def coverage(draws: ArrayLike, observed: ArrayLike, levels: ArrayLike = LEVELS) -> np.ndarray:
    """Share of the measurements inside the band at each level; a calibrated forecast gives `levels` back.

        coverage(level) = (1 / rows) sum_i 1{y_i in band_i(level)}

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.
        levels: nominal probabilities, shape (level,).

    Returns:
        Shares between 0 and 1, shape (level,).

    Raises:
        ValueError: as `covered`, or no row at all.

    Example:
        >>> coverage([[0.0, 0.0], [1.0, 1.0]], [0.5, 2.0], [0.5, 0.9]).tolist()
        [0.5, 0.5]
    """
    draws, observed = _checked(draws, observed)
    _need_rows(observed)
    return np.array([covered(draws, observed, level).mean() for level in np.atleast_1d(levels)])


def pit(draws: ArrayLike, observed: ArrayLike) -> np.ndarray:
    """Probability integral transform: the forecast's own percentile of what was measured.

        u = (#{x_s < y} + #{x_s = y} / 2 + 1 / 2) / (S + 1)

    The mid-rank among S draws x_s, not randomised: never 0 or 1, and 1/2 where y is the median. Uniform for a
    calibrated forecast; heaped at both ends for an overconfident one, at one end for a biased one.

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.

    Returns:
        Percentiles between 0 and 1, shape (row,).

    Raises:
        ValueError: shapes that do not match, or values that are not finite.

    Example:
        >>> pit([[0.0], [1.0], [2.0]], [1.0]).item()
        0.5

    Source: Dawid (1984); Czado, Gneiting and Held (2009), section 2, for the ties.
    """
    draws, observed = _checked(draws, observed)
    below = (draws < observed).sum(axis=0)
    ties = (draws == observed).sum(axis=0)
    return (below + 0.5 * ties + 0.5) / (len(draws) + 1)


def interval_score(draws: ArrayLike, observed: ArrayLike, level: float) -> np.ndarray:
    """Width of the band plus a penalty for each measurement outside the interval.

        S = (u - l) + (2 / a) (l - y) 1{y < l} + (2 / a) (y - u) 1{y > u},      a = 1 - level

    l and u are the ends of the equal-tailed interval of the draws.

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.
        level: nominal probability of the band, between 0 and 1.

    Returns:
        Score in the unit of the draws, shape (row,); smaller is better.

    Raises:
        ValueError: as `covered`.

    Example:
        >>> interval_score([[0.0], [1.0]], [3.0], 0.5).item()      # band [.25, .75]: .5 + 4 * 2.25
        9.5

    Source: Gneiting and Raftery (2007), eq. 43.
    """
    draws, observed = _checked(draws, observed)
    low, high = _band(draws, level)
    under, over = np.maximum(low - observed, 0), np.maximum(observed - high, 0)
    return (high - low) + 2 / (1 - level) * (under + over)  # eq. 43


def msce(draws: ArrayLike, observed: ArrayLike) -> float:
    """Mean squared calibration error: how far coverage is from its nominal level, over seven levels.

        MSCE = mean over level in {.5, .6, .7, .8, .9, .95, .99} of (coverage(level) - level)^2

    Args:
        draws: posterior predictive draws, shape (sample, row).
        observed: measurements, shape (row,), same unit.

    Returns:
        A float, 0 for perfect coverage; 0.63 when every row misses every band.

    Raises:
        ValueError: as `coverage`.

    Example:
        >>> round(msce([[0.0], [1.0]], [9.0]), 2)
        0.63
    """
    return float(np.mean((coverage(draws, observed, LEVELS) - np.array(LEVELS)) ** 2))


def sharpness(draws: ArrayLike, level: float = 0.9) -> np.ndarray:
    """Width of the band; of two calibrated forecasts, the narrower is the better.

        q((1 + level) / 2) - q((1 - level) / 2)      q: quantile of the draws

    Args:
        draws: posterior predictive draws, shape (sample, row).
        level: nominal probability of the band, between 0 and 1.

    Returns:
        Widths in the unit of the draws, shape (row,).

    Raises:
        ValueError: draws that are not (sample, row) and finite, or a level outside (0, 1).

    Example:
        >>> sharpness([[0.0], [1.0]], level=0.5).item()
        0.5
    """
    low, high = _band(_checked_draws(draws), level)
    return high - low


def coverage_interval(hit: ArrayLike, run: ArrayLike, level: float = 0.9) -> tuple[float, float]:
    """Interval for a coverage rate that counts all rows of one run as one piece of evidence.

        rate ~ Beta(k + 1/2, n - k + 1/2)      k = sum over the n runs of (share of the run's rows hit)

    Rows of one run are correlated, so a thousand checkpoints of three runs prove as much as three hits. The
    interval is equal-tailed; its lower end is 0 if nothing was hit, its upper end 1 if everything was.

    Args:
        hit: whether the band covered each row, shape (row,), from `covered`.
        run: name of the run of each row, shape (row,).
        level: probability of the interval, between 0 and 1.

    Returns:
        (low, high), two floats.

    Raises:
        ValueError: shapes that do not match, no row, `hit` that is not boolean, or a level outside (0, 1).

    Example:
        >>> low, high = coverage_interval([True] * 500 + [False] * 500, ["a"] * 500 + ["b"] * 500)
        >>> round(low, 2), round(high, 2)
        (0.1, 0.9)

    Source: Jeffreys interval, Brown, Cai and DasGupta (2001), section 4; one trial per run is ours.
    """
    hit, run = np.asarray(hit), np.asarray(run)
    if hit.dtype != bool:
        raise ValueError(f"hit has dtype {hit.dtype}, expected bool. Pass the result of `covered`.")
    if hit.ndim != 1 or run.shape != hit.shape:
        raise ValueError(
            f"hit has shape {hit.shape} and run {run.shape}; expected the same (row,). "
            "Name the run of every row."
        )
    _need_rows(hit)
    _check_level(level)
    _, index = np.unique(run, return_inverse=True)
    share = np.bincount(index, weights=hit) / np.bincount(index)
    n, k = len(share), share.sum()
    from scipy.special import betaincinv  # scipy.stats would take a second more

    low, high = betaincinv(k + 0.5, n - k + 0.5, [(1 - level) / 2, (1 + level) / 2])
    return (float(low) if hit.any() else 0.0), (1.0 if hit.all() else float(high))


def _band(draws: np.ndarray, level: float) -> np.ndarray:
    _check_level(level)
    return np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, expected a probability between 0 and 1. Write 90 % as 0.9.")


def _checked(draws: ArrayLike, observed: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    draws, observed = _checked_draws(draws), np.asarray(observed, dtype=float)
    if observed.shape != draws.shape[1:]:
        raise ValueError(
            f"observed has shape {observed.shape}, expected {draws.shape[1:]} to match draws of shape "
            f"{draws.shape} = (sample, row). Pass one measurement per row; transpose draws with samples last."
        )
    _check_finite("observed", observed)
    return draws, observed


def _checked_draws(draws: ArrayLike) -> np.ndarray:
    draws = np.asarray(draws, dtype=float)
    if draws.ndim != 2 or len(draws) < 2:
        raise ValueError(
            f"draws have shape {draws.shape}, expected (sample, row) with at least 2 samples. "
            "Flatten chains first: `draws.reshape(-1, draws.shape[-1])`."
        )
    _check_finite("draws", draws)
    return draws


def _check_finite(name: str, values: np.ndarray) -> None:
    if bad := np.argwhere(~np.isfinite(values)).tolist():
        raise ValueError(
            f"{name} have {len(bad)} value(s) that are not finite (at {_few(bad)}); expected numbers. "
            "Look at the fit that made them; a score cannot be given for a forecast that does not exist."
        )


def _need_rows(values: np.ndarray) -> None:
    if not len(values):
        raise ValueError("there are 0 rows, expected at least 1: a rate needs some. Check the split.")


def _few(items: Sequence[object], most: int = 5) -> str:
    return ", ".join(map(str, items[:most])) + (", ..." if len(items) > most else "")
