"""The programs of a model: find the mode, draw, finish.

Written for one table, lifted to a batch in one place.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from .._cache import digest
from .._lazy import numpyro
from .._store import identity_of, storable, stored
from ..model.drift import Drift
from ..model.measured import Measured
from ..model.noise import Noise
from ..runs.arrays import Runs, Unit, double
from . import laplace
from .breadth import Breadth
from .coordinates import Space
from .mode import find_mode, prior_draw, values_in, widened
from .nuts import Chains, advance, lifted, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model.loss_model import LossModel
    from ..model.problem import Size


NUM_STARTS = 8
NUM_PRIOR = 500
EVERY = 10  # of so many draws one keeps its residuals: they tell whether rows lie inside their own bands
TRACES = {"begin": 0, "draw": 0, "finish": 0}  # how often each program was traced in this process


for _kind in (Breadth, Chains, Measured, Runs, Unit):
    storable(_kind)


@dataclass(frozen=True)
class Programs:
    """The programs of a model, for one table: begin, draw (or propose, for Laplace), finish.

    They are pure functions of arrays: what differs between tables of one size is an argument. `axis` names
    the axis of devices over which a table's chains are spread, if they are.
    """

    model: LossModel
    axis: str | None = None

    def begin(
        self, runs: Runs, measured: Measured, seed: jax.Array, num_chains: int
    ) -> tuple[Chains, Measured, dict[str, jax.Array], dict[str, jax.Array]]:
        """The chains at the mode; the rows, the sites there and draws of the prior."""
        TRACES["begin"] += 1
        key_mode, key_place = jax.random.split(jax.random.key(seed))
        mode, factor, measured, found, prior = find_mode(
            self.model, runs, measured, key_mode, NUM_STARTS, NUM_PRIOR
        )
        space = widened(Space.of(self.model, runs, measured), mode, factor, prior)
        return place(*space, key_place, num_chains), measured, found, prior

    def draw(
        self, runs: Runs, measured: Measured, chains: Chains, adapt: jax.Array, length: int
    ) -> tuple[Chains, dict[str, jax.Array]]:
        """So many draws by NUTS: see `advance`."""
        TRACES["draw"] += 1
        return advance(self.model, runs, measured, chains, adapt, length, axis=self.axis)

    def propose(
        self, runs: Runs, measured: Measured, chains: Chains, seed: jax.Array, count: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """So many draws by Laplace: see `laplace.propose`."""
        key = jax.random.fold_in(jax.random.key(seed), 1)
        return laplace.propose(self.model, runs, measured, chains, key, count)

    def finish(
        self,
        runs: Runs,
        measured: Measured,
        breadth: Breadth | None,
        positions: jax.Array,
        weights: jax.Array,
    ) -> Any:
        """What is kept of all draws: see `completed`."""
        TRACES["finish"] += 1
        return completed(Space.of(self.model, runs, measured, breadth), positions, weights)


def completed(space: Space, positions: jax.Array, weights: jax.Array) -> tuple[Any, ...]:
    """What `complete` gives for every draw, `(chain, draw, ...)`; residuals of one draw in `EVERY`."""
    one = jax.vmap(lambda position, weights: complete(space, position, weights))
    # a draw at a time, all chains at once: memory stays that of a few draws
    kept = jax.lax.map(lambda each: one(*each), (positions.swapaxes(0, 1), weights.swapaxes(0, 1)))
    *kept, residual = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), kept)
    return *kept, residual[:, ::EVERY]


# a compiled model holds a thousand maps of memory, of which Linux allows a process 65,530
@functools.lru_cache(maxsize=24)
def compiled(
    model: LossModel, size: Size, devices: tuple[int, int] = (1, 1)
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """`Programs(model)` over a leading axis of tables of one size, compiled; equal models share them.

    Args:
        model: the `LossModel`.
        size: of the tables: `Problem.size`.
        devices: over how many devices the tables, and the chains of each table, are spread: see `spread`.
    """
    of_one = Programs(model, "chain" if devices[1] > 1 else None)
    # JAX exports a program for one device as one for any; one for several would have to be called among as
    # many
    identity = computed(model, size) if devices == (1, 1) else None

    def begin_all(runs: Runs, measured: Measured, seed: jax.Array, num_chains: int) -> Any:
        return lifted(lambda t: of_one.begin(t[0], t[1], seed, num_chains))((runs, measured))

    def draw_all(runs: Runs, measured: Measured, chains: Chains, adapt: jax.Array, length: int) -> Any:
        return lifted(lambda t: of_one.draw(t[0], t[1], t[2], adapt, length))((runs, measured, chains))

    def propose_all(runs: Runs, measured: Measured, chains: Chains, seed: jax.Array, count: int) -> Any:
        return jax.vmap(lambda r, m, c: of_one.propose(r, m, c, seed, count))(runs, measured, chains)

    def finish_all(
        runs: Runs, measured: Measured, breadth: Breadth | None, positions: jax.Array, weights: jax.Array
    ) -> Any:
        return jax.vmap(of_one.finish)(runs, measured, breadth, positions, weights)

    tables, chains, every = P("table"), P("table", "chain"), P()
    # places of arrays in place of the arrays
    moving = cast(Any, Chains)(*[chains] * 6, centre=tables, factor=tables, breadth=tables)
    kept = functools.partial(stored, identity=identity)
    on = functools.partial(_on, devices)
    return (
        kept(on(begin_all, (tables, tables, every), tables), static=("num_chains",)),
        kept(on(draw_all, (tables, tables, moving, every), (moving, chains)), static=("length",)),
        kept(on(propose_all, (tables, tables, tables, every), tables), static=("count",)),
        kept(on(finish_all, (tables,) * 5, tables)),
    )


def spread(num_tables: int, num_chains: int) -> tuple[int, int]:
    """Over how many of JAX's devices to spread the tables, and the chains of each.

    Whole shares, tables first.
    """
    count = jax.device_count()
    tables = math.gcd(num_tables, count)
    return tables, math.gcd(num_chains, count // tables)


def _on(devices: tuple[int, int], function: Callable[..., Any], takes: Any, gives: Any) -> Callable[..., Any]:
    """The function with its axes of tables and chains spread over devices, each running its own loop."""
    if devices == (1, 1):
        return function

    @functools.wraps(function)
    def everywhere(*arguments: Any, **fixed: Any) -> Any:
        inner = functools.partial(function, **fixed)
        chosen, axes = jax.devices()[: math.prod(devices)], ("table", "chain")
        mesh = jax.make_mesh(devices, axes, axis_types=(AxisType.Auto,) * 2, devices=chosen)
        return jax.shard_map(inner, mesh=mesh, in_specs=takes, out_specs=gives, check_vma=False)(*arguments)

    return everywhere


@functools.cache
def computed(model: LossModel, size: Size) -> str | None:
    """What a model computes on tables of one size, as a hash for the store.

    Prior draws, coordinates and density.

    It traces a user's law as any program would, so two laws that compute the same are the same, and a law
    whose code, constants or helpers changed is another. Of a law that comes with the package it reads the
    code instead.
    """
    form, shapes = size
    known = model.noise.tails.code and model.noise.run_tails.code
    plain = known and type(model.noise) is Noise and type(model.drift) in (Drift, type(None))
    if plain and (code := model.law.code):  # tracing takes longer than sampling
        return digest(code, repr((form, shapes, model.noise, model.drift, model.known_errors)))
    ours = model.law.curve.__module__.startswith(f"{__package__}")

    def everything(runs: Runs, measured: Measured, key: jax.Array) -> tuple[Any, ...]:
        space = Space.of(model, runs, measured)
        values = prior_draw(space, key)
        point = space.coordinates(values)
        # a user may have given a derivative of his own, which the density itself does not show
        density = space.potential if ours else jax.value_and_grad(space.potential)
        return values, point, space.constrained(point), density(point)

    with double():
        arrays = jax.tree.unflatten(form, [jax.ShapeDtypeStruct(shape, float) for shape in shapes])
        jaxpr, out = jax.make_jaxpr(everything, return_shape=True)(*arrays, jax.eval_shape(jax.random.key, 0))
    return identity_of(jaxpr, jax.tree.structure(out), form, model.noise, model.drift, model.known_errors)


def complete(
    space: Space, position: jax.Array, weights: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    """Everything a fit keeps of one draw of the coordinates and of what was integrated out: see `integrated`.

    Returns:
        sites by name; the drift's weights `(k,)`; run effects `(run,)`; the OU process at the rows `(row,)`,
        empty without one; the log predictive density of each row's loss, `(row,)`, given all of these but the
        process, with exact Student-t tails; and the residual of its ln loss.
    """
    model, runs, measured = space.model, space.runs, space.measured
    values = space.constrained(position)
    with numpyro.handlers.block(), numpyro.handlers.trace() as trace:
        likelihood = numpyro.handlers.substitute(model.likelihood, values)(runs, measured)
    sites = values_in(trace)
    _, pieces, slots = measured.shape
    weights, path = weights[: pieces + slots], weights[pieces + slots :]
    residual = measured.log_loss - likelihood.location - measured.loadings @ weights
    densities = _densities(model, measured, residual, sites)
    return sites, weights[:pieces], weights[pieces:], path, densities, residual


def _densities(
    model: LossModel, measured: Measured, residual: jax.Array, sites: Mapping[str, jax.Array]
) -> jax.Array:
    """Log density of each row's loss given the rest, `(row,)`.

    The scatter, a known error, the process along the run.
    """
    tails, sigma = model.noise.tails, sites["sigma"]
    slope = model.law.loss_scale.log_slope(measured.log_loss, jnp)
    if model.known_errors or model.noise.ou:
        variance = measured.log_loss_se**2 + sites.get("sigma_ou", 0.0) ** 2
        return tails.log_density_plus_normal(residual, sigma, variance) + slope
    return tails.log_density(residual, sigma) + slope
