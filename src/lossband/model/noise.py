"""Noise: how measurements scatter around the drifting law; which parts a user may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import jax.numpy as jnp

from .._arguments import flag, number
from .._lazy import dist, numpyro
from ..errors import InputError, nearest
from .tails import NOISES, Normal, StudentT, Tails

if TYPE_CHECKING:
    import jax

    from ..runs.arrays import Array


# the noises by name: the scatter of one measurement, and parts of a run
NoiseName = Literal[
    "student-t",
    "student-t+run",
    "student-t+ou",
    "student-t+run+ou",
    "normal",
    "normal+run",
    "normal+ou",
    "normal+run+ou",
]
# of ln loss: losses are float32 numbers; it bounds the scatter where a law could pass through every row
ROUNDING = 1e-7


@dataclass(frozen=True)
class Noise:
    """Which parts the noise has.

    tails: of one measurement's scatter: "student-t" (4 degrees of freedom), "normal", or a `Tails` of your
        own.
    run: an effect of each run, shared by its rows.
    ou: autocorrelation along a run, exponential in ln tokens (continuous-time AR(1)).
    sigma: median of the scatter's prior, as a share of the spread of the training ln losses. Next to nothing,
        such as 1e-6, leaves the known errors `loss_se` as all the scatter there is: the means of
        `lossband.thin` need that.
    width: standard deviation of ln of that share in its prior.
    run_tails: of the run effects: "normal", or "student-t" where single runs went wrong in all their rows.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", noise=lb.Noise(run=True), method="laplace")
    """

    tails: Tails = StudentT()
    run: bool = False
    ou: bool = False
    sigma: float = 0.03
    width: float = 1.2
    run_tails: Tails = Normal()

    def __post_init__(self) -> None:
        """Take the tails by their name too."""
        for name in ("tails", "run_tails"):
            object.__setattr__(self, name, find_tails(getattr(self, name)))
        if not self.run_tails.gaussian:
            raise InputError(
                f"run_tails= got {self.run_tails.name!r}, which is no scale mixture of normals.",
                f"Run effects are integrated out: take one of {', '.join(NOISES)}.",
            )
        for name in ("run", "ou"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        sigma = number("sigma", self.sigma, "a share above 0", "Leave it out for 0.03.", above=0)
        object.__setattr__(self, "sigma", sigma)

    @property
    def heavy_runs(self) -> bool:
        """Whether run effects are a scale mixture of normals."""
        return self.run and self.run_tails.heavy

    def scales(self, spread: Array | float) -> dict[str, jax.Array]:
        """Sample the scales, all shares of `spread`, the standard deviation of the training ln losses.

        sigma ~ LogNormal(ln 0.03, 1.2): well-run sweeps scatter by 0.2 to 1 % in loss, whose logs spread by
        0.1 to 0.3; the width takes it to a tenth and to ten times that. The run effect and the OU part have
        the same median; the OU length is half a natural log unit of tokens, within a factor of seven.

        Returns:
            site -> value, sigma with the rounding of losses.
        """

        def scale(name: str, width: float = 1.2, share: float = 0.03, **infer: str) -> jax.Array:
            return numpyro.sample(name, dist.LogNormal(jnp.log(share * spread), width), infer=infer)

        sites = {"sigma": scale("sigma", self.width, self.sigma, scale="noise")}
        if self.run:
            sites["sigma_run"] = scale("sigma_run", 1.0)
        if self.ou:
            sites["sigma_ou"] = scale("sigma_ou", 1.0)
            sites["length_ou"] = numpyro.sample("length_ou", dist.LogNormal(jnp.log(0.5), 1.0))
        return sites | {"sigma": jnp.sqrt(sites["sigma"] ** 2 + ROUNDING**2)}


NoiseLike = NoiseName | Noise | Tails  # what users say for a noise


def find_tails(wanted: str | Tails) -> Tails:
    """The `Tails` that a user means: a name, or one of his own."""
    if isinstance(wanted, Tails):
        return wanted
    if not isinstance(wanted, str) or wanted not in NOISES:
        raise InputError(
            f"there are no tails {wanted!r}{nearest(wanted, NOISES)}",
            f"The known ones are {', '.join(NOISES)}; your own are a subclass of lossband.model.tails.Tails.",
        )
    return NOISES[wanted]


def find_noise(wanted: NoiseLike) -> Noise:
    """The `Noise` that a user means: a name, with "+run" and "+ou" or without; a `Tails`; or a `Noise`."""
    if isinstance(wanted, Noise):
        return wanted
    if isinstance(wanted, Tails):
        return Noise(wanted)
    tails, *parts = str(wanted).replace(" ", "").split("+")
    if tails not in NOISES or not set(parts) <= {"run", "ou"}:
        raise InputError(
            f"noise= got {wanted!r}; expected {' or '.join(map(repr, NOISES))}, optionally with '+run' "
            "and '+ou'.",
            "For curves with many points per run, use noise='student-t+run+ou'.",
        )
    return Noise(NOISES[tails], "run" in parts, "ou" in parts)
