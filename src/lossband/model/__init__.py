"""Law x noise x drift: one model of a table's ln losses."""

import sys
from types import ModuleType


class _Room(ModuleType):
    """This package.

    Called, it is `lossband.numpyro_model`, which went by the name `lossband.model` before.
    """

    def __call__(self, *args, **options):
        import lossband

        return lossband.numpyro_model(*args, **options)


sys.modules[__name__].__class__ = _Room
