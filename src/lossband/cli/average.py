"""Average the forecasts of several fitted laws of one table, weighted by forecasts of hidden rows."""

from argparse import ArgumentParser, Namespace

from .compare import load_named, refit_arguments
from .shared import json_argument, out_argument, say, show_json

EXAMPLES = ("lossband average fit.nc chinchilla.nc --cuts 2 -o average.nc",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "fits", nargs="+", metavar="fit", help="posteriors that lossband fit wrote, of one table"
    )
    refit_arguments(parser, cuts=4)
    out_argument(parser, "average.nc", "the average, for predict, plan and report")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Weigh the laws, write their average, and show the weights."""
    from ..evaluation.compare import average

    options = {name: getattr(args, name) for name in ("cuts", "num_warmup", "num_samples", "batch", "seed")}
    post = average(load_named(args.fits), **options)
    post.save(args.out)
    say(f"wrote the average to {args.out}")
    if args.json:
        show_json(
            {"file": str(args.out), "weights": post.weights, "notes": [vars(note) for note in post.notes]}
        )
        return
    for name, weight in post.weights.items():
        print(f"{name}  {weight:.3f}")
    for note in post.notes:
        say(note)
