"""Where will this run end, and when does it reach a target loss? Asked at 30 % of the run, answered with bands.

    python examples/watch.py --out FOLDER

The run is the largest of the looped transformers that ship with lossband, as if its last 70 % were not there
yet. Prints the forecast beside what happened, and draws it: watch.png.
"""

import argparse
from pathlib import Path

import lossband as lb

SEEN, TARGET = 0.3, 1.80  # share of the run; nats per byte


def largest_run():
    """Steps, learning rate and held-out loss of the largest run with four loops."""
    runs = lb.load_dataset("looped").query("loops == 4 and seed == 0")
    return runs[runs.params == runs.params.max()][["run", "step", "lr", "loss"]].reset_index(drop=True)


def forecast(run, *, seen=SEEN, target=TARGET, **options):
    """The `Outlook` of a run from the first `seen` of its steps, its learning-rate schedule known."""
    log = run[run.step <= seen * run.step.max()]
    return lb.watch(log, schedule=run[["step", "lr"]], target=target, seed=0, **options)


def figure(outlook, run, out):
    """The log, the bands on the rest, and what the rest was."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
    band = outlook.curve(levels=(0.5, 0.9))
    for level, shade in ((90, 0.22), (50, 0.45)):
        ax.fill_between(
            band.step,
            band[f"lo_{level}"],
            band[f"hi_{level}"],
            color=lb.plot.PRED,
            alpha=shade,
            lw=0,
            label=f"{level} % band",
        )
    ax.plot(band.step, band["median"], "--", color=lb.plot.PRED, lw=1.2, label="Pred")
    log, rest = outlook.seen, run[run.step > outlook.seen.step.iloc[-1]]
    ax.plot(log.step, log.loss, color=lb.plot.REAL, lw=1.3, label="seen")
    ax.plot(rest.step, rest.loss, ".", color=lb.plot.REAL, ms=4, label="what came")
    ax.axhline(outlook.target, color="0.5", lw=0.8, ls=":")
    first = log.step.iloc[-1] / 3
    top = log.loss[log.step >= first].max()
    ax.set(
        xscale="log",
        xlabel="step",
        ylabel="loss, nats per byte",
        xlim=(first, None),
        ylim=(0.97 * band.lo_90.min(), top),
    )
    ax.legend(frameon=False, fontsize=8)
    fig.savefig(out / "watch.png", dpi=150)
    plt.close(fig)


def main(out, **options):
    """Print the forecast and what happened; draw watch.png into `out`."""
    run = largest_run()
    outlook = forecast(run, **options)
    reached = run.step[run.loss <= TARGET]
    print(outlook)
    print(
        f"what came: loss {run.loss.iloc[-1]:.4f} at the end; {TARGET} was "
        + (f"reached at step {reached.iloc[0]:,}" if len(reached) else "not reached")
    )
    figure(outlook, run, Path(out))
    return outlook, run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where watch.png goes")
    main(parser.parse_args().out)
