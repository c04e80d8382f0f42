"""Score your own forecasts of larger models on public sweeps, by kind of split."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .shared import InputError, attribute_of, json_argument, say, show_json, table_destination, write

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = ("lossband benchmark rival.py:forecast --data runs.csv --kind near --kind size -o scores.csv",)
COLUMNS = {"N": "params", "D": "tokens"}


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "forecast",
        metavar="MODULE:FUNCTION",
        help="forecast(train, new), which returns draws (sample, row), quantiles, or a Posterior",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="FILE",
        help="your own sweeps in place of the public ones: params (or N), tokens (or D), loss",
    )
    parser.add_argument("--kind", action="append", metavar="KIND", help="near, far, size, tokens, few (all)")
    parser.add_argument("--plain", action="store_true", help="also fit Chinchilla's law, for CRPS ratios")
    parser.add_argument(
        "-o", "--out", type=table_destination, metavar="FILE", help="also write the scores of every split"
    )
    json_argument(parser)


def run(args: Namespace) -> None:
    """Score the forecasts, and show the table."""
    from ..evaluation.benchmark import benchmark
    from ..evaluation.splits import KINDS

    hint = "Give it as file.py:function, or module:function."
    if ":" not in args.forecast:
        raise InputError(f"MODULE:FUNCTION got {args.forecast!r}.", hint)
    data = {Path(path).stem: _sweep(path) for path in args.data} if args.data else None
    options: dict[str, Any] = dict(data=data, kinds=tuple(args.kind or KINDS), plain=args.plain)
    result = benchmark(attribute_of(args.forecast, hint), **options)
    if args.out:
        write(result.frame, args.out)
    if args.json:
        show_json({"table": result.table.to_dict("records"), "splits": result.frame.to_dict("records")})
    else:
        about, table = str(result).split("\n", 1)
        say(about)
        print(table)


def _sweep(path: str) -> "pd.DataFrame":
    """A table by lossband's names."""
    from ..runs.table import read_runs

    table = read_runs(path)
    return table.rename(columns={n: ours for n, ours in COLUMNS.items() if ours not in table})
