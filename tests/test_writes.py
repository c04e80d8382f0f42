"""Writes: whole or not at all, through links and into devices, with a hint where they cannot be."""

import os
import stat
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import simulated

import lossband as lb
from lossband import _cache, _files
from lossband import _store as store
from lossband.cli import main
from lossband.cli.shared import write

QUICK = dict(method="laplace", num_samples=50, num_chains=2, progress=False)
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="devices and mounts need root")


@pytest.fixture(scope="module")
def post(sweep_of_module):
    return lb.fit(sweep_of_module, "chinchilla", drift=None, **QUICK)


@pytest.fixture(scope="module")
def sweep_of_module():
    return simulated.chinchilla(4, 4)


FULL = """
import resource, signal, sys
import lossband as lb
post = lb.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 13, 1 << 13))  # no file may grow beyond 8 kB
try:
    post.save(sys.argv[2])
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error} HINT {error.hint}")
"""


def test_a_save_without_room_is_an_error_and_the_old_file_is_whole(post, tmp_path):
    good, kept = post.save(tmp_path / "good.nc"), tmp_path / "full" / "kept.nc"
    kept.parent.mkdir()
    kept.write_bytes(b"an old file")
    ended = subprocess.run(
        [sys.executable, "-c", FULL, good, kept], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1 and "HINT" in ended.stderr and "nothing was written" in ended.stderr
    assert [p.name for p in kept.parent.iterdir()] == ["kept.nc"] and kept.read_bytes() == b"an old file"


@needs_root
def test_a_full_disk_is_an_error_in_a_shell_and_nothing_is_left(post, sweep_of_module, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("no mount")
    try:
        (disk / "fill").write_bytes(b"\0" * 200_000)
        with pytest.raises(OSError, match="No space left on device") as raised:
            post.save(disk / "post.nc")
        assert raised.value.hint == "Make room, or write to another disk."
        table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=20_000)})
        with pytest.raises(OSError, match="No space left"):
            write(table, disk / "table.csv")
        assert [p.name for p in disk.iterdir()] == ["fill"]
    finally:
        subprocess.run(["umount", disk], check=True)


@needs_root
def test_a_device_as_output_is_written_through(post, tmp_path):
    null = tmp_path / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    post.save(null)
    write(pd.DataFrame({"x": [1]}), _with_suffix(null, ".csv"))
    assert stat.S_ISCHR(null.stat().st_mode) and sorted(p.name for p in tmp_path.iterdir()) == [
        "null",
        "null.csv",
    ]
    full = tmp_path / "full"
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    with pytest.raises(OSError, match="No space left"):
        post.save(full)
    assert stat.S_ISCHR(full.stat().st_mode)


def _with_suffix(device, suffix):
    link = device.with_name(device.name + suffix)
    link.symlink_to(device)
    return link


