"""Population: what past sweeps say of a law's coefficients, the noise, and the departures beyond the data."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .._files import write_whole
from ..errors import InputError
from ..laws import LAWS
from ..laws.law import Law
from ..laws.priors import Learnt
from .drift import Drift, DriftLike
from .noise import Noise, NoiseLike, find_noise


@dataclass(frozen=True)
class Population:
    """Priors learnt from past sweeps by `lossband.learn`; `lossband.fit(..., population=)` takes them.

    All are relative to the losses of the table that is fitted, so sweeps of other units may be mixed.

    law: name of the law.
    priors: coefficient -> `Learnt`; "coupled.E" is the E of the law `coupled` that a forecast mixes in.
    sigma: median and width of ln of the noise's scale, as a share of the spread of ln loss.
    drift: the drift with its scales, and what lies beyond the data.
    sweeps: what it was learnt from, in order: name, rows, group, SHA-256 of the checked table.

    Example:
        >>> import lossband as lb
        >>> old, new = (lb.load_dataset("looped").query(f"loops == {n}") for n in (2, 8))
        >>> past = lb.learn([old, new], "chinchilla", method="laplace", beyond=False)
        >>> path = past.save("past.json")
        >>> again = lb.Population.load("past.json")
    """

    law: str
    priors: Mapping[str, Learnt]
    sigma: tuple[float, float]
    drift: Drift
    sweeps: tuple[Mapping[str, Any], ...] = field(default=())

    def applied(self, law: object, noise: NoiseLike, drift: DriftLike) -> tuple[Law, Noise, Drift]:
        """The law, noise and drift of a fit under this population.

        Args:
            law: None, the population's law by its name, or that law with priors of the user's own: they stay.
            noise: as in `lossband.fit`; its scale gets the learnt prior.
            drift: "default".

        Raises:
            InputError: another law, or a drift of the user's own.
        """
        if law is not None and getattr(law, "name", law) != self.law:
            raise InputError(
                f"the population was learnt for the law {self.law!r}, and the fit is of "
                f"{getattr(law, 'name', law)!r}.",
                "Leave out law=, or learn a population for it: lossband.learn(sweeps, law).",
            )
        if drift != "default":
            raise InputError(
                f"drift= got {drift!r} beside a population, which holds a drift.",
                "Leave out drift=, or put it in: dataclasses.replace(population, drift=your_drift).",
            )
        wanted = law if isinstance(law, Law) else LAWS[self.law]
        median, width = self.sigma
        noise = replace(find_noise(noise), sigma=median, width=width)
        return wanted.with_priors(**{**self.priors, **wanted.priors}), noise, self.drift

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON that one can read."""
        record = asdict(self) | {"format": 1, "lossband": version("lossband")}
        write_whole(path, (json.dumps(record, indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Population:
        """Read one that `save` wrote.

        Raises:
            InputError: no such file, or none of ours.
        """
        try:
            record = json.loads(Path(path).read_text())
            priors = {name: Learnt(**prior) for name, prior in record["priors"].items()}
            numbers: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in record["drift"].items()
            }
            about = record["law"], priors, tuple(record["sigma"]), Drift(**numbers), tuple(record["sweeps"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is no population ({type(error).__name__}).", "Save one with population.save(path)."
            ) from error
        if about[0] not in LAWS:
            raise InputError(f"{path} is of the law {about[0]!r}, which is not known.", "Define it first.")
        return cls(*about)

    def __str__(self) -> str:
        """The learnt medians, relative to the law's own, and widths, a line each."""
        rows = [f"  {name:14s} {_said(prior)}" for name, prior in self.priors.items()]
        head = f"population of {len(self.sweeps)} sweeps under {self.law!r}"
        sigma = f"  {'sigma':14s} {self.sigma[0]:.4f} of the spread, width {self.sigma[1]:.2f}"
        return "\n".join([head, *rows, sigma, f"  {self.drift}"])


def _said(prior: Learnt) -> str:
    return f"median x {math.exp(prior.shift):.2f}, width {prior.width:.2f}"
