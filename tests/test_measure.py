"""The measuring script trains what it says, and the table we ship is the table it wrote."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import measure_looped
import measuring
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "lossband" / "datasets"
STEPWISE = [f"loss_{t}" for t in range(1, 9)]
COLUMNS = (
    ["run", "family", "params", "params_embed", "params_total", "loops", "tokens", "step", "lr", "loss"]
    + STEPWISE
    + ["eval_se", "seed", "d_model", "n_layer"]
)


@pytest.fixture(scope="module")
def script(quick_compile):
    return measure_looped


@pytest.fixture(scope="module")
def folder(script, tmp_path_factory):
    """The tiny preset, measured once."""
    out = tmp_path_factory.mktemp("tiny")
    script.measure_all("tiny", out)
    return out


def last_loop(table):
    """The step-wise loss of each row's last loop."""
    return table[STEPWISE].to_numpy()[np.arange(len(table)), table.loops - 1]


def check_table(table, record, csv):
    """What every table holds, tiny or shipped."""
    assert list(table.columns) == COLUMNS
    assert (len(table), table.run.nunique()) == (record["rows"], record["runs"])
    assert hashlib.sha256(csv).hexdigest() == record["csv_sha256"]
    assert not table.duplicated(["run", "tokens"]).any()
    assert (table.groupby(["d_model", "loops", "seed"]).run.nunique() == 1).all()
    assert (table.params == 12 * table.n_layer * table.d_model**2).all()
    assert (table.params_total == table.params + table.params_embed).all()
    assert (table.tokens == table.step * record["batch"] * record["context"]).all()
    assert (table.groupby("run").tokens.max() == record["tokens"]).all()
    assert np.isfinite(table.loss).all() and (table.loss > 0).all() and (table.eval_se > 0).all()
    np.testing.assert_array_equal(table.loss, last_loop(table))
    np.testing.assert_array_equal(table[STEPWISE].notna().sum(axis=1), table.loops)
    ends = table.sort_values("tokens").groupby("run").loss
    assert (ends.last() < ends.first() - 0.5).all()


def test_tiny_preset_writes_the_table(folder, script):
    table, record = pd.read_csv(folder / "looped.csv"), json.loads((folder / "looped.json").read_text())
    check_table(table, record, (folder / "looped.csv").read_bytes())
    assert set(zip(table.d_model, table.loops, table.seed)) == set(script.PRESETS["tiny"].cells)


def test_a_seed_fixes_the_numbers(folder, script):
    train, held = measuring.read_corpus()
    preset = script.PRESETS["tiny"]
    text, windows = jnp.asarray(train), measuring.held_out_windows(held, preset)
    before = pd.read_csv(folder / "looped.csv").query("run == 'd16-T2-s0'")
    again, other = (script.measure(16, 2, seed, preset, text, windows) for seed in (0, 1))
    np.testing.assert_allclose(again.loss, before.loss, rtol=1e-4)  # the table keeps 5 digits
    assert not np.allclose(other.loss, before.loss, rtol=1e-4)


def test_finished_runs_are_kept_and_the_missing_one_measured(folder, script, tmp_path, capsys):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    whole = pd.read_csv(folder / "looped.csv")
    whole[whole.run != "d8-T2-s0"].to_csv(tmp_path / "looped.csv", index=False)
    script.measure_all("tiny", tmp_path)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["d8-T2-s0"]
    again = pd.read_csv(tmp_path / "looped.csv").sort_values(["run", "step"], ignore_index=True)
    pd.testing.assert_frame_equal(again, whole.sort_values(["run", "step"], ignore_index=True), rtol=1e-4)
    with pytest.raises(ValueError, match="preset tiny, expected small"):
        script.measure_all("small", tmp_path)


def test_held_out_files_are_not_trained_on(monkeypatch, tmp_path):
    names = [f"{i}.py" for i in range(400)]
    for name in names:
        (tmp_path / name).write_text(f"<{name}>")
    monkeypatch.setattr(measuring, "corpus_files", lambda: {name: tmp_path / name for name in names})
    train, held = (text.tobytes().decode() for text in measuring.read_corpus())
    for name in names:
        mark, is_held = f"<{name}>", measuring.is_held_out(name)
        assert (mark in train, mark in held) == (not is_held, is_held)
    assert 0 < sum(map(measuring.is_held_out, names)) < 24  # 2 % of 400 is 8


def test_corpus_is_the_standard_library_alone():
    files = measuring.corpus_files()
    assert list(files) == sorted(files) and {"functools.py", "json/decoder.py"} <= set(files)
    assert not any("site-packages" in name or "__pycache__" in name for name in files)
    assert 0.01 < np.mean([measuring.is_held_out(name) for name in files]) < 0.04


def test_block_is_causal(quick_compile):
    layers = measuring.init(jax.random.key(0), 16, 2)["layers"]
    h = jax.random.normal(jax.random.key(1), (1, 6, 16))
    block = jax.jit(lambda h: measuring.block(layers, h, 2))
    change = np.abs(block(h) - block(h.at[0, 4].add(1.0))).max(-1)[0]
    assert (change[:4] == 0).all() and (change[4:] > 0).all()


def test_losses_start_at_the_uniform_code_and_nest_in_the_loops(script):
    """An untrained model costs nearly ln 256 nats a byte; more loops leave the earlier losses alone."""
    weights = measuring.init(jax.random.key(0), 16, 1)
    windows = np.random.default_rng(0).integers(0, 256, (8, 17), dtype=np.uint8)
    losses = jax.jit(script.losses, static_argnums=(2, 3))
    three, two = (np.asarray(losses(weights, windows, loops, 2)) for loops in (3, 2))
    assert three.shape == (3, 8)
    np.testing.assert_allclose(three, math.log(256), rtol=0.02)
    np.testing.assert_allclose(three[:2], two, rtol=1e-5)
    assert sum(w.size for layer in weights["layers"] for w in layer.values()) == script.num_params(16, 1)


def test_adam_takes_the_published_steps():
    """Two steps of Kingma & Ba (2015), algorithm 1, in plain floats; the second gradient is clipped."""
    state, m, v, w = (jnp.array(0.7), jnp.array(0.0), jnp.array(0.0)), 0.0, 0.0, 0.7
    for step, (raw, g) in enumerate([(0.3, 0.3), (-4.0, -1.0)], start=1):
        state = measuring.adam(state, jnp.array(raw), step, 0.1)
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
        w -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.95**step)) + 1e-8)
        assert float(state[0]) == pytest.approx(w, rel=1e-5)


def test_shipped_table_is_what_the_script_wrote(script):
    csv = (SHIPPED / "looped.csv").read_bytes()
    table, text = pd.read_csv(SHIPPED / "looped.csv"), (SHIPPED / "looped.json").read_text()
    record = json.loads(text)
    check_table(table, record, csv)
    assert len(csv) < 400_000 and str(Path.home()) not in text and str(ROOT) not in text
    first = table[table.seed == 0]
    assert set(zip(first.d_model, first.loops)) == {cell[:2] for cell in script.PRESETS["small"].cells}
    assert table.params.nunique() == 5 and table.params.max() >= 30 * table.params.min()
    assert set(table.loops) == {1, 2, 4, 8}
    assert table.groupby("run").size().min() >= 60
    assert (table.groupby(["d_model", "loops"]).seed.nunique() >= 3).sum() >= 3
    assert all(map(measuring.is_held_out, record["held_out_files"]))
    assert record["train_bytes"] > 20 * record["held_out_bytes"] > 20 * 128 * record["context"]
