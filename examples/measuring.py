"""What every measuring script shares: the text, the transformer's layers, Adam, and how a table is saved.

The layers are pre-norm causal attention (rotary positions) and a GELU MLP, without gains or biases. They
compute in the precision of the weights they are given; norms, scores' softmax and losses are float32.
"""

import datetime
import hashlib
import json
import math
import os
import platform
import re
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

VOCAB = 256  # bytes


# --- the text
def corpus_files(packages=False):
    """Return *.py files as {relative path: path}, sorted by relative path.

    They are the standard library's own; with `packages` also those of the installed packages, whose names
    begin with "site-packages/".
    """
    paths = sysconfig.get_paths()
    roots = {"": paths["stdlib"]} | ({"site-packages/": paths["purelib"]} if packages else {})
    kept = {}
    for prefix, root in roots.items():
        foreign = {"site-packages", "dist-packages", "__pycache__"}
        files = {path.relative_to(root): path for path in Path(root).rglob("*.py")}
        kept |= {
            prefix + name.as_posix(): path for name, path in files.items() if not foreign & {*name.parts}
        }
    return dict(sorted(kept.items()))


def is_held_out(name):
    """Say whether a file is held out: about 2 % are, by a hash of the relative path, whatever the machine."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 50 == 0


def read_corpus(packages=False):
    """Return the training bytes and the held-out bytes, each as one uint8 array over whole files.

    With `packages`, which copy one another's files, a file whose bytes came before is left out.
    """
    parts, seen = {False: [], True: []}, set()
    files = corpus_files(packages=packages) if packages else corpus_files()
    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(Path.read_bytes, files.values()))
    for name, text in zip(files, texts, strict=False):
        mark = hashlib.sha256(text).digest() if packages else name
        if mark not in seen:
            parts[is_held_out(name)].append(text)
        seen.add(mark)
    return tuple(np.frombuffer(b"".join(parts[held]), np.uint8) for held in (False, True))


def count_windows(num_bytes, preset):
    """Return how many windows are evaluated: eval_sequences, or as many as fit side by side."""
    return min(preset.eval_sequences, (num_bytes - 1) // preset.context)


def held_out_windows(text, preset):
    """Cut evenly spaced windows, the same for every run: shape (window, context + 1)."""
    starts = np.linspace(0, len(text) - preset.context - 1, count_windows(len(text), preset)).astype(int)
    return np.stack([text[s : s + preset.context + 1] for s in starts])


def draw_windows(key, text, plan):
    """Draw `plan.batch` training windows uniformly with replacement: shape (batch, context + 1)."""
    starts = jax.random.randint(key, (plan.batch, 1), 0, len(text) - plan.context)
    return text[starts + jnp.arange(plan.context + 1)]


# --- the model
def init(key, d, n_layer, d_ff=None):
    """Draw float32 weights: Gaussian with variance 1/fan-in, the residual branches scaled down by depth."""
    keys, d_ff = iter(jax.random.split(key, 2 + 4 * n_layer)), d_ff or 4 * d

    def matrix(fan_in, fan_out, scale=1.0):
        return scale * jax.random.normal(next(keys), (fan_in, fan_out)) / math.sqrt(fan_in)

    branch = 1 / math.sqrt(2 * n_layer)
    shapes = {"qkv": (d, 3 * d), "out": (d, d, branch), "up": (d, d_ff), "down": (d_ff, d, branch)}
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
    cos, sin = jnp.cos(angle).astype(x.dtype), jnp.sin(angle).astype(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def attend(q, k, v):
    """Causal attention of (sequence, position, head, channel) over the past; the softmax is float32."""
    scores = jnp.einsum("bqhc,bkhc->bhqk", rotate(q), rotate(k)) / math.sqrt(q.shape[-1])
    past = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(past, scores.astype(jnp.float32), -1e9)).astype(v.dtype)
    return jnp.einsum("bhqk,bkhc->bqhc", weights, v)


def attention(layer, h, heads, attend=attend):
    """Causal self-attention of h, shape (sequence, position, d)."""
    q, k, v = (x.reshape(*h.shape[:2], heads, -1) for x in jnp.split(h @ layer["qkv"], 3, -1))
    return attend(q, k, v).reshape(h.shape) @ layer["out"]


def block(layers, h, heads, attend=attend):
    """Apply the pre-norm layers once."""
    for layer in layers:
        x = rmsnorm(h).astype(layer["qkv"].dtype)
        h = h + attention(layer, x, heads, attend)
        x = rmsnorm(h).astype(layer["up"].dtype)
        h = h + jax.nn.gelu(x @ layer["up"]) @ layer["down"]
    return h


def cross_entropy(h, unembed, targets):
    """Return the loss of every position, nats per byte: shape of `targets`."""
    logits = rmsnorm(h) @ unembed
    right = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return jax.nn.logsumexp(logits, -1) - right


# --- the optimiser
def adam(state, grads, step, rate):
    """Take one Adam step (0.9, 0.95, 1e-8), the gradient clipped to norm 1. `state` is (weights, m, v)."""
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(lambda g: g / jnp.maximum(norm, 1.0), grads)
    weights, m, v = state
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.95 * v + 0.05 * g * g, v, grads)
    rate = rate * jnp.sqrt(1 - 0.95**step) / (1 - 0.9**step)
    return jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, m, v), m, v


# --- the record
def sha256(data):
    return hashlib.sha256(data).hexdigest()


def cpu_model():
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor()


def describe_text(train, held):
    """Return how much text was read, and its hashes."""
    sizes = {"train_bytes": len(train), "held_out_bytes": len(held)}
    return sizes | {"train_sha256": sha256(train.tobytes()), "held_out_sha256": sha256(held.tobytes())}


def describe_machine():
    """Return the date, and with what software and on what device a table is measured."""
    software = {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {"device": jax.devices()[0].device_kind, "cpu": cpu_model(), "threads": cores}
    machine |= {"xla_flags": os.environ.get("XLA_FLAGS", "")}
    return {"date": datetime.date.today().isoformat()} | software | machine


def save(out, name, table, record):
    """Write NAME.csv and NAME.json, each by a rename: a stop while writing leaves the old ones whole."""
    csv = table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    seen = {"runs": table.run.nunique(), "rows": len(table), "csv_sha256": sha256(csv.encode())}
    texts = {f"{name}.json": json.dumps(record | seen, indent=2) + "\n", f"{name}.csv": csv}
    for file, text in texts.items():
        (out / f"{file}.part").write_text(text)
        (out / f"{file}.part").replace(out / file)
