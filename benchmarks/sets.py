"""The development sets as splits: fit the smaller budgets of a real sweep, forecast the larger ones.

A budget is a level of training compute, C = 6 N D or the compute the sweep states, in FLOPs, with log10 C
rounded to one digit (no published isoFLOP levels are closer, and it is wider than the jitter of runs read off
a figure). The rule is the same for every sweep:

    near      hide the top third of the levels
    far       train on the lowest third, adding levels until there are 12 rows and 3 sizes, and no test row
              is more than 3 decades of compute beyond them
    holdout   only where a sweep has a natural one: hide its largest models, whatever their compute

A split is left out, with its reason in `EXCLUDED`, if N or D is constant in its training rows, if it has
fewer than 12 of them, or if "far" reaches less than one decade. Sets of one group share
their runs or their recipe; average within a group first, so that every sweep weighs the same.

    python -m benchmarks.sets        # the table of splits, and what was left out of each set
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lossband.runs.thin import evenly

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

MIN_ROWS, MIN_SIZES = 12, 3
MIN_REACH, MAX_REACH = 0.95, 3.0  # decades of compute; .95 is "one decade" for levels rounded to .1
GPT_NEOX_VOCABULARY = 50304  # gemstones: embedding rows, shared/data/README.md
STEP = 524288.0  # tokens, nominal: mpl_lr_schedules records steps only, and a unit moves no forecast
CHECKPOINTS = 16  # kept of each run where the rows are a curve, evenly spaced in log tokens

SHARED_RUNS = frozenset({"gemstones_cooldown", "gemstones_hot", "mpl_constant"})
"""Sets whose rows are points along runs, so that the later points of a training run are forecast."""

EXCLUDED = (
    ("gemstones_hot_ends", "near", "D is constant in the training rows"),
    ("gemstones_hot_ends", "far", "D is constant in the training rows"),
    ("steplaw", "near", "9 training rows, fewer than 12"),
    ("steplaw", "far", "reaches 0.5 decades, less than one"),
)


@dataclass(frozen=True)
class Split:
    """Training rows and test rows of one sweep.

    Columns of both: `run`, `family` (text); `loss` (nats per token unless the set says otherwise), `params`,
    `tokens` (counts), `flops` (the budget); and for the looped sets `loops`, `params_once`, `params_rec`.
    """

    set: str
    group: str
    distance: str
    train: pd.DataFrame
    test: pd.DataFrame
    law_inputs: tuple[str, ...]

    @property
    def reach(self) -> float:
        """Decades of compute from the largest training row to the largest test row."""
        return float(np.log10(self.test.flops.max() / self.train.flops.max()))


@dataclass(frozen=True)
class Curve:
    """One learning curve with its published split: loss (row,) at x (row,); train (row,) marks the fit."""

    run: str
    domain: str
    x: np.ndarray
    loss: np.ndarray
    train: np.ndarray


def near(rows):
    """Training rows when the top third of the budget levels is hidden, booleans (row,)."""
    budget = _level(rows)
    levels = np.unique(budget)
    return budget <= levels[-1 - round(len(levels) / 3)]


def far(rows):
    """Training rows when only the lowest budget levels are shown, by the rule above, booleans (row,)."""
    budget = _level(rows)
    levels = np.unique(budget)
    for top in levels[round(len(levels) / 3) - 1 : -1]:
        train = rows[budget <= top]
        enough = len(train) >= MIN_ROWS and train.params.nunique() >= MIN_SIZES
        if enough and np.log10(rows.flops.max() / train.flops.max()) <= MAX_REACH:
            break
    return budget <= top


@dataclass(frozen=True)
class Sweep:
    """One sweep before it is split, with a count of the rows of the file that were left out, by reason."""

    set: str
    group: str
    rows: pd.DataFrame
    left_out: Mapping[str, int]
    law_inputs: tuple[str, ...] = ("params", "tokens")
    cuts: Mapping[str, Callable] = field(default_factory=lambda: {"near": near, "far": far})


def splits(data=DATA):
    """All splits of the development sets that are well posed.

    Args:
        data: folder with the tidy copies of the published measurements, see its README.md.

    Returns:
        List of `Split`, in the order of `sweeps` and of distance.

    Raises:
        FileNotFoundError: a file is not in the folder.
    """
    excluded = {(name, distance) for name, distance, _ in EXCLUDED}
    return [split for split in candidates(data) if (split.set, split.distance) not in excluded]


def candidates(data=DATA):
    """Every split of every sweep, the ill-posed ones of `EXCLUDED` too."""
    return [_split(sweep, distance, cut) for sweep in sweeps(data) for distance, cut in sweep.cuts.items()]


def ill_posed(split):
    """Why a split cannot be used, in words, or None."""
    if split.train.params.nunique() == 1:
        return "N is constant in the training rows"
    if split.train.tokens.nunique() == 1:
        return "D is constant in the training rows"
    if len(split.train) < MIN_ROWS:
        return f"{len(split.train)} training rows, fewer than {MIN_ROWS}"
    if split.distance == "far" and split.reach < MIN_REACH:
        return f"reaches {split.reach:.1f} decades, less than one"
    return None


def sweeps(data=DATA):
    """All sweeps, tidy, as a list of `Sweep`."""
    return [
        _chinchilla(data),
        *_isoflops(data),
        *_overtraining(data),
        *_gemstones(data),
        *_looped(data),
        _learning_rate_schedules(data),
        _steplaw(data),
    ]


def curves(data=DATA):
    """The 56 curves of the extrapolation benchmark (36 vision, 5 translation, 5 language, 10 BIG-bench).

    Losses lie in (0, 1]; five training points of the language curves are capped at .999 by the source. Every
    row of the language curves stands four times in the source; copies are no measurements, and one of them is
    kept.
    """
    rows = _read(data, "extrapolation_benchmark.csv").drop_duplicates(["run", "x", "loss", "train"])
    return _curves(rows)


def further_curves(data=DATA):
    """Twelve curves of final losses over the width of a small GPT, and two of double descent: no part of any mean.

    The published curves of double descent fall, rise and fall again: no law of this library can.
    """
    rows = _read(data, "nanogpt_bench.csv").rename(columns={"d_model": "x", "kind": "domain"})
    descent = _read(data, "descent.csv").rename(columns={"family": "domain"})
    return _curves(pd.concat([rows[rows.domain == "final"], descent]))


def _curves(rows):
    """A `Curve` of each run, rows by x."""
    return [
        Curve(run, c.domain.iloc[0], c.x.to_numpy(float), c.loss.to_numpy(float), c.train.to_numpy() == 1)
        for run, c in rows.sort_values("x", kind="stable").groupby("run")
    ]


def _chinchilla(data):
    rows = _read(data, "chinchilla.csv")
    kept = rows[rows.epoch_outlier == 0]
    return Sweep("chinchilla", "chinchilla", _tidy(kept), {"epoch_outlier": len(rows) - len(kept)})


def _isoflops(data):
    rows = _read(data, "isoflops.csv")
    names = {
        "epochai_chinchilla__massivetext__chinchilla": ("chinchilla_isoflops", "chinchilla"),
        "llama_3__exp_loss": ("llama3_isoflops", "llama3"),  # loss transformed by its source: not nats
        "marin_202603__nemotron__llama_2": ("marin_isoflops", "marin"),
    }
    for family, (name, group) in names.items():
        sweep = rows[rows.family == family]
        left_out = sweep[sweep.outlier == 1].reason.value_counts().to_dict()
        yield Sweep(name, group, _tidy(sweep[sweep.outlier == 0]), left_out)


def _overtraining(data):
    rows = _read(data, "overtraining.csv")
    cuts = {
        "near": near,
        "far": far,
        "holdout": lambda rows: (rows.params < 1e9).to_numpy(),  # hides the 1B and 7B runs
    }
    for family, sweep in rows.groupby("family"):
        kept = sweep[sweep.val_set == "c4_val"]
        left_out = {"other validation sets": len(sweep) - len(kept)}
        yield Sweep(f"overtraining_{family}", "overtraining", _tidy(kept), left_out, cuts=cuts)


def _gemstones(data):
    rows = _read(data, "gemstones.csv")
    rows = rows.assign(params=rows.params - float(GPT_NEOX_VOCABULARY) * rows.d_model)
    cooldown, hot = rows[rows.phase == "cooldown_end"], rows[rows.phase == "hot"]
    ends = hot.loc[hot.groupby("run").tokens.idxmax()]
    thin = _thin(hot)
    views = {
        "cooldown": (cooldown, {"other phases": len(rows) - len(cooldown)}),
        "hot": (thin, {"other phases": len(rows) - len(hot), "thinned checkpoints": len(hot) - len(thin)}),
        "hot_ends": (ends, {"other phases": len(rows) - len(hot), "not the end": len(hot) - len(ends)}),
    }
    for name, (kept, left_out) in views.items():
        yield Sweep(f"gemstones_{name}", "gemstones", _tidy(kept), left_out)


def _looped(data):
    rows = _read(data, "looped_isodepth.csv").rename(columns={"recurrences": "loops"})
    inputs = ("params_once", "params_rec", "loops")
    for loops, sweep in rows.groupby("loops"):
        yield Sweep(f"looped_r{loops}", "looped", _tidy(sweep, extra=inputs), {})
    yield Sweep("looped_joint", "looped", _tidy(rows, extra=inputs), {}, law_inputs=(*inputs, "tokens"))


def _learning_rate_schedules(data):
    rows = _read(data, "mpl_lr_schedules.csv")
    constant = rows[rows.schedule == "constant_72000"]  # constant_24000 repeats its first third
    thin = _thin(constant.assign(tokens=constant.step * STEP))
    left_out = {
        "other schedules": len(rows) - len(constant),
        "thinned checkpoints": len(constant) - len(thin),
    }
    cuts = {
        "near": lambda rows: (rows.tokens <= 24000 * STEP).to_numpy(),  # the published short run
        "holdout": lambda rows: (rows.params < 4e8).to_numpy(),
    }
    return Sweep("mpl_constant", "mpl", _tidy(thin), left_out, cuts=cuts)


def _steplaw(data):
    rows = _read(data, "steplaw_dense.csv")
    # the smoothed loss: the best of 120 single-batch losses is the luckiest batch, and not monotone in D
    best = rows.loc[rows.groupby(["params", "tokens"]).loss_smooth.idxmin()]
    left_out = {"not the best of its (N, D) cell": len(rows) - len(best)}
    return Sweep("steplaw", "steplaw", _tidy(best.assign(loss=best.loss_smooth)), left_out)


def _thin(rows):
    """The checkpoints of each run nearest to `CHECKPOINTS` points spaced evenly in log tokens, ends too."""

    def one(run):
        return run.iloc[evenly(run.tokens, CHECKPOINTS)]

    return pd.concat([one(run) for _, run in rows.sort_values(["run", "tokens"]).groupby("run")])


def _tidy(rows, *, extra=()):
    numbers = {name: rows[name].astype(float) for name in ("loss", "params", "tokens", *extra)}
    # float before the product: 6 N D overflows int64 silently
    flops = rows.flops.astype(float) if "flops" in rows else 6 * numbers["params"] * numbers["tokens"]
    columns = {"run": rows.run, "family": rows.family} | numbers | {"flops": flops}
    return pd.DataFrame(columns).reset_index(drop=True)


def _level(rows):
    return np.round(np.log10(rows.flops.to_numpy()), 1)


def _split(sweep, distance, cut):
    train = cut(sweep.rows)
    parts = [sweep.rows[mask].reset_index(drop=True) for mask in (train, ~train)]
    return Split(sweep.set, sweep.group, distance, *parts, sweep.law_inputs)


def _read(data, name):
    path = Path(data) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; the benchmarks need the tidy copies of the published measurements. "
            "Put the folder shared/data beside the checkout, or pass its path as `data`."
        )
    return pd.read_csv(path, low_memory=False)


def main():
    """Print every split, then what was left out."""
    print(f"{'set':26}{'group':14}{'distance':10} train  test sizes  reach   corr  excluded")
    reasons = {(name, distance): reason for name, distance, reason in EXCLUDED}
    for s in candidates():
        N, D = np.log(s.train.params), np.log(s.train.tokens)
        corr = "-" if min(N.nunique(), D.nunique()) == 1 else f"{np.corrcoef(N, D)[0, 1]:.2f}"
        counts = f"{len(s.train):6d}{len(s.test):6d}{s.train.params.nunique():6d}{s.reach:7.2f}{corr:>7}"
        why = reasons.get((s.set, s.distance), "")
        print(f"{s.set:26}{s.group:14}{s.distance:10}{counts}  {why}".rstrip())
    print("\nreach: decades of compute, largest training to largest test row")
    print("corr: of ln N and ln D in the training rows\n\nrows left out of each set")
    for sweep in sweeps():
        why = ", ".join(f"{count} {reason}" for reason, count in sweep.left_out.items()) or "none"
        print(f"{sweep.set:26}{len(sweep.rows):5d} kept; {why}")


if __name__ == "__main__":
    main()
