"""Weigh fitted laws by how well refits of them forecast hidden rows: the largest, and whole runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .shared import InputError, json_argument, numbers, say, show, show_json, table_destination, write

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior

EXAMPLES = (
    "lossband compare fit.nc chinchilla.nc --cuts 2 --folds 2 -o weights.csv",
    "lossband compare fit.nc --classic 1e21,1e23",
)


REFITS = {
    "cuts": "cut-offs in compute above which rows are hidden",
    "folds": "folds of whole runs",
    "num-warmup": "of each refit",
    "num-samples": "of each refit",
    "batch": "refits at once; it bounds the memory",
    "seed": "of the refits",
}
COUNTS = {"num-warmup": 400, "num-samples": 500, "batch": 16, "seed": 0}


def refit_arguments(parser: ArgumentParser, **counts: int) -> None:
    """The options of refits, with defaults for some."""
    for name, count in (counts | COUNTS).items():
        about = f"{REFITS[name]} (default: {count})"
        parser.add_argument(f"--{name}", type=int, default=count, metavar="COUNT", help=about)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "fits",
        nargs="+",
        metavar="fit",
        help="posteriors that lossband fit wrote, of one table",
    )
    refit_arguments(parser, cuts=4, folds=5)
    parser.add_argument(
        "--group",
        default="run",
        help="what a fold leaves out as a whole (default: run)",
    )
    parser.add_argument(
        "--classic",
        type=numbers,
        metavar="1e21,1e23",
        help="for one fit: isoFLOP parabolas and a Huber fit with bootstrap beside it, at these budgets",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=table_destination,
        metavar="FILE",
        help="also write the table to a file",
    )
    json_argument(parser)


def load_named(paths: Sequence[str]) -> dict[str, Posterior]:
    """The posteriors of files, by the files' names."""
    from ..posterior.netcdf import load

    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        raise InputError(f"two of the files have one name ({', '.join(names)}).", "Give each its own.")
    return {name: load(path) for name, path in zip(names, paths, strict=True)}


def beside_classics(args: Namespace) -> None:
    """Show what approaches 2 and 3 make of the rows of one fit."""
    from ..evaluation.classic import classic

    if len(args.fits) != 1:
        raise InputError(f"--classic takes one fit, and {len(args.fits)} were given.", "Name one.")
    (post,) = load_named(args.fits).values()
    found = classic(post, args.classic, seed=args.seed)
    if args.out:
        write(found.frame, args.out)
    if args.json:
        show_json({"table": found.frame.to_dict("records"), "notes": [vars(note) for note in found.notes]})
    else:
        print(found.table().rename_axis(index=None).to_string())
    for note in found.notes:
        say(note)


def run(args: Namespace) -> None:
    """Score refits of each law, and show the laws' weights."""
    from ..evaluation.compare import compare

    if args.classic is not None:
        beside_classics(args)
        return
    fits = load_named(args.fits)
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
