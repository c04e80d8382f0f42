"""One of the five figures with its answers: the picture, the tables and the fits, in a folder."""

from argparse import ArgumentParser, Namespace

from .shared import names_argument, read_table, say

NAMES = ("looped", "position", "position-step", "curve", "shape")
EXAMPLES = ("lossband figure looped --out figures",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "runs",
        nargs="?",
        help="a table or log of your own (default: the runs that lossband measured)",
    )
    names_argument(parser)
    parser.add_argument(
        "--out",
        default="figures",
        metavar="DIR",
        help="folder for the results (default: figures)",
    )
    parser.add_argument("--seed", default=0, type=int)


def run(args: Namespace) -> None:
    """Fit, draw, and write the figure's files."""
    from ..runs.table import read_runs
    from ..studies import FIGURES, tell

    runs = None if args.runs is None else read_runs(read_table(args), columns=args.columns)
    paths = tell(FIGURES[args.name], args.out, runs=runs, seed=args.seed)
    say(f"wrote {', '.join(map(str, paths))}")
