"""The store: traced programs kept on disk, so that a new process neither traces nor lowers what an earlier one did.

A program is kept under a hash of everything that it was traced from: the model's computation (its jaxpr, not the names
or sources that led to it), this package's code as it is loaded, the versions of the libraries, JAX's settings, the
devices, and the arguments' shapes. Whatever changes one of them misses, and the program is made anew.
"""

import functools
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from types import CodeType, ModuleType

import jax
import numpy as np
import platformdirs

from .later import Later

LIBRARIES = ("jax", "jaxlib", "numpyro")
MOST = 320  # files of ours in the folder; beyond that the ones unused for longest go
TRACED = (
    "coordinates",
    "drift",
    "joint",
    "laplace",
    "laws.base",
    "laws.terms",
    "mode",
    "noise",
    "nuts",
    "ou",
    "programs",
    "runs",
)
"""Modules whose code every program is traced from; a law's own code is in its jaxpr."""
TRACING = (
    threading.RLock()
)  # NumPyro has one stack of handlers for all threads: one of them may run models at a time


def folder():
    """The user's own cache folder of programs, readable by nobody else; made if it is not there."""
    place = Path(platformdirs.user_cache_dir("lossband")) / "programs"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.chmod(0o700)
    return place


def keep_compiled():
    """Let XLA keep its compiled programs in the folder too, unless a cache is configured already."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def stored(function, identity, *, static=()):
    """`jax.jit(function)` whose trace is read from the store, or made and put there.

    Args:
        function: a pure function of arrays, and of static keyword arguments. Dataclasses among its arguments and
            results are made known by `storable`.
        identity: text that tells apart what the function's closure computes, as of `identity_of`; None if nothing
            can: then nothing is kept.
        static: names of the static arguments.
    """
    jitted = jax.jit(function, static_argnames=static)
    ready = {}
    kept = identity is not None and importlib.util.find_spec("flatbuffers")  # what JAX writes programs with

    def call(*arguments, **fixed):
        leaves, structure = jax.tree.flatten(arguments)
        form = structure, tuple((np.shape(leaf), leaf.dtype) for leaf in leaves), tuple(sorted(fixed.items()))
        if form in ready:
            return ready[form](*arguments)
        with TRACING:  # of several threads one compiles, and the others wait for it
            if form not in ready:
                program = functools.partial(jitted, **fixed)
                if kept:
                    # no weak types: the store does not keep them, and a result that is an argument again must find its program
                    kinds = jax.tree.map(
                        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype), arguments
                    )
                    name = digest(
                        function.__qualname__,
                        identity,
                        surroundings(),
                        repr((jax.tree.flatten(kinds), form[-1])),
                    )
                    program = jax.jit(_exported(folder() / f"{name}.program", jitted, kinds, fixed).call)
                result, ready[form] = program(*arguments), program
                return result
        return ready[form](*arguments)

    return call


def remembered(identity, make):
    """The plain data that `make()` gives, kept in the store under text that tells it apart; made each time if that is None."""
    if identity is None:
        return make()
    path = folder() / f"{digest('plain', identity, repr(_versions()))}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # not there, or damaged
        made = make()
        _write(path, json.dumps(made).encode())
        return made


def storable(kind):
    """Let programs in the store take and return this dataclass of arrays, a registered pytree without other data."""
    from jax import export

    export.register_pytree_node_serialization(
        kind,
        serialized_name=f"{kind.__module__}.{kind.__name__}",
        serialize_auxdata=lambda _: b"",
        deserialize_auxdata=lambda _: (),
    )


def identity_of(jaxpr, *more):
    """A hash of a closed jaxpr and of plain values beside it; None where they hold what has no text of its own."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        text = repr((jaxpr.jaxpr.pretty_print(use_color=False), more))
    if " at 0x" in text:  # an object known by its address, such as a callback
        return None
    arrays = [(value.dtype.str, value.shape, value.tobytes()) for value in map(np.asarray, _constants(jaxpr))]
    return digest(text, repr(arrays))


def surroundings():
    """Text of all that every program depends on: versions, settings, all the devices, code."""
    settings = [(k, str(v)) for k, v in jax.config.values.items() if "cache" not in k and "log" not in k]
    devices = [(device.platform, device.device_kind) for device in jax.devices()]
    code = code_of_modules(f"{__package__}.{name}" for name in TRACED)
    code.append(
        Path(__file__).with_name("likelihood.py").read_text()
    )  # it is loaded only where something is traced
    return repr((_versions(), settings, devices, code))


def _versions():
    return [(name, version(name)) for name in LIBRARIES]


def code_of_modules(names):
    """Texts of the modules' own functions, classes and plain constants, as they are loaded."""
    return [text for name in names for text in _content(sys.modules[name], name)]


def code_of(function):
    """Text of a function's code, without its lines and file; None where the code is not all that it is."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or function.__closure__:
        return None
    return f"{_code(code)} {function.__defaults__} {function.__kwdefaults__}"


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _constants(jaxpr):
    """Arrays that a closed jaxpr holds, at any depth."""
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            if hasattr(inner, "consts"):
                yield from _constants(inner)


def _content(owner, module):
    """Texts of a module's or a class's own functions and plain constants."""
    for name, value in vars(owner).items():
        if isinstance(value, ModuleType | Later):
            continue
        value = getattr(value, "fget", None) or getattr(value, "__func__", None) or value
        value = getattr(value, "__wrapped__", value)
        if isinstance(value, int | float | str | tuple | np.ndarray) and not name.startswith("__"):
            yield f"{name} = {value!r}"
        elif getattr(value, "__module__", None) != module:
            continue
        elif isinstance(value, type):
            yield from (f"{name}.{text}" for text in _content(value, module))
        elif isinstance(getattr(value, "__code__", None), CodeType):
            yield f"{name}: {_code(value.__code__)} {value.__defaults__} {value.__kwdefaults__}"


def _code(code):
    """Text of compiled code without its lines and files, so that it is the same wherever it is installed."""
    constants = []
    for each in code.co_consts:
        each = sorted(map(repr, each)) if isinstance(each, frozenset) else each  # a set has no order
        constants.append(_code(each) if isinstance(each, CodeType) else repr(each))
    return f"{code.co_code.hex()} {code.co_names} {code.co_freevars} {constants}"


def _exported(path, jitted, arguments, fixed):
    """The program in a file; traced, and written there, if there is none that can be read."""
    from jax import export

    try:
        program = export.deserialize(bytearray(path.read_bytes()))
        os.utime(path)
    except Exception:  # noqa: BLE001 (a damaged file fails in any way, and is replaced)
        anything = [export.DisabledSafetyCheck.custom_call("ALL")]  # the name holds the version of jaxlib
        program = export.export(jitted, disabled_checks=anything)(*arguments, **fixed)
        _write(path, program.serialize())
    return program


def _last_used(file):
    """When a file was last used; never to be dropped if another process has just dropped it."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _write(path, content):
    """Write beside and move, so that nobody reads half a file; then make room."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
    ours = [file for kind in ("program", "json") for file in path.parent.glob(f"*.{kind}")]
    oldest = sorted(ours, key=_last_used)
    for file in oldest[:-MOST]:
        file.unlink(missing_ok=True)
