"""Fit the looped law to measured curves, the largest size held out; write figure, bands and posterior."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .._lazy import required
from .shared import say, three

EXAMPLES = ("lossband demo --out demo",)
DEMO_ROWS = 12  # evaluations kept of each curve: neighbours on a curve say nearly the same
WARM = 1e5  # tokens: twice the learning-rate warm-up, before which no law of training holds


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--out",
        default="demo",
        type=Path,
        metavar="DIR",
        help="folder for the results (default: demo)",
    )
    parser.add_argument("--seed", default=0, type=int)


def run(args: Namespace) -> None:
    """Hide the largest measured models, forecast them, and write the table, the figure and the posterior."""
    required("matplotlib", "plot", "pictures")
    import matplotlib

    matplotlib.use("Agg")
    from .. import plot
    from ..datasets import load_dataset
    from ..evaluation.backtest import backtest
    from ..runs.thin import spaced

    runs = load_dataset("looped")
    curves = spaced(runs[runs["tokens"] >= WARM], keep=DEMO_ROWS)
    largest = runs["params"].max()
    say(
        f"{len(curves)} measured losses of {curves['run'].nunique()} looped models; hiding the largest size, "
        f"N = {largest:,.0f}"
    )
    test = backtest(curves, "looped", by="params", hide=1, seed=args.seed)
    (post,) = test.posteriors
    print("Coefficients (loss in nats per byte; intervals 90 %)\n")
    print(post.summary(), "\n")
    print(f"Calibration by model size, on the hidden size N = {largest:,.0f}\n")
    print(
        test.calibration(by=["params", "loops"]).to_string(index=False, float_format=three),
        "\n",
    )
    print("Signed gap per curve, predicted - real (nats per byte)\n")
    gap = post.gap(curves, by=["params", "loops"], kind="run")
    print(gap.assign(held_out=gap["params"] == largest).to_string(index=False, float_format=three))
    args.out.mkdir(parents=True, exist_ok=True)
    post.predict(curves).to_csv(args.out / "bands.csv", index=False)
    post.save(args.out / "posterior.nc")
    axes = plot.panels(post, runs[runs["tokens"] >= WARM], hidden=largest)
    axes[0, 0].figure.savefig(args.out / "panels.png", dpi=160)
    say(f"wrote panels.png, bands.csv and posterior.nc to {args.out}/")
