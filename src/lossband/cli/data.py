"""Data sets that lossband knows (list, show, get), and training logs as a table of runs (convert)."""

from argparse import ArgumentParser, Namespace

from .shared import constants, json_argument, names_argument, say, show, show_json, table_destination, write

EXAMPLES = (
    "lossband data list",
    "lossband data show looped",
    "lossband data get looped -o looped.csv",
    "lossband data convert train.log --pattern 'step (?P<step>[0-9]+) loss (?P<loss>[0-9.]+)' -o log.csv",
    "lossband data convert output/pilot --tokens-per-step 4096 --set params=1e8 -o pilot.csv",
)


def arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every data set by its name")
    listing.set_defaults(act=run_list)
    about = actions.add_parser("show", help="source, licence, citation, units and traps of one")
    about.add_argument("name")
    about.set_defaults(act=run_show)
    getting = actions.add_parser("get", help="write one to a file")
    getting.add_argument("name")
    getting.add_argument("-o", "--out", type=table_destination, metavar="FILE", help="default: NAME.csv")
    getting.set_defaults(act=run_get)
    converting = actions.add_parser(
        "convert",
        help="TensorBoard, Trainer, W&B, MLflow or text log to a table of runs",
    )
    converting.add_argument("source", help="a file or folder, or wandb:entity/project/run")
    converting.add_argument("--pattern", help="for plain text: named groups loss, and step or tokens")
    converting.add_argument("--format", help="by default, what the source looks like")
    names_argument(converting)
    converting.add_argument("--set", type=constants, metavar="params=1e8", help="columns to add")
    converting.add_argument("--tokens-per-step", type=float, metavar="COUNT", help="adds the column tokens")
    converting.add_argument(
        "--run", dest="label", metavar="LABEL", help="the run's label, of a source that holds one run"
    )
    converting.add_argument("--per-run", metavar="FILE", help="a table with one row per run: params and such")
    converting.add_argument("-o", "--out", type=table_destination, metavar="FILE", required=True)
    converting.set_defaults(act=run_convert)
    for each in (listing, about):
        json_argument(each)


def run(args: Namespace) -> None:
    """Run the chosen action."""
    args.act(args)


def run_list(args: Namespace) -> None:
    """Print the name of every data set, and what it holds."""
    import pandas as pd

    from ..datasets import describe, names_known

    rows = [{"name": name, "what": describe(name)["what"]} for name in names_known()]
    if args.json:
        show(pd.DataFrame(rows), as_json=True)
    else:
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            print(f"{row['name']:{width}}  {row['what']}")


def run_show(args: Namespace) -> None:
    """Print where a data set comes from."""
    from ..datasets import describe

    about = describe(args.name)
    if args.json:
        show_json(about)
    else:
        for key, value in about.items():
            print(f"{key}: {value}")


def run_get(args: Namespace) -> None:
    """Write a data set to a file."""
    from ..datasets import load_dataset

    write(load_dataset(args.name), args.out or table_destination(f"{args.name}.csv"))


def run_convert(args: Namespace) -> None:
    """Write a training log as a table of runs."""
    from ..importers import import_runs

    options = dict(
        format=args.format,
        pattern=args.pattern,
        columns=args.columns,
        constants=args.set,
    )
    options |= dict(tokens_per_step=args.tokens_per_step, run=args.label, per_run=args.per_run)
    imported = import_runs(args.source, **options)
    say(imported)
    write(imported.frame, args.out)
