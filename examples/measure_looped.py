"""Measure the loss curves of small looped transformers on the source text of Python's standard library.

A block of two layers is applied `loops` times, and the byte embedding e is added again before every pass:

    h_0 = 0,    h_t = block(rmsnorm(h_{t-1}) + e),    loss_t = cross-entropy of softmax(rmsnorm(h_t) U)

for t = 1 .. loops. The block's layers are pre-norm causal attention (rotary positions) and a GELU MLP of
width 4 d, without gains or biases, in float32. Training minimises the mean of loss_t over t, the objective
of Ouro (Zhu et al. 2025, arXiv:2510.25741) at a uniform exit distribution, by Adam with the gradient norm
clipped to 1 and no weight decay. The table's `loss` is that of the last loop on held-out files, in nats per
byte.

    python examples/measure_looped.py --preset small --out FOLDER

writes FOLDER/looped.csv (one row for each run and evaluation) and FOLDER/looped.json (where it came from).
Started again on the same folder, it skips the runs that the table already holds.
"""

import argparse
import datetime
import functools
import hashlib
import json
import math
import os
import platform
import re
import sys
import sysconfig
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

VOCAB = 256  # bytes
MAX_LOOPS = 8  # the table has columns loss_1 .. loss_8


class Preset(NamedTuple):
    """What one grid measures. `cells` are (d_model, loops, seed), in the order they run."""

    cells: tuple
    tokens: int  # bytes predicted in training, the same for every cell
    batch: int  # sequences a step
    context: int  # bytes a sequence
    head: int  # least width of an attention head: there are d_model // head heads
    evals: int  # log-spaced evaluations asked for; equal steps are merged
    eval_sequences: int
    n_layer: int


def grid(widths, loops, repeated=()):
    """Every (width, loops) at seed 0, the small first, then seeds 1 and 2 of the `repeated` cells."""
    return tuple((d, T, 0) for d in widths for T in loops) + tuple((*c, s) for s in (1, 2) for c in repeated)


TINY = grid((8, 16), (1, 2))
SMALL = grid((16, 24, 40, 64, 96), (1, 2, 4, 8), repeated=((16, 1), (16, 4), (24, 2), (40, 4), (64, 2)))
FULL = grid((64, 128, 256, 512, 768), (1, 2, 4, 8), repeated=((64, 1), (64, 4), (128, 2), (256, 4)))
PRESETS = {
    "tiny": Preset(TINY, 8192, batch=8, context=32, head=8, evals=6, eval_sequences=16, n_layer=1),
    "small": Preset(SMALL, 2**20, batch=8, context=128, head=16, evals=80, eval_sequences=128, n_layer=2),
    "full": Preset(FULL, 3 * 10**7, batch=32, context=256, head=64, evals=100, eval_sequences=256, n_layer=2),
}


# --- the text
def corpus_files():
    """Return the standard library's own *.py files as {relative path: path}, sorted by relative path."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = {path.relative_to(root): path for path in root.rglob("*.py")}
    foreign = {"site-packages", "__pycache__"}
    kept = {name.as_posix(): path for name, path in files.items() if not foreign & {*name.parts}}
    return dict(sorted(kept.items()))


def is_held_out(name):
    """Say whether a file is held out: about 2 % are, by a hash of the relative path, whatever the machine."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 50 == 0


def read_corpus():
    """Return the training bytes and the held-out bytes, each as one uint8 array over whole files."""
    parts = {False: [], True: []}
    for name, path in corpus_files().items():
        parts[is_held_out(name)].append(path.read_bytes())
    return tuple(np.frombuffer(b"".join(parts[held]), np.uint8) for held in (False, True))


def held_out_windows(text, preset):
    """Cut evenly spaced windows, the same for every run: shape (eval_sequences, context + 1)."""
    starts = np.linspace(0, len(text) - preset.context - 1, preset.eval_sequences).astype(int)
    return np.stack([text[s : s + preset.context + 1] for s in starts])


# --- the model
def num_params(d, n_layer):
    """Count the block's weights once, however often it loops: 4 d^2 of attention and 8 d^2 of MLP a layer."""
    return n_layer * 12 * d * d


def init(key, d, n_layer):
    """Draw float32 weights: Gaussian with variance 1/fan-in, the residual branches scaled down by depth."""
    keys = iter(jax.random.split(key, 2 + 4 * n_layer))

    def matrix(fan_in, fan_out, scale=1.0):
        return scale * jax.random.normal(next(keys), (fan_in, fan_out)) / math.sqrt(fan_in)

    branch = 1 / math.sqrt(2 * n_layer)
    shapes = {"qkv": (d, 3 * d), "out": (d, d, branch), "up": (d, 4 * d), "down": (4 * d, d, branch)}
    layers = [{name: matrix(*shape) for name, shape in shapes.items()} for _ in range(n_layer)]
    embed = jax.random.normal(next(keys), (VOCAB, d))
    return {"embed": embed, "layers": layers, "unembed": matrix(d, VOCAB, 0.1)}


