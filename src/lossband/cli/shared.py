"""What the commands share: options, tables in and out, words on stderr."""

import argparse
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import replacing
from ..errors import InputError, listed

if TYPE_CHECKING:
    import pandas as pd

    from ..laws.law import Law


WRITERS = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".json": lambda frame, path: frame.to_json(path, orient="records", double_precision=15),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


PICTURES = (".png", ".pdf", ".svg")


def say(text: object) -> None:
    """Log a line on stderr."""
    print(text, file=sys.stderr)


def three(value: float) -> str:
    """A number at three significant digits."""
    return f"{value:.3g}"


def show(frame: "pd.DataFrame", *, as_json: bool = False, header: bool = True) -> None:
    """A table on stdout: for people, or as JSON records."""
    if as_json:
        print(frame.to_json(orient="records", double_precision=15))
    else:
        print(frame.to_string(index=False, header=header, float_format=lambda value: f"{value:.4g}"))


def show_json(value: Any) -> None:
    """A value on stdout as JSON; a number that is none is null."""
    print(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def table_arguments(parser: argparse.ArgumentParser) -> None:
    """Which table a command reads, and under which names."""
    parser.add_argument(
        "runs",
        help="a CSV or Parquet file, an exported log, or the name of a data set (lossband data list)",
    )
    names_argument(parser)


def names_argument(parser: argparse.ArgumentParser) -> None:
    """The user's column names."""
    parser.add_argument(
        "--columns",
        type=names,
        metavar="N=params,D=tokens",
        help="your column names, each = one of lossband's",
    )


def law_argument(parser: argparse.ArgumentParser) -> None:
    """Which law."""
    parser.add_argument(
        "--law",
        metavar="NAME",
        help="a law's name, or file.py:name for your own (default: by the columns)",
    )


def fit_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a fit."""
    law_argument(parser)
    parser.add_argument(
        "--noise",
        default="student-t",
        help='for instance "student-t+run" (default: student-t)',
    )
    parser.add_argument("--drift", choices=["default", "none"], default="default")
    parser.add_argument("--method", choices=["nuts", "laplace"], default="nuts")
    for name, count in {
        "num-warmup": 400,
        "num-samples": 1000,
        "num-chains": 4,
        "seed": 0,
    }.items():
        parser.add_argument(
            f"--{name}",
            type=int,
            default=count,
            metavar="COUNT",
            help=f"default: {count}",
        )


def metric_arguments(parser: argparse.ArgumentParser) -> None:
    """What is measured, and of what families."""
    parser.add_argument("--metric", choices=["loss", "error", "accuracy"], default="loss")
    parser.add_argument("--bounds", type=pair, metavar="LOW,HIGH", help="of the metric (default: 0,1)")
    parser.add_argument("--pool", metavar="COLUMN", help="families of one table, partly pooled")


def pair(text: str) -> tuple[float, float]:
    """Two numbers."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected two numbers such as 0.25,1, got {text!r}") from None
    return low, high


def metric_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `metric_arguments` says, as `lossband.fit` takes it."""
    return {name: getattr(args, name) for name in ("metric", "bounds", "pool")}


def fit_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `fit_arguments` says, as `lossband.fit` takes it."""
    names = (
        "noise",
        "method",
        "num_warmup",
        "num_samples",
        "num_chains",
        "seed",
        "columns",
    )
    drift = None if args.drift == "none" else args.drift
    return {name: getattr(args, name) for name in names} | {"drift": drift}


