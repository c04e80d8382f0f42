"""The cache folder, what is kept there, and a hash of the code that made it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

LIBRARIES = ("jax", "jaxlib", "numpyro")
MOST_FILES = 320  # files of ours in the folder; beyond that the ones unused for longest go
MOST_BYTES = 200_000_000  # of all files in the folder, XLA's own among them
ELSEWHERE = "LOSSBAND_CACHE"  # the variable that moves the folder
LARGER = "LOSSBAND_CACHE_MB"  # the variable that says how many megabytes it may hold


def folder() -> Path | None:
    """The user's own cache folder of programs, readable by nobody else; made if it is not there.

    `LOSSBAND_CACHE` names another. None, after one warning, where it cannot be written or is another user's:
    programs then are made anew in every process.
    """
    place = Path(os.environ.get(ELSEWHERE) or platformdirs.user_cache_dir("lossband")) / "programs"
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "geteuid") and place.stat().st_uid != os.geteuid():  # what it holds would be run
            raise PermissionError(f"{str(place)!r} is another user's")
        place.chmod(0o700)
        if not os.access(place, os.W_OK):
            raise PermissionError(f"{str(place)!r} cannot be written")
        return place
    except (OSError, RuntimeError) as error:  # no home, a read-only disk, a file in the way
        _warn(str(error))
        return None


@functools.cache
def _warn(why: str) -> None:
    """Say once that nothing is kept, and what to do."""
    warnings.warn(
        f"no compiled program is kept: {why}. Every process compiles anew; set {ELSEWHERE} to a folder that "
        "can be written.",
        RuntimeWarning,
        stacklevel=3,
    )


def remembered(identity: str | None, make: Callable[[], Any]) -> Any:
    """The plain data that `make()` gives, kept in the folder under text that tells it apart.

    Made each time if that is None.
    """
    if identity is None:
        return make()
    place = folder()
    if place is None:
        return make()
    path = place / f"{digest('plain', identity, *about_code())}.json"
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


def keep(path: Path, content: bytes | bytearray) -> None:
    """Write beside and move, so that nobody reads half a file; then make room.

    What cannot be written is not kept: a warning says so.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.replace(file.name, path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)
                raise
        make_room(path.parent)
    except OSError as error:
        _warn(error.strerror or "the folder cannot be written")


def make_room(place: Path) -> None:
    """Drop the files that were unused for longest, down to so many of ours and so many bytes in all."""
    ours = [file for kind in ("program", "json") for file in place.glob(f"*.{kind}")]
    for file in sorted(ours, key=_last_used)[:-MOST_FILES]:
        file.unlink(missing_ok=True)
    sizes = {file: file.stat().st_size for file in sorted(place.iterdir(), key=_last_used) if file.is_file()}
    left, most = sum(sizes.values()), most_bytes()
    for file, size in sizes.items():
        if left <= most:
            break
        file.unlink(missing_ok=True)
        left -= size


def most_bytes() -> float:
    """How many bytes the folder may hold: `MOST_BYTES`, or what `LOSSBAND_CACHE_MB` says."""
    try:
        return 1e6 * float(os.environ[LARGER])
    except (KeyError, ValueError):
        return MOST_BYTES


def held() -> tuple[Path | None, int, int]:
    """The folder, how many files it holds, and their bytes."""
    place = folder()
    sizes = [file.stat().st_size for file in place.iterdir() if file.is_file()] if place else []
    return place, len(sizes), sum(sizes)


def clear() -> int:
    """Delete every file of the folder; returns how many."""
    place = folder()
    files = [file for file in place.iterdir() if file.is_file()] if place else []
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _last_used(file: Path) -> float:
    """When a file was last used; never to be dropped if another process has just dropped it."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
