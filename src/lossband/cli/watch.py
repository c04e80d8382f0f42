"""Where will a run in progress end?"""

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .shared import (
    InputError,
    draw,
    json_argument,
    plot_argument,
    read_table,
    say,
    show_json,
    table_arguments,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..live.watch import Outlook
    from ..runs.schedules import Schedule

SCHEDULES = ("cosine", "linear", "wsd", "constant", "inverse_sqrt", "step")  # those of `lb.schedule`
EXAMPLES = (
    "lossband watch loss.jsonl --until 20000 --schedule cosine --target 3.2 --plot outlook.png",
    "lossband watch trainer_state.json --until 20000 --schedule schedule.csv --follow 60",
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    table_arguments(parser)
    parser.add_argument("--until", type=float, metavar="STEP", help="the clock's value at the end of the run")
    parser.add_argument(
        "--schedule",
        metavar="NAME|FILE",
        help=f"learning rate of the whole run: {', '.join(SCHEDULES)}, or a table of step and lr",
    )
    for name, what in {
        "peak": "highest rate of the schedule (default: that of the log)",
        "warmup": "where its rise ends",
        "final": "its rate at the end",
        "decay": "of wsd: the share of the run in which the rate falls",
    }.items():
        parser.add_argument(f"--{name}", type=float, help=what)
    parser.add_argument("--earlier", metavar="FILE", help="earlier runs, with a column run")
    parser.add_argument("--target", type=float, help="a loss: when is it reached?")
    parser.add_argument("--run", dest="label", help="which run, of a table of several")
    parser.add_argument("--method", choices=["nuts", "laplace"], default="nuts")
    parser.add_argument(
        "--follow",
        nargs="?",
        type=seconds,
        const=30.0,
        metavar="SECONDS",
        help="read the log again every so many seconds (30) until the run has ended",
    )
    plot_argument(parser, "the log so far and the bands of the rest")
    json_argument(parser)


def seconds(text: str) -> float:
    """A time to wait."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1e6:
        raise ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return value


def run(args: Namespace) -> None:
    """Forecast the rest of the run; with --follow again and again, as the log grows."""
    columns, seen = args.columns, 0
    while True:
        args.columns = columns
        table = log_of(args)
        if _ended(table, args):
            tell = say if args.json else print
            tell(f"the run has reached {args.until:,.0f}, at a loss of {table['loss'].iloc[-1]:.4f}.")
            return
        if len(table) > seen:
            seen = len(table)
            _tell(_outlook(table, args), args)
        if args.follow is None:
            return
        time.sleep(args.follow)


def log_of(args: Namespace) -> "pd.DataFrame":
    """The log as it is now, of one run."""
    from ..runs.table import read_runs

    table = read_runs(read_table(args), columns=args.columns)
    if args.label is not None:
        if "run" not in table or args.label not in set(table["run"].astype(str)):
            raise InputError(f"the log has no run {args.label!r}.", "Name one of its runs: --run.")
        table = table[table["run"].astype(str) == args.label].reset_index(drop=True)
    return table


def _ended(table: "pd.DataFrame", args: Namespace) -> bool:
    from ..runs.arrays import clock_of

    clock = clock_of(table)
    ended = args.follow and args.until and clock and table[clock].max() >= args.until
    return bool(ended)


def _outlook(table: "pd.DataFrame", args: Namespace) -> "Outlook":
    from ..live.watch import watch

    options = {"earlier": args.earlier, "target": args.target, "method": args.method}
    return watch(table, args.until, schedule=schedule_of(args), **options)


def schedule_of(args: Namespace) -> "Schedule | str | None":
    """The schedule that the options name, or the path of its table."""
    from ..runs.schedules import schedule

    numbers: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("peak", "warmup", "final", "decay")
        if getattr(args, name) is not None
    }
    if args.schedule in SCHEDULES:
        if args.until is None:
            raise InputError(f"--schedule {args.schedule} needs --until, the end of the run.", "Give both.")
        return schedule(args.schedule, until=args.until, **numbers)
    if numbers:
        raise InputError(
            f"--{next(iter(numbers))} is a number of a schedule by name.",
            f"Name one: --schedule {SCHEDULES[0]}.",
        )
    if args.schedule is not None and not Path(args.schedule).exists():
        raise InputError(
            f"--schedule {args.schedule!r} is neither a schedule nor a file.",
            f"Name one of {', '.join(SCHEDULES)}, or the path of a table of step and lr.",
        )
    return args.schedule


def _tell(outlook: "Outlook", args: Namespace) -> None:
    """Print the forecast, and draw it."""
    if args.plot:
        draw(outlook.plot, args.plot)
    if not args.json:
        print(outlook, flush=True)
        return
    found = {"end": outlook.end().to_dict("records")[0], "ok": outlook.ok, "rows": len(outlook.seen)}
    if outlook.target is not None:
        found["reach"] = outlook.reach().to_dict()
    show_json(found)
    for note in outlook.notes:
        say(note)