def json_argument(parser: argparse.ArgumentParser) -> None:
    """Whether to print JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def out_argument(parser: argparse.ArgumentParser, default: str, what: str) -> None:
    """Where to write `what`."""
    parser.add_argument(
        "-o",
        "--out",
        type=destination,
        default=Path(default),
        metavar="FILE",
        help=f"{what} (default: {default})",
    )


def names(text: str) -> dict[str, str]:
    """`"N=params,D=tokens"` as a dict."""
    pairs = [pair.split("=") for pair in text.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"expected pairs like N=params,D=tokens, got {text!r}")
    return {mine.strip(): ours.strip() for mine, ours in pairs}


def constants(text: str) -> dict[str, float]:
    """`"params=1e8,d_model=512"` as a dict of numbers."""
    from ..runs.cells import number_of

    found = {name: number_of(value) for name, value in names(text).items()}
    if any(value != value for value in found.values()):
        raise argparse.ArgumentTypeError(f"expected numbers like params=1e8, got {text!r}")
    return found


def point(text: str) -> dict[str, float | str]:
    """`"params=7e10,tokens=1.4T"` as one row of a table: a number as people write it, or a label."""
    from ..runs.table import LABELS

    found = names(text)
    fixed = constants(",".join(f"{n}={v}" for n, v in found.items() if n not in LABELS) or "tokens=1")
    return {name: value if name in LABELS else fixed[name] for name, value in found.items()}


def picture(text: str) -> Path:
    """A path whose ending is a picture's: said before the fit, not after it."""
    path = destination(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"expected a name that ends in {listed(PICTURES)}, got {text!r}")
    return path


def plot_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Where to draw `what`."""
    parser.add_argument("--plot", type=picture, metavar="FILE", help=f"draw {what} to a .png, .pdf or .svg")


def draw(plot: Callable[[], Any], path: Path) -> None:
    """Draw a picture to a file, whole or not at all.

    Args:
        plot: draws, and returns matplotlib axes, one or several.
        path: of the file.
    """
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np

    figure = np.ravel(np.asarray(plot(), dtype=object))[0].figure
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=160, format=path.suffix[1:].lower(), bbox_inches="tight")
    say(f"wrote the picture to {path}")


def numbers(text: str) -> tuple[float, ...]:
    """`"0.5,0.9"` as a tuple of floats."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers like 0.5,0.9, got {text!r}") from error


def destination(text: str) -> Path:
    """A path whose folder is there: said before an hour of work, not after it."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: give the name of a file in it")
    return path


def table_destination(text: str) -> Path:
    """A path that `write` can write a table to."""
    path = destination(text)
    if path.suffix not in WRITERS:
        raise argparse.ArgumentTypeError(f"expected a name that ends in {listed(WRITERS)}, got {text!r}")
    return path


def write(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table to a CSV, Parquet or JSON file, whole or not at all."""
    with replacing(path) as temporary:
        try:
            WRITERS[path.suffix](frame, temporary)
        except ImportError as error:
            raise InputError("Parquet files need pyarrow.", "pip install 'lossband[parquet]'") from error
    say(f"wrote {len(frame)} rows to {path}")


def read_table(args: argparse.Namespace) -> "pd.DataFrame | str":
    """The table that a command was given: a file, an exported log, or a data set by its name.

    The column names of a log are settled here: `args.columns` is None afterwards.
    """
    from ..datasets import load_dataset, names_known
    from ..importers import import_runs, looks_like

    if args.runs in names_known() and not Path(args.runs).exists():
        return load_dataset(args.runs)
    if not Path(args.runs).exists() and not args.runs.startswith("wandb:"):
        return args.runs  # refused where it is read
    if looks_like(args.runs) == "table":
        return args.runs
    columns, args.columns = args.columns, None
    imported = import_runs(args.runs, columns=columns)
    say(imported)
    return imported.frame


def find_law(name: str | None) -> "str | Law | None":
    """A law by its name, as it is, or by `file.py:name`."""
    if name is None or ".py:" not in name:
        return name
    return attribute_of(name, "Give your law as file.py:name.")


def attribute_of(name: str, hint: str) -> Any:
    """What `file.py:name` or `module:name` names; modules are looked for in the current folder too.

    Raises:
        InputError: no such file, module or name, with the hint.
    """
    path, _, attribute = name.rpartition(":")
    if path.endswith(".py"):
        if not Path(path).is_file():
            raise InputError(f"there is no file {path!r}.", hint)
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        if spec is None or spec.loader is None:
            raise InputError(f"{path!r} is no Python file.", hint)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = _module(path, hint)
    if not hasattr(module, attribute):
        raise InputError(f"{path} has no {attribute!r}.", hint)
    return getattr(module, attribute)


def _module(path: str, hint: str) -> Any:
    """A module by its dotted name."""
    try:
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(path)
    except (ModuleNotFoundError, ValueError) as error:
        raise InputError(f"there is no module {path!r} ({error}).", hint) from error
    finally:
        sys.path.remove(os.getcwd())
