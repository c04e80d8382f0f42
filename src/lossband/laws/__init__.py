"""The laws, one file a family; `LAWS` holds them by name."""

from .base import LAWS, Law, find_law, law
from .curve import power
from .looped import looped, recurrence
from .scale import chinchilla, coupled, kaplan
from .terms import exponent, floor, weight

__all__ = ["LAWS", "Law", "chinchilla", "coupled", "exponent", "find_law", "floor", "kaplan", "law", "looped", "power", "recurrence", "weight"]
