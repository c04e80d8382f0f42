"""Which of the runs that could be done would tell most about a larger model, per run or per cost."""

from argparse import ArgumentParser, Namespace
from typing import Any

from .shared import (
    draw,
    find_law,
    json_argument,
    law_argument,
    names_argument,
    plot_argument,
    point,
    read_table,
    say,
    show,
    table_destination,
    write,
)

EXAMPLES = (
    "lossband next-run fit.nc candidates.csv --target params=7e10,tokens=1.4e12 --cost 6ND --count 2",
    "lossband next-run fit.nc candidates.csv --target flops=1e23 --plot next.png",
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("fit", help="a posterior that lossband fit wrote")
    parser.add_argument(
        "runs", metavar="candidates", help="a table of runs that could be done, with the law's inputs"
    )
    names_argument(parser)
    law_argument(parser)
    parser.add_argument(
        "--target",
        type=point,
        required=True,
        metavar="params=7e10,tokens=1.4e12",
        help="the run whose loss is to be known; or flops=1e23, the best size at that budget",
    )
    parser.add_argument("--cost", help="6ND, 6NDT or a column of the candidates (default: every run costs 1)")
    parser.add_argument(
        "--count", type=int, default=1, metavar="COUNT", help="at most so many runs (default: 1)"
    )
    parser.add_argument("--budget", type=float, metavar="COST", help="at most so much cost in all")
    parser.add_argument(
        "-o", "--out", type=table_destination, metavar="FILE", help="also write the runs to a file"
    )
    plot_argument(parser, "the candidates")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Choose the runs, and show them."""
    from ..model.problem import NewRows
    from ..planning.next_run import next_run
    from ..posterior.netcdf import load

    post = load(args.fit, law=find_law(args.law))
    budget = {} if args.budget is None else {"budget": args.budget}
    candidates: Any = NewRows(read_table(args), args.columns)
    found = next_run(post, candidates, target=args.target, cost=args.cost, count=args.count, **budget)
    if args.out:
        write(found.chosen, args.out)
    if args.plot:
        draw(lambda: found.plot(runs=post.problem.frame), args.plot)
    show(found.chosen, as_json=args.json)
    say(f"sd of the target's ln loss (or ln size) now: {found.sd:.4g}")
