"""Rounds of draws: warm-up, the draws that are kept, and again where the chains did not mix."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ..posterior.convergence import ess_bulk_tail
from ..posterior.health import apart, convergence, mixed
from .nuts import CAREFUL, KEEP, TUNE, WHITEN, whitened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tqdm import tqdm

    from .nuts import Chains
    from .sampler import Sampler

    # statistics of the draws, and what is kept of them, `(problem, chain, draw, ...)`
    Drawn = tuple[dict[str, np.ndarray], tuple[Any, ...]]


BLOCK = 100  # draws per call of the compiled program: the unit of the progress bar
AGAIN = (2, 4)  # rounds after the first, for chains that did not mix: of so many draws they keep one


def ticks(sampler: Sampler) -> int:
    """Ticks of the progress bar: the mode, every block of draws, and the finish."""
    length = min(BLOCK, sampler.num_samples)
    return 2 + -(-sampler.num_warmup // length) - (-sampler.num_samples // length)


def finished(
    finish: Callable[..., Any], num_samples: int, blocks: Sequence[Mapping[str, Any]], thin: int = 1
) -> Drawn:
    """Statistics of all draws and what is kept of them, `(problem, chain, draw, ...)`.

    Of `thin` draws the first is kept, and it diverged if any of them did.
    """
    asked, drawn = num_samples * thin, sum(block["diverging"].shape[2] for block in blocks)
    kept = [finish(block["position"], block["weights"]) for block in blocks]

    def joined(*parts: np.ndarray) -> np.ndarray:
        leaf = np.concatenate(parts, axis=2)
        # as large a share of every leaf: residuals are of one draw in ten
        return leaf[:, :, : -(-leaf.shape[2] * asked // drawn)]

    stats, kept = jax.tree.map(joined, *zip(blocks, kept, strict=True))
    *several, draws = stats["diverging"].shape
    diverging = stats["diverging"].reshape(*several, draws // thin, thin).any(-1)
    stats, kept = jax.tree.map(lambda leaf: leaf[:, :, ::thin], (stats, kept))
    return stats | {"diverging": diverging}, kept


def rounds(
    draw: Callable[..., Any],
    gather: Callable[..., Any],
    chains: Chains,
    sampler: Sampler,
    bar: tqdm,
) -> tuple[dict[str, np.ndarray], tuple[Any, ...], dict[str, np.ndarray]]:
    """What `gather` makes of the draws after warm-up, and their `convergence`: `rhat`, `ess`, `(problem,)`.

    All draws of a problem whose chains did not mix are warm-up: they whiten its space, and it draws again, by
    smaller steps and more of them, of which it keeps as many; unless its chains stand apart.
    """
    warming = -(-sampler.num_warmup // min(BLOCK, sampler.num_samples))
    # at last the step size alone, in the whitening that the draws are taken in
    chains, blocks = _drawn(draw, chains, [WHITEN] * (warming - 1) + [TUNE], sampler, bar)
    stats, kept, found = _judged(*gather(blocks))
    for thin in AGAIN if sampler.until_ess is None else ():
        poor = np.array(list(map(_mends, found["rhat"], found["ess"], stats["diverging"])))
        if not poor.any():
            break
        chains = whitened(chains, stats["position"])
        chains, blocks = _drawn(draw, chains, [CAREFUL] * max(warming, 1), sampler, bar, thin)
        later = _judged(*gather(blocks, thin))
        stats, kept, found = jax.tree.map(functools.partial(_where, poor), later, (stats, kept, found))
    return stats, kept, found


def _mends(rhat: float, ess: float, diverging: np.ndarray) -> bool:
    """Whether chains did not mix, and further draws of them may: not where they stand apart."""
    return not (mixed(rhat, ess, diverging) or apart(rhat, diverging.size))


def _judged(
    stats: dict[str, np.ndarray], kept: tuple[Any, ...]
) -> tuple[dict[str, np.ndarray], tuple[Any, ...], dict[str, np.ndarray]]:
    """The draws as they are, and beside them the `convergence` of each problem's."""
    sites = kept[0]
    each = [convergence({name: v[i] for name, v in sites.items()}) for i in range(len(stats["diverging"]))]
    return stats, kept, dict(zip(("rhat", "ess"), np.array(each).T, strict=True))


def _where(poor: np.ndarray, later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The later of two arrays `(problem, ...)` for the problems that are poor."""
    return np.where(poor.reshape(-1, *[1] * (later.ndim - 1)), later, earlier)


def _drawn(
    draw: Callable[..., Any],
    chains: Chains,
    learning: Sequence[int],
    sampler: Sampler,
    bar: tqdm,
    thin: int = 1,
) -> tuple[Chains, list[dict[str, Any]]]:
    """The chains after what they learn and the draws that are kept; blocks of these draws.

    Blocks are dicts of `(problem, chain, draw, ...)`. Those of a later round are `thin` times as many, and
    do not move the bar, which counts on one round.
    """
    blocks, length = [], min(BLOCK, sampler.num_samples)
    for adapt in [*learning, *[KEEP] * -(-sampler.num_samples * thin // length)]:
        bar.set_description("drawing again" if thin > 1 else "sampling" if adapt == KEEP else "warming up")
        # block by block, so that Ctrl-C is heard between them
        chains, block = jax.block_until_ready(draw(chains, np.int32(adapt), length=length))
        if thin == 1:
            bar.update()
        if adapt == KEEP:
            blocks.append(block)
            if sampler.until_ess is not None and _least_ess(blocks) >= sampler.until_ess:
                break
    return chains, blocks


def _least_ess(blocks: Sequence[Mapping[str, Any]]) -> float:
    """The smallest bulk ESS of the coordinates of all problems, in the draws so far."""
    drawn = np.concatenate([np.asarray(block["position"]) for block in blocks], axis=2)
    return float(ess_bulk_tail(np.moveaxis(drawn, 0, 2))[0].min())
