"""Does recipe A end lower than recipe B, given a few seeds of each?"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .shared import draw, json_argument, names_argument, plot_argument, say, show_json

EXAMPLES = ("lossband better new_seeds.csv old_seeds.csv --target 3.28 --plot seeds.png",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("a", help="curves of the seeds of one recipe: run, step (or tokens), loss")
    parser.add_argument("b", help="those of the other")
    names_argument(parser)
    parser.add_argument("--target", type=float, help="loss at which the steps saved are counted")
    parser.add_argument(
        "--spread", type=float, help="what seeds' final losses are known to differ by (standard deviation)"
    )
    plot_argument(parser, "the final losses, the means, and the bands of a new seed")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Compare the tables and say how sure the answer is."""
    from ..planning.better import better

    names = (Path(args.a).stem, Path(args.b).stem)
    options = {"names": names, "spread": args.spread, "columns": args.columns}
    found = better(args.a, args.b, args.target, **options)
    if args.plot:
        draw(found.plot, args.plot)
    if args.json:
        parts = {name: getattr(found, name).to_dict() for name in ("difference", "steps_saved", "more_seeds")}
        show_json({"names": names, "prob": found.prob, **parts, "finals": found.finals().to_dict("index")})
        for note in found.notes:
            say(note)
    else:
        print(found)
