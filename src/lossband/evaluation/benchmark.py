"""A benchmark of forecasts: any method's bands on larger models, on public sweeps, by kind of split."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..inference.fit import fit
from .public import public_sweeps
from .rivals import judged, scores
from .splits import KINDS, Split, splits_of

SCORES = ["c50", "c80", "c90", "c95", "below", "above", "pit", "crps", "log_score"]
INTERVALS = ("c50", "c90", "crps_ratio")
NUM_BOOTSTRAP = 1000


@dataclass(frozen=True)
class BenchmarkResult:
    """How a method's bands did on hidden larger models.

    frame: one row per split: `set`, `group`, `kind`, `rows`, `reach` (decades of compute beyond the training
        rows), the observed coverage `c50`, `c80`, `c90`, `c95`, the shares of misses `below` and `above` the
        90 % band, the mean `pit`, and `crps` and `log_score` of ln loss; where plain was fitted too,
        `crps_plain` and `log_score_plain`.

    Example:
        >>> import lossband as lb
        >>> import numpy as np
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> def wide(train, new):
        ...     return np.random.default_rng(0).uniform(1, 3, (200, len(new)))
        >>> result = lb.benchmark(wide, data={"mine": runs})
        >>> table = result.table
    """

    frame: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """The means by kind of split, by set, and in all: every set weighs the same.

        `part` is "kind", "set" or "all" and `name` which; `c50_lo`, `c50_hi`, `c90_lo`, ... are 90 %
        intervals of a bootstrap over groups of sets. `crps_ratio` is a geometric mean over plain's.
        """
        parts = [("kind", name, rows) for name, rows in self.frame.groupby("kind", sort=False)]
        parts += [("set", name, rows) for name, rows in self.frame.groupby("set", sort=False)]
        rows = [{"part": part, "name": name} | _row(of, part) for part, name, of in parts]
        return pd.DataFrame([*rows, {"part": "all", "name": "all"} | _row(self.frame, "all")])

    def __str__(self) -> str:
        """The table as text."""
        plain = "CRPS over plain's; " if "crps_plain" in self.frame else ""
        about = (
            f"{len(self.frame)} splits of {self.frame['set'].nunique()} sets in "
            f"{self.frame['group'].nunique()} groups; {plain}_lo and _hi: bootstrap over groups, 90 %"
        )
        return f"{about}\n{self.table.to_string(index=False, na_rep='', float_format='{:.3f}'.format)}"


def benchmark(
    forecast: Callable[[pd.DataFrame, pd.DataFrame], Any],
    *,
    data: Mapping[str, pd.DataFrame] | None = None,
    groups: Mapping[str, str] | None = None,
    kinds: Iterable[str] = KINDS,
    plain: bool = False,
) -> BenchmarkResult:
    """Score a method's forecasts of larger models on public sweeps, or on your own.

    Each sweep is split in several ways (see `lossband.evaluation.splits`); `forecast` sees the smaller runs,
    and its bands are held against the larger ones.

    Args:
        forecast: `forecast(train, new)`: `train` has the columns `run`, `params`, `tokens`, `loss`, and `new`
            the same without `loss`. It returns draws of the loss, `(sample, row)`; or a frame of quantiles,
            one row per row of `new`, with columns named by their probability; or a `lossband.Posterior`.
        data: name -> sweep with `params`, `tokens`, `loss` and perhaps `run`. Default: the public sets that
            `lossband.load_dataset` knows, which are fetched once.
        groups: name -> group, for sweeps that share runs or a recipe.
        kinds: of split: "near", "far", "size", "tokens", "few".
        plain: fit Chinchilla's law without drift to the same rows, and give CRPS as a ratio to its own.

    Returns:
        a `BenchmarkResult`; print it for the table.

    Raises:
        InputError: sweeps that leave nothing to score, or an answer that is no forecast of the new rows.

    Example:
        >>> import numpy as np, pandas as pd
        >>> size = np.repeat(np.geomspace(1e6, 1e9, 7), 5)
        >>> data = np.tile(np.geomspace(1e8, 1e11, 5), 7)
        >>> runs = pd.DataFrame({"params": size, "tokens": data, "loss": 2 + (size * data / 1e15) ** -0.1})
        >>> def wide(train, new):
        ...     return np.random.default_rng(0).uniform(1, 5, (500, len(new)))
        >>> lb.benchmark(wide, data={"mine": runs}).frame["kind"].tolist()
        ['near', 'far', 'size', 'tokens', 'few']
    """
    if not callable(forecast):
        raise InputError(
            f"forecast= got a {type(forecast).__name__}; expected a function of (train, new).",
            "For lossband's own: lambda train, new: lossband.fit(train).",
        )
    if data is None:
        data, groups = public_sweeps()
    if not isinstance(data, Mapping) or not data:
        raise InputError(
            f"data= got {type(data).__name__}; expected sweeps by name.", "For one: data={'mine': runs}."
        )
    chosen = splits_of(data, groups=groups, kinds=tuple(kinds))
    rows = [_scored(forecast, split) for split in chosen]
    if plain:
        theirs = [_scored(_plain, split) for split in chosen]
        for row, other in zip(rows, theirs, strict=True):
            row |= {"crps_plain": other["crps"], "log_score_plain": other["log_score"]}
    return BenchmarkResult(pd.DataFrame(rows))


def _plain(train: pd.DataFrame, new: pd.DataFrame) -> Any:
    """Chinchilla's law without drift."""
    return fit(train, "chinchilla", drift=None, num_samples=500, progress=False)


