"""Law x noise x drift: one model of a table's ln losses."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """This package.

    Called, it is `lossband.numpyro_model`, which went by the name `lossband.model` before.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        import lossband

        return lossband.numpyro_model(*args, **options)


sys.modules[__name__].__class__ = _Room
