"""Read a saved posterior: the same law, the same data, the same format, or a clear refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._arguments import path_of
from ..errors import InputError, Note
from ..laws import find_law
from ..laws.law import LAWS
from ..laws.priors import prior_from, prior_spec
from ..laws.recipe import PerRecipe
from ..model.drift import Drift
from ..model.noise import Noise, find_noise
from ..model.problem import pose
from ..model.tails import NOISES
from .fit_result import Fit, data_hash, first_curve
from .health import Health
from .posterior import Posterior
from .sets import Sets
from .tree import FORMAT, tree_hash

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any

    import pandas as pd
    import xarray

    from ..laws import Law
    from ..laws.resolve import LawLike
    from ..model.drift import AbstractDrift
    from ..model.noise import NoiseLike
    from ..model.problem import Problem


def load(
    path: str | os.PathLike[str],
    law: LawLike = None,
    *,
    noise: NoiseLike | None = None,
    drift: AbstractDrift | None = None,
) -> Posterior:
    """Read a posterior that `Posterior.save` wrote.

    Args:
        path: the file.
        law: needed for a law that lossband does not know by name: the function or `Law` that was fitted.
        noise: needed for tails of your own: the `Tails`, or the `Noise` with them.
        drift: needed for a drift of your own: the one that was fitted.

    Raises:
        InputError: no such file, another format, another law, noise or drift (by name, priors or values), or
            data that do not match their hash.

    Example:
        >>> import lossband as lb
        >>> runs = lb.load_dataset("looped").query("loops == 4")[::20]
        >>> post = lb.fit(runs, "chinchilla", method="laplace")
        >>> path = post.save("fit.nc")
        >>> again = lb.load(path)
    """
    path = path_of(path)
    tree, record = _opened(path)
    whole = tree.attrs.get("sha256") == tree_hash(tree)
    try:
        post = _built(path, tree, record, law, noise, drift)
    except InputError:
        raise
    except Exception:
        if whole:  # an error of the user's own law
            raise
    if not whole:
        raise InputError(
            f"{path} is damaged: its groups do not match their hash.",
            "Take a copy of the file as it was written, or fit again.",
        )
    return post


def _built(
    path: Path,
    tree: xarray.DataTree,
    record: Mapping[str, Any],
    law: LawLike,
    noise: NoiseLike | None,
    drift: AbstractDrift | None,
) -> Posterior:
    """The posterior of a file's groups and record."""
    mixed, fits = record["mixture"], []
    for number in range(_count(mixed)):
        part = tree if number == 0 else tree.children[f"fit_{number}"]
        about = json.loads(part.attrs["lossband"]) | {"versions": record["versions"]}
        problem = _posed_again(path, about, _frame_of(part), law, noise, drift)
        fits.append(_fit_of(part, about, problem))
        if not np.allclose(first_curve(fits[-1]), about["curve"], rtol=1e-9, atol=0):
            raise InputError(
                f"the law {about['law']!r} gives other losses than the law that {path} was saved with.",
                f"Load it with that law, or with lossband {record['versions']['lossband']}; or fit again.",
            )
    post = _mixed_again(mixed, fits)
    return Sets(post.fits, post.weights, post.notes) if record["kind"] == Sets.__name__ else post


def _count(mixed: Mapping[str, Any]) -> int:
    """How many fits a mixture has at its bottom."""
    return sum(1 if isinstance(fit, int) else _count(fit) for fit in mixed["fits"].values())


def _mixed_again(mixed: Mapping[str, Any], fits: Sequence[Fit]) -> Posterior:
    """The posterior of a mixture's plain data."""
    parts = {n: fits[f] if isinstance(f, int) else _mixed_again(f, fits) for n, f in mixed["fits"].items()}
    return Posterior(parts, mixed["weights"], tuple(Note(*note) for note in mixed["notes"]))


def _opened(path: str | os.PathLike[str]) -> tuple[xarray.DataTree, dict[str, Any]]:
    """The file's tree and its record."""
    import xarray

    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}.", "Save a posterior with post.save(path).")
    try:
        with xarray.open_datatree(path, engine="h5netcdf") as tree:
            tree = tree.load()
        record = json.loads(tree.attrs["lossband"])
        record["format"]
    except Exception as error:  # noqa: BLE001 (no HDF5, none of ours, or damaged, which fails in any way)
        raise InputError(
            f"{path} is no lossband posterior, or damaged ({type(error).__name__}).",
            "Save one with post.save(path); a table of runs is fitted first: lossband.fit(path).",
        ) from None
    if record["format"] != FORMAT:
        wrote = record.get("versions", {}).get("lossband", "unknown")
        raise InputError(
            f"{path} has format {record['format']}; this version reads {FORMAT}.",
            f"Fit again, or use the version that wrote it, lossband {wrote}.",
        )
    return tree, record


def _frame_of(tree: xarray.DataTree) -> pd.DataFrame:
    """The training rows."""
    frame = tree["constant_data"].to_dataset().to_dataframe()
    frame.insert(1, "loss", tree["observed_data"]["loss"].to_numpy())
    return frame


