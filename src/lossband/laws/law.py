"""What a law is: a NumPyro function of the runs that returns the expected loss, with a name and a source."""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .._arguments import items, names_of, short
from .._cache import remembered
from .._html import notebook
from .._lazy import numpyro
from ..errors import InputError, listed, nearest
from ..runs.arrays import Runs, Unit, unit_of
from ..runs.loss_scale import LossScale, find_scale
from .priors import Learnt, Prior, _prior_key, _replacing

if TYPE_CHECKING:
    import pandas as pd


LAWS: "dict[str, Law]" = {}  # every named law, filled by the @law decorator


@dataclass(frozen=True, eq=False)
class Law:
    """A loss law: `law(runs)` samples its coefficients with NumPyro and returns the expected loss `(row,)`.

    `with_priors(alpha=dist.Beta(2, 5))` gives the same law with another prior. Two laws are equal when their
    function and their priors are, which is what the compiled programs are kept by.

    Example:
        >>> import lossband as lb
        >>> import numpyro.distributions as dist
        >>> steeper = lb.laws.chinchilla.with_priors(alpha=dist.LogNormal(-0.7, 0.3))
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, steeper, method="laplace")
    """

    curve: Callable[[Runs], jax.Array]
    name: str
    inputs: tuple[str, ...]
    source: str = ""
    # runs -> training compute (row,); None: the product of the inputs
    compute: Callable[[Runs], jax.Array] | None = None
    priors: dict[str, Prior] = field(default_factory=dict)
    along: tuple[str, ...] = ()  # the inputs along which the drift runs; (): all of them
    # (law, frame) -> inputs, for a law whose inputs depend on the table
    choose: "Callable[[Law, pd.DataFrame], tuple[str, ...]] | None" = None
    # (frame, past) -> frame with the inputs that are computed from its other columns
    derive: "Callable[[pd.DataFrame, pd.DataFrame | None], pd.DataFrame] | None" = None
    carries: tuple[str, ...] = ()  # columns that `derive` reads, kept beside the inputs
    # the law that forecasts mix this one with: a reduced model, or, of a crossed law, one that bends
    # otherwise
    simpler: str = ""
    # an averaged drift mixes four fits: this law and its simpler one, each with drift and without
    crossed: bool = False
    # False for laws of a single run, where residuals are always correlated: the drift-free component of an
    # averaged drift is then omitted
    exact: bool = True
    # coefficient -> its value in a simpler law that lacks it; 0 by default
    absent: dict[str, float] = field(default_factory=dict)
    # "log": noise and drift on ln loss; "identity": on the loss itself, which may be zero or negative;
    # `fit(metric=)` gives that of a bounded metric
    scale: str = "log"
    # inputs (or patterns such as "proportion_*") that are read as they are and may be zero or negative;
    # no drift runs along them
    plain: tuple[str, ...] = ()
    # checked frame -> None: raises InputError for values that the law does not take
    check: "Callable[[pd.DataFrame], None] | None" = None

    def __call__(self, runs: Runs) -> jax.Array:
        """Sample the coefficients with NumPyro; return the expected loss `(row,)`, in the table's unit."""
        priors = _replacing()({name: prior for name, prior in self.priors.items() if "." not in name})
        with priors:
            loss = self.curve(runs)
        if unmet := set(priors.priors) - priors.met:
            raise InputError(
                f"with_priors names {listed(sorted(unmet))}, which the law {self.name!r} does not sample"
                f"{nearest(min(unmet), priors.seen)}",
                f"Its coefficients are {', '.join(sorted(priors.seen))}.",
            )
        return loss

    def _repr_html_(self) -> str:
        """Its inputs, its source and its page, for a notebook."""
        inputs = ", ".join(self.inputs) or "inputs that the table names"
        about = f"of {inputs}; {self.source or 'no source given'}"
        return notebook(f"law {self.name!r}", f"{about}\n\n{inspect.cleandoc(self.__doc__ or '')}")

    def at(self, runs: Runs, sites: dict[str, jax.Array]) -> jax.Array:
        """Expected loss `(row,)` at given coefficients: samples nothing, and outer handlers see no site."""
        with numpyro.handlers.block():
            return numpyro.handlers.substitute(self, sites)(runs)

    def with_priors(self, **priors: Prior) -> "Law":
        """The same law with these coefficients' priors replaced: `law.with_priors(alpha=dist.Beta(2, 5))`.

        Example:
            >>> import lossband as lb
            >>> import numpyro.distributions as dist
            >>> steeper = lb.laws.chinchilla.with_priors(alpha=dist.LogNormal(-0.7, 0.3))
        """
        for name, prior in priors.items():
            if not isinstance(prior, Learnt) and not (
                hasattr(prior, "log_prob") and hasattr(prior, "sample")
            ):
                raise InputError(
                    f"with_priors has {short(prior)} for {name!r}; expected a distribution of NumPyro.",
                    f"For instance {name}=numpyro.distributions.LogNormal(-1, 0.5).",
                )
        return replace(self, priors={**self.priors, **priors})

    def simplest(self) -> "Law":
        """Its `simpler` law, of the same inputs and with the same priors on what both have.

        A prior named by that law, as "coupled.E", is that law's alone, in place of the shared one.
        """
        if hasattr(self.curve, "simplest"):  # of several recipes
            return self.curve.simplest()
        law = LAWS[self.simpler]
        same = replace(law, inputs=self.inputs, scale=self.scale)
        shared = {name: prior for name, prior in self.priors.items() if name in same.sites}
        own = f"{law.name}."
        theirs = {n.removeprefix(own): prior for n, prior in self.priors.items() if n.startswith(own)}
        return replace(same, priors=shared | theirs)

    @property
    def varied(self) -> tuple[str, ...]:
        """The inputs that must vary, and along which the drift runs."""
        along = tuple(name for name in self.inputs if name in self.along)
        return along or tuple(name for name in self.inputs if name not in self.plain_inputs)

    @property
    def plain_inputs(self) -> tuple[str, ...]:
        """The inputs that are read as they are, and may be zero or negative."""
        return tuple(n for n in self.inputs if any(fnmatch.fnmatchcase(n, each) for each in self.plain))

    @property
    def loss_scale(self) -> LossScale:
        """The scale that its losses are fitted on."""
        return find_scale(self.scale)

    def unit(self, frame: "pd.DataFrame") -> Unit:
        """The `Unit` that a checked training frame fixes for this law."""
        return unit_of(frame, self.inputs, plain=self.plain_inputs, scale=self.loss_scale)

    def checked(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The checked frame, if the law takes its values."""
        if self.check is not None:
            self.check(frame)
        return frame

    def derived(self, frame: "pd.DataFrame", past: "pd.DataFrame | None" = None) -> "pd.DataFrame":
        """The table with the inputs that the law computes from other columns; `past`: the training table."""
        return frame if self.derive is None else self.derive(frame, past)

    @property
    def sites(self) -> dict[str, dict[str, Any]]:
        """Its sampled sites, name -> NumPyro message, from a trace on a row of ones: values are abstract."""
        ones: dict[str, Any] = dict.fromkeys(self.inputs, 1.0)
        runs = Runs({name: np.ones(1) for name in self.inputs}, Unit(1.0, 1.0, 0.1, ones, ones))
        sites = {}

        def trace(runs: Runs) -> None:
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
    def marks(self) -> dict[str, dict[str, Any]]:
        """Coefficient -> what its term tells the sampler of it (the keys of `infer`), in sampling order.

        With the names that it says, such as `slope`, and whether the coefficient is `positive`; True for what
        is no name.
        """

        def found(site: dict[str, Any]) -> dict[str, Any]:
            said = {key: value if isinstance(value, str) else True for key, value in site["infer"].items()}
            positive = site["fn"].support is numpyro.distributions.constraints.positive
            return said | ({"positive": True} if positive else {})

        return remembered(self.code, lambda: {name: found(site) for name, site in self.sites.items()})

    @property
    def code(self) -> str | None:
        """Text that identifies an unchanged law of the package; None for any other, which must be traced."""
        if self.priors or not self.curve.__module__.startswith(f"{__package__}."):
            return None
        known = LAWS.get(self.name)
        as_it_comes = known is not None and known.curve is self.curve
        whose = self.name if as_it_comes else getattr(self.curve, "code", None)  # a law made of another
        return whose and repr((whose, self.inputs, self.scale))

    @property
    def floors(self) -> list[str]:
        """Names of the coefficients that its terms mark as a floor."""
        return [name for name, marks in self.marks.items() if "floor" in marks]

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the law computes, hashable: its function and its priors."""
        return (
            self.curve,
            self.inputs,
            self.scale,
            tuple((site, _prior_key(prior)) for site, prior in sorted(self.priors.items())),
        )

    def __eq__(self, other: object) -> bool:
        """Whether the other law has the same function, inputs and priors."""
        return isinstance(other, Law) and self.key == other.key

    def __hash__(self) -> int:
        """The hash of `key`, so that equal laws share their compiled programs."""
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a named law by its name: its decorated function cannot be found by its own."""
        if self.name in LAWS and LAWS[self.name].curve is self.curve:  # its function goes by the law's name
            return _restore, (self.name, self.inputs, self.priors, self.scale)
        return Law, tuple(getattr(self, each.name) for each in fields(self))


def law(
    *,
    inputs: Iterable[str],
    source: str = "",
    name: str | None = None,
    compute: Callable[[Runs], jax.Array] | None = None,
    **about: Any,
) -> Callable[[Callable[[Runs], jax.Array]], Law]:
    """Turn a NumPyro function of the runs into a named law that `fit` finds by its name.

    Args:
        inputs: names of the columns that the law reads.
        source: where the form comes from, with its equation.
        name: the law's name; the function's own by default.
        compute: runs -> training compute `(row,)` up to a constant; the product of the inputs by default.
        about: the rarer fields of `Law`: along, choose, derive, carries, simpler, crossed, exact, scale,
            plain, check.

    Returns:
        A decorator that makes the function a `Law` and enters it into `LAWS`.

    Example:
        >>> import lossband as lb
        >>> @lb.law(inputs=("params", "tokens"), name="sum_of_two")
        ... def ours(runs):
        ...     terms = lb.power(runs.params, "A", "alpha") + lb.power(runs.tokens, "B", "beta")
        ...     return lb.floor(runs) + terms
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, ours, method="laplace")
    """
    inputs = names_of(inputs, "inputs") if items(inputs) else ()
    for what, function in (("compute", compute), ("name", name)):
        if function is not None and not (
            callable(function) if what == "compute" else isinstance(function, str)
        ):
            expected = "a function of the runs" if what == "compute" else "text"
            raise InputError(f"{what}= got {short(function)}; expected {expected}.", "Leave it out.")

    def decorate(curve: Callable[[Runs], jax.Array]) -> Law:
        made = Law(curve, name or curve.__name__, tuple(inputs), source, compute, **about)
        object.__setattr__(made, "__doc__", curve.__doc__)
        LAWS[made.name] = made
        return made

    return decorate


def _restore(name: str, inputs: tuple[str, ...], priors: dict[str, Prior], scale: str) -> Law:
    return replace(LAWS[name], inputs=inputs, priors=priors, scale=scale)
