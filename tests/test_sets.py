"""The development splits hide what they say they hide; no test row leaks into training."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks is not part of the package

from benchmarks import sets, trajectories

if not sets.DATA.is_dir() and not os.environ.get("CI"):
    pytest.skip(f"no measurements at {sets.DATA}", allow_module_level=True)  # under CI the reading tests fail

NUMBERS = ["loss", "params", "tokens", "flops"]


@pytest.fixture(scope="module")
def candidates():
    return sets.candidates()


@pytest.fixture(scope="module")
def splits():
    return sets.splits()


def _name(split):
    return f"{split.set}/{split.distance}"


def test_every_split_is_tidy_and_finite(splits):
    for s in splits:
        for rows in (s.train, s.test):
            columns = list(dict.fromkeys(["run", "family", *NUMBERS, *s.law_inputs]))
            assert set(columns) <= set(rows.columns), _name(s)
            values = rows[[c for c in rows.columns if c not in ("run", "family")]]
            assert all(kind == float for kind in values.dtypes), _name(s)
            assert np.isfinite(values).all(axis=None) and (values > 0).all(axis=None), _name(s)
        assert len(s.train) >= sets.MIN_ROWS and len(s.test) >= 3, _name(s)


def test_no_test_row_is_in_the_training_rows(splits):
    for s in splits:
        both = pd.concat([s.train, s.test])
        assert not both.duplicated(["run", "params", "tokens"]).any(), _name(s)


def test_a_run_is_on_one_side_only_except_where_its_end_is_forecast(splits):
    leaks = {s.set for s in splits if set(s.train.run) & set(s.test.run)}
    assert leaks == sets.SHARED_RUNS
    for s in splits:
        if s.set in sets.SHARED_RUNS:  # then the later points are the hidden ones
            seen = s.train.groupby("run").tokens.max()
            later = s.test[s.test.run.isin(seen.index)]
            assert (later.tokens > later.run.map(seen).astype(float)).all(), _name(s)


def test_test_rows_cost_more_compute(splits):
    for s in splits:
        assert s.test.flops.max() > s.train.flops.max(), _name(s)
        if s.distance in ("near", "far") and s.set != "mpl_constant":  # cut by step
            assert s.test.flops.min() > s.train.flops.max(), _name(s)
        if s.distance == "holdout":
            assert s.test.params.min() > s.train.params.max(), _name(s)


def test_far_reaches_further_than_near_within_the_stated_range(splits):
    reach = {(s.set, s.distance): s.reach for s in splits}
    far = {name: r for (name, distance), r in reach.items() if distance == "far"}
    assert far and all(sets.MIN_REACH <= r <= sets.MAX_REACH for r in far.values())
    assert all(r > reach[name, "near"] for name, r in far.items())


def test_excluded_lists_the_ill_posed_splits_and_why(candidates):
    found = {(s.set, s.distance, reason) for s in candidates if (reason := sets.ill_posed(s))}
    assert found == set(sets.EXCLUDED)


@pytest.mark.parametrize("column, letter", [("params", "N"), ("tokens", "D")])
def test_a_constant_column_is_caught(splits, column, letter):
    s = splits[0]
    broken = sets.Split(s.set, s.group, s.distance, s.train.assign(**{column: 1e9}), s.test, s.law_inputs)
    assert sets.ill_posed(broken).startswith(f"{letter} is constant")


def test_every_row_of_a_file_is_kept_or_counted():
    total = dict(chinchilla=245, isoflops=344, overtraining=832, looped=116, mpl=6265, steplaw=1911)
    file = dict.fromkeys(("chinchilla_isoflops", "llama3_isoflops", "marin_isoflops"), "isoflops")
    got = dict.fromkeys(total, 0)
    for sweep in sets.sweeps():
        count = len(sweep.rows) + sum(sweep.left_out.values())
        if sweep.group == "gemstones":  # three views of one file
            assert count == 5049, sweep.set
        elif sweep.set != "looped_joint":  # the union of the looped_r sets
            got[file.get(sweep.set, sweep.group)] += count
    assert got == total


def test_gemstones_parameters_exclude_the_embedding():
    rows = sets._read(sets.DATA, "gemstones.csv").drop_duplicates("run").set_index("run")
    sweep = {s.set: s for s in sets.sweeps()}["gemstones_cooldown"]
    ours = sweep.rows.drop_duplicates("run").set_index("run")
    assert (rows.params.loc[ours.index] - ours.params == 50304 * rows.d_model.loc[ours.index]).all()


def test_curves_keep_the_published_split():
    curves = sets.curves()
    domains = pd.Series([c.domain for c in curves]).value_counts().to_dict()
    assert domains == {"IC": 36, "BB": 10, "NMT": 5, "LM": 5}
    for c in curves:
        assert c.x.shape == c.loss.shape == c.train.shape and c.train.dtype == bool
        assert np.isfinite(c.x).all() and ((0 < c.loss) & (c.loss <= 1)).all()
        assert c.x[c.train].max() < c.x[~c.train].min(), c.run
        assert not pd.DataFrame({"x": c.x, "loss": c.loss}).duplicated().any() or c.domain == "IC", c.run
    assert (
        sum(len(c.x) for c in curves) == 10125 - 3 * 229
    )  # 229 rows of language, four copies of each in the source


def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="chinchilla.csv is missing.*Put the folder shared/data"):
        sets.splits(tmp_path)


def test_further_curves_are_split_by_their_tables():
    curves = sets.further_curves()
    domains = pd.Series([c.domain for c in curves]).value_counts().to_dict()
    assert domains == {"final": 12, "descent": 2}
    for c in curves:
        assert (np.diff(c.x) > 0).all() and c.x[c.train].max() < c.x[~c.train].min(), c.run


def test_vocabularies_runs_end_at_a_tenth_of_their_rate():
    rows = trajectories.vocab()
    ends = rows.sort_values("tokens").groupby("params").lr.agg(["first", "last"])
    np.testing.assert_allclose(ends["last"], 0.1)
    assert (ends["first"] > 0.9).all()  # a fifth into the run
