"""The five figures: each takes measured runs, fits its law, draws, and answers its question.

`FIGURES` holds them by name.
"""

from .base import Figure, tell
from .curve import curve
from .looped import looped
from .position import exponents, last_steps, position, position_step
from .shape import best_shapes, extra_compute, shape

FIGURES = {
    "looped": looped,
    "position": position,
    "position-step": position_step,
    "curve": curve,
    "shape": shape,
}
__all__ = [
    "FIGURES",
    "Figure",
    "best_shapes",
    "curve",
    "exponents",
    "extra_compute",
    "last_steps",
    "looped",
    "position",
    "position_step",
    "shape",
    "tell",
]
