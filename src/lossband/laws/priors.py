"""Priors as values: compared, kept in files, put in place of a law's own."""

import functools
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .._lazy import dist, numpyro
from ..errors import InputError

if TYPE_CHECKING:
    from numpyro.distributions import Distribution


def _prior_key(prior: "Distribution") -> tuple[Hashable, ...]:
    """A prior's form and numbers, hashable."""
    leaves, form = jax.tree.flatten(prior)
    return form, tuple((np.shape(leaf), tuple(np.ravel(leaf).tolist())) for leaf in leaves)


def prior_spec(prior: "Distribution") -> tuple[str, tuple]:
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


def prior_from(spec: tuple[str, tuple]) -> "Distribution":
    """The NumPyro distribution that `prior_spec` described."""
    name, values = spec
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

        def __init__(self, priors: "dict[str, Distribution]") -> None:
            self.priors, self.seen, self.met = priors, set(), set()
            super().__init__()

        def process_message(self, msg: dict[str, Any]) -> None:
            if msg["type"] == "sample":
                self.seen.add(msg["name"])
                if msg["name"] in self.priors:
                    self.met.add(msg["name"])
                    msg["fn"] = self.priors[msg["name"]]

    return Priors