def _posed_again(
    path: str | os.PathLike[str],
    record: Mapping[str, Any],
    frame: pd.DataFrame,
    law: LawLike,
    noise: NoiseLike | None,
    drift: AbstractDrift | None,
) -> Problem:
    """The problem that was fitted."""
    law = _law_of(path, record, law, frame)
    noise, drift = _noise_of(path, record["noise"], noise), _drift_of(path, record["drift"], drift)
    problem = pose(frame, law, noise=noise, drift=drift)
    if data_hash(problem.frame) != record["data_sha256"]:
        raise InputError(
            f"the data in {path} do not match their hash.",
            "The file was changed after it was saved: fit again.",
        )
    return replace(problem, columns=record["columns"])


def _noise_of(path: str | os.PathLike[str], record: Mapping[str, Any], given: NoiseLike | None) -> Noise:
    """The noise that was fitted: its tails found by their name, or given and checked against the record."""
    found = {}
    for part in {"tails", "run_tails"} & set(record):  # files before run effects had tails name one
        name, form = record[part]
        tails = getattr(find_noise(given), part) if given is not None else NOISES.get(name)
        if repr(tails) != form:
            raise InputError(
                f"{path} holds the noise {form}, not {tails!r}."
                if tails
                else f"{path} holds the noise {name!r}, which is not one of lossband's.",
                "Pass the tails that it was fitted with: lossband.load(path, noise=your_tails).",
            )
        found[part] = tails
    return Noise(**{**record, **found})


def _drift_of(
    path: str | os.PathLike[str], record: Sequence[Any] | None, given: AbstractDrift | None
) -> AbstractDrift | None:
    """The drift that was fitted: made again from its numbers, or given and checked against the record."""
    if record is None:
        return None
    kind, numbers = record[0], _tuples(record[1])
    if kind == Drift.__name__:
        return Drift(**numbers)
    if given is None or (type(given).__name__, vars(given)) not in ((kind, numbers), (kind, record[1])):
        raise InputError(
            f"{path} holds a drift {kind}({', '.join(f'{k}={v!r}' for k, v in numbers.items())}), "
            f"{'which is not one of lossband' + chr(39) + 's' if given is None else f'not {given!r}'}.",
            "Pass the drift that it was fitted with: lossband.load(path, drift=your_drift).",
        )
    return given


def _law_of(
    path: str | os.PathLike[str], record: Mapping[str, Any], law: LawLike, frame: pd.DataFrame
) -> Law:
    """The law that was fitted: found by its name, or given and checked against the record."""
    name = record["law"]
    if law is None and name not in LAWS:
        raise InputError(
            f"{path} holds the law {name!r}, which is not one of lossband's.",
            "Pass it: lossband.load(path, law=your_law).",
        )
    found = find_law(replace(LAWS[name], inputs=tuple(record["inputs"])) if law is None else law, frame)
    found = replace(found, scale=record["scale"])
    if isinstance(found.curve, PerRecipe):  # given as it was fitted
        found = found.curve.base
    if found.name != name:
        raise InputError(
            f"{path} holds the law {name!r}, not {found.name!r}.",
            "Load it with the law that it was fitted with.",
        )
    saved = {site: _tuples(spec) for site, spec in record["priors"].items()}
    given = {site: _tuples(prior_spec(prior)) for site, prior in found.priors.items()}
    if given and given != saved:
        raise InputError(
            f"{path} holds the law {name!r} with other priors ({_said(saved)}) than these ({_said(given)}).",
            "Load it with the priors that it was fitted with, or with the bare law, which takes them "
            "from the file.",
        )
    found = found.with_priors(**{site: prior_from(spec) for site, spec in saved.items()})
    if record["recipes"] is None:
        return found
    count, widths = record["recipes"]
    return PerRecipe(found, count, _tuples(widths)).law()


def _said(priors: Mapping[str, Any]) -> str:
    """Priors in a message: `alpha Normal(loc=0, scale=1)`."""
    words = [
        f"{site} {name}({', '.join(f'{arg}={v:g}' for arg, _, value in values for v in value)})"
        for site, (name, values) in priors.items()
    ]
    return ", ".join(words) or "the law's own"


def _fit_of(tree: xarray.DataTree, record: Mapping[str, Any], problem: Problem) -> Fit:
    """The fit whose groups these are; what has no size is not in the file."""
    sites = {str(name): value.to_numpy() for name, value in tree["posterior"].data_vars.items()}
    latent = tree["latent"].data_vars if "latent" in tree.children else {}
    stats = {str(name): value.to_numpy() for name, value in tree["sample_stats"].data_vars.items()}
    nothing = np.zeros((*stats["energy"].shape, 0))
    notes = tuple(Note(*note) for note in record["health"]["notes"])
    return Fit(
        problem,
        weights=np.asarray(latent.get("drift_weights", nothing)),
        effects=np.asarray(latent.get("run_effects", nothing)),
        path=np.asarray(latent["ou_path"]) if "ou_path" in latent else None,
        sites=sites,
        stats=stats,
        log_density=tree["log_likelihood"]["loss"].to_numpy() if "log_likelihood" in tree.children else None,
        prior={str(n): v.to_numpy()[0] for n, v in tree["prior"].data_vars.items()},
        health=Health(**{**record["health"], "notes": notes}),
        seed=record["seed"],
    )


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