def test_a_pipe_as_output_is_written_through(post, tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    post.save(pipe)
    reader.join(10)
    (tmp_path / "copy.nc").write_bytes(got[0])
    assert stat.S_ISFIFO(pipe.stat().st_mode) and lb.load(tmp_path / "copy.nc").law == post.law


def test_links_are_followed_and_modes_kept(post, tmp_path):
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.nc"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link = tmp_path / "link.nc"
    link.symlink_to(real)
    post.save(link)
    assert link.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640 and lb.load(real).law == post.law
    dangling = tmp_path / "dangling.nc"
    dangling.symlink_to(tmp_path / "there" / "new.nc")
    post.save(dangling)
    assert dangling.is_symlink() and (tmp_path / "there" / "new.nc").is_file()
    assert len(list((tmp_path / "there").iterdir())) == 2


NOWHERE = {
    "missing/post.nc": "Make the folder first.",
    "file/post.nc": "Make the folder first.",
    "folder": "Give the name of a file in it.",
    "x" * 300 + ".nc": "Give a shorter name.",
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_place_that_is_none_is_an_error_with_a_hint(name, post, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError) as raised:
        post.save(tmp_path / name)
    assert raised.value.hint == NOWHERE[name] and raised.value.hint in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_reports_and_tables_are_written_the_same_way(post, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for call in (
        lambda: lb.write_report(post, tmp_path / "nowhere" / "page.html"),
        lambda: write(pd.DataFrame({"x": [1]}), tmp_path / "folder.csv"),
    ):
        with pytest.raises(OSError, match="nothing was written"):
            call()


def test_two_threads_may_write_one_file(tmp_path):
    path = tmp_path / "file"

    def many(byte):
        for _ in range(30):
            _files.write_whole(path, byte * 100_000)

    threads = [threading.Thread(target=many, args=(byte,)) for byte in (b"a", b"b")]
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        if path.exists():
            assert len(set(path.read_bytes())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_as_output_is_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "runs.csv").write_text("params,tokens,loss\n1e7,1e9,3.5\n2e7,1e9,3.4\n")
    (tmp_path / "out.csv").mkdir()
    status = main(["data", "convert", str(tmp_path / "runs.csv"), "-o", str(tmp_path / "out.csv")])
    said = capsys.readouterr().err
    assert status == 2 and "is a folder: give the name of a file in it" in said  # before any work


# h5netcdf says of a file that it could not open that it cannot close it either
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("where", range(24))
def test_a_file_with_damage_anywhere_is_refused_or_unharmed(where, post, tmp_path):
    path = post.save(tmp_path / "post.nc")
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(where)
    for place in rng.integers(0, len(content), 8):
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    before = post.predict({"params": 1e10, "tokens": 1e11})
    try:
        again = lb.load(path)
    except lb.InputError as error:
        assert error.hint
        return
    pd.testing.assert_frame_equal(
        again.predict({"params": 1e10, "tokens": 1e11}), before
    )  # in a gap of the file


@pytest.mark.parametrize("group", ["posterior", "sample_stats", "log_likelihood", "observed_data", "prior"])
def test_one_number_changed_in_any_group_is_seen(group, post, tmp_path):
    import xarray

    with xarray.open_datatree(post.save(tmp_path / "post.nc", full=True), engine="h5netcdf") as tree:
        tree = tree.load()
    name = next(iter(tree[group].data_vars))
    values = tree[group][name].values
    values.flat[0] = values.flat[0] + 1e-9 if values.dtype.kind == "f" else ~values.flat[0]
    tree.to_netcdf(tmp_path / "changed.nc", engine="h5netcdf")
    with pytest.raises(lb.InputError, match="hash"):
        lb.load(tmp_path / "changed.nc")


def test_half_a_file_is_refused(post, tmp_path):
    content = post.save(tmp_path / "post.nc").read_bytes()
    for share in (0, 0.1, 0.5, 0.9, 0.999):
        (tmp_path / "half.nc").write_bytes(content[: int(share * len(content))])
        with pytest.raises(lb.InputError, match="no lossband posterior|damaged"):
            lb.load(tmp_path / "half.nc")


def test_damaged_fits_in_a_folder_are_fitted_again(sweep_of_module, tmp_path):
    options = dict(drift=None, folder=tmp_path, **QUICK)
    (first,) = lb.fit_many([sweep_of_module], "chinchilla", **options)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.warns(RuntimeWarning, match="fitted again"):
        (again,) = lb.fit_many([sweep_of_module], "chinchilla", **options)
    assert np.array_equal(first.sites["E"], again.sites["E"])
    assert lb.load(kept).law == first.law


@pytest.fixture
def no_warning_yet():
    _cache._warn.cache_clear()
    yield
    _cache._warn.cache_clear()


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/nowhere", "file"])
def test_a_cache_that_cannot_be_written_is_one_warning_and_none(place, tmp_path, monkeypatch, no_warning_yet):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path / place))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert store.folder() is None and store.folder() is None
        assert _cache.remembered("it", lambda: [1]) == [1]
    assert [w.category for w in caught] == [RuntimeWarning] and "LOSSBAND_CACHE" in str(caught[0].message)


@needs_root
def test_a_cache_of_another_user_is_not_used(tmp_path, monkeypatch, no_warning_yet):
    (tmp_path / "programs").mkdir()
    os.chown(tmp_path / "programs", 12345, 12345)
    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path))
    with pytest.warns(RuntimeWarning, match="another user's"):
        assert store.folder() is None


def test_the_cache_moves_and_its_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSBAND_CACHE", str(tmp_path / "mine"))
    place = store.folder()
    assert place == tmp_path / "mine" / "programs" and stat.S_IMODE(place.stat().st_mode) == 0o700
    monkeypatch.setenv("LOSSBAND_CACHE_MB", "0.001")
    for i in range(30):
        (place / f"jit-{i}-cache").write_bytes(b"x" * 100)
        os.utime(place / f"jit-{i}-cache", (i, i))
    _cache.keep(place / "new.program", b"x" * 100)
    left = sorted(p.name for p in place.iterdir())
    assert len(left) == 10 and "new.program" in left and "jit-29-cache" in left


def test_a_cache_without_room_keeps_nothing_and_says_so(tmp_path, monkeypatch, no_warning_yet):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_cache.os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        _cache.keep(tmp_path / "new.program", b"content")
    assert not list(tmp_path.iterdir())


UNWRITABLE = """
import sys, warnings
import lossband as lb
warnings.simplefilter("error", UserWarning)
post = lb.fit(sys.argv[1], "power", drift=None, method="laplace", num_samples=20, num_chains=2)
print(len(post.problem.frame))
"""


def test_a_fit_without_a_cache_goes_on(tmp_path):
    steps = np.arange(1, 30)
    pd.DataFrame({"step": steps, "loss": 2 + 3 * steps**-0.4}).to_csv(tmp_path / "log.csv", index=False)
    ended = subprocess.run(
        [sys.executable, "-c", UNWRITABLE, tmp_path / "log.csv"],
        env=os.environ | {"XDG_CACHE_HOME": "/dev/null/x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "29\n" and ended.stderr.count("no compiled program is kept") == 1, ended.stderr
