"""Later: libraries that are imported when they are first used.

A fit whose programs are in the store (see store.py) traces nothing and so needs no NumPyro. Importing NumPyro
takes as long as such a fit, so every module of the package takes it from here.
"""

import importlib
from typing import Any


class Later:
    """Stands for a module; the first look at one of its attributes imports it."""

    def __init__(self, name: str) -> None:
        """Keep the module's name; import nothing yet."""
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Import the module, unless it is imported already, and return its attribute."""
        return getattr(importlib.import_module(self._name), attribute)


numpyro = Later("numpyro")
dist = Later("numpyro.distributions")
