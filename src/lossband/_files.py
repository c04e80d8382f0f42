"""Write a file whole or not at all, and say what to do where that cannot be."""

import errno
import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HINTS = {
    errno.ENOSPC: "Make room, or write to another disk.",
    errno.EDQUOT: "Your quota is used up: make room, or write to another disk.",
    errno.EACCES: "Write to a folder of your own.",
    errno.EPERM: "Write to a folder of your own.",
    errno.EROFS: "The disk is read-only: write to another.",
    errno.ENOENT: "Make the folder first.",
    errno.ENOTDIR: "Make the folder first.",
    errno.EISDIR: "Give the name of a file in it.",
    errno.ENAMETOOLONG: "Give a shorter name.",
}


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to; its content replaces `path` when the block ends, and is removed if the block fails.

    A reader finds the old file or the new one, whole, also after a kill in the middle. A link is followed,
    and what is no regular file (a device, a pipe) is written through, never replaced.

    Raises:
        OSError: the disk is full, the folder is missing, or any other reason; `hint` says what to do.
    """
    try:
        special = Path(path).exists() and not Path(path).is_file()
        # what a link to a stream resolves to, such as pipe:[7], is no path
        target = Path(path) if special else Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        with _beside(target) if not special else _elsewhere(target) as temporary:
            yield temporary
            if special:
                _pour(temporary, target)
            else:
                _settle(temporary, target)
    except OSError as error:
        raise _hinted(error, path) from error


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Write bytes as `replacing` does."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A name in the folder of the target, gone when the block ends."""
    ours = f".{target.name[:100]}.{socket.gethostname()[:30]}."
    _sweep(target.parent, ours)
    temporary = target.with_name(f"{ours}{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _elsewhere(target: Path) -> Iterator[Path]:
    """A name in a folder of its own, where the target's is no place for files."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, target.name)


def _sweep(folder: Path, ours: str) -> None:
    """Remove what writers of this machine left that were killed."""
    for left in folder.glob(f"{_literal(ours)}*"):
        pid = left.name.removeprefix(ours).partition(".")[0]
        if pid.isdecimal() and int(pid) != os.getpid() and not _alive(int(pid)):
            with suppress(OSError):
                left.unlink()


def _literal(name: str) -> str:
    """A name as a pattern of itself."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _settle(temporary: Path, target: Path) -> None:
    """Move what was written into place: the bytes first, then the name."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())  # a crash must not leave an empty file
    if target.exists():
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    os.replace(temporary, target)


def _pour(temporary: Path, target: Path) -> None:
    """Write through into what is no regular file."""
    with temporary.open("rb") as source, target.open("wb", buffering=0) as sink:
        while part := source.read(1 << 20):
            view = memoryview(part)
            while view:
                view = view[sink.write(view) :]


def _hinted(error: OSError, path: str | os.PathLike) -> OSError:
    """The same error about the user's path, with a hint."""
    if hasattr(error, "hint"):
        return error
    hint = HINTS.get(error.errno or 0, "Write to another place.")
    said = f"{error.strerror or error}; nothing was written, and a file that was there is as it was. {hint}"
    again = OSError(error.errno or errno.EIO, said, str(path))
    again.hint = hint  # pyright: ignore[reportAttributeAccessIssue]  # an OSError with one attribute more
    return again
