"""The store of programs: what it hits, what it misses, and that it never hands out another program."""

import dataclasses
import functools
import json
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import lossband as lb
from lossband import _cache
from lossband import _store as store
from lossband.inference import programs
from lossband.inference.programs import TRACES, computed
from lossband.laws import LAWS
from lossband.model.problem import pose

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty store."""
    monkeypatch.setattr(store, "folder", lambda: tmp_path)
    monkeypatch.setattr(_cache, "folder", lambda: tmp_path)
    return tmp_path


def traced(identity="it"):
    """A stored function, and the list that grows each time it is traced."""
    calls = []

    def double(x, factor):
        calls.append(1)
        return {"y": factor * x}

    return store.stored(double, identity, static=("factor",)), calls


def test_a_program_is_traced_once_for_each_shape_and_static_value_over_processes(shelf):
    first, calls = traced()
    for x, factor in [(np.ones(3), 2), (np.zeros(3), 2), (np.ones(4), 2), (np.ones(3), 5)]:
        np.testing.assert_allclose(first(x, factor=factor)["y"], factor * x)
    assert len(calls) == 3
    again, calls = traced()  # what another process would build
    np.testing.assert_allclose(again(np.ones(3), factor=5)["y"], 5.0)
    assert not calls


def test_another_identity_version_setting_or_code_misses(shelf, monkeypatch):
    def misses(identity="it"):
        program, calls = traced(identity)
        program(np.ones(3), factor=2)
        return bool(calls)

    assert misses() and not misses()
    assert misses("another")
    with monkeypatch.context() as patch:
        patch.setattr(_cache, "version", lambda name: "99")
        assert misses()
    with jax.numpy_rank_promotion("raise"):
        assert misses()
    with monkeypatch.context() as patch:
        patch.setattr(_cache, "package_hash", lambda: "another")
        assert misses()
    assert not misses()


def test_a_damaged_file_is_replaced_and_nobody_else_may_read(shelf):
    traced()[0](np.ones(3), factor=2)
    (file,) = shelf.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    program, calls = traced()
    np.testing.assert_allclose(program(np.ones(3), factor=2)["y"], 2.0)
    assert calls
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(list(shelf.iterdir())) == 1  # no half-written file is left


def test_the_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert stat.S_IMODE(store.folder().stat().st_mode) == 0o700


def test_the_store_keeps_to_its_size(shelf, monkeypatch):
    monkeypatch.setattr(_cache, "MOST_FILES", 2)
    program, _ = traced()
    for count in range(1, 5):
        program(np.ones(count), factor=2)
    assert len(list(shelf.iterdir())) == 2


def identity(law, grid, **options):
    problem = pose(grid, law, drift=None, **options)
    return computed(problem.model, problem.size)


def test_the_same_computation_is_the_same_and_any_other_is_not(grid):
    """What a user may change in his law.

    A number, a helper, an array, a prior, a name, a mark, a derivative.
    """

    def make(number=1.0, helper=jnp.exp, array=(0.1, 0.2), name="E", slope=None, prior=dist.HalfNormal(1.0)):
        def mine(runs):
            E = numpyro.sample(name, dist.LogNormal(0.0, 1.0), infer={"floor": True})
            alpha = numpyro.sample("alpha", prior)
            A = numpyro.sample("A", dist.LogNormal(0.0, 1.0), infer={"slope": slope} if slope else {})
            return E + number * A * helper(-alpha * runs.params.log) + jnp.sum(jnp.asarray(array))

        return mine

    @jax.custom_jvp
    def bent(x):
        return jnp.exp(x)

    bent.defjvp(lambda primals, tangents: (bent(*primals), 2 * tangents[0]))

    @jax.custom_jvp
    def bent_more(x):
        return jnp.exp(x)

    bent_more.defjvp(lambda primals, tangents: (bent_more(*primals), 3 * tangents[0]))
    bent_more.__name__ = "bent"
    changes = [
        {},
        {"number": 2.0},
        {"helper": jnp.expm1},
        {"array": (0.1, 0.2000000001)},
        {"name": "F"},
        {"slope": "alpha"},
        {"prior": dist.HalfNormal(1.5)},
        {"helper": bent},
        {"helper": bent_more},
    ]
    keys = [identity(make(**change), grid) for change in changes]
    assert None not in keys
    assert len(set(keys)) == len(changes)
    assert identity(make(), grid) == keys[0]


def test_the_package_hash_sees_every_source(tmp_path, monkeypatch):
    """A changed constant, a renamed file and a new file each make another hash; nothing else does."""
    home = tmp_path / "lossband"
    shutil.copytree(Path(_cache.__file__).parent, home, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(_cache, "__file__", str(home / "_cache.py"))
    hashes = [_cache.package_hash.__wrapped__()]
    (home / "model" / "noise.py").write_text((home / "model" / "noise.py").read_text() + "WIDTH = 5.0")
    hashes.append(_cache.package_hash.__wrapped__())
    (home / "model" / "noise.py").rename(home / "model" / "scatter.py")
    hashes.append(_cache.package_hash.__wrapped__())
    (home / "laws" / "mine.py").write_text("")
    hashes.append(_cache.package_hash.__wrapped__())
    assert len(set(hashes)) == 4
    (home / "notes.txt").write_text("no source")
    assert _cache.package_hash.__wrapped__() == hashes[-1]


@pytest.mark.parametrize("name", sorted(LAWS))
def test_a_law_of_ours_goes_by_its_name_as_it_comes_and_by_its_trace_when_changed(name):
    law = LAWS[name]
    ours = law.curve.__module__.startswith("lossband.")
    assert (law.code is not None) == ours
    assert law.with_priors(E=dist.HalfNormal(1.0)).code is None
    assert dataclasses.replace(law, curve=lambda runs: law.curve(runs)).code is None


def test_laws_of_ours_and_their_priors_are_told_apart(grid):
    keys = [identity("chinchilla", grid), identity("coupled", grid)]
    keys.append(identity(LAWS["chinchilla"].with_priors(alpha=dist.Beta(2.0, 5.0)), grid))
    assert len(set(keys)) == 3


def test_marks_are_remembered_and_remade_when_damaged(shelf):
    law = dataclasses.replace(LAWS["coupled"])
    traced = dict(law.marks)
    said = {name: [mark for mark in marks if mark != "positive"] for name, marks in traced.items()}
    assert said == {name: list(site["infer"]) for name, site in law.sites.items()}
    assert dataclasses.replace(law).marks == traced  # from the file
    (file,) = shelf.glob("*.json")
    file.write_text("{")
    assert dataclasses.replace(law).marks == traced


def test_a_law_that_calls_back_into_python_is_not_kept(grid):
    def mine(runs):
        E = numpyro.sample("E", dist.LogNormal(0.0, 1.0))
        return E + jax.pure_callback(
            lambda x: 0 * x, jax.eval_shape(jnp.log, runs.params.values), runs.params.values
        )

    mine.__module__ = "lossband.pretended"  # else its gradient is asked for, which a callback does not have
    assert identity(mine, grid) is None


def test_a_fit_from_the_store_traces_nothing_and_is_the_same(grid, shelf, monkeypatch):
    options = dict(drift=None, num_warmup=50, num_samples=50, seed=3)
    programs.compiled.cache_clear()
    first = lb.fit(grid, "kaplan", **options)
    before = dict(TRACES)
    programs.compiled.cache_clear()
    again = lb.fit(grid, "kaplan", **options)
    assert before == TRACES
    assert all(np.array_equal(first.sites[name], again.sites[name]) for name in first.sites)
    programs.compiled.cache_clear()


WITHOUT_NUMPYRO = """
import sys
import pandas as pd
import lossband as lb
table = pd.read_json(sys.stdin)
post = lb.fit(table, "chinchilla", drift=None, num_warmup=50, num_samples=50, seed=3)
print(sorted({"numpyro", "arviz", "matplotlib", "scipy.stats", "xarray"} & set(sys.modules)), post.sites["E"].mean())
band, nats = post.predict(table[:3]), post.log_score(table)
print(["numpyro"] if "numpyro" in sys.modules else [], band["median"].mean(), nats.mean())
"""


def test_a_new_process_that_finds_its_programs_imports_no_numpyro(grid, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_NUMPYRO], input=grid.to_json(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said.append([line.split("]") for line in done.stdout.splitlines()])
    assert [modules for modules, _ in said[0]] == ["['numpyro'"] * 2
    assert [modules for modules, _ in said[1]] == ["["] * 2  # neither the fit nor the forecast traces a law
    assert [numbers for _, numbers in said[0]] == [numbers for _, numbers in said[1]]


def test_a_program_that_another_process_drops_is_no_error(shelf):
    """A link to nothing is listed and has no time of use, as a file that is deleted while the store makes room."""
    place = store.folder()
    (place / "gone.program").symlink_to(place / "nowhere")
    _cache.keep(place / "new.program", b"content")
    assert (place / "new.program").read_bytes() == b"content"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the maps of memory are counted on Linux")
def test_programs_leave_before_a_process_runs_out_of_maps_of_memory(shelf, monkeypatch):
    """Linux kills a process that holds 65,530; programs of many shapes or laws get there in an hour."""

    def held():
        return Path("/proc/self/maps").read_bytes().count(b"\n")

    program, _ = traced()
    jax.clear_caches()
    few = held()
    for count in range(1, 40):
        program(np.ones(count), factor=2)
    assert held() > few + 40
    monkeypatch.setattr(store, "MOST_MAPS", 0)  # every new program is one too many
    program(np.ones(99), factor=2)
    assert held() < few + 40
    np.testing.assert_allclose(program(np.ones(3), factor=2)["y"], 2.0)  # what has left is made again


def test_the_folder_is_shown_bounded_and_emptied(tmp_path, monkeypatch, capsys):
    from lossband.cli import main

    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path))
    monkeypatch.setenv("LOSSBAND_CACHE_MB", "0.002")
    place = _cache.folder()
    for count in range(4):
        _cache.keep(place / f"{count}.program", bytes(800))
        time.sleep(0.02)
    assert sorted(file.name for file in place.iterdir()) == ["2.program", "3.program"]  # the oldest leave
    assert main(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"folder": str(place), "files": 2, "bytes": 1600, "most_bytes": 2000}
    assert main(["cache", "--clear"]) == 0
    streams = capsys.readouterr()
    assert "deleted 2 files" in streams.err and "0 files, 0.0 MB" in streams.out


PLANS = """
import sys
import pandas as pd
import lossband as lb
table = pd.read_json(sys.stdin)
options = dict(drift=None, num_warmup=50, num_samples=50, seed=3)
plan = lb.fit(table, "chinchilla", **options).optimal(flops=1e21).frame
pair = lb.compare_recipes(table, table.assign(loss=1.01 * table.loss), law="chinchilla", **options)
grown = pair.multiplier({"params": 1e9, "tokens": 1e10})
print("numpyro" in sys.modules, plan.params_median[0], grown["median"][0])
"""


def test_a_plan_and_a_comparison_of_recipes_come_from_the_store_too(grid, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = [
        subprocess.run([sys.executable, "-c", PLANS], input=grid.to_json(), capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [done.returncode for done in said] == [0, 0], said[-1].stderr
    first, again = (done.stdout.split() for done in said)
    assert (first[0], again[0]) == ("True", "False")  # nothing is traced the second time
    assert first[1:] == again[1:]


LOADED = """
import sys
import lossband as lb
post = lb.load(sys.argv[1])
print(post.predict({"params": 1e9, "tokens": 1e10})["median"][0])
"""


def test_a_process_that_only_loads_a_file_forecasts_by_it(grid, tmp_path, monkeypatch):
    """Programs take arguments of kinds that a fit had made known, and no fit came first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    post = lb.fit(grid, "chinchilla", drift=None, num_warmup=50, num_samples=50, seed=3)
    run = [sys.executable, "-c", LOADED, str(post.save(tmp_path / "it.nc"))]
    for _ in range(2):  # once without the program, once with it
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        median = post.predict({"params": 1e9, "tokens": 1e10})["median"][0]
        assert float(done.stdout) == pytest.approx(median, rel=1e-9)


def test_two_threads_that_want_one_program_never_wait_for_each_other(shelf):
    """One may hold the lock of traces, as fits do, and want the program that the other is about to make."""
    program, calls = traced()
    wanted = functools.partial(program, np.ones(3, np.float32), factor=2)
    other = threading.Thread(target=wanted, daemon=True)

    def holding():
        with store.TRACING:
            other.start()
            other.join(0.5)  # it waits for this lock, and must not hold another meanwhile
            wanted()

    holder = threading.Thread(target=holding, daemon=True)
    holder.start()
    holder.join(60)
    other.join(10)
    assert not holder.is_alive() and not other.is_alive()
    assert len(calls) == 1
