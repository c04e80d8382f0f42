"""The laws, one file per family; `LAWS` holds them by name."""

from .curve import curve, trajectory
from .experts import experts, experts_bilinear, parallel, sparse
from .hyper import batch_rate, precision
from .law import LAWS, Law, law
from .looped import coupled_looped, coupled_recurrence, looped, looped_step, recurrence
from .mixture import mixture, vocabulary
from .one_input import bnsl, power_law, power_no_floor, power_saturated, power_shifted
from .position import position, position_by_size, position_by_step
from .resolve import find_law
from .scale import capped, chinchilla, coupled, data_constrained, epochs, kaplan
from .shape import shape
from .terms import coupling, exponent, floor, power, shortages, valley, weight

__all__ = [
    "LAWS",
    "Law",
    "batch_rate",
    "bnsl",
    "capped",
    "chinchilla",
    "coupled",
    "coupled_looped",
    "coupled_recurrence",
    "coupling",
    "curve",
    "data_constrained",
    "epochs",
    "experts",
    "experts_bilinear",
    "exponent",
    "find_law",
    "floor",
    "kaplan",
    "law",
    "looped",
    "looped_step",
    "mixture",
    "parallel",
    "position",
    "position_by_size",
    "position_by_step",
    "power",
    "power_law",
    "power_no_floor",
    "power_saturated",
    "power_shifted",
    "precision",
    "recurrence",
    "shape",
    "shortages",
    "sparse",
    "trajectory",
    "valley",
    "vocabulary",
    "weight",
]
