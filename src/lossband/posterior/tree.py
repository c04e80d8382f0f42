"""A posterior as one xarray DataTree.

Its fits along the chains for ArviZ, or one after another for a file.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .._arguments import path_of
from .._files import write_whole
from ..errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import Any

    import xarray

    from .fit_result import Fit
    from .posterior import Posterior


FORMAT = 8  # of the saved file; `lossband.load` refuses any other
PACKAGES = ("lossband", "jax", "numpyro", "arviz_base", "xarray", "numpy")
BY_CHAIN = ("posterior", "sample_stats", "log_likelihood", "posterior_predictive", "latent", "prior")


def joined(fits: Mapping[str, Fit], post: Posterior) -> xarray.DataTree:
    """The groups of several fits along `chain`, with a coordinate `fit` on it.

    A variable that a fit lacks takes the value that `Posterior.sites` gives it, in the prior too, whose draws
    are cut into as many chains as the fit has. The measurements are those of the widest law.

    Args:
        fits: name -> `Fit`.
        post: the `Posterior` that they are the parts of.
    """
    if len({fit.shape for fit in fits.values()}) > 1:
        raise InputError(
            f"the fits {', '.join(map(repr, fits))} have different numbers of draws.",
            "Use the data of each: post.parts[name][1].data.",
        )
    tree = next(fit.data for fit in fits.values() if fit.problem is post.problem).copy()
    chains = next(iter(fits.values())).shape[0]
    labels = np.repeat(list(fits), chains)
    for group in BY_CHAIN:
        datasets = [fit.data[group].to_dataset() for fit in fits.values() if group in fit.data.children]
        if datasets and group == "prior":
            datasets = [_in_chains(data, chains) for data in datasets]
        if len(datasets) == len(fits):
            tree[group] = _along_chains(datasets, post.law.absent, labels)
        elif datasets:  # what only some of the fits have, such as the drift's weights
            del tree[group]
    tree.attrs["lossband"] = json.dumps(whole_record(post))
    return tree


def _along_chains(
    datasets: Sequence[xarray.Dataset], absent: Mapping[str, float], labels: np.ndarray
) -> xarray.Dataset:
    """Datasets of several fits along `chain`, what one lacks at its value in `absent`, or 0."""
    import xarray

    every = {name: value for data in datasets for name, value in data.data_vars.items()}
    filled = [
        data.assign({n: _constant(v, absent.get(str(n), 0.0)) for n, v in every.items() if n not in data})
        for data in datasets
    ]
    whole = xarray.concat(filled, "chain", join="outer", fill_value=0.0, data_vars="all", coords="minimal")
    return whole.assign_coords(chain=np.arange(len(labels)), fit=("chain", labels))


def _in_chains(prior: xarray.Dataset, chains: int) -> xarray.Dataset:
    """Draws from the prior, one chain of them, cut into several."""
    import xarray

    length = prior.sizes["draw"] // chains
    parts = [
        prior.isel(draw=slice(c * length, (c + 1) * length)).assign_coords(draw=np.arange(length))
        for c in range(chains)
    ]
    whole = xarray.concat(parts, "chain", data_vars="all", coords="minimal")
    return whole.assign_coords(chain=np.arange(chains))


def _constant(example: xarray.DataArray, value: float) -> xarray.DataArray:
    """A variable of the same form with one value throughout."""
    return (example * 0 + value).astype(example.dtype)


def whole_record(post: Posterior) -> dict[str, Any]:
    """What makes a posterior again: the record of its first fit, and of the mixture."""
    fits = [fit for _, fit in post.parts.values()]
    numbers = {id(fit): number for number, fit in reversed(list(enumerate(fits)))}
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {
        **fits[0].record(),
        "format": FORMAT,
        "versions": versions,
        "mixture": _structure(post, numbers),
        "kind": type(post).__name__,
    }


def _structure(post: Posterior, numbers: Mapping[int, int]) -> dict[str, Any]:
    """A mixture as plain data, its fits by number."""
    fits = {
        name: numbers[id(fit)] if id(fit) in numbers else _structure(cast("Posterior", fit), numbers)
        for name, fit in post.fits.items()
    }
    return {
        "fits": fits,
        "weights": dict(post.weights),
        "notes": [(note.code, note.text) for note in post.notes],
    }


def write(post: Posterior, path: str | os.PathLike[str], *, full: bool = False) -> Path:
    """Write a posterior.

    The first fit's groups at the root of the file, those of the others in groups `fit_1`, `fit_2`, ...; those
    that can be computed again only where `full` says so.
    """
    import xarray

    path = path_of(path)
    first, *others = [fit for _, fit in post.parts.values()]
    tree = xarray.DataTree.from_dict(_groups(first, full))
    tree.attrs["lossband"] = json.dumps(whole_record(post))
    for number, fit in enumerate(others, start=1):
        tree[f"fit_{number}"] = xarray.DataTree.from_dict(_groups(fit, full))
        tree[f"fit_{number}"].attrs["lossband"] = json.dumps(fit.record())
    tree.attrs["sha256"] = tree_hash(tree)
    # in memory first: HDF5 brings the process down where a disk is full
    content = io.BytesIO()
    packed = {
        node.path: {
            str(n): {"zlib": True, "shuffle": True} for n, v in node.data_vars.items() if v.dtype.kind == "f"
        }
        for node in tree.subtree
    }
    tree.to_netcdf(content, engine="h5netcdf", encoding=packed)
    write_whole(path, content.getvalue())
    return path


def _groups(fit: Fit, full: bool) -> dict[str, xarray.Dataset]:
    """A fit's groups as a file holds them."""
    return {name: group.to_dataset() for name, group in fit.tree(predicted=full).children.items()}


def tree_hash(tree: xarray.DataTree) -> str:
    """A hash of all groups: names, records, and the values with their types and shapes."""
    found = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda node: node.path):
        found.update(f"{node.path}\0{node.attrs.get('lossband', '')}\0".encode())
        for name, value in sorted(node.to_dataset(inherit=False).variables.items()):
            values = np.asarray(value.values)
            text = values.dtype.kind in "OUST"
            kind = "text" if text else values.dtype.newbyteorder("<").str
            found.update(f"{name}\0{value.dims}\0{values.shape}\0{kind}\0".encode())
            found.update(repr(values.tolist()).encode() if text else np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
