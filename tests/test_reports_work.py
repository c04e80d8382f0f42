"""Writes, arguments and interruptions of public reports: nothing lost, nothing half written, nothing left over."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simulated
from reports import report

import lossband as lb
from lossband import _files
from lossband.cli import main

QUICK = dict(method="laplace", num_samples=50, num_chains=2, progress=False)
NEW = {"params": 1e10, "tokens": 1e12}


@pytest.fixture(scope="module")
def table():
    return simulated.chinchilla(4, 4)


@pytest.fixture(scope="module")
def post(table):
    return lb.fit(table, "chinchilla", drift=None, **QUICK)


def same(one, other):
    """Whether two posteriors forecast the same draws, bit for bit."""
    return np.array_equal(one.draws(NEW), other.draws(NEW))


# --- writes ---------------------------------------------------------------------------------------------


@report(4, "arviz-devs/arviz#1734")
@report(4, "NVIDIA/earth2studio#105")
def test_a_posterior_is_saved_over_the_file_it_came_from(post, tmp_path):
    path = post.save(tmp_path / "fit.nc")
    lb.load(path).save(path)
    assert same(lb.load(path), post)


@report(4, "pydata/xarray#10679")
def test_a_file_that_another_reader_holds_open_stays_whole_for_both(post, tmp_path):
    import xarray

    path = post.save(tmp_path / "fit.nc")
    with xarray.open_datatree(path, engine="h5netcdf") as held:
        post.save(path)
        assert np.isfinite(held["posterior"]["alpha"].values).all()
    assert same(lb.load(path), post)


FAULTS = {"no room": errno.ENOSPC, "over quota": errno.EDQUOT, "the disk's fault": errno.EIO}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("no room", marks=report(4, "openpathsampling/openpathsampling#707")),
        pytest.param("over quota", marks=report(4, "google/CodeCity#114")),
        pytest.param("the disk's fault", marks=report(4, "Q00/ouroboros#1830")),
    ],
)
def test_a_save_that_fails_changes_nothing(fault, post, tmp_path, monkeypatch):
    path = post.save(tmp_path / "fit.nc")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(FAULTS[fault], os.strerror(FAULTS[fault]))

    monkeypatch.setattr(_files.os, "fsync", fail)
    with pytest.raises(OSError, match="nothing was written"):
        post.save(path)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["fit.nc"]


@report(4, "primesearch/Mlucas#170")
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_anywhere_is_refused(share, post, tmp_path):
    path = post.save(tmp_path / "fit.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(lb.InputError, match="damaged"):
        lb.load(path)


@report(4, "lapce/lapce#2122")
@report(4, "anthonyamaro15/nevi#327")
@pytest.mark.parametrize("there", [True, False])
def test_a_chain_of_links_stays_and_its_end_is_written(there, post, tmp_path):
    (tmp_path / "real").mkdir()
    end = tmp_path / "real" / "fit.nc"
    if there:
        end.write_bytes(b"old")
    (tmp_path / "second").symlink_to(Path("real") / "fit.nc")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    post.save(tmp_path / "first")
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert same(lb.load(end), post)


@report(4, "netdata/netdata#18642")
@report(4, "sahib/rmlint#763")
def test_a_link_to_a_stream_is_written_through(post, table, tmp_path):
    (tmp_path / "out.csv").symlink_to("/dev/stdout")
    saved = post.save(tmp_path / "fit.nc")
    command = [
        sys.executable,
        "-m",
        "lossband",
        "predict",
        saved,
        "--at",
        "params=1e10,tokens=1e12",
        "--json",
    ]
    done = subprocess.run([*command, "-o", tmp_path / "out.csv"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lo_90" in done.stdout and (tmp_path / "out.csv").is_symlink()


@report(4, "WAM2layers/WAM2layers#17")
@report(4, "ailia-ai/ailia-models#1211")
@pytest.mark.parametrize("place", ["nowhere/fit.nc", "."])
def test_a_place_that_cannot_be_is_refused_before_the_fit(place, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.to_csv("runs.csv", index=False)
    monkeypatch.setattr(lb, "fit", lambda *_, **__: pytest.fail("the fit began"))
    assert main(["fit", "runs.csv", "-o", place]) == 2
    assert "folder" in capsys.readouterr().err


@report(4, "zadorlab/sella#74")
@report(4, "jax-ml/jax#12582")
def test_a_home_without_write_access_is_one_warning(table, tmp_path):
    table.to_csv(tmp_path / "runs.csv", index=False)
    own = {name: value for name, value in os.environ.items() if name != "LOSSBAND_CACHE"}
    command = [sys.executable, "-W", "always", "-m", "lossband", "fit", tmp_path / "runs.csv"]
    command += "--law chinchilla --drift none --method laplace --num-samples 50 -o".split()
    done = subprocess.run(
        [*command, tmp_path / "fit.nc"],
        env=own | {"XDG_CACHE_HOME": "/proc/none", "HOME": "/proc/none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr.count("Warning") == 1 and (tmp_path / "fit.nc").exists()


# --- arguments ------------------------------------------------------------------------------------------

TAKEN = {  # the same fit as with a number of Python's
    "seed": ({"seed": np.int64(3)}, {"seed": 3}),
    "the sum of a seed and a numpy number": ({"seed": 1 + np.uint8(2)}, {"seed": 3}),
    "a minimum as a count": ({"num_samples": np.min([60, 50])}, {"num_samples": 50}),
    "a numpy count of tables": ({"num_chains": np.int32(2)}, {"num_chains": 2}),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("seed", marks=report(5, "neuralyzer/pyabc#2")),
        pytest.param(
            "the sum of a seed and a numpy number", marks=report(5, "GalSim-developers/GalSim#1009")
        ),
        pytest.param("a minimum as a count", marks=report(5, "kineticstoolkit/kineticstoolkit#179")),
        pytest.param("a numpy count of tables", marks=report(5, "silvandeleemput/memcnn#30")),
    ],
)
def test_numbers_of_numpy_are_numbers(case, table):
    given, plain = TAKEN[case]
    assert same(*(lb.fit(table, "chinchilla", drift=None, **{**QUICK, **each}) for each in (given, plain)))


@report(5, "peterhurford/squigglepy#5")
def test_a_budget_of_numpy_is_a_budget(post):
    plans = [post.optimal(budget).frame for budget in (np.int64(10**18), 1e18)]
    pd.testing.assert_frame_equal(*plans)


@report(5, "stan-dev/cmdstan#658")
def test_seed_0_is_a_seed_of_its_own(table):
    zero, one = (lb.fit(table, "chinchilla", drift=None, seed=seed, **QUICK) for seed in (0, 1))
    assert not np.array_equal(zero.draws(NEW), one.draws(NEW))


REFUSED = {
    "a missing seed": dict(seed=float("nan")),
    "a count as a float": dict(num_samples=20.0),
    "a negative warm-up": dict(num_warmup=-10),
    "no chain": dict(num_chains=0),
    "a truth value as a count": dict(num_chains=True),
    "a method that is none": dict(method="Laplace"),
    "a set that is none": dict(population="mine"),
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("a missing seed", marks=report(5, "stan-dev/rstan#995")),
        pytest.param("a count as a float", marks=report(5, "bfarr/kombine#24")),
        pytest.param("a negative warm-up", marks=report(5, "extropic-ai/thrml#10")),
        "no chain",
        "a truth value as a count",
        pytest.param("a method that is none", marks=report(5, "OpenMS/OpenMS#418")),
        pytest.param("a set that is none", marks=report(5, "ORNL/curifactory#22")),
    ],
)
def test_a_wrong_option_is_refused_at_once(case, table):
    begin = time.monotonic()
    with pytest.raises(lb.InputError, match=next(iter(REFUSED[case]))):
        lb.fit(table, "chinchilla", **{**QUICK, **REFUSED[case]})
    assert time.monotonic() - begin < 5


@report(5, "FusionBrainLab/gigaevo-core#3")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_bound_of_0_lets_no_other_number_pass(value, post):
    for ask in (
        lambda: post.optimal(value),
        lambda: post.predict(NEW, levels=(value,)),
        lambda: post.predict({**NEW, "params": value}),
    ):
        with pytest.raises(lb.InputError):
            ask()


# --- stopping -------------------------------------------------------------------------------------------


def interrupted(work, after=0.5):
    """Send this process SIGINT while it works, and give the seconds until it stopped."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # as it was
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    return time.monotonic() - begin - after


