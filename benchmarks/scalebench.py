"""Laws of experts, streams, sparsity, vocabulary, mixtures, batch and learning rate on ScaleBench's tables.

    uv run python benchmarks/scalebench.py FOLDER
    python -m benchmarks.scalebench FOLDER --out scalebench.csv

Every law is fitted on `scalebench_NAME.csv` of FOLDER and scored on `scalebench_NAME_test.csv` where FOLDER has
one, else on rows that are hidden here: the largest dense size (experts, sparse, batch_rate), the most streams
(parallel), the largest third of the vocabularies (vocabulary), a quarter of the mixtures (mixture).

    r2        1 - SSE / SST of the posterior mean; of `mixture`, sums over its five losses, each about its mean
    c50, c90  share of the hidden losses inside the 50 % and the 90 % band
    pit       mean share of a hidden row's draws that lie below it: .5 if unbiased
    crps      of the loss, in its unit
    rows      hidden losses that were scored
    seconds   to fit and forecast
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb
from lossband import score

DOMAINS = [f"domain_{i}" for i in range(1, 6)]
PROPORTIONS = [f"proportion_{name}" for name in DOMAINS]
SEED = 0


@dataclass(frozen=True)
class Table:
    """One table of ScaleBench and the law that is fitted to it.

    file: NAME of `scalebench_NAME.csv`.
    hide: frame -> which rows to hide where there is no test table, `(row,)`.
    columns: the table's names -> lossband's.
    losses: the columns of losses, each fitted by itself.
    groups: whether each value of `group` is fitted by itself.
    prepare: frame -> frame with the law's inputs.
    options: of `fit`.
    """

    file: str
    hide: Callable[[pd.DataFrame], pd.Series]
    columns: dict[str, str]
    losses: tuple[str, ...] = ("loss",)
    groups: bool = False
    prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
    options: dict = field(default_factory=dict)


def largest(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Hide the rows of a column's largest value."""
    return lambda frame: frame[name] == frame[name].max()


def upper_third(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Hide the rows of the largest third of a column's values."""
    return lambda frame: frame[name] > frame[name].drop_duplicates().quantile(2 / 3)


def a_quarter(names: list[str]) -> Callable[[pd.DataFrame], pd.Series]:
    """Hide a quarter of the distinct rows of some columns, at random."""

    def hide(frame: pd.DataFrame) -> pd.Series:
        number = frame.groupby(names).ngroup()
        hidden = np.random.default_rng(SEED).permutation(number.max() + 1)[: (number.max() + 1) // 4]
        return number.isin(hidden)

    return hide


def sized(frame: pd.DataFrame) -> pd.DataFrame:
    """Sizes by the group's name, such as 70M; a run is one mixture at all sizes, so that it has one effect."""
    run = frame[PROPORTIONS].round(6).astype(str).agg(" ".join, axis=1)
    return frame.assign(params=frame["group"].str.removesuffix("M").astype(float) * 1e6, run=run)


def stacked(frame: pd.DataFrame) -> pd.DataFrame:
    """Total parameters by the sparsity P, which is the total over the active ones."""
    return frame.assign(total=frame["P"] * frame["active"])


TABLES = {
    "experts": Table(
        "moe_routing",
        largest("params"),
        {"num_experts": "experts", "dense_parameter_count": "params", "loss_validation": "loss"},
        options=dict(noise="normal"),  # settings that the table does not tell: no rare strays, but every row
    ),
    "parallel": Table(
        "parallel", largest("streams"), {"num_params": "params", "parallel_size": "streams"}, groups=True
    ),
    "sparse": Table(
        "sparsity",
        largest("params"),
        {"N_dense": "params", "N_active": "active", "D1": "first_tokens", "D2": "tokens"},
        prepare=stacked,
    ),
    "vocabulary": Table(
        "vocabulary",
        upper_third("vocabulary"),
        {
            "non_vocab_parameters": "params",
            "vocab_size": "vocabulary",
            "num_characters": "characters",
            "unigram_normalized_loss": "loss",
        },
    ),
    "mixture": Table(
        "mixture",
        a_quarter(PROPORTIONS),
        {},
        tuple(f"loss_{name}" for name in DOMAINS),
        prepare=sized,
        options=dict(noise="student-t+run"),
    ),
    "batch_rate": Table(
        "lr_batch",
        largest("params"),
        {"bsz": "batch", "data_size": "tokens", "non_embedding_param_size": "params", "lm_loss": "loss"},
    ),
}


def halves(folder: Path, table: Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to fit and the hidden ones, by lossband's names."""
    path = folder / f"scalebench_{table.file}_test.csv"
    train, *test = (
        table.prepare(pd.read_csv(file).rename(columns=table.columns))
        for file in (folder / f"scalebench_{table.file}.csv", path)
        if file.exists()
    )
    if test:
        return train, test[0]
    hidden = table.hide(train)
    return train[~hidden], train[hidden]


def parts(train: pd.DataFrame, hidden: pd.DataFrame, table: Table) -> Iterator[tuple[pd.DataFrame, ...]]:
    """(rows to fit, hidden rows) of each fit: one loss of one group."""
    groups = train["group"].unique() if table.groups else [None]
    for group in groups:
        here = [rows if group is None else rows[rows["group"] == group] for rows in (train, hidden)]
        for loss in table.losses:
            others = [name for name in table.losses if name != loss] + ["group"]
            yield tuple(rows.drop(columns=others).rename(columns={loss: "loss"}) for rows in here)


def scored(law: str, folder: Path, options: dict) -> dict[str, object]:
    """The row of one law."""
    table, start = TABLES[law], time.time()
    pairs = list(parts(*halves(folder, table), table))
    posts = lb.fit_many(
        [train for train, _ in pairs], law, seed=SEED, progress=False, **{**table.options, **options}
    )
    truth, draws, about = [], [], []
    for post, (_, hidden) in zip(posts, pairs, strict=True):
        drawn = post.draws(hidden).to_numpy()
        truth.append(hidden["loss"].to_numpy(float))
        draws.append(drawn)
        about.append(np.full(len(hidden), truth[-1].mean()))
    several = len(table.losses) > 1  # their levels differ: each about its own mean
    truth, draws, about = (np.concatenate(each, axis=-1) for each in (truth, draws, about))
    sst = np.sum((truth - (about if several else truth.mean())) ** 2)
    below = (draws < truth).mean(0)
    inside = {f"c{c}": np.mean(np.abs(below - 0.5) < c / 200) for c in (50, 90)}
    r2 = 1 - np.sum((draws.mean(0) - truth) ** 2) / sst
    last = dict(pit=below.mean(), crps=score.crps(draws, truth).mean(), rows=len(truth))
    worst = max(post.health.rhat_max for post in posts)
    return dict(law=law, r2=r2, **inside, **last, seconds=time.time() - start, rhat=worst)


def main() -> None:
    """Fit and score the laws, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where scalebench_*.csv are")
    parser.add_argument("--out", type=Path, help="write the table to this CSV file")
    parser.add_argument("--law", action="append", choices=TABLES, help="only these laws")
    parser.add_argument("--num-samples", type=int, default=500)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=RuntimeWarning)
    rows = []
    for law in args.law or TABLES:
        rows.append(scored(law, args.folder, dict(num_samples=args.num_samples)))
        print(
            {name: v if isinstance(v, str) else round(float(v), 3) for name, v in rows[-1].items()},
            flush=True,
        )
    frame = pd.DataFrame(rows)
    print(frame.round(3).to_string(index=False))
    if args.out:
        frame.drop(columns="rhat").to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
