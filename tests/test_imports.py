"""Imports point down, heavy ones wait, and the public names are what they say."""

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

import lossband

SOURCE = Path(__file__).parents[1] / "src" / "lossband"
FLOORS = [  # from the bottom up: a module imports from lower floors, and from its own room
    ["errors"],
    ["score", "_arguments", "_cache", "_html", "_lazy", "_files"],
    ["_store", "runs"],
    ["laws", "datasets", "importers"],
    ["model"],
    ["posterior"],
    ["inference", "plot"],
    ["evaluation", "planning", "live"],
    ["studies", "report"],
    ["cli"],
    ["", "__main__"],  # the package itself, and the shell by its name
]
UPWARD = {  # the façade's methods and the one older name: inside a function, and nowhere else
    ("posterior.posterior", "planning.allocation"),
    ("posterior.posterior", "planning.best"),
    ("posterior.posterior", "planning.equivalent"),
    ("posterior.posterior", "plot.forecast"),
    ("posterior.posterior", "plot.style"),  # for an annotation
    ("model", ""),
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


def children(node, *, types=True):
    """The nodes below one; without `types`, not what stands under `if TYPE_CHECKING:`, which never runs."""
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from child.orelse if named and not types else [child]


def walked(node, *, types=True):
    """Every node below one, at any depth."""
    for child in children(node, types=types):
        yield child
        yield from walked(child, types=types)


def imported(source, package, *, types=True):
    """The lossband modules that a source imports, anywhere in it, by `name_of`'s names.

    `package` is where it stands; without `types`, imports for annotations do not count.
    """
    for node in walked(ast.parse(source), types=types):
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
    """Whether `importer` may import `target`: of a lower floor, or of its own room."""
    home, other = importer.split(".")[0], target.split(".")[0]
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    return home == other or floor[other] < floor[home]


def targets_of(name, *, types=True):
    path = MODULES[name]
    return set(imported(path.read_text(), path.relative_to(SOURCE).parent.parts, types=types))


def test_every_room_has_a_floor():
    assert {name.split(".")[0] for name in MODULES} == {room for rooms in FLOORS for room in rooms}
    assert len(list(SOURCE.iterdir())) - (SOURCE / "__pycache__").exists() <= 26


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    upward = {target for target in targets_of(name) if not points_down(name, target)}
    upward -= {target for importer, target in UPWARD if importer == name}
    assert not upward, f"{name or 'lossband'} imports {sorted(upward)}, which are not below it"


def test_no_circle_inside_a_room():
    """Of imports that run: two modules may name each other's types."""
    below = {
        name: {t for t in targets_of(name, types=False) if t != name and t in MODULES} for name in MODULES
    }
    for importer, target in UPWARD:
        below[importer].discard(target)
    assert list(TopologicalSorter(below).static_order())


SEEN = """
from . import score
from .errors import InputError
import lossband.inference.fit
from lossband.laws.law import LAWS
import numpy
def f():
    from .cli import main
"""


def test_an_upward_import_would_be_seen():
    """The walk itself: relative, absolute and lazy imports, of modules and of names.

    And what it makes of them.
    """
    assert sorted(imported(SEEN, ())) == ["cli", "errors", "inference.fit", "laws.law", "score"]
    named = "if TYPE_CHECKING:\n    import wandb\n    from .cli import main\nelse:\n    import tqdm"
    assert list(imported(named, ())) == ["cli"] and not list(imported(named, (), types=False))
    assert list(at_the_top(ast.parse(named))) == ["tqdm"]
    inside = "from .terms import floor\nfrom ..runs.arrays import FAR\nfrom .. import score"
    assert list(imported(inside, ("laws",))) == ["laws.terms", "runs.arrays", "score"]
    assert points_down("laws.scale", "laws.terms") and points_down("cli.fit", "laws.law")
    assert points_down("posterior.forecast", "model.problem") and points_down("score", "errors")
    assert not points_down("runs.table", "cli") and not points_down("laws.law", "model.loss_model")
    assert not points_down("laws.law", "datasets") and not points_down("cli.fit", "")


def at_the_top(node):
    """Imports that run when the module is imported: not those inside functions or for annotations."""
    for child in children(node, types=False):
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


PUBLIC_MODULES = {"datasets", "laws", "model", "plot", "score"}


@pytest.mark.parametrize("name", lossband.__all__)
def test_every_public_name_is_there(name):
    assert isinstance(getattr(lossband, name), ModuleType) or name not in PUBLIC_MODULES


def test_editors_see_the_same_names_from_the_same_places():
    found = {}
    for node in ast.parse((SOURCE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.name == alias.asname, "only `name as name` is public in a stub"
                home = importlib.import_module(f"lossband.{node.module}" if node.module else "lossband")
                found[alias.name] = getattr(home, alias.name)
    assert found == {name: getattr(lossband, name) for name in lossband.__all__}
    assert (SOURCE / "py.typed").exists()


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="'lossband' has no attribute 'fitt'"):
        lossband.fitt


def test_no_module_hides_a_public_function():
    """Importing lossband.fit would put the module where the function was, whenever that happens."""
    assert not set(lossband.__all__) & set(MODULES) - PUBLIC_MODULES


BESIDE_ARVIZ = """
import sys
import arviz
assert type(sys.modules["numpyro"]).__name__ == "_LazyModule"  # as ArviZ leaves it
from lossband._lazy import dist
dist.Normal
import numpyro
print(numpyro.distributions.distribution.Unit.__name__)
"""


def test_numpyro_is_whole_beside_the_lazy_one_of_arviz():
    done = subprocess.run([sys.executable, "-c", BESIDE_ARVIZ], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Unit", done.stderr