def rmsnorm(h):
    """Scale each position to unit mean square; there is no gain to learn."""
    return h * jax.lax.rsqrt(jnp.mean(h * h, -1, keepdims=True) + 1e-6)


def rotate(x):
    """Apply rotary positions to (sequence, position, head, channel)."""
    half = x.shape[-1] // 2
    angle = jnp.arange(x.shape[1])[:, None, None] * 10_000.0 ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def attention(layer, h, heads):
    """Causal self-attention of h, shape (sequence, position, d)."""
    q, k, v = (x.reshape(*h.shape[:2], heads, -1) for x in jnp.split(h @ layer["qkv"], 3, -1))
    scores = jnp.einsum("bqhc,bkhc->bhqk", rotate(q), rotate(k)) / math.sqrt(q.shape[-1])
    past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(past, scores, -1e9))
    return jnp.einsum("bhqk,bkhc->bqhc", weights, v).reshape(h.shape) @ layer["out"]


def block(layers, h, heads):
    """Apply the pre-norm layers once."""
    for layer in layers:
        h = h + attention(layer, rmsnorm(h), heads)
        h = h + jax.nn.gelu(rmsnorm(h) @ layer["up"]) @ layer["down"]
    return h


def losses(weights, windows, loops, heads):
    """Return the loss of each loop and sequence, shape (loops, sequence), nats per byte."""
    inputs, targets = windows[:, :-1].astype(int), windows[:, 1:].astype(int)
    e = weights["embed"][inputs]

    def loop(h, _):
        h = block(weights["layers"], rmsnorm(h) + e, heads)
        logits = rmsnorm(h) @ weights["unembed"]
        right = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
        return h, (jax.nn.logsumexp(logits, -1) - right).mean(-1)

    # unrolled: as a loop, the backward pass takes twice as long on a CPU
    return jax.lax.scan(loop, jnp.zeros_like(e), length=loops, unroll=True)[1]


# --- the training
def num_steps(preset):
    return preset.tokens // (preset.batch * preset.context)


def learning_rate(step, d, preset):
    """Return 3e-3 sqrt(32 / d) after a linear warm-up over the first 5 % of the steps; it never decays."""
    return 3e-3 * math.sqrt(32 / d) * jnp.minimum(1.0, step / (0.05 * num_steps(preset)))


def adam(state, grads, step, rate):
    """Take one Adam step (0.9, 0.95, 1e-8), the gradient clipped to norm 1. `state` is (weights, m, v)."""
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(lambda g: g / jnp.maximum(norm, 1.0), grads)
    weights, m, v = state
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.95 * v + 0.05 * g * g, v, grads)
    rate = rate * jnp.sqrt(1 - 0.95**step) / (1 - 0.9**step)
    return jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, m, v), m, v


@functools.cache
def trainer(d, loops, preset):
    """Compile one cell: (key, weights, text, windows, steps) -> losses (evaluation, loops, sequence)."""
    heads = max(1, d // preset.head)

    def train_step(step, state, key, text):
        key = jax.random.fold_in(key, step)
        starts = jax.random.randint(key, (preset.batch, 1), 0, len(text) - preset.context)
        windows = text[starts + jnp.arange(preset.context + 1)]
        grads = jax.grad(lambda w: losses(w, windows, loops, heads).mean())(state[0])
        return adam(state, grads, step, learning_rate(step, d, preset))

    def run(key, weights, text, windows, steps):
        zeros = jax.tree.map(jnp.zeros_like, weights)
        batches = windows.reshape(-1, preset.batch, windows.shape[-1])

        def segment(state, bounds):
            state = jax.lax.fori_loop(*bounds, lambda step, s: train_step(step, s, key, text), state)
            held_out = jax.lax.map(lambda batch: losses(state[0], batch, loops, heads), batches)
            return state, jnp.concatenate(list(held_out), -1)

        bounds = (jnp.append(0, steps[:-1]) + 1, steps + 1)  # steps count from 1
        return jax.lax.scan(segment, (weights, zeros, zeros), bounds)[1]

    return jax.jit(run)


# --- the table
def run_name(d, loops, seed):
    return f"d{d}-T{loops}-s{seed}"


def measure(d, loops, seed, preset, text, windows):
    """Train one run and return its rows of the table.

    The key folds in width and loops, so that two cells of one seed share neither weights nor batches: their
    training noise is independent. The held-out text is shared, and so is the error `eval_se`.
    """
    last = num_steps(preset)
    steps = np.unique(np.geomspace(max(1, last / 100), last, preset.evals).round().astype(int))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), d), loops)
    weights = init(key, d, preset.n_layer)
    curve = np.asarray(trainer(d, loops, preset)(key, weights, text, windows, jnp.asarray(steps)), float)
    params, embed = num_params(d, preset.n_layer), 2 * VOCAB * d
    rows = {"run": run_name(d, loops, seed), "family": "looped-bytes"}
    rows |= {"params": params, "params_embed": embed, "params_total": params + embed, "loops": loops}
    rows |= {"tokens": steps * preset.batch * preset.context, "step": steps}
    rows |= {"lr": learning_rate(steps, d, preset), "loss": curve[:, -1].mean(-1)}
    rows |= {f"loss_{t + 1}": curve[:, t].mean(-1) if t < loops else np.nan for t in range(MAX_LOOPS)}
    rows |= {"eval_se": curve[:, -1].std(-1, ddof=1) / math.sqrt(curve.shape[-1])}
    return pd.DataFrame(rows | {"seed": seed, "d_model": d, "n_layer": preset.n_layer})


