"""Which law a user means: by name, by function, or by the columns of the table."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import jax
import numpy as np

from .._lazy import numpyro
from ..errors import InputError, listed, nearest
from ..runs.arrays import Column, Runs, Unit, double
from ..runs.names import columns_line
from ..runs.table import INPUTS, LABELS, MEASURED, numbers, varying
from .law import LAWS, Law

if TYPE_CHECKING:
    import pandas as pd


LawLike = str | Law | Callable[[Runs], jax.Array] | None  # what users say for a law
OUTCOMES = (*LABELS, *MEASURED)  # columns that are no input of a law
# In this order, for a table in which all their inputs vary.
DEFAULTS = ("coupled_recurrence", "coupled_looped", "capped")


def find_law(wanted: LawLike, frame: "pd.DataFrame") -> Law:
    """The `Law` that a user means: a name, a law, a NumPyro function of the runs, or None for the default.

    The default is the first law of `DEFAULTS` whose inputs all vary in the table, else `power_saturated` of
    its one varying input.
    """
    if wanted is None:
        wanted = _default(frame)
    if isinstance(wanted, str):
        if wanted not in LAWS:
            raise InputError(
                f"there is no law {wanted!r}{nearest(wanted, LAWS)}",
                f"The laws are {', '.join(sorted(LAWS))}.",
            )
        wanted = LAWS[wanted]
    if not callable(wanted) or isinstance(wanted, type):
        raise InputError(
            f"law= got {wanted!r}; expected a name, a Law or a function of the runs.",
            f"The laws are {', '.join(sorted(LAWS))}.",
        )
    if not isinstance(wanted, Law):
        wanted = Law(wanted, getattr(wanted, "__name__", "law"), _inputs_read(wanted, frame))
    choose = wanted.choose or one_input
    return wanted if wanted.inputs else replace(wanted, inputs=choose(wanted, frame))


def _default(frame: "pd.DataFrame") -> str:
    """The name of the default law of a table.

    Raises:
        InputError: no input that varies, or several that no default takes.
    """
    present = varying(frame)
    found = next((name for name in DEFAULTS if set(present).issuperset(LAWS[name].inputs)), None)
    if found or len(present) == 1:
        return found or "power_saturated"
    has = f"(it has {listed(frame.columns, 12)})"
    if not present:
        raise InputError(
            f"the table has no column that varies under the name of an input {has}; laws take params and "
            f"tokens, or one input alone, such as step; every input is one of {', '.join(INPUTS)}.",
            f"Name yours: {columns_line(frame.columns)}.",
        )
    fitting = laws_for(frame) or ["kaplan"]
    raise InputError(
        f"no default law takes {listed(present)} {has}; that of several inputs takes params and tokens.",
        f"Name a law: {' or '.join(f'law={name!r}' for name in fitting[:3])}, or another from "
        "lossband.laws; or name another column: "
        f"{columns_line(frame.columns, 'tokens' if 'params' in present else 'params')}; or keep one input: "
        f"runs[[{present[0]!r}, 'loss']].",
    )


def laws_for(frame: "pd.DataFrame") -> list[str]:
    """Names of the laws that read most of the inputs that vary in a table, two or more of them."""
    present, found = set(varying(frame)) | {n for n in frame if str(n).startswith("proportion_")}, {}
    for name, each in LAWS.items():
        try:
            inputs = each.choose(each, frame) if each.choose else each.inputs
        except InputError:
            continue
        if len(inputs) > 1 and present.issuperset(inputs):
            found[name] = len(inputs)
    return [name for name, count in found.items() if count == max(found.values())]


def one_input(found: Law, frame: "pd.DataFrame") -> tuple[str]:
    """The single input of a law of any one input."""
    present = varying(frame)
    if len(present) != 1:
        one = f"Pass a table with the one column you mean: runs[[{present[0]!r}, 'loss']]." if present else ""
        raise InputError(
            f"the law {found.name!r} takes one input, and the table has {len(present)} that vary "
            f"({listed(present)}); its columns are {listed(frame.columns, 12)}.",
            one or f"Name yours: {columns_line(frame.columns, 'tokens')}.",
        )
    return (present[0],)


def _inputs_read(curve: Callable[[Runs], jax.Array], frame: "pd.DataFrame") -> tuple[str, ...]:
    """The columns that a user's function reads, found by running it once on the frame."""
    watch = _Watch(frame)
    with double(), numpyro.handlers.seed(rng_seed=0):
        curve(cast(Runs, watch))
    if not watch.read:
        raise InputError(
            f"the law {getattr(curve, '__name__', curve)!r} reads no column of the table (it has "
            f"{listed(frame.columns)}).",
            "Read its inputs as attributes: runs.params, runs.tokens.",
        )
    return tuple(dict.fromkeys(watch.read))


class _Watch:
    """Runs that remember which columns are read."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        self.frame, self.read = frame, []
        self.unit = Unit(1.0, 1.0, 0.1, {}, {})

    def __getattr__(self, name: str) -> Column:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in OUTCOMES:
            raise InputError(
                f"the law reads runs.{name}, which is no input: a law gives the loss from what a run was "
                "made of.",
                "Read columns that are known before the run.",
            )
        if name not in self.frame and name not in INPUTS:
            raise InputError(
                f"the law reads runs.{name}, which is no column of the table (it has "
                f"{listed(self.frame.columns, 12)}) and no input of lossband{nearest(name, INPUTS)}",
                "Add the column, or name yours in columns=.",
            )
        values = numbers(self.frame, name).to_numpy()
        self.read.append(name)
        return Column(values, np.exp(np.log(values).mean()), values.min(), 1.0)
