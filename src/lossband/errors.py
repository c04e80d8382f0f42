"""What went wrong, what was expected, what to do: the one error type for input that cannot be used."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class InputError(ValueError):
    """Input that cannot be used as it is; `hint` says what to do about it, and `shell` what to do in a shell.

    Raised where the input enters: never half-way through a fit. Trouble with numbers that are usable is a
    note on the result instead (see `lossband.Health`).

    Example:
        >>> import lossband as lb
        >>> try:
        ...     post = lb.fit({"params": [1e8, 2e8], "loss": [3.0, "high"]}, "power")
        ... except lb.InputError as error:
        ...     hint = error.hint
    """

    def __init__(self, what: str, hint: str, shell: str | None = None) -> None:
        """`what` went wrong, with what was expected and what was found; `hint` says how to mend it.

        `shell` is the hint for someone who typed a command, where that is another.
        """
        super().__init__(f"{what} {hint}")
        self.what, self.hint, self.shell = what, hint, shell

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str | None]]:
        """Pickle by its parts: the default would pass the whole message as one argument."""
        return InputError, (self.what, self.hint, self.shell)


@contextmanager
def in_table(name: str) -> Iterator[None]:
    """Say in which of several tables an input stands that cannot be used; of a single one, without a name."""
    try:
        yield
    except InputError as error:
        what = f"{name}: {error.what}" if name else error.what
        raise InputError(what, error.hint, error.shell) from None


def close(name: object, known: Iterable[object], cutoff: float = 0.75) -> bool:
    """Whether an unknown name is so near a known one that it is likely misspelt."""
    import difflib

    return bool(difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=cutoff))


def nearest(name: object, known: Iterable[object]) -> str:
    """The end of a sentence about an unknown name: `"; did you mean 'x'?"` if one is near, else `"."`."""
    import difflib

    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def listed(items: Iterable[object], limit: int = 6) -> str:
    """`"4, 9, 17 and 3 more"`: the first items of a list, and how many are left out."""
    items = list(items)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(map(str, items[:limit])) + more


@dataclass(frozen=True)
class Note:
    """A coded remark: `code` for programs, `text` for people."""

    code: str
    text: str

    def __str__(self) -> str:
        """The remark on one line: `[code] text`."""
        return f"[{self.code}] {self.text}"
