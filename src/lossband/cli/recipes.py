"""Is one recipe better than another at scale, by how much compute, and will it stay so?"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .shared import (
    InputError,
    draw,
    find_law,
    fit_arguments,
    fit_options,
    json_argument,
    names_argument,
    plot_argument,
    point,
    read_table,
    say,
    show,
    show_json,
)

EXAMPLES = ("lossband recipes old.csv new_recipe.csv --at params=7e9,tokens=1.4e11 --plot recipes.png",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("tables", nargs="+", metavar="runs", help="tables of runs, one per recipe")
    names_argument(parser)
    parser.add_argument(
        "--at",
        type=point,
        action="append",
        required=True,
        metavar="params=7e10,tokens=1.4e12",
        help="where to compare; may be given several times",
    )
    parser.add_argument(
        "--pool",
        type=float,
        default=0.1,
        metavar="WIDTH",
        help="log-width of the factor between the recipes' exponents; 0 shares them (default: .1)",
    )
    fit_arguments(parser)
    plot_argument(parser, "the compute multiplier from the data to the last --at")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Fit the recipes together, and show their difference in loss and in compute."""
    from ..planning.recipes import compare_recipes

    names = [Path(path).stem for path in args.tables]
    if len(names) < 2:
        raise InputError("recipes compares two tables or more, and one was given.", "Name another.")
    columns, tables = args.columns, []
    for path in args.tables:
        args.runs, args.columns = path, columns
        tables.append(read_table(args))
    options = fit_options(args) | {"columns": args.columns}
    options = {"law": find_law(args.law), "names": names, "pool": args.pool} | options
    found = compare_recipes(*tables, **options)
    difference, multiplier = (made(args.at, levels=(0.9,)) for made in (found.difference, found.multiplier))
    flips = [found.prob_flip(row) for row in args.at]
    if args.plot:
        draw(lambda: found.plot(found.way_to(args.at[-1])), args.plot)
    if args.json:
        show_json(
            {
                "names": names[:2],
                "difference": difference.to_dict("records"),
                "multiplier": multiplier.to_dict("records"),
                "prob_flip": flips,
            }
        )
    else:
        print(f"loss of {names[1]} less that of {names[0]}")
        show(difference)
        print(f"\ntimes the compute that {names[1]} needs for the loss of {names[0]}")
        show(multiplier)
        print("\nP(the order flips before)  " + "  ".join(f"{flip:.2f}" for flip in flips))
    for note in found.posterior.health.notes:
        say(note)
