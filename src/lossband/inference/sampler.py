"""Sampler: how many draws, of how many chains, by which method."""

from dataclasses import dataclass, fields
from typing import Literal

from ..errors import InputError


@dataclass(frozen=True)
class Sampler:
    """How a posterior is sampled.

    num_warmup: draws of each chain that the sampler learns from and drops.
    num_samples: draws of each chain that are kept.
    num_chains: chains.
    method: "nuts", or "laplace" for a quick approximation corrected by importance.
    """

    num_warmup: int = 400
    num_samples: int = 1000
    num_chains: int = 4
    method: Literal["nuts", "laplace"] = "nuts"

    @classmethod
    def of(cls, options, **defaults):
        """The sampler of the options that are a sampler's, with these defaults; and the other options."""
        names = {each.name for each in fields(cls)}
        own = {name: value for name, value in options.items() if name in names}
        return cls(**defaults | own), {name: value for name, value in options.items() if name not in names}

    def __post_init__(self):
        """Refuse what cannot be a count or a method."""
        for name in ("num_warmup", "num_samples", "num_chains"):
            value = getattr(self, name)
            if isinstance(value, bool) or not (isinstance(value, int) and value > 0):
                raise InputError(
                    f"{name}= got {value!r}; expected a whole number above 0.",
                    "Leave it out for the default.",
                )
        if self.method not in ("nuts", "laplace"):
            raise InputError(
                f"method= got {self.method!r}; expected 'nuts' or 'laplace'.", "Leave it out for NUTS."
            )