@report(6, "pymc-devs/pymc#1276")
@report(6, "seantalts/stanli#332")
def test_ctrl_c_stops_a_fit_and_the_next_one_works(table, post):
    options = dict(drift=None, num_chains=2, progress=False)
    lb.fit(table, "chinchilla", num_samples=200, **options)  # compiled: what is interrupted are draws
    assert interrupted(lambda: lb.fit(table, "chinchilla", num_samples=1_000_000, **options), 2) < 4
    assert same(lb.fit(table, "chinchilla", drift=None, **QUICK), post)


@report(6, "seantalts/stanli#331")
def test_a_fit_in_a_thread_is_a_fit(table, post):
    found = []
    thread = threading.Thread(target=lambda: found.append(lb.fit(table, "chinchilla", drift=None, **QUICK)))
    thread.start()
    thread.join()
    assert same(found[0], post)


POOL = """
import multiprocessing, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from concurrent.futures import ProcessPoolExecutor
import pandas as pd
import lossband as lb

if __name__ == "__main__":
    table = pd.read_csv(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for process in (pool.submit(int), pool.submit(int)):
            process.result()
        print(*pool._processes, flush=True)
        lb.fit_many([table] * 8, "chinchilla", drift=None, num_samples=1_000_000, batch=1, executor=pool)
"""