METHOD = {
    "script": "examples/measure_looped.py",
    "method": __doc__.split("    python")[0],
    "units": "loss, loss_t, eval_se: nats per byte; tokens: bytes predicted in training; params: weights",
    "params": "the block's weights, counted once however often it loops: 12 n_layer d_model^2",
    "params_embed": "untied embedding and unembedding: 2 x 256 d_model",
    "eval_se": "standard error of `loss` over the held-out sequences; every run reads the same text, so it "
    "is common to all runs and no measure of their scatter",
    "learning_rate": "3e-3 sqrt(32 / d_model), linear warm-up over the first 5 % of the steps, then constant",
    "sampling": "windows drawn uniformly with replacement from the training bytes; weights and batches are "
    "keyed by (seed, d_model, loops), so no two runs share them",
    "text": "*.py of Python's standard library by relative path, without site-packages, raw bytes",
    "held_out": "whole files whose sha256 of the relative path is 0 mod 50; evenly spaced windows of them",
    "licence": "the losses are our own measurements, Apache-2.0; the text (PSF licence) is not redistributed",
}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def cpu_model():
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor()


def provenance(name, train, held):
    """Describe what was measured, on what and with what: everything but the rows."""
    preset = PRESETS[name]
    sizes = {"steps": num_steps(preset), "tokens": num_steps(preset) * preset.batch * preset.context}
    sizes |= {key: getattr(preset, key) for key in ("batch", "context", "eval_sequences")}
    sizes |= {"train_bytes": len(train), "held_out_bytes": len(held)}
    hashes = {"train": train, "held_out": held, "eval": held_out_windows(held, preset)}
    hashes = {f"{key}_sha256": sha256(data.tobytes()) for key, data in hashes.items()}
    software = {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {"device": jax.devices()[0].device_kind, "cpu": cpu_model(), "threads": cores}
    machine |= {"xla_flags": os.environ.get("XLA_FLAGS", "")}
    files = {"held_out_files": [name for name in corpus_files() if is_held_out(name)]}
    start = {"preset": name, "date": datetime.date.today().isoformat()}
    return METHOD | start | sizes | hashes | software | machine | files


def save(out, table, record):
    """Write table and record, each by a rename, so that a stop while writing leaves the old ones whole."""
    csv = table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    seen = {"runs": table.run.nunique(), "rows": len(table), "csv_sha256": sha256(csv.encode())}
    for name, text in {"looped.json": json.dumps(record | seen, indent=2) + "\n", "looped.csv": csv}.items():
        (out / f"{name}.part").write_text(text)
        (out / f"{name}.part").replace(out / name)


def resume(out, record):
    """Return the table already in the folder; raise if it was measured on another preset or text."""
    if not (out / "looped.csv").exists():
        return pd.DataFrame({"run": []})
    before = json.loads((out / "looped.json").read_text())
    for key in ("preset", "steps", "train_sha256", "held_out_sha256"):
        if before[key] != record[key]:
            raise ValueError(f"{out} has {key} {before[key]}, expected {record[key]}; use a new folder")
    return pd.read_csv(out / "looped.csv")


def measure_all(name, out):
    """Measure every cell of the preset that the folder lacks, saving after each; return the whole table."""
    preset, (train, held) = PRESETS[name], read_corpus()
    record, windows, text = provenance(name, train, held), held_out_windows(held, preset), jnp.asarray(train)
    out.mkdir(parents=True, exist_ok=True)
    table = resume(out, record)
    for cell in preset.cells:
        if run_name(*cell) in set(table.run):
            continue
        start = time.perf_counter()
        rows = measure(*cell, preset, text, windows)
        table = pd.concat([table, rows]) if len(table) else rows
        save(out, table, record)
        took, final = time.perf_counter() - start, rows.loss.iloc[-1]
        print(f"{run_name(*cell):12} loss {final:.4f} nats/byte, {took:.0f} s", file=sys.stderr, flush=True)
    return table


def main():
    parser = argparse.ArgumentParser(description="Measure loss curves of small looped transformers.")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="small takes an hour")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the two files go")
    args = parser.parse_args()
    measure_all(args.preset, args.out)


if __name__ == "__main__":
    main()
