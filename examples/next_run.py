"""Which three runs should be done next to know the loss of a model ten times larger?

    python examples/next_run.py --out FOLDER

starts from the 34 cheapest of a simulated sweep's 49 runs, and prints the three of the rest that tell most
per run, and per FLOP.
"""

import argparse
from pathlib import Path

import lossband as lb
from lossband.plot import planning as plot_plan

try:
    from .allocation import sweep
except ImportError:  # run as a script
    from allocation import sweep


def main(out=Path("."), law="coupled", **options):
    import matplotlib

    matplotlib.use("Agg")
    runs = sweep()
    cheap = (runs["params"] * runs["tokens"]).rank() <= 34
    post = lb.fit(runs[cheap], law, **options)
    left, target = runs.loc[~cheap, ["params", "tokens"]], {"params": 1e10, "tokens": 2e11}
    best = lb.next_run(post, left, target=target, count=3)
    print(f"most per run\n{best}\n")
    print(f"most per FLOP\n{lb.next_run(post, left, target=target, cost='6ND', count=3)}")
    plot_plan.candidates(best, runs=runs[cheap]).figure.savefig(out / "next_run.png", dpi=150)
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    main(parser.parse_args().out)
