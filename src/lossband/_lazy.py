"""Later: libraries that are imported when they are first used.

A fit whose programs are in the store (see store.py) traces nothing and so needs no NumPyro, whose import takes as long as
that fit: every module of ours takes it from here.
"""

import importlib
from typing import Any


class Later:
    """Stands for a module; the first look at one of its attributes imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


numpyro = Later("numpyro")
dist = Later("numpyro.distributions")
