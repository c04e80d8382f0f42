"""Priors as values: compared, kept in files, put in place of a law's own."""

import functools
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import jax
import numpy as np

from .._lazy import dist, numpyro
from ..errors import InputError

if TYPE_CHECKING:
    from numpyro.distributions import Distribution


@dataclass(frozen=True)
class Learnt:
    """A prior learnt from past sweeps, in place of a log-normal one of the law.

        ln site ~ Normal(own + shift, width),   own: ln of the median of the law's own prior

    It is relative, as the law's own prior is, so that it means the same whatever the unit of the losses.

    shift: of ln of the median.
    width: standard deviation of ln of the site.
    """

    shift: float
    width: float

    def of(self, own: Any) -> "Distribution":
        """The distribution in place of the law's own."""
        if not isinstance(own, dist.LogNormal):
            raise InputError(
                f"a learnt prior moves a log-normal one, and got {type(own).__name__}.",
                "Give this coefficient a prior of its own with law.with_priors.",
            )
        return dist.LogNormal(own.loc + self.shift, self.width)


Prior = Union["Distribution", Learnt]


def _prior_key(prior: Prior) -> tuple[Hashable, ...]:
    """A prior's form and numbers, hashable."""
    if isinstance(prior, Learnt):
        return "Learnt", prior.shift, prior.width
    leaves, form = jax.tree.flatten(prior)
    return form, tuple((np.shape(leaf), tuple(np.ravel(leaf).tolist())) for leaf in leaves)


def prior_spec(prior: Prior) -> tuple[str, tuple]:
    """A prior as plain data, `("Beta", (("concentration0", (), (5.0,)), ...))`: what a saved file holds.

    Raises:
        InputError: a prior that its parameters alone do not make again.
    """
    names = vars(prior) if isinstance(prior, Learnt) else prior.arg_constraints
    values = {name: np.asarray(getattr(prior, name)) for name in sorted(names)}
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


def prior_from(spec: tuple[str, tuple]) -> Prior:
    """The NumPyro distribution, or the learnt prior, that `prior_spec` described."""
    name, values = spec
    if name == Learnt.__name__:
        return Learnt(**{arg: float(np.reshape(value, shape)) for arg, shape, value in values})
    if not re.fullmatch(r"[A-Za-z]+", name) or not hasattr(dist, name):
        raise InputError(
            f"the prior {name!r} is no distribution of this NumPyro.",
            "Load it with the version that saved it.",
        )
    return getattr(dist, name)(**{arg: np.reshape(value, shape) for arg, shape, value in values})


@functools.cache
def _replacing() -> type:
    """The class of a NumPyro handler; made when first used, for NumPyro is imported only then."""

    class Priors(numpyro.primitives.Messenger):
        """Put these priors in place of a law's own while it runs; remember which sites it samples."""

        def __init__(self, priors: dict[str, Prior]) -> None:
            self.priors, self.seen, self.met = priors, set(), set()
            super().__init__()

        def process_message(self, msg: dict[str, Any]) -> None:
            if msg["type"] == "sample":
                self.seen.add(msg["name"])
                if msg["name"] in self.priors:
                    self.met.add(msg["name"])
                    prior = self.priors[msg["name"]]
                    msg["fn"] = prior.of(msg["fn"]) if isinstance(prior, Learnt) else prior

    return Priors
