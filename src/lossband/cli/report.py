"""Write a self-contained HTML report of a fit: coefficients, health, bands, gaps, calibration, provenance."""

from argparse import ArgumentParser, Namespace

from .shared import find_law, law_argument, out_argument, say

EXAMPLES = ("lossband report fit.nc --backtest backtest.csv -o report.html",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("fit", help="a posterior that lossband fit wrote")
    parser.add_argument(
        "--backtest",
        metavar="FILE",
        help="what lossband backtest -o wrote: adds the calibration",
    )
    parser.add_argument(
        "--runs",
        metavar="FILE",
        help="measured rows for the gaps (default: the fitted ones)",
    )
    parser.add_argument("--title", help="of the page")
    law_argument(parser)
    out_argument(parser, "report.html", "the report")


def run(args: Namespace) -> None:
    """Write the report."""
    from ..posterior.netcdf import load
    from ..report import write_report

    post = load(args.fit, law=find_law(args.law))
    write_report(post, args.out, runs=args.runs, backtest=args.backtest, title=args.title)
    say(f"wrote the report to {args.out}")
