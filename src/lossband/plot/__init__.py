"""One function per figure; each takes results and returns the axes."""

from .._lazy import required
from .calibration import pit, reliability
from .curve import curve
from .evaluation import hidden, laws
from .forecast import forecast
from .panels import panels
from .position import exponents, last_steps, position, position_step
from .shape import shape
from .style import PRED, REAL

required("matplotlib", "plot", "pictures")

__all__ = [
    "PRED",
    "REAL",
    "curve",
    "exponents",
    "forecast",
    "hidden",
    "last_steps",
    "laws",
    "panels",
    "pit",
    "position",
    "position_step",
    "reliability",
    "shape",
]