def gone(pids, seconds=60):
    """Whether processes ended within some seconds."""
    end = time.monotonic() + seconds
    left = set(pids)
    while left and time.monotonic() < end:
        left = {pid for pid in left if Path(f"/proc/{pid}/stat").exists()}
        time.sleep(0.1)
    return not left


@report(6, "dfm/emcee#113")
@report(6, "erp12/pyshgp#53")
@report(6, "ida-mdc/pixel-patrol#155")
@report(6, "mtop/speciesgeocoder#61")
@pytest.mark.slow  # on a busy machine a worker may be hit while it compiles, where jax lets no exception through
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_a_pool_and_leaves_no_process(table, tmp_path):
    table.to_csv(tmp_path / "runs.csv", index=False)
    (tmp_path / "job.py").write_text(POOL)
    command = [sys.executable, "job.py", "runs.csv"]
    piped = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    process = subprocess.Popen(command, cwd=tmp_path, **piped)
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    time.sleep(8)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    try:
        process.communicate(timeout=120)
        assert process.returncode != 0 and gone([process.pid, *workers])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a worker that is left would fit for hours


@report(6, "Smithsonian/layup#302")
@report(6, "lanl/scico#513")
def test_a_pool_that_forks_is_refused_with_the_context_to_take(table):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        with pytest.raises(lb.InputError, match="fork") as raised:
            lb.fit_many([table, table], "chinchilla", executor=pool, **QUICK)
    assert "spawn" in raised.value.hint


def die(*_):
    """What a kernel without memory does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


@report(6, "joblib/joblib#812")
@report(6, "joblib/joblib#843")
@report(6, "epam/ai-dial-rag#11")
@report(6, "AarhusCosmology/prospect_public#10")
def test_a_killed_worker_loses_no_fit_and_the_folder_goes_on(table, post, tmp_path):
    options = dict(drift=None, folder=tmp_path, batch=1, **QUICK)
    lb.fit_many([table], "chinchilla", **options)
    (kept,) = tmp_path.glob("*.nc")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(die)
        with pytest.warns(RuntimeWarning, match="lost a worker: this batch runs here"):
            found = lb.fit_many([table, table.iloc[:-1]], "chinchilla", executor=pool, **options)
    assert same(lb.load(kept), post)
    assert same(found[0], post)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        again = lb.fit_many([table, table.iloc[:-1]], "chinchilla", executor=pool, **options)
    assert same(again[0], post)
    assert len(list(tmp_path.glob("*.nc"))) == 2


@report(6, "clearml/clearml#1315")
@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_that_a_tracker_forks_ends_beside_a_fit(table, post):
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert same(lb.fit(table, "chinchilla", drift=None, **QUICK), post)
    assert os.waitpid(child, 0)[1] == 0


@report(6, "stan-dev/pystan#133")
def test_an_interrupted_command_says_one_line(table, tmp_path):
    table.to_csv(tmp_path / "runs.csv", index=False)
    program = (
        "import signal, sys, os, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lossband.cli import main\n"
        "threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "sys.exit(main(['fit', 'runs.csv', '--num-samples', '1000000', '-o', 'fit.nc']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-2:] == [
        "error: interrupted; nothing was written.",
        "hint: Run it again.",
    ]
