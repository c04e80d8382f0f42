"""One function a figure; each takes results and returns the axes."""

from .architecture import shape
from .calibration import pit, reliability
from .context import exponents, last_steps, position, position_step
from .grid import panels
from .style import PRED, REAL
from .training import curve

__all__ = [
    "PRED",
    "REAL",
    "curve",
    "exponents",
    "last_steps",
    "panels",
    "pit",
    "position",
    "position_step",
    "reliability",
    "shape",
]
