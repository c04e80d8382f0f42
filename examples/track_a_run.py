"""Train a small network while its tracker says where the run will end.

    uv run python examples/track_a_run.py [FOLDER]

The network predicts the next byte of lossband's own source text from the eight bytes before it: one hidden
layer, Adam, a cosine schedule. It trains in a thread; the tracker's lines appear as it goes. At the end the
forecast from the middle stands beside what came.
"""

import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lossband as lb

STEPS, BATCH, CONTEXT, WIDTH = 1500, 128, 8, 128


def text():
    """Bytes of the package's own modules, each below 128."""
    source = Path(lb.__file__).parent
    whole = b"".join(path.read_bytes() for path in sorted(source.rglob("*.py")))
    return np.frombuffer(whole, dtype=np.uint8) % 128


def init(key):
    """Weights of an embedding, a hidden layer and an output."""
    first, second, third = jax.random.split(key, 3)
    return {
        "embed": 0.1 * jax.random.normal(first, (128, 16)),
        "hidden": jax.random.normal(second, (CONTEXT * 16, WIDTH)) / np.sqrt(CONTEXT * 16),
        "out": jax.random.normal(third, (WIDTH, 128)) / np.sqrt(WIDTH),
    }


def loss(weights, context, target):
    """Mean cross-entropy in nats per byte."""
    hidden = jax.nn.gelu(weights["embed"][context].reshape(len(context), -1) @ weights["hidden"])
    return -jnp.mean(jax.nn.log_softmax(hidden @ weights["out"])[jnp.arange(len(target)), target])


@jax.jit
def step_of(weights, moments, context, target, rate, count):
    """One step of Adam, and the loss before it."""
    value, grads = jax.value_and_grad(loss)(weights, context, target)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, moments[1], grads)

    def moved(w, m, v):
        return w - rate * m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8)

    return jax.tree.map(moved, weights, first, second), (first, second), value


def train(tracker, schedule, steps):
    """Train, and tell the tracker every step's loss."""
    data, rng = text(), np.random.default_rng(0)
    weights = init(jax.random.key(0))
    moments = (jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights))
    for step in range(1, steps + 1):
        places = rng.integers(len(data) - CONTEXT - 1, size=BATCH)
        context = data[places[:, None] + np.arange(CONTEXT)]
        rate = float(schedule(step))
        weights, moments, value = step_of(weights, moments, context, data[places + CONTEXT], rate, step)
        tracker.update(step, value, rate)
        if step in (steps // 4, steps // 2):
            tracker.close()  # this run is so short that the forecast is waited for; others need not


def main(folder=".", steps=STEPS):
    """Train and track; returns the tracker and the mean loss of the last hundred steps."""
    schedule = lb.schedule("cosine", peak=3e-3, warmup=steps // 20, until=steps)
    outlooks = []
    tracker = lb.Tracker(
        until=steps,
        schedule=schedule,
        every=steps // 10,
        log=lambda numbers, now: outlooks.append(tracker.outlook),
    )
    trainer = threading.Thread(target=train, args=(tracker, schedule, steps))
    trainer.start()
    trainer.join()
    tracker.close()
    log = tracker.frame()
    final = log["loss"].tail(100).median()
    outlook = [each for each in outlooks if each.seen["step"].max() <= 0.7 * steps][-1]
    end = outlook.end().iloc[0]
    print(
        f"from step {outlook.seen['step'].max():,.0f} on: {end['median']:.3f}, 90 % band {end['lo_90']:.3f} to "
        f"{end['hi_90']:.3f}; what came: {final:.3f}"
    )
    medians = log.groupby(log["step"] // (steps // 40) * (steps // 40))["loss"].median()
    ax = outlook.plot()
    ax.plot(medians.index[4:] + steps / 80, medians[4:], "o", ms=3, color="0.3", label="what came, medians")
    ax.legend(frameon=False, fontsize=8)
    ax.figure.savefig(Path(folder) / "track_a_run.png", dpi=150)
    return tracker, final


if __name__ == "__main__":
    main(*sys.argv[1:])
