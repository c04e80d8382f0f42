"""Arguments: what a caller gave, checked where it enters, in the type that the code works with."""

import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .errors import InputError, listed

MAX_SEED = 2**32 - 1
INTEGRAL: Any = Integral  # to checkers these abstract classes have no operators
REAL: Any = Real


def whole(name: str, value: Any, *, least: int = 1, most: float = 2**31 - 1) -> int:
    """A whole number of Python's or NumPy's as an int.

    Raises:
        InputError: anything else, or one outside `least` to `most`.
    """
    if isinstance(value, INTEGRAL) and not isinstance(value, bool) and least <= value <= most:
        return int(value)
    raise InputError(
        f"{name}= got {value!r}; expected a whole number above {least - 1}"
        + (f" and at most {most:g}." if most < 2**31 - 1 else "."),
        "Leave it out for the default.",
    )


def seed_of(value: Any) -> int:
    """A seed as an int: a whole number from 0 to 2^32 - 1."""
    if isinstance(value, INTEGRAL) and not isinstance(value, bool) and 0 <= value <= MAX_SEED:
        return int(value)
    raise InputError(
        f"seed= got {value!r}; expected a whole number from 0 to {MAX_SEED}.", "Leave it out for 0."
    )


def number(
    name: str, value: Any, expected: str, hint: str, *, above: float = -float("inf"), zero: bool = False
) -> float:
    """A finite number of Python's or NumPy's as a float.

    Args:
        name: of the argument.
        value: what was given.
        expected: what it should be, for the message.
        hint: what to do.
        above: the number must be larger, or, with `zero`, as large.
        zero: whether `above` itself will do.
    """
    found = _float(value)
    if not (abs(found) < float("inf") and (found > above or (zero and found == above))):
        raise InputError(f"{name}= got {short(value)}; expected {expected}.", hint)
    return found


def _float(value: Any) -> float:
    """A real number as a float; NaN for anything else, and for one that no float holds."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def level_of(value: Any, name: str = "level") -> float:
    """A probability between 0 and 1, such as the level of an interval."""
    if isinstance(value, REAL) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise InputError(f"{name}= has {short(value)}; expected numbers between 0 and 1.", "A 90 % band is 0.9.")


def levels_of(values: Any, name: str = "levels") -> tuple[float, ...]:
    """One level, or several, as a tuple."""
    each = items(values)
    if not each:
        raise InputError(f"{name}= is empty; expected numbers between 0 and 1.", "A 90 % band is 0.9.")
    return tuple(dict.fromkeys(level_of(value, name) for value in each))


def items(values: Any) -> list[Any]:
    """Several values as a list, or one alone as a list of one."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        return [values]
    return list(values)


def names_of(values: Any, name: str) -> list[str]:
    """One name of a column, or several, as a list."""
    each = items(values)
    if not each or not all(isinstance(value, str) for value in each):
        raise InputError(
            f"{name}= got {short(values)}; expected a column's name, or several.",
            f"For instance {name}='run'.",
        )
    return each


def one_of(name: str, value: Any, known: Iterable[str], hint: str) -> str:
    """A word out of several."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name}= got {short(value)}; expected {listed(map(repr, known))}.", hint)
    return value


def flag(name: str, value: Any, *, none: bool = False) -> bool | None:
    """True or False of Python's or NumPy's; with `none`, None too."""
    if (value is None and none) or isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy":
        return bool(value)
    raise InputError(f"{name}= got {short(value)}; expected True or False.", "Leave it out for the default.")


def mapping(name: str, value: Any, hint: str) -> dict[Any, Any]:
    """A dict, or what can be read as one by name, such as a pandas series; None is empty."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "index") and hasattr(value, "to_dict") and getattr(value, "ndim", 0) == 1:
        return value.to_dict()
    raise InputError(f"{name}= got {short(value)}; expected a dict.", hint)


def of_type(name: str, value: Any, kind: type, hint: str) -> Any:
    """A value of a class of lossband's."""
    if not isinstance(value, kind):
        raise InputError(f"{name}= got {short(value)}; expected a {kind.__name__}.", hint)
    return value


def path_of(value: Any, what: str = "the path of a file") -> Path:
    """A path of any type that names one."""
    if isinstance(value, str | os.PathLike) and "\0" not in str(value) and str(value):
        found = os.fspath(value)
        if isinstance(found, str):
            return Path(found)
    raise InputError(f"{what} was expected, and {short(value)} was given.", "Give it as text, or as a Path.")


def short(value: Any) -> str:
    """A value in a message: its type where it would fill a page."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        text = "\n"
    return text if len(text) < 60 and "\n" not in text else f"a {type(value).__name__}"
