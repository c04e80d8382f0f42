"""Hide the largest runs, refit on the rest, and check the calibration of the bands."""

from argparse import ArgumentParser, Namespace

from .shared import (
    find_law,
    fit_arguments,
    fit_options,
    json_argument,
    metric_arguments,
    metric_options,
    numbers,
    read_table,
    say,
    show,
    show_json,
    table_arguments,
    table_destination,
    write,
)

EXAMPLES = ("lossband backtest runs.csv --columns N=params,D=tokens --by params --hide 2 -o backtest.csv",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    table_arguments(parser)
    fit_arguments(parser)
    metric_arguments(parser)
    parser.add_argument(
        "--by",
        default="params",
        help="the column whose largest values are hidden, or end",
    )
    parser.add_argument(
        "--hide",
        type=numbers,
        metavar="COUNT",
        help="how many values, or several: 1,2,3 (default: 1)",
    )
    parser.add_argument(
        "--share",
        type=numbers,
        metavar="SHARE",
        help="instead, which share of them: 0.25",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=table_destination,
        metavar="FILE",
        help="also write the scored forecasts, for report",
    )
    json_argument(parser)


def run(args: Namespace) -> None:
    """Refit, score the hidden rows, and show the calibration."""
    from ..evaluation.backtest import backtest

    hide = args.hide and [whole(count) for count in args.hide]
    share = args.share and list(args.share)
    test = backtest(
        read_table(args),
        find_law(args.law),
        by=args.by,
        hide=hide,
        share=share,
        **fit_options(args),
        **metric_options(args),
    )
    table = test.calibration(by=None if args.by == "end" else args.by)
    if args.out:
        write(test.frame, args.out)
    notes = [*table.attrs["notes"], *map(str, test.notes)]
    if args.json:
        show_json({"calibration": table.to_dict("records"), "notes": notes, "ok": test.ok})
    else:
        show(table)
    for note in notes:
        say(note)


def whole(count: float) -> int:
    """A count as a whole number.

    Raises:
        InputError: a number with a fraction.
    """
    from ..errors import InputError

    if count != int(count):
        raise InputError(
            f"--hide got {count:g}; expected whole numbers.",
            "For a share of the values: --share.",
        )
    return int(count)
