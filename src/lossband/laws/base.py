"""What a law is: a NumPyro function of the runs that returns the expected loss, with a name and a source."""

import difflib
import re
from dataclasses import dataclass, field, replace

import jax
import numpyro
from numpyro.primitives import Messenger

from ..errors import InputError, listed

LAWS = {}  # every named law, filled by the @law decorator


@dataclass(frozen=True, eq=False)
class Law:
    """A loss law: `law(runs)` samples its coefficients with NumPyro and returns the expected loss `(row,)`.

    `with_priors(alpha=dist.Beta(2, 5))` gives the same law with another prior. Two laws are equal when their
    function and their priors are, which is what the compiled programs are kept by.
    """

    curve: object
    name: str
    inputs: tuple
    source: str = ""
    compute: object = None  # runs -> training compute (row,) up to a constant; None: the product of the inputs
    priors: dict = field(default_factory=dict)

    def __call__(self, runs):
        with _Priors(self.priors):
            return self.curve(runs)

    def with_priors(self, **priors):
        """The same law with these coefficients' priors replaced: `law.with_priors(alpha=dist.Beta(2, 5))`."""
        return replace(self, priors={**self.priors, **priors})

    @property
    def key(self):
        """What the law computes, hashable: its function and its priors."""
        return self.curve, tuple((site, prior_spec(prior)) for site, prior in sorted(self.priors.items()))

    def __eq__(self, other):
        return isinstance(other, Law) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __reduce__(self):
        if LAWS.get(self.name) is None or LAWS[self.name].curve is not self.curve:
            return object.__reduce_ex__(self, 2)
        return _restore, (self.name, self.priors)


def law(*, inputs, source="", name=None, compute=None):
    """Turn a NumPyro function of the runs into a named law that `fit` finds by its name.

    Args:
        inputs: names of the columns that the law reads.
        source: where the form comes from, with its equation.
        name: the law's name; the function's own by default.
        compute: runs -> training compute `(row,)` up to a constant; the product of the inputs by default.
    """

    def decorate(curve):
        made = Law(curve, name or curve.__name__, tuple(inputs), source, compute)
        object.__setattr__(made, "__doc__", curve.__doc__)
        LAWS[made.name] = made
        return made

    return decorate


def find_law(wanted, frame):
    """The `Law` that a user means: a name, a law, a NumPyro function of the runs, or None for the default.

    The default is `coupled` where the table has params and tokens, else `power` of its one varying input.
    """
    from ..table import INPUTS

    if isinstance(wanted, Law):
        return wanted
    if callable(wanted):
        return Law(wanted, getattr(wanted, "__name__", "law"), _inputs_read(wanted, frame))
    present = [name for name in INPUTS if name in frame and frame[name].nunique() > 1]
    if wanted is None:
        wanted = "coupled" if {"params", "tokens"} <= set(present) else "power"
    if wanted not in LAWS:
        close = difflib.get_close_matches(str(wanted), LAWS, n=1, cutoff=0.4)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        raise InputError(f"there is no law {wanted!r}.", f"{hint}The laws are {', '.join(sorted(LAWS))}.")
    found = LAWS[wanted]
    return replace(found, inputs=_one_input(found, present)) if not found.inputs else found


def _one_input(found, present):
    """The single input of a law of any one input."""
    if len(present) != 1:
        raise InputError(
            f"the law {found.name!r} takes one input, and the table has {len(present)} that vary ({listed(present)}).",
            "Pass a table with the one column you mean, for instance runs[['tokens', 'loss']].",
        )
    return (present[0],)


def _inputs_read(curve, frame):
    """The vocabulary columns that a user's function reads, found by running it once on the frame's columns."""
    from ..runs import Runs, unit_of
    from ..table import INPUTS

    read = []

    class Watched(Runs):
        def __getattr__(self, name):
            column = super().__getattr__(name)
            read.append(name)
            return column

    names = [name for name in INPUTS if name in frame and np_numeric(frame[name])]
    columns = frame[names].astype(float)
    unit = unit_of(columns.assign(loss=1.0), names)
    with numpyro.handlers.seed(rng_seed=0):
        curve(Watched({name: columns[name].to_numpy() for name in names}, unit))
    if not read:
        raise InputError(
            f"the law {getattr(curve, '__name__', curve)!r} reads no column of the table (it has {listed(names)}).",
            "Read its inputs as attributes: runs.params, runs.tokens.",
        )
    return tuple(dict.fromkeys(read))


def np_numeric(column):
    """Whether a frame's column holds numbers."""
    return column.dtype.kind in "fiu"


def prior_spec(prior):
    """A prior as plain data, `("Beta", ((2.0,), (5.0,)))`: hashable, and what a saved file holds."""
    import numpy as np

    values = {name: np.asarray(getattr(prior, name)) for name in sorted(prior.arg_constraints)}
    return type(prior).__name__, tuple((name, value.shape, tuple(value.ravel().tolist())) for name, value in values.items())


def prior_from(spec):
    """The NumPyro distribution that `prior_spec` described."""
    import numpy as np
    import numpyro.distributions as dist

    name, values = spec
    if not re.fullmatch(r"[A-Za-z]+", name) or not hasattr(dist, name):
        raise InputError(f"the prior {name!r} is no distribution of this NumPyro.", "Load it with the version that saved it.")
    return getattr(dist, name)(**{arg: np.reshape(value, shape) for arg, shape, value in values})


def _restore(name, priors):
    return LAWS[name].with_priors(**priors)


class _Priors(Messenger):
    """Put these priors in place of a law's own while it runs."""

    def __init__(self, priors):
        self.priors = priors
        super().__init__()

    def process_message(self, msg):
        if msg["type"] == "sample" and msg["name"] in self.priors:
            msg["fn"] = self.priors[msg["name"]]


jax.tree_util.register_static(Law)
