"""Read a saved posterior: the same law, the same data, the same format, or a clear refusal."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError, Note
from ..laws import find_law
from ..laws.law import LAWS
from ..laws.priors import prior_from, prior_spec
from ..model.drift import Drift
from ..model.noise import Noise
from ..model.problem import pose
from .health import Health
from .posterior import FORMAT, Posterior, data_hash, first_curve


def load(path, law=None):
    """Read a posterior that `Posterior.save` wrote.

    Args:
        path: the file.
        law: needed for a law that lossband does not know by name: the function or `Law` that was fitted.

    Raises:
        InputError: no such file, another format, another law (by its name, its priors or its values), or data
            that do not match their hash.
    """
    tree, record = _opened(path)
    problem = _posed_again(path, record, _frame_of(tree), law)
    post = _posterior_of(tree, record, problem)
    if not np.allclose(first_curve(post), record["curve"], rtol=1e-9, atol=0):
        raise InputError(
            f"the law {record['law']!r} gives other losses than the law that {path} was saved with.",
            f"Load it with that law, or with lossband {record['versions']['lossband']}; or fit again.",
        )
    return post


def _opened(path):
    """The file's tree and its record."""
    import xarray

    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}.", "Save a posterior with post.save(path).")
    try:
        with xarray.open_datatree(path, engine="h5netcdf") as tree:
            tree = tree.load()
        record = json.loads(tree.attrs["lossband"])
    except (OSError, KeyError, ValueError) as error:  # no HDF5, none of ours, or a record that is no JSON
        raise InputError(
            f"{path} is no lossband posterior ({type(error).__name__}).", "Save one with post.save(path)."
        ) from error
    if record["format"] != FORMAT:
        raise InputError(
            f"{path} has format {record['format']}; this version reads {FORMAT}.",
            "Fit again, or use the version that wrote it.",
        )
    return tree, record


def _frame_of(tree):
    """The training rows."""
    frame = tree["constant_data"].to_dataset().to_dataframe()
    frame.insert(1, "loss", tree["observed_data"]["loss"].to_numpy())
    return frame


def _posed_again(path, record, frame, law):
    """The problem that was fitted."""
    law = _law_of(path, record, law, frame)
    drift = record["drift"] and Drift(**_tuples(record["drift"]))
    problem = pose(frame, law, noise=Noise(**record["noise"]), drift=drift)
    if data_hash(problem.frame) != record["data_sha256"]:
        raise InputError(
            f"the data in {path} do not match their hash.",
            "The file was changed after it was saved: fit again.",
        )
    return replace(problem, columns=record["columns"])


def _law_of(path, record, law, frame):
    """The law that was fitted: found by its name, or given and checked against the record."""
    name = record["law"]
    if law is None and name not in LAWS:
        raise InputError(
            f"{path} holds the law {name!r}, which is not one of lossband's.",
            "Pass it: lossband.load(path, law=your_law).",
        )
    found = find_law(law or replace(LAWS[name], inputs=tuple(record["inputs"])), frame)
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
            "Load it with the priors that it was fitted with, or with the bare law, which takes them from the file.",
        )
    return found.with_priors(**{site: prior_from(spec) for site, spec in saved.items()})


def _said(priors):
    """Priors in a message: `alpha Normal(loc=0, scale=1)`."""
    words = [
        f"{site} {name}({', '.join(f'{arg}={v:g}' for arg, _, value in values for v in value)})"
        for site, (name, values) in priors.items()
    ]
    return ", ".join(words) or "the law's own"


def _posterior_of(tree, record, problem):
    sites = {name: value.to_numpy() for name, value in tree["posterior"].data_vars.items()}
    notes = tuple(Note(*note) for note in record["health"]["notes"])
    return Posterior(
        problem,
        weights=sites.pop("drift_weights"),
        effects=sites.pop("run_effects"),
        sites=sites,
        stats={n: v.to_numpy() for n, v in tree["sample_stats"].data_vars.items()},
        log_density=tree["log_likelihood"]["loss"].to_numpy(),
        prior={n: v.to_numpy()[0] for n, v in tree["prior"].data_vars.items()},
        health=Health(**{**record["health"], "notes": notes}),
        seed=record["seed"],
    )


def _tuples(value):
    """JSON's lists as the tuples that they were."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
