"""Fit a law to a table of runs; print its health and coefficients, and write the posterior."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .shared import (
    draw,
    find_law,
    fit_arguments,
    fit_options,
    json_argument,
    metric_arguments,
    metric_options,
    out_argument,
    plot_argument,
    read_table,
    say,
    show_json,
    table_arguments,
)

if TYPE_CHECKING:
    from ..posterior.posterior import Posterior

EXAMPLES = (
    "lossband fit runs.csv --columns N=params,D=tokens --plot fit.png",
    "lossband fit runs.csv --law coupled --columns N=params,D=tokens -o fit.nc",
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    table_arguments(parser)
    fit_arguments(parser)
    metric_arguments(parser)
    out_argument(parser, "fit.nc", "the posterior, for predict, report and compare")
    plot_argument(parser, "the data and the bands")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Fit, write the posterior, and show its summary."""
    from ..inference.fit import fit

    post = fit(read_table(args), find_law(args.law), **fit_options(args), **metric_options(args))
    if args.law is None:
        _suggest(post)
    post.save(args.out)
    say(f"wrote the posterior to {args.out}")
    if args.plot:
        draw(post.plot, args.plot)
    if args.json:
        health = {
            **vars(post.health),
            "ok": post.health.ok,
            "notes": [vars(n) for n in post.health.notes],
        }
        fits = {name: fit.summary().to_dict("index") for name, (_, fit) in post.parts.items()}
        show_json(
            {
                "file": str(args.out),
                "law": post.law.name,
                "health": health,
                "cited": post.cited,
                "coefficients": fits[post.cited],
                "fits": fits,
            }
        )
    else:
        print(post.summary())


def _suggest(post: "Posterior") -> None:
    """Name a law that reads more of the table's columns than the default law did."""
    from ..laws import LAWS
    from ..laws.resolve import laws_for

    problem = post.problem
    frame = problem.frame if problem.others is None else problem.frame.join(problem.others)
    for name in laws_for(frame)[:1]:
        law = LAWS[name]
        inputs = law.choose(law, frame) if law.choose else law.inputs
        if more := [each for each in inputs if each not in post.law.inputs]:
            say(f"the table has {', '.join(more)}, which {post.law.name} does not read: --law {name} does.")
