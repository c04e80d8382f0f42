"""Traced programs kept on disk: a new process neither traces nor lowers what an earlier one did.

A program is kept under a hash of everything that it was traced from: the model's computation (its jaxpr, not
the names or sources that led to it), this package's sources, the versions of the libraries, JAX's settings,
the devices, and the arguments' shapes. Whatever changes one of them misses, and the program is made anew.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from ._cache import about_code, digest, folder, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from jax.export import Exported
    from jax.extend.core import ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]  # public in JAX


MOST_MAPS = 1 / 3  # share of the maps of memory that compiled programs may hold
TRACING = threading.RLock()  # NumPyro has one stack of handlers for all threads: one may run models at a time


def keep_compiled() -> None:
    """Let XLA keep its compiled programs in the folder too, unless a cache is configured already."""
    if jax.config.jax_compilation_cache_dir is None and folder() is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def stored(
    function: Callable[..., Any], identity: str | None, *, static: Sequence[str] = ()
) -> Callable[..., Any]:
    """`jax.jit(function)` whose trace is read from the store, or made and put there.

    Args:
        function: a pure function of arrays, and of static keyword arguments. Dataclasses among its arguments
            and results are made known by `storable`.
        identity: text that tells apart what the function's closure computes, as of `identity_of`; None if
            nothing can: then nothing is kept.
        static: names of the static arguments.
    """
    jitted = jax.jit(function, static_argnames=static)
    traced, ready = {}, {}
    # what JAX writes programs with
    shelf = folder() if identity is not None and importlib.util.find_spec("flatbuffers") else None

    def call(*arguments: Any, **fixed: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        form = structure, tuple((np.shape(leaf), leaf.dtype) for leaf in leaves), tuple(sorted(fixed.items()))
        if form in ready:
            return ready[form](*arguments)
        with TRACING:  # of several threads one traces, and the others wait for it
            if form not in traced:
                spare_memory_maps()
                program = functools.partial(jitted, **fixed)
                if shelf is None or identity is None:
                    result, ready[form] = program(*arguments), program
                    return result
                whose = f"{function.__qualname__} {identity}"
                traced[form] = jax.jit(_kept(shelf, whose, jitted, arguments, fixed).call), threading.Lock()
        program, compiling = traced[form]
        with compiling:  # never waits for TRACING, which another thread may hold while it waits here
            result, ready[form] = program(*arguments), program
        return result

    return call


def spare_memory_maps() -> None:
    """Drop JAX's compiled programs where they hold too large a share of the maps of memory that Linux allows.

    A process beyond its maps is killed while it compiles or reads a program; a compiled model holds a
    thousand of 65,530. What is used again is read from the folder again.
    """
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
        held = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # not Linux
        return
    if held > MOST_MAPS * allowed:
        jax.clear_caches()


@functools.cache
def storable(kind: type) -> None:
    """Let programs in the store take and return this dataclass of arrays, a registered pytree.

    Each module says so of what its own programs take.
    """
    from jax import export

    export.register_pytree_node_serialization(
        kind,
        serialized_name=f"{kind.__module__}.{kind.__name__}",
        serialize_auxdata=lambda _: b"",
        deserialize_auxdata=lambda _: (),
    )


def identity_of(jaxpr: ClosedJaxpr, *more: Any) -> str | None:
    """A hash of a closed jaxpr and of plain values beside it.

    None where they hold what has no text of its own.
    """
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        text = repr((jaxpr.jaxpr.pretty_print(use_color=False), more))
    if " at 0x" in text:  # an object known by its address, such as a callback
        return None
    arrays = [(value.dtype.str, value.shape, value.tobytes()) for value in map(np.asarray, _constants(jaxpr))]
    return digest(text, repr(arrays))


def surroundings() -> str:
    """Text of all that every program depends on: versions, settings, all the devices, code."""
    settings = [(k, str(v)) for k, v in jax.config.values.items() if "cache" not in k and "log" not in k]
    devices = [(device.platform, device.device_kind) for device in jax.devices()]
    return repr((about_code(), settings, devices))


def _constants(jaxpr: Any) -> Iterator[Any]:
    """Arrays that a closed jaxpr holds, at any depth."""
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            if hasattr(inner, "consts"):
                yield from _constants(inner)


def _kept(
    shelf: Path, whose: str, jitted: Any, arguments: tuple[Any, ...], fixed: Mapping[str, Any]
) -> Exported:
    """The program of a function at arguments of these shapes, under a name that tells it apart."""
    # no weak types: the store keeps none, and a result that is an argument again must find its program
    kinds = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), arguments)
    name = digest(whose, surroundings(), repr((jax.tree.flatten(kinds), tuple(sorted(fixed.items())))))
    return _exported(shelf / f"{name}.program", jitted, kinds, fixed)


def _exported(path: Path, jitted: Any, arguments: Any, fixed: Mapping[str, Any]) -> Exported:
    """The program in a file; traced, and written there, if there is none that can be read."""
    from jax import export

    try:
        program = export.deserialize(bytearray(path.read_bytes()))
        os.utime(path)
    except Exception:  # noqa: BLE001 (a damaged file fails in any way, and is replaced)
        anything = [export.DisabledSafetyCheck.custom_call("ALL")]  # the name holds the version of jaxlib
        program = export.export(jitted, disabled_checks=anything)(*arguments, **fixed)
        keep(path, program.serialize())
    return program
