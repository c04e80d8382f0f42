"""How to split compute budgets between parameters and tokens, and how sure that is."""

from argparse import ArgumentParser, Namespace

from .shared import (
    find_law,
    json_argument,
    law_argument,
    numbers,
    say,
    show,
    show_json,
    table_destination,
    write,
)

EXAMPLES = ("lossband plan fit.nc --flops 1e21,1e23 -o plan.csv",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("fit", help="a posterior that lossband fit wrote")
    parser.add_argument("--flops", type=numbers, required=True, metavar="1e21,1e23", help="budgets")
    parser.add_argument(
        "--cost",
        choices=["6ND", "6NDT"],
        help="default: 6NDT for a law with loops, else 6ND",
    )
    parser.add_argument(
        "--inference-tokens",
        type=float,
        default=0.0,
        metavar="COUNT",
        help="tokens to be served, paid for too",
    )
    parser.add_argument(
        "--level",
        type=numbers,
        default=(0.9,),
        metavar="0.5,0.9",
        help="of the intervals",
    )
    law_argument(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=table_destination,
        metavar="FILE",
        help="also write the plan to a file",
    )
    json_argument(parser)


def run(args: Namespace) -> None:
    """Plan every budget, and show the plan."""
    from ..posterior.netcdf import load

    post = load(args.fit, law=find_law(args.law))
    plan = post.optimal(
        args.flops,
        cost=args.cost,
        inference_tokens=args.inference_tokens,
        levels=args.level,
    )
    if args.out:
        write(plan.frame, args.out)
    if args.json:
        notes = [vars(note) for note in plan.notes]
        show_json(
            {
                "plan": plan.frame.to_dict("records"),
                "exponent": plan.exponent.mean(),
                "notes": notes,
            }
        )
        return
    show(plan.frame.T.reset_index(names="budget"), header=False)
    say(f"exponent of N* in C: {plan.exponent.mean():.3f} +- {plan.exponent.std():.3f}")
    for note in plan.notes:
        say(note)
