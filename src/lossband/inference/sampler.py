"""Sampler: how many draws, of how many chains, by which method."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from .._arguments import number, whole
from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


Method = Literal["nuts", "laplace"]
FEWEST = 8  # draws, of which a diagnostic can say something
MOST = {"num_warmup": 10**7, "num_samples": 10**7, "num_chains": 10**4}


@dataclass(frozen=True)
class Sampler:
    """How a posterior is sampled.

    num_warmup: draws of each chain that the sampler learns from and drops.
    num_samples: draws of each chain that are kept.
    num_chains: chains.
    method: "nuts", or "laplace" for a quick approximation corrected by importance.
    until_ess: stop sampling as soon as every coordinate has so many effective draws (bulk), and after
        `num_samples` draws per chain at the latest; None takes all of those.
    """

    num_warmup: int = 400
    num_samples: int = 1000
    num_chains: int = 4
    method: Method = "nuts"
    until_ess: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], **defaults: Any) -> tuple[Sampler, dict[str, Any]]:
        """The sampler of the options that are a sampler's, with these defaults; and the other options."""
        names = {each.name for each in fields(cls)}
        own = {name: value for name, value in options.items() if name in names}
        return cls(**defaults | own), {name: value for name, value in options.items() if name not in names}

    def __post_init__(self) -> None:
        """Refuse what cannot be a count or a method."""
        for name, most in MOST.items():
            count = whole(name, getattr(self, name), most=most)
            object.__setattr__(self, name, count)  # NumPy's whole numbers become Python's
        if not isinstance(self.method, str) or self.method not in ("nuts", "laplace"):
            raise InputError(
                f"method= got {self.method!r}; expected 'nuts' or 'laplace'.", "Leave it out for NUTS."
            )
        if self.until_ess is not None:
            number("until_ess", self.until_ess, "a number of effective draws", "For instance 400.", above=0)
            if self.method != "nuts":
                raise InputError("until_ess= goes with method='nuts'.", "Leave out one of them.")
        if self.num_samples * self.num_chains < FEWEST:
            raise InputError(
                f"num_samples= and num_chains= give {self.num_samples} x {self.num_chains} draws; expected "
                f"{FEWEST} or more in all.",
                "Leave them out for 4 x 1000.",
            )
