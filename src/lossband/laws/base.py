"""What a law is: a NumPyro function of the runs that returns the expected loss, with a name and a source."""

import functools
import re
import sys
from dataclasses import dataclass, field, fields, replace

import jax
import numpy as np

from ..errors import InputError, listed, nearest
from ..later import dist, numpyro
from ..runs import Column, Runs, Unit
from ..store import code_of, code_of_modules, remembered
from ..table import INPUTS, numbers, varying

LAWS = {}  # every named law, filled by the @law decorator
DEFAULTS = (
    "coupled_recurrence",
    "coupled_looped",
    "capped",
)  # of a table in whose rows all their inputs vary


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
    compute: object = None  # runs -> training compute (row,); None: the product of the inputs
    priors: dict = field(default_factory=dict)
    along: tuple = ()  # the inputs along which the drift runs; (): all of them
    choose: object = None  # (law, frame) -> inputs, for a law whose inputs depend on the table
    derive: object = None  # (frame, past) -> frame with the inputs that are computed from its other columns
    carries: tuple = ()  # columns that `derive` reads, kept beside the inputs
    simpler: str = ""  # the law that this one is where the coefficients that only it has are zero
    crossed: bool = (
        False  # an averaged drift is of four fits: this law and its simpler one, each with drift and without
    )
    exact: bool = True  # False: no run follows it exactly, so that an averaged drift is in every draw of it all the same

    def __call__(self, runs):
        priors = _replacing()(self.priors)
        with priors:
            loss = self.curve(runs)
        if unmet := set(self.priors) - priors.met:
            raise InputError(
                f"with_priors names {listed(sorted(unmet))}, which the law {self.name!r} does not sample"
                f"{nearest(min(unmet), priors.seen)}",
                f"Its coefficients are {', '.join(sorted(priors.seen))}.",
            )
        return loss

    def at(self, runs, sites):
        """Expected loss `(row,)` at given coefficients: nothing is sampled, and no NumPyro handler outside sees it."""
        with numpyro.handlers.block():
            return numpyro.handlers.substitute(self, sites)(runs)

    def with_priors(self, **priors):
        """The same law with these coefficients' priors replaced: `law.with_priors(alpha=dist.Beta(2, 5))`."""
        return replace(self, priors={**self.priors, **priors})

    def simplest(self):
        """Its `simpler` law, of the same inputs and with the same priors on what both have."""
        law = LAWS[self.simpler]
        shared = replace(law, inputs=self.inputs)
        return replace(shared, priors={n: prior for n, prior in self.priors.items() if n in shared.sites})

    @property
    def varied(self):
        """The inputs that must vary, and along which the drift runs."""
        return tuple(name for name in self.inputs if name in self.along) or self.inputs

    def derived(self, frame, past=None):
        """The table with the inputs that the law computes from its other columns; `past`: the training table."""
        return frame if self.derive is None else self.derive(frame, past)

    @property
    def sites(self):
        """Its sampled sites, name -> NumPyro message, found by tracing it on a row of ones: their values are abstract."""
        ones = dict.fromkeys(self.inputs, 1.0)
        runs = Runs({name: np.ones(1) for name in self.inputs}, Unit(1.0, 1.0, 0.1, ones, ones))
        sites = {}

        def trace(runs):
            with (
                numpyro.handlers.block(),
                numpyro.handlers.seed(rng_seed=0),
                numpyro.handlers.trace() as found,
            ):
                self(runs)
            sites.update({name: site for name, site in found.items() if site["type"] == "sample"})

        jax.eval_shape(trace, runs)  # run for real, each operation would be compiled by itself
        return sites

    @functools.cached_property
    def marks(self):
        """coefficient -> kinds of what its term tells the sampler of it (`infer`), in the order in which they are sampled."""
        return remembered(self.code, lambda: {name: list(site["infer"]) for name, site in self.sites.items()})

    @property
    def code(self):
        """Text of all that tells apart one of the package's laws as it comes; None for any other, which has to be traced."""
        home, known = __name__.rpartition(".")[0], LAWS.get(self.name)
        as_it_comes = known is not None and known.curve is self.curve and not self.priors
        if not (as_it_comes and self.curve.__module__.startswith(f"{home}.")):
            return None
        modules = sorted(name for name in sys.modules if name.startswith(f"{home}."))
        code = code_of(self.curve)
        return code and repr((self.name, self.inputs, code, code_of_modules(modules)))

    @property
    def floors(self):
        """Names of the coefficients that its terms mark as a floor."""
        return [name for name, marks in self.marks.items() if "floor" in marks]

    @property
    def key(self):
        """What the law computes, hashable: its function and its priors."""
        return (
            self.curve,
            self.inputs,
            tuple((site, _prior_key(prior)) for site, prior in sorted(self.priors.items())),
        )

    def __eq__(self, other):
        return isinstance(other, Law) and self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def __reduce__(self):
        if self.name in LAWS and LAWS[self.name].curve is self.curve:  # its function goes by the law's name
            return _restore, (self.name, self.inputs, self.priors)
        return Law, tuple(getattr(self, each.name) for each in fields(self))


