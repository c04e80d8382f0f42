"""Bands of the loss at new rows, from a posterior that `fit` wrote."""

from argparse import ArgumentParser, Namespace

from ..errors import InputError
from .shared import (
    draw,
    find_law,
    json_argument,
    law_argument,
    names_argument,
    numbers,
    plot_argument,
    point,
    read_table,
    say,
    show,
    table_destination,
    write,
)

EXAMPLES = (
    "lossband predict fit.nc --at params=7e10,tokens=1.4e12 --plot forecast.png",
    "lossband predict fit.nc new.csv --kind run --level 0.9 -o bands.csv",
    "lossband predict fit.nc new.csv --level 0.5,0.9 --below 2.5 --json",
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("fit", help="a posterior that lossband fit wrote")
    parser.add_argument(
        "runs",
        metavar="new",
        nargs="?",
        help="a table with the law's inputs; losses are not needed",
    )
    parser.add_argument(
        "--at",
        type=point,
        action="append",
        metavar="params=7e10,tokens=1.4e12",
        help="one row in place of a table; may be given several times",
    )
    names_argument(parser)
    law_argument(parser)
    parser.add_argument(
        "--kind",
        choices=["mean", "run", "observation"],
        default="observation",
        help="the curve itself, a new training run, or a new measurement of one (default)",
    )
    parser.add_argument(
        "--level",
        type=numbers,
        default=(0.5, 0.8, 0.9, 0.95),
        metavar="0.5,0.9",
        help="of the bands",
    )
    parser.add_argument(
        "--below",
        type=float,
        metavar="LOSS",
        help="add P(loss < LOSS) as a column prob",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=table_destination,
        metavar="FILE",
        help="also write the bands to a file",
    )
    plot_argument(parser, "the data, the bands and the new rows")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Forecast the rows, and show the bands."""
    from ..posterior.netcdf import load

    if (args.runs is None) == (args.at is None):
        raise InputError(
            f"{'no' if args.at is None else 'a table and'} new rows were given.",
            "Name a table, or give one row: --at params=7e10,tokens=1.4e12.",
        )
    post = load(args.fit, law=find_law(args.law))
    new = read_table(args) if args.at is None else args.at
    band = post.predict(new, kind=args.kind, levels=args.level, columns=args.columns)
    if args.below is not None:
        band["prob"] = post.prob(new, below=args.below, kind=args.kind, columns=args.columns)
    if args.out:
        write(band, args.out)
    if args.plot:
        draw(lambda: post.plot(new=new, kind=args.kind, columns=args.columns), args.plot)
    show(band, as_json=args.json)
    for note in band.attrs["notes"]:
        say(note)
    if not post.health.ok:
        say(post.health)
