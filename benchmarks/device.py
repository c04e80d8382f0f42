"""One accelerator against the same machine's processor: batches of small fits, and one long curve.

    python -m benchmarks.device --out device.json --deadline 390
    python -m benchmarks.device --out tiny.json --sets 8 --rows 512 --deadline 200      # a trial on any machine

Each part runs in a process of its own (one platform each), with what is left of the deadline as its limit; a
part that fails or runs out of time is reported, and the others go on. Figures: fits a second without and with
compilation, the share of sampling spent in gradients, the lockstep waste of batched NUTS, peak memory.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

NUM_WARMUP, NUM_SAMPLES, NUM_CHAINS = 150, 250, 4
SEED = 0


def parts(sets, rows):
    """(platform, what, size, limit in seconds), in the order in which they are run.

    The ones that matter most first.
    """
    small, large = min(sets, 1000), sets
    yield "gpu", "sets", small, 130
    yield "cpu", "sets", max(small // 8, 8), 80
    yield "gpu", "curve", rows, 60
    yield "cpu", "curve", rows, 50
    if large > small:
        yield "gpu", "sets", large, 200


def simulated(count, rows=100):
    """Sweeps of `rows` rows by Chinchilla's law with 0.5 % noise, each with its own design and noise."""
    import numpy as np
    import pandas as pd

    for i in range(count):
        rng = np.random.default_rng([SEED, i])
        params, tokens = np.exp(rng.uniform(np.log([[1e7], [1e9]]), np.log([[1e10], [5e11]]), (2, rows)))
        loss = 1.69 + 406.4 * params**-0.34 + 410.7 * tokens**-0.28
        noise = rng.normal(0, 0.005, rows)
        yield pd.DataFrame({"params": params, "tokens": tokens, "loss": loss * np.exp(noise)})


def curve(rows):
    """One run of `rows` evaluations evenly spaced in tokens, L = 1.8 + 2.2 (D / 1e9)^-.35, 1 % noise."""
    import numpy as np
    import pandas as pd

    tokens = np.linspace(1e9, 2e12, rows)
    noise = np.random.default_rng(SEED).normal(0, 0.01, rows)
    loss = (1.8 + 2.2 * (tokens / 1e9) ** -0.35) * np.exp(noise)
    return pd.DataFrame({"run": "one", "tokens": tokens, "loss": loss})


def measure(what, size, batch):
    """Figures of one part, on the platform that this process has."""
    import jax

    from lossband.inference.batches import sample
    from lossband.inference.sampler import Sampler
    from lossband.model.problem import pose

    tables = list(simulated(size)) if what == "sets" else [curve(size)]
    law = "chinchilla" if what == "sets" else "power"
    problems, seconds = timed(lambda: [pose(table, law, drift=None) for table in tables])
    report = {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "prepare": seconds}
    sampler, options = Sampler(NUM_WARMUP, NUM_SAMPLES, NUM_CHAINS), dict(progress=False)
    batch = min(batch, size) if what == "sets" else 1
    _, report["first_batch"] = timed(
        lambda: sample(problems[:batch], sampler, batch=batch, seed=1, **options)
    )
    posts, seconds = timed(lambda: sample(problems, sampler, batch=batch, seed=2, **options))
    report |= {"seconds": seconds, "fits_per_second": len(posts) / seconds, "batch": batch}
    report |= quality(posts) | gradients(problems[:batch], posts, seconds / -(-len(problems) // batch))
    peak = jax.devices()[0].memory_stats() or {}
    report["device_peak_MB"] = peak.get("peak_bytes_in_use", 0) / 1e6 or None
    report["host_peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return report


def quality(posts):
    """Whether the fits are good: over the batch, R-hat, divergences, and the worst effective sample size."""
    health = [post.health for post in posts]
    return {
        "rhat_below_1.01": sum(h.rhat_max < 1.01 for h in health) / len(health),
        "ess_min_median": sorted(h.ess_min for h in health)[len(health) // 2],
        "divergences": sum(h.divergences for h in health),
    }


def gradients(problems, posts, seconds_a_batch):
    """Cost of one gradient of the whole batch, the share of a batch's time spent in them, and the lockstep waste."""
    import jax
    import numpy as np

    from lossband.inference.coordinates import Space

    model = problems[0].model
    steps = np.stack(
        [fit.stats["steps"] for post in posts[: len(problems)] for fit in post.fits.values()]
    )  # (table, chain, draw)
    together = (
        (steps.mean if jax.default_backend() == "cpu" else steps.max)(axis=(0, 1)).sum()
        * (NUM_WARMUP + NUM_SAMPLES)
        / NUM_SAMPLES
    )
    with jax.enable_x64(True):
        runs, measured = jax.tree.map(lambda *leaves: np.stack(leaves), *(p.arrays for p in problems))
        dim = sum(1 for name in Space.of(model, *problems[0].arrays).sites)
        points = np.zeros((len(problems), NUM_CHAINS, dim))

        @jax.jit
        def many(runs, measured, points):
            def one(r, m, ps):
                return jax.vmap(lambda p: jax.value_and_grad(Space.of(model, r, m).potential)(p)[1])(ps)

            step = lambda ps, _: (ps - 1e-12 * jax.vmap(one)(runs, measured, ps), None)  # noqa: E731
            return jax.lax.scan(step, points, None, length=64)[0]

        jax.block_until_ready(many(runs, measured, points))
        _, seconds = timed(lambda: jax.block_until_ready(many(runs, measured, points)))
    return {
        "gradient_of_batch_ms": 1e3 * seconds / 64,
        "share_in_gradients": together * seconds / 64 / seconds_a_batch,
        "leapfrogs_mean": float(steps.mean()),
        "lockstep_waste": float(steps.max(axis=(0, 1)).mean() / steps.mean()),
    }


def timed(action):
    start = time.perf_counter()
    result = action()
    return result, time.perf_counter() - start


def run_part(device, what, size, batch, limit):
    """The figures of one part, by a process of its own; or why there are none."""
    command = [sys.executable, "-m", "benchmarks.device", "--part", what, str(size), "--batch", str(batch)]
    env = os.environ | {"JAX_PLATFORMS": "cuda" if device == "gpu" else "cpu"}
    started = time.perf_counter()
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=max(limit, 1))
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {limit:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"failed": (done.stderr or done.stdout)[-600:]}
    return json.loads(lines[-1]) | {"wall": time.perf_counter() - started}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("device.json"))
    parser.add_argument("--deadline", type=float, default=390, help="seconds for everything")
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument(
        "--batch", type=int, default=None, help="tables at once: 1,000 on an accelerator, 32 on a processor"
    )
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        print(json.dumps(measure(args.part[0], int(args.part[1]), args.batch)), flush=True)
        return
    end = time.perf_counter() + args.deadline
    report = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "parts": []}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for device, what, size, limit in parts(args.sets, args.rows):
        left = min(limit, end - time.perf_counter())
        batch = args.batch or (1000 if device == "gpu" else 32)
        figures = run_part(device, what, size, batch, left) if left > 5 else {"failed": "no time left"}
        report["parts"].append({"platform": device, "what": what, "size": size, **figures})
        print(json.dumps(report["parts"][-1]), flush=True)
        args.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
