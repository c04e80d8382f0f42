"""Write a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to; it replaces `path` when the block ends, and is removed if the block fails.

    A reader finds the old file or the new one, whole, also after a kill in the middle.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # the bytes first, then the name: a crash must not leave an empty file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
