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
import functools
import json
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import measuring
import numpy as np
import pandas as pd
from measuring import VOCAB, adam, block, cross_entropy, draw_windows, held_out_windows, init, rmsnorm

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
GPU = grid((64, 128, 192, 320, 512), (1, 2, 4, 8), repeated=((64, 1), (64, 4), (128, 2), (192, 4)))
PRESETS = {
    "tiny": Preset(TINY, 8192, batch=8, context=32, head=8, evals=6, eval_sequences=16, n_layer=1),
    "small": Preset(SMALL, 2**20, batch=8, context=128, head=16, evals=80, eval_sequences=128, n_layer=2),
    "gpu": Preset(GPU, 2**24, batch=32, context=256, head=64, evals=100, eval_sequences=256, n_layer=2),
    "full": Preset(FULL, 3 * 10**7, batch=32, context=256, head=64, evals=100, eval_sequences=256, n_layer=2),
}


# --- the model
def num_params(d, n_layer):
    """Count the block's weights once, however often it loops: 4 d^2 of attention and 8 d^2 of MLP a layer."""
    return n_layer * 12 * d * d


def losses(weights, windows, loops, heads):
    """Return the loss of each loop and sequence, shape (loops, sequence), nats per byte."""
    inputs, targets = windows[:, :-1].astype(int), windows[:, 1:].astype(int)
    e = weights["embed"][inputs]

    def loop(h, _):
        h = block(weights["layers"], rmsnorm(h) + e, heads)
        return h, cross_entropy(h, weights["unembed"], targets).mean(-1)

    # unrolled: as a loop, the backward pass takes twice as long on a CPU
    return jax.lax.scan(loop, jnp.zeros_like(e), length=loops, unroll=True)[1]


# --- the training
def num_steps(preset):
    return preset.tokens // (preset.batch * preset.context)


def learning_rate(step, d, preset):
    """Return 3e-3 sqrt(32 / d) after a linear warm-up over the first 5 % of the steps; it never decays."""
    return 3e-3 * math.sqrt(32 / d) * jnp.minimum(1.0, step / (0.05 * num_steps(preset)))


@functools.cache
def trainer(d, loops, preset):
    """Compile one cell: (key, weights, text, windows, steps) -> losses (evaluation, loops, sequence)."""
    heads = max(1, d // preset.head)

    def train_step(step, state, key, text):
        key = jax.random.fold_in(key, step)
        windows = draw_windows(key, text, preset)
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


def provenance(name, train, held):
    """Describe what was measured, on what and with what: everything but the rows."""
    preset = PRESETS[name]
    sizes = {"steps": num_steps(preset), "tokens": num_steps(preset) * preset.batch * preset.context}
    sizes |= {key: getattr(preset, key) for key in ("batch", "context", "eval_sequences")}
    hashes = {"eval_sha256": measuring.sha256(held_out_windows(held, preset).tobytes())}
    text = measuring.describe_text(train, held) | hashes
    files = {"held_out_files": [name for name in measuring.corpus_files() if measuring.is_held_out(name)]}
    return METHOD | {"preset": name} | sizes | text | measuring.describe_machine() | files


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
    preset, (train, held) = PRESETS[name], measuring.read_corpus()
    record, windows, text = provenance(name, train, held), held_out_windows(held, preset), jnp.asarray(train)
    out.mkdir(parents=True, exist_ok=True)
    table = resume(out, record)
    for cell in preset.cells:
        if run_name(*cell) in set(table.run):
            continue
        start = time.perf_counter()
        rows = measure(*cell, preset, text, windows)
        table = pd.concat([table, rows]) if len(table) else rows
        measuring.save(out, "looped", table, record)
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
