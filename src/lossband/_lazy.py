"""Later: libraries that are imported when they are first used.

A fit whose programs are in the store (see store.py) traces nothing and so needs no NumPyro. Importing NumPyro
takes as long as such a fit, so every module of the package takes it from here.
"""

import importlib
import importlib.util
from typing import Any

from .errors import InputError


class Later:
    """Stands for a module; the first look at one of its attributes imports it."""

    def __init__(self, name: str) -> None:
        """Keep the module's name; import nothing yet."""
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Import the module, unless it is imported already, and return its attribute.

        ArviZ leaves a NumPyro in `sys.modules` that loads at the first look at it. Importing a module of its
        own below it runs that module twice, and the second one lacks its parts: so the look comes first.
        """
        getattr(importlib.import_module(self._name.partition(".")[0]), "__version__", None)
        return getattr(importlib.import_module(self._name), attribute)


numpyro = Later("numpyro")
dist = Later("numpyro.distributions")


def required(library: str, extra: str, what: str) -> None:
    """Say which extra brings a library, where it is not installed.

    Args:
        library: its name on import.
        extra: of lossband's own.
        what: needs it, in the plural.

    Raises:
        InputError: the library is not installed.
    """
    if importlib.util.find_spec(library) is None:
        raise InputError(f"{what} need {library}.", f"pip install 'lossband[{extra}]'")
