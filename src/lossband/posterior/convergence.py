"""Convergence of chains: R-hat and ESS as ArviZ defines them, without the seconds that its import takes.

Source: Vehtari et al. 2021, arXiv:1903.08008. Draws are `(chain, draw, ...)`.
"""

import functools
from statistics import NormalDist

import numpy as np

TAILS = (0.11, 0.89)  # as ArviZ 1 takes them, so that both say one number


def rank_rhat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised split R-hat `(...)`, of the draws' location or spread, whichever is worse (eqs.

    4 and 14).
    """
    folded = np.abs(draws - np.median(draws, axis=(0, 1)))
    return np.maximum(*(_split_rhat(ranked(part)) for part in (draws, folded)))


def ess_bulk_tail(draws: np.ndarray) -> np.ndarray:
    """Bulk and tail effective sample sizes `(2, ...)` (section 4.3)."""
    low, high = np.quantile(draws, TAILS, axis=(0, 1))
    bulk, *tails = (_ess(part) for part in (ranked(draws), 1.0 * (draws <= low), 1.0 * (draws <= high)))
    return np.stack([bulk, np.minimum(*tails)])


def ranked(draws: np.ndarray) -> np.ndarray:
    """Draws' normal scores by their rank over all chains; equal draws share their mean rank."""

    def scores(values: np.ndarray) -> np.ndarray:
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        rank = np.cumsum(counts) - 0.5 * (counts - 1)
        return _normal_scores(values.size)[np.rint(2 * rank).astype(int) - 2][place]

    return np.apply_along_axis(scores, 0, draws.reshape(-1, *draws.shape[2:])).reshape(draws.shape)


@functools.lru_cache(maxsize=8)
def _normal_scores(count: int) -> np.ndarray:
    """Normal scores of the ranks 1, 1.5, 2, ... of `count` draws (Blom's)."""
    inverse = NormalDist().inv_cdf  # scipy.special takes longer to import than this takes
    return np.array([inverse((rank / 2 - 0.375) / (count + 0.25)) for rank in range(2, 2 * count + 1)])


def _halves(draws: np.ndarray) -> np.ndarray:
    """Every chain as two."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _variances(chains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean variance within the chains, and the estimate of the variance that counts their means too."""
    num, length = chains.shape[:2]
    within = chains.var(axis=1, ddof=1).mean(axis=0)
    between = chains.mean(axis=1).var(axis=0, ddof=1) if num > 1 else 0.0
    return within, within * (length - 1) / length + between


def _split_rhat(draws: np.ndarray) -> np.ndarray:
    within, total = _variances(_halves(draws))
    with np.errstate(invalid="ignore", divide="ignore"):  # draws that never move have none
        return np.sqrt(total / within)


def _ess(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of halved chains, at most S log10 S of S draws.

    Geyer's initial monotone sequence: autocorrelations are summed in pairs while the pairs stay above zero,
    each at most the one before; the first of the pair that ends them counts half (ArviZ's and Stan's form).
    """
    chains = _halves(draws)
    length, count = chains.shape[1], chains.shape[0] * chains.shape[1]
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), n=2 * length, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, n=2 * length, axis=1)[:, :length].mean(axis=0) / length
    within, total = _variances(chains)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = 1.0 - (within - covariance) / total
    rho[0] = 1.0
    pairs = rho[: length - length % 2].reshape(-1, 2, *rho.shape[1:])[: max(1, (length - 1) // 2)]
    sums = pairs.sum(axis=1)
    ends = sums <= 0
    ends[-1] = True
    end = np.argmax(ends, axis=0)[None]
    kept = np.arange(len(sums)).reshape(-1, *[1] * (sums.ndim - 1)) < end
    first, last = (np.take_along_axis(each, end, axis=0)[0] for each in (pairs[:, 0], sums))
    half = np.where((first > 0) | (last >= 0), first, 0.0)
    time = 2.0 * np.where(kept, np.minimum.accumulate(sums, axis=0), 0.0).sum(axis=0) - 1.0 + half
    return np.where(np.isnan(last), np.nan, count / np.maximum(time, 1 / np.log10(count)))
