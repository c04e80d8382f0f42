"""The cache folder, what is kept there, and a hash of the code that made it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

LIBRARIES = ("jax", "jaxlib", "numpyro")
MOST_FILES = 320  # files of ours in the folder; beyond that the ones unused for longest go


def folder() -> Path:
    """The user's own cache folder of programs, readable by nobody else; made if it is not there."""
    place = Path(platformdirs.user_cache_dir("lossband")) / "programs"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.chmod(0o700)
    return place


def remembered(identity: str | None, make: Callable[[], Any]) -> Any:
    """The plain data that `make()` gives, kept in the folder under text that tells it apart.

    Made each time if that is None.
    """
    if identity is None:
        return make()
    path = folder() / f"{digest('plain', identity, *about_code())}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or damaged
        made = make()
        keep(path, json.dumps(made).encode())
        return made


def about_code() -> list[str]:
    """Texts of the code that anything kept here was made by.

    The libraries' versions, and the package's own hash.
    """
    return [*(f"{name} {version(name)}" for name in LIBRARIES), package_hash()]


@functools.cache
def package_hash() -> str:
    """A hash of the package's sources, names and contents.

    Whoever edits one of them makes everything anew.
    """
    home = Path(__file__).parent
    sources = sorted(home.rglob("*.py"))
    return digest(*(f"{path.relative_to(home).as_posix()}\n{path.read_text()}" for path in sources))


def digest(*parts: str) -> str:
    """A hash of texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def keep(path: Path, content: bytes) -> None:
    """Write beside and move, so that nobody reads half a file; then make room."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
    ours = [file for kind in ("program", "json") for file in path.parent.glob(f"*.{kind}")]
    oldest = sorted(ours, key=_last_used)
    for file in oldest[:-MOST_FILES]:
        file.unlink(missing_ok=True)


def _last_used(file: Path) -> float:
    """When a file was last used; never to be dropped if another process has just dropped it."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
