"""The same calls from a shell: data on stdout, the log on stderr, an error ends with a hint."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .._lazy import required
from ..errors import InputError
from . import (
    average,
    backtest,
    benchmark,
    better,
    cache,
    compare,
    data,
    demo,
    figure,
    fit,
    next_run,
    plan,
    predict,
    recipes,
    report,
    watch,
)
from .shared import say
from .stopping import leave, stoppable

COMMANDS = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module
    for module in (
        *(demo, fit, predict, backtest, benchmark, compare, average, plan, next_run, recipes, better, watch),
        *(figure, report, data, cache),
    )
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors end with a hint, and which keeps the line breaks of its examples."""

    def __init__(self, **options: Any) -> None:
        """A parser with the options of `argparse.ArgumentParser`; an option is never abbreviated."""
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Raise an `InputError` in place of printing the usage and leaving."""
        raise InputError(f"{message}.", f"See {self.prog} --help.")


def parser() -> Parser:
    """The whole command line."""
    from importlib.metadata import version

    top = Parser(
        prog="lossband",
        description="Bayesian loss laws whose bands say how far the real curve may sit.",
    )
    top.add_argument("--version", action="version", version=f"lossband {version('lossband')}")
    top.add_argument(
        "--print-completion",
        choices=["bash", "zsh", "tcsh"],
        help="print the shell's completion script",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        examples = "\n".join(f"  {line}" for line in command.EXAMPLES)
        about = (command.__doc__ or "").strip()
        one = commands.add_parser(
            name,
            help=about.splitlines()[0],
            description=about,
            epilog=f"example:\n{examples}",
        )
        command.arguments(one)
        one.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for unusable input, 1 for what cannot be written."""
    try:
        whole = parser()
        args = whole.parse_args(argv)
        if args.print_completion:
            print(_completion(whole, args.print_completion))
        elif args.command is None:
            raise InputError("no command was given.", "See lossband --help.")
        else:
            if getattr(args, "plot", None):
                required("matplotlib", "plot", "pictures")
            with stoppable(130):
                args.run(args)
    except InputError as error:
        say(f"error: {error.what}\nhint: {error.shell or in_shell(error.hint)}")
        return 2
    except KeyboardInterrupt:
        say("error: interrupted; nothing was written.\nhint: Run it again.")
        leave(130)
        return 130
    except BrokenPipeError:  # `lossband ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that is not there
        hint = getattr(error, "hint", "Check the disk and the path.")
        said = f"{error.filename!r}: {error.strerror}" if error.filename else str(error)
        say(f"error: {said.removesuffix(hint).strip()}\nhint: {hint}")
        return 1
    return 0


def in_shell(hint: str) -> str:
    """A hint's arguments as a shell's options: columns={'N': 'params'} is --columns N=params."""

    def option(found: re.Match[str]) -> str:
        pairs = re.findall(r"['\"]([^'\"]+)['\"]: ['\"]([^'\"]+)['\"]", found[1])
        return "--columns " + shlex.quote(",".join(f"{mine}={ours}" for mine, ours in pairs))

    return re.sub(r"columns=\{([^}]*)\}", option, hint)


def _completion(whole: Parser, shell: str) -> str:
    try:
        import shtab
    except ImportError as error:
        raise InputError("completion scripts need shtab.", "pip install 'lossband[shell]'") from error
    return shtab.complete(whole, shell=shell)