def law(*, inputs, source="", name=None, compute=None, **about):
    """Turn a NumPyro function of the runs into a named law that `fit` finds by its name.

    Args:
        inputs: names of the columns that the law reads.
        source: where the form comes from, with its equation.
        name: the law's name; the function's own by default.
        compute: runs -> training compute `(row,)` up to a constant; the product of the inputs by default.
        about: the rarer fields of `Law`: along, choose, derive, carries, simpler, crossed, exact.
    """

    def decorate(curve):
        made = Law(curve, name or curve.__name__, tuple(inputs), source, compute, **about)
        object.__setattr__(made, "__doc__", curve.__doc__)
        LAWS[made.name] = made
        return made

    return decorate


def find_law(wanted, frame):
    """The `Law` that a user means: a name, a law, a NumPyro function of the runs, or None for the default.

    The default is the first law of `DEFAULTS` whose inputs all vary in the table, else `power_saturated` of its one varying input.
    """
    if wanted is None:
        present = set(varying(frame))
        wanted = next((name for name in DEFAULTS if present.issuperset(LAWS[name].inputs)), "power_saturated")
    if isinstance(wanted, str):
        if wanted not in LAWS:
            raise InputError(
                f"there is no law {wanted!r}{nearest(wanted, LAWS)}",
                f"The laws are {', '.join(sorted(LAWS))}.",
            )
        wanted = LAWS[wanted]
    if not callable(wanted):
        raise InputError(
            f"law= got {wanted!r}; expected a name, a Law or a function of the runs.",
            f"The laws are {', '.join(sorted(LAWS))}.",
        )
    if not isinstance(wanted, Law):
        wanted = Law(wanted, getattr(wanted, "__name__", "law"), _inputs_read(wanted, frame))
    choose = wanted.choose or one_input
    return wanted if wanted.inputs else replace(wanted, inputs=choose(wanted, frame))


def one_input(found, frame):
    """The single input of a law of any one input."""
    present = varying(frame)
    if len(present) != 1:
        raise InputError(
            f"the law {found.name!r} takes one input, and the table has {len(present)} that vary ({listed(present)}).",
            "Pass a table with the one column you mean, for instance runs[['tokens', 'loss']].",
        )
    return (present[0],)


def _inputs_read(curve, frame):
    """The columns that a user's function reads, found by running it once on the frame."""
    watch = _Watch(frame)
    with jax.enable_x64(True), numpyro.handlers.seed(rng_seed=0):
        curve(watch)
    if not watch.read:
        raise InputError(
            f"the law {getattr(curve, '__name__', curve)!r} reads no column of the table (it has {listed(frame.columns)}).",
            "Read its inputs as attributes: runs.params, runs.tokens.",
        )
    return tuple(dict.fromkeys(watch.read))


class _Watch:
    """Runs that remember which columns are read."""

    def __init__(self, frame):
        self.frame, self.read = frame, []
        self.unit = Unit(1.0, 1.0, 0.1, {}, {})

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in INPUTS:
            raise InputError(
                f"the law reads runs.{name}, which is no input of lossband{nearest(name, INPUTS)}",
                f"Use one of {', '.join(INPUTS)}.",
            )
        values = numbers(self.frame, name).to_numpy()
        self.read.append(name)
        return Column(values, np.exp(np.log(values).mean()), values.min(), 1.0)


def _prior_key(prior):
    """A prior's form and numbers, hashable."""
    leaves, form = jax.tree.flatten(prior)
    return form, tuple((np.shape(leaf), tuple(np.ravel(leaf).tolist())) for leaf in leaves)


def prior_spec(prior):
    """A prior as plain data, `("Beta", (("concentration0", (), (5.0,)), ...))`: what a saved file holds.

    Raises:
        InputError: a prior that its parameters alone do not make again.
    """
    values = {name: np.asarray(getattr(prior, name)) for name in sorted(prior.arg_constraints)}
    spec = (
        type(prior).__name__,
        tuple((name, value.shape, tuple(value.ravel().tolist())) for name, value in values.items()),
    )
    try:
        again = _prior_key(prior_from(spec))
    except TypeError:  # its constructor takes something else than its parameters
        again = None
    if again != _prior_key(prior):
        raise InputError(
            f"a prior of type {spec[0]} cannot be saved.", "Use one of NumPyro's plain distributions."
        )
    return spec


def prior_from(spec):
    """The NumPyro distribution that `prior_spec` described."""
    name, values = spec
    if not re.fullmatch(r"[A-Za-z]+", name) or not hasattr(dist, name):
        raise InputError(
            f"the prior {name!r} is no distribution of this NumPyro.",
            "Load it with the version that saved it.",
        )
    return getattr(dist, name)(**{arg: np.reshape(value, shape) for arg, shape, value in values})


def _restore(name, inputs, priors):
    return replace(LAWS[name], inputs=inputs, priors=priors)


@functools.cache
def _replacing():
    """The class of a NumPyro handler; made when first used, for NumPyro is imported only then."""

    class Priors(numpyro.primitives.Messenger):
        """Put these priors in place of a law's own while it runs; remember which sites it samples."""

        def __init__(self, priors):
            self.priors, self.seen, self.met = priors, set(), set()
            super().__init__()

        def process_message(self, msg):
            if msg["type"] == "sample":
                self.seen.add(msg["name"])
                if msg["name"] in self.priors:
                    self.met.add(msg["name"])
                    msg["fn"] = self.priors[msg["name"]]

    return Priors
