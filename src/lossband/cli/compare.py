"""Weigh fitted laws by how well refits of them forecast hidden rows: the largest, and whole runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .shared import InputError, json_argument, say, show, show_json, table_destination, write

EXAMPLES = ("lossband compare fit.nc chinchilla.nc --cuts 2 --folds 2 -o weights.csv",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "fits",
        nargs="+",
        metavar="fit",
        help="posteriors that lossband fit wrote, of one table",
    )
    for name, count, what in (
        ("cuts", 4, "cut-offs in compute above which rows are hidden"),
        ("folds", 5, "folds of whole runs"),
        ("num-warmup", 400, "of each refit"),
        ("num-samples", 500, "of each refit"),
        ("batch", 16, "refits at once; it bounds the memory"),
        ("seed", 0, "of the refits"),
    ):
        parser.add_argument(
            f"--{name}",
            type=int,
            default=count,
            metavar="COUNT",
            help=f"{what} (default: {count})",
        )
    parser.add_argument(
        "--group",
        default="run",
        help="what a fold leaves out as a whole (default: run)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=table_destination,
        metavar="FILE",
        help="also write the table to a file",
    )
    json_argument(parser)


def run(args: Namespace) -> None:
    """Score refits of each law, and show the laws' weights."""
    from ..evaluation.compare import compare
    from ..posterior.netcdf import load

    names = [Path(path).stem for path in args.fits]
    if len(set(names)) < len(names):
        raise InputError(
            f"two of the files have one name ({', '.join(names)}).",
            "Give each its own.",
        )
    fits = {name: load(path) for name, path in zip(names, args.fits, strict=True)}
    counts = {name: getattr(args, name) for name in ("cuts", "folds", "group", "seed", "batch")}
    table = compare(fits, num_warmup=args.num_warmup, num_samples=args.num_samples, **counts)
    said = [f"{name}: {note}" for name, notes in table["notes"].items() for note in notes]
    said += [str(note) for note in table.attrs["notes"]]
    table = table.drop(columns="notes").reset_index(names="law")
    if args.out:
        write(table, args.out)
    if args.json:
        show_json({"laws": table.to_dict("records"), "notes": said})
    else:
        show(table.set_index("law").T.reset_index(names=""))
    for line in said:
        say(line)
