"""Imports point down, heavy ones wait, and the public names are what they say."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import lossband

SOURCE = Path(__file__).parents[1] / "src" / "lossband"
RANK = {
    "errors": 0,
    "notes": 0,
    "files": 0,
    "blas": 0,
    "later": 0,
    "convergence": 1,
    "table": 1,
    "runs": 1,
    "score": 1,
    "schedule": 1.5,
    "thinning": 2,
    "laws": 2,
    "ou": 1,
    "noise": 2,
    "drift": 2,
    "likelihood": 2.5,
    "joint": 3,
    "coordinates": 4,
    "mode": 5,
    "nuts": 5.3,
    "laplace": 5.3,
    "problem": 5,
    "forecast": 6,
    "design": 6.3,
    "health": 6.6,
    "cost": 6,
    "optimum": 6.3,
    "plan": 6.6,
    "posterior": 7,
    "store": 1,
    "programs": 6,
    "batches": 7.7,
    "engine": 8,
    "saved": 7.3,
    "holdout": 9,
    "binning": 2,
    "live": 9,
    "refits": 9,
    "stacking": 9.5,
    "sources": 8,
    "datasets": 9,
    "importers": 9,
    "plot": 9,
    "plot_plan": 9.5,
    "figures": 9.5,
    "recipes": 9,
    "experiment": 9,
    "report": 10,
    "cli": 11,
    "": 12,  # the package itself: nothing inside imports it
}
INNER_RANK = {  # inside a package; what is not named is 2
    "laws": {"base": 0, "terms": 1, "": 3},  # the families are 2
    "plot": {"style": 0, "": 3},
    "figures": {"base": 0, "": 3},
    "importers": {"records": 0, "": 3},
    "report": {"page": 0, "charts": 0, "": 3},
    "cli": {"shared": 0, "": 3, "__main__": 4},  # the commands are 2
}
HEAVY = {
    "matplotlib",
    "arviz",
    "arviz_base",
    "arviz_stats",
    "arviz_plots",
    "tqdm",
    "dask",
    "wandb",
    "tensorboard",
    "pooch",
    "pyarrow",
    "shtab",
    "transformers",
}
FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path):
    """`"laws.base"` of src/lossband/laws/base.py; a package is its own name, and lossband itself is empty."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imported(source, package):
    """The lossband modules that a source imports, anywhere in it, by `name_of`'s names; `package` is where it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (
                alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "lossband"
            )
        elif isinstance(node, ast.ImportFrom):
            whole = node.module or ""
            if node.level:
                whole = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            elif whole.split(".")[0] == "lossband":
                whole = whole.partition(".")[2]
            else:
                continue
            for (
                alias
            ) in node.names:  # `from . import score` imports a module, `from .score import crps` a name
                inner = f"{whole}.{alias.name}".strip(".")
                yield inner if inner in MODULES else whole


def points_down(importer, target):
    """Whether `importer` may import `target`."""
    home, other = importer.split(".")[0], target.split(".")[0]
    if home == other and home in INNER_RANK:
        mine, theirs = (INNER_RANK[home].get(name.partition(".")[2], 2) for name in (importer, target))
        return theirs < mine
    return RANK[other] < RANK[home]


def test_every_module_has_a_rank():
    assert {name.split(".")[0] for name in MODULES} <= set(RANK)
    assert len(MODULES) >= 15


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    path = MODULES[name]
    targets = imported(path.read_text(), path.relative_to(SOURCE).parent.parts)
    upward = sorted({target for target in targets if not points_down(name, target)})
    assert not upward, f"{name or 'lossband'} imports {upward}, of an equal or higher rank"


SEEN = """
from . import score
from .errors import InputError
import lossband.engine
from lossband.laws.base import LAWS
import numpy
def f():
    from .cli import main
"""


def test_an_upward_import_would_be_seen():
    """The walk itself: relative, absolute and lazy imports, of modules and of names."""
    assert sorted(imported(SEEN, ())) == ["cli", "engine", "errors", "laws.base", "score"]
    assert list(
        imported("from .terms import floor\nfrom ..runs import FAR\nfrom .. import score", ("laws",))
    ) == [
        "laws.terms",
        "runs",
        "score",
    ]
    assert (
        not points_down("table", "cli")
        and not points_down("runs", "table")
        and not points_down("score", "score")
    )
    assert points_down("laws.base", "runs") and not points_down("laws.base", "laws.terms")
    assert points_down("laws.scale", "laws.terms") and not points_down("laws.scale", "laws.looped")
    assert (
        points_down("cli", "laws.base")
        and not points_down("laws.base", "joint")
        and not points_down("cli", "")
    )


def at_the_top(node):
    """Imports that run when the module is imported: not those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.split(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            yield child.module.split(".")[0]
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from at_the_top(child)


@pytest.mark.parametrize("name", MODULES)
def test_plotting_and_progress_are_imported_inside_functions(name):
    heavy = {
        (name, library) for library in at_the_top(ast.parse(MODULES[name].read_text())) if library in HEAVY
    }
    assert not heavy


def test_importing_lossband_imports_neither_jax_nor_pandas():
    code = (
        "import sys, lossband; print([m for m in ('jax', 'numpy', 'numpyro', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PUBLIC_MODULES = {"datasets", "laws", "plot", "score"}


@pytest.mark.parametrize("name", lossband.__all__)
def test_every_public_name_is_there(name):
    assert isinstance(getattr(lossband, name), ModuleType) or name not in PUBLIC_MODULES


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="'lossband' has no attribute 'fitt'"):
        lossband.fitt


def test_no_module_hides_a_public_function():
    """Importing lossband.fit would put the module where the function was, whenever that happens."""
    assert not set(lossband.__all__) & set(MODULES) - PUBLIC_MODULES
