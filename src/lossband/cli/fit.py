"""Fit a law to a table of runs; print its health and coefficients, and write the posterior."""

from argparse import ArgumentParser, Namespace

from .shared import (
    find_law,
    fit_arguments,
    fit_options,
    json_argument,
    out_argument,
    read_table,
    say,
    show_json,
    table_arguments,
)

EXAMPLES = ("lossband fit runs.csv --law coupled --columns N=params,D=tokens -o fit.nc",)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    table_arguments(parser)
    fit_arguments(parser)
    out_argument(parser, "fit.nc", "the posterior, for predict, report and compare")
    json_argument(parser)


def run(args: Namespace) -> None:
    """Fit, write the posterior, and show its summary."""
    from ..inference.fit import fit

    post = fit(read_table(args), find_law(args.law), **fit_options(args))
    post.save(args.out)
    say(f"wrote the posterior to {args.out}")
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
