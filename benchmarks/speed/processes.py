"""Running rows: a process for each repetition, with a time limit; a row that cannot be run says why."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def repeat(row, seed, *, options, cut, limit, stores):
    """Figures of one repetition of a row, or `{"failed": why}`.

    Args:
        options: keyword arguments in place of the row's own.
        cut: `{"rows": n}` to take about n of the table's rows.
        limit: seconds for the process.
        stores: a folder; `full` in it is the store that earlier processes have filled.
    """
    if row.needs and importlib.util.find_spec(row.needs) is None:
        return {"failed": f"{row.needs} is not installed (uv sync --group bench)"}
    arguments = [row.name, json.dumps(options | {"seed": seed}), json.dumps(cut)]
    with tempfile.TemporaryDirectory(dir=stores) as fresh:
        cache = stores / "full" if row.store == "full" else Path(fresh)
        return process("benchmarks.speed.one", arguments, cache, limit=limit)


def process(module, arguments, cache, *, limit):
    """The last line of JSON that `python -m module arguments... (the time now)` prints, or `{"failed": why}`.

    Bytecode is kept, as in any ordinary installation, whatever this machine's environment says: compiling the
    libraries' sources anew would be most of every start.
    """
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    settings |= {"XDG_CACHE_HOME": str(cache), "PYTHONPYCACHEPREFIX": str(bytecode())}
    started = time.time()
    command = [sys.executable, "-m", module, *arguments, repr(started)]
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {limit:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"failed": (done.stderr or done.stdout).strip()[-600:]}
    return json.loads(lines[-1])


def bytecode():
    """Where the benchmark's processes keep compiled Python."""
    return Path(tempfile.gettempdir()) / f"lossband-speed-bytecode-{os.getuid()}"
