"""Ctrl-C ends a fit at its next block of draws, and a pool that forks is refused."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import lossband as lb
from lossband.inference.interrupt import THREADS, Stopped, side_by_side

QUICK = dict(method="laplace", num_samples=50, num_chains=2, progress=False)


class Bar:
    def update(self):
        pass

    def set_description(self, text):
        pass


def blocks(count, pause, bar, ended):
    """A job of so many blocks."""
    try:
        for _ in range(count):
            bar.update()
            time.sleep(pause)
        return count
    except Stopped:
        ended.append(count)
        raise


def until(true, seconds=5):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def running():
    """Whether threads of fits are still at work."""
    return any(thread.name.startswith(THREADS) for thread in threading.enumerate())


def test_results_come_in_order():
    ended = []
    jobs = [(count, 0.001) for count in (7, 1, 5, 3)]
    found = list(side_by_side(lambda c, p, bar: blocks(c, p, bar, ended), jobs, Bar()))
    assert found == [7, 1, 5, 3] and not ended and until(lambda: not running())


def test_whoever_stops_waiting_stops_the_jobs():
    ended = []
    jobs = [(1, 0.0), *[(1000 + i, 0.05) for i in range(20)]]
    results = side_by_side(lambda c, p, bar: blocks(c, p, bar, ended), jobs, Bar())
    assert next(results) == 1
    begin = time.monotonic()
    results.close()  # as an exception in the caller's frame does
    assert time.monotonic() - begin < 0.5
    assert until(lambda: not running()) and 0 < len(ended) <= (os.cpu_count() or 1)  # the others never began


def test_a_job_that_fails_ends_the_others():
    ended = []

    def job(count, pause, bar):
        if count == 0:
            raise ValueError("no")
        return blocks(count, pause, bar, ended)

    with pytest.raises(ValueError, match="no"):
        list(side_by_side(job, [(0, 0), (1000, 0.05)], Bar()))
    assert until(lambda: not running())


def test_a_signal_reaches_whoever_waits():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    jobs = [(2000, 0.05)] * 3
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(side_by_side(lambda c, p, bar: blocks(c, p, bar, []), jobs, Bar()))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < 2 and until(lambda: not running())


LEFT = """
import sys, threading
from lossband import cli
def run(args):
    threading.Timer(60, print, ("late",)).start()  # as JAX's, which an interrupt in its start leaves behind
    raise KeyboardInterrupt
cli.COMMANDS["demo"].run = run
sys.exit(cli.main(["demo"]))
"""


def test_an_interrupted_command_waits_for_no_thread_of_a_library():
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, check=False)
    assert done.returncode == 130 and done.stdout == "" and time.monotonic() - begin < 30
    assert done.stderr == "error: interrupted; nothing was written.\nhint: Run it again.\n"


SHELL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from lossband.cli import main
print("begun", flush=True)
sys.exit(main(["fit", sys.argv[1], "--num-samples", "100000", "-o", sys.argv[2]]))
"""


@pytest.mark.parametrize("after", [1, 4, 10])
def test_ctrl_c_ends_a_fit_in_a_shell_and_leaves_nothing(after, grid, tmp_path):
    grid.to_csv(tmp_path / "runs.csv", index=False)
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-c", SHELL, tmp_path / "runs.csv", tmp_path / "fit.nc"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(after)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begin < 4  # two seconds, on a machine with nothing else to do
    assert (
        process.returncode == 130
        and "error: interrupted" in said
        and said.rstrip().endswith("hint: Run it again.")
    )
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def two_tables():
    steps = np.arange(1, 30)
    table = pd.DataFrame({"step": steps, "loss": 2 + 3 * steps**-0.4})
    return [table, table.assign(loss=table.loss * 1.01)]


def test_a_pool_that_forks_is_refused_before_anything_is_fitted(two_tables):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        with pytest.raises(lb.InputError, match="forked") as raised:
            lb.fit_many(two_tables, "power", executor=pool, **QUICK)
        assert not pool._processes  # nothing was submitted
    assert "spawn" in raised.value.hint


@pytest.mark.parametrize("executor", [3, "threads", multiprocessing, {}, ThreadPoolExecutor])
def test_what_is_no_executor_is_refused(executor, two_tables):
    with pytest.raises(lb.InputError, match="executor="):
        lb.fit_many(two_tables, "power", executor=executor, **QUICK)


def test_threads_are_an_executor(two_tables):
    with ThreadPoolExecutor(2) as pool:
        assert len(lb.fit_many(two_tables, "power", executor=pool, **QUICK)) == 2