def _scored(forecast: Callable[[pd.DataFrame, pd.DataFrame], Any], split: Split) -> dict[str, Any]:
    """One row of the result: the forecast never sees the hidden losses."""
    new = split.hidden.drop(columns="loss").reset_index(drop=True)
    draws, log_score = judged(forecast(split.train.reset_index(drop=True), new), split)
    about = {"set": split.set, "group": split.group, "kind": split.kind, "rows": len(new)}
    truth = np.log(split.hidden["loss"].to_numpy())
    return about | {"reach": split.reach} | scores(draws, log_score, truth)


def _row(frame: pd.DataFrame, part: str) -> dict[str, float]:
    """Means over sets, and their intervals where there are several groups."""
    columns = list(SCORES)
    if "crps_plain" in frame:
        ratio, gain = (
            np.log(frame["crps"] / frame["crps_plain"]),
            frame["log_score"] - frame["log_score_plain"],
        )
        frame = frame.assign(crps_ratio=ratio, log_score_gain=gain)
        columns += ["crps_ratio", "log_score_gain"]
    sets = frame.groupby(["group", "set"])[columns].mean().reset_index("set", drop=True)
    row = {"splits": len(frame)} | sets.mean().to_dict()
    if part != "set" and sets.index.nunique() > 1:
        row |= _intervals(sets[[name for name in INTERVALS if name in sets]])
    ratios = [name for name in row if str(name).startswith("crps_ratio")]
    return {str(name): float(np.exp(value)) if name in ratios else value for name, value in row.items()}


def _intervals(sets: pd.DataFrame) -> dict[str, float]:
    """90 % intervals of the means over sets, whole groups drawn with replacement."""
    rng, values = np.random.default_rng(0), list(sets.groupby(level=0).indices.values())
    means = []
    for _ in range(NUM_BOOTSTRAP):
        rows = np.concatenate([values[i] for i in rng.integers(len(values), size=len(values))])
        means.append(sets.to_numpy()[rows].mean(0))
    low, high = np.quantile(means, [0.05, 0.95], axis=0)
    ends = {"lo": low, "hi": high}
    return {f"{name}_{end}": ends[end][i] for i, name in enumerate(sets) for end in ends}
