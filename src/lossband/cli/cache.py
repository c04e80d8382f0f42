"""The folder of compiled programs: where it is, how large, and how to empty it."""

from argparse import ArgumentParser, Namespace

from .shared import json_argument, say, show_json

EXAMPLES = ("lossband cache", "lossband cache --clear")


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--clear", action="store_true", help="delete every program: the next fit compiles anew"
    )
    json_argument(parser)


def run(args: Namespace) -> None:
    """Show the folder; with --clear empty it first."""
    from .._cache import ELSEWHERE, LARGER, clear, held, most_bytes

    if args.clear:
        say(f"deleted {clear()} files")
    place, count, size = held()
    most = most_bytes()
    if args.json:
        return show_json({"folder": place and str(place), "files": count, "bytes": size, "most_bytes": most})
    print(f"{place}: {count} files, {size / 1e6:.1f} MB of {most / 1e6:.0f} at most")
    print(f"{ELSEWHERE}=FOLDER moves it, {LARGER}=NUMBER says how many MB it may hold.")
