"""Batches: executors, folders, devices and unusable tables change nothing about the answers."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import jax
import numpy as np
import pytest

import lossband as lb
from lossband.inference import batches, nuts
from lossband.inference.programs import Programs
from lossband.model.problem import pose

OPTIONS = dict(law="chinchilla", drift=None, num_warmup=100, num_samples=100, seed=0, batch=2)


@pytest.fixture(scope="module")
def tables(grid):
    return [grid.assign(loss=grid.loss**power) for power in (1.0, 1.1, 1.2, 0.9, 0.8)]


@pytest.fixture(scope="module")
def serial(tables):
    return lb.fit_many(tables, **OPTIONS)


def same(one, other):
    return (
        all(np.array_equal(one.sites[name], other.sites[name]) for name in one.sites)
        and one.health == other.health
    )


def kill_soon(pid):
    timer = threading.Timer(2.0, os.kill, (pid, signal.SIGKILL))
    timer.start()
    return timer


def test_a_process_pool_that_loses_a_worker_gives_the_same(tables, serial):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        fitted = lb.fit_many(tables, executor=pool, **OPTIONS)
        assert all(map(same, fitted, serial))
        pool.submit(os._exit, 1)  # a worker dies with batches before it and behind it
        with pytest.warns(RuntimeWarning, match="lost a worker"):
            fitted = lb.fit_many(tables * 4, executor=pool, **OPTIONS)
    assert all(map(same, fitted, serial * 4))


@pytest.mark.filterwarnings("ignore")  # Dask's own, while a worker dies
def test_dask_workers_give_the_same_though_one_is_killed(tables, serial):
    from distributed import Client, LocalCluster

    here = dict(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None)
    with LocalCluster(**here, silence_logs=50) as cluster, Client(cluster) as client:
        kill_soon(next(iter(client.run(os.getpid).values())))
        fitted = lb.fit_many(tables * 4, executor=client.get_executor(pure=False), **OPTIONS)
    assert all(map(same, fitted, serial * 4))


def test_a_folder_is_taken_up_where_it_was_left(tables, serial, tmp_path, monkeypatch):
    whole, done, most = batches.fit_chunk, [], [2]

    def breaks(problems, *job):
        if len(done) == most[0]:
            raise KeyboardInterrupt
        done.append(len(problems))
        return whole(problems, *job)

    monkeypatch.setattr(batches, "fit_chunk", breaks)
    with pytest.raises(KeyboardInterrupt):
        lb.fit_many(tables, folder=tmp_path / "fits", **OPTIONS)
    assert done == [1, 1]
    done.clear()
    most[0] = len(tables)
    fitted = lb.fit_many(tables, folder=tmp_path / "fits", **OPTIONS)
    assert done == [1, 1, 1]  # those that were missing
    assert all(map(same, fitted, serial))
    lb.fit_many(tables[:1], folder=tmp_path / "fits", **OPTIONS | {"seed": 1})
    assert done == [1, 1, 1, 1]  # another seed is another fit


def test_an_unusable_table_is_an_error_or_a_value(tables, serial):
    bad = tables[0].assign(loss=-1.0)
    with pytest.raises(lb.InputError, match="loss"):
        lb.fit_many([bad, tables[0]], **OPTIONS)
    error, *fitted = lb.fit_many([bad, *tables[:2]], errors="return", **OPTIONS)
    assert isinstance(error, lb.InputError)
    assert all(map(same, fitted, serial[:2]))


TWO_DEVICES = """
import json, sys
import pandas as pd
import jax
import lossband as lb
from lossband.inference.programs import spread
assert jax.device_count() == 2 and spread(2, 4) == (2, 1) and spread(1, 4) == (1, 2) and spread(3, 4) == (1, 2)
table = pd.read_json(sys.stdin)
options = dict(law="chinchilla", drift=None, num_warmup=100, num_samples=100, seed=0)
tables = lb.fit_many([table, table.assign(loss=table.loss**1.1)], **options)
chains = lb.fit(table, **options)
print(json.dumps([post.sites["E"].tolist() for post in (*tables, chains)]))
"""


def test_two_devices_share_tables_or_chains_and_give_the_same(tables, serial):
    two = "--xla_force_host_platform_device_count=2"
    env = os.environ | {
        "XLA_FLAGS": two,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }  # compiled hastily, for one use
    run = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(run, input=tables[0].to_json(), capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    one, two, chains = map(np.array, json.loads(done.stdout.splitlines()[-1]))
    # the same random numbers, and rounding that grows along a trajectory: the means agree far within their
    # spread
    for mine, theirs in [(one, serial[0]), (two, serial[1]), (chains, serial[0])]:
        np.testing.assert_allclose(mine[:, 0], theirs.sites["E"][:, 0], rtol=0.02)
        assert abs(mine.mean() - theirs.sites["E"].mean()) < 0.3 * theirs.sites["E"].std()


def test_side_by_side_as_on_an_accelerator_chains_take_the_same_draws(tables, quick_compile, monkeypatch):
    problem = pose(tables[0], "chinchilla", drift=None)

    def drawn():
        of_one = Programs(problem.model)
        chains, measured, *_ = jax.jit(of_one.begin, static_argnums=3)(*problem.arrays, np.int64(0), 2)
        draw = jax.jit(of_one.draw, static_argnums=4)
        return draw(problem.arrays[0], measured, chains, np.int32(nuts.TUNE), 30)[1]

    with jax.enable_x64(True):
        waiting = drawn()
        monkeypatch.setattr(nuts, "lifted", jax.vmap)
        together = drawn()
    np.testing.assert_array_equal(together["steps"][:, :5], waiting["steps"][:, :5])
    np.testing.assert_allclose(together["position"][:, :5], waiting["position"][:, :5], rtol=1e-6)
