"""A newcomer's first picture, timed in steps from a fresh clone, with empty stores.

    python -m benchmarks.newcomer

A clone of this checkout is installed with pip into an environment of its own; then the README's two shell lines,
and its six lines of Python, turn a table of runs as W&B exports it into a forecast with a picture.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.test_newcomer import README, export, shell_lines

HERE = Path(__file__).parents[1]


def timed(what, command, folder, cache):
    """Seconds of one step, printed; its failure ends the script."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONPATH", None)
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    print(f"{what:62s} {seconds:7.1f} s", flush=True)
    return seconds


def main():
    """Clone, install, fit and forecast; by the shell, then by Python with its stores empty again."""
    with tempfile.TemporaryDirectory() as name:
        desk, total = Path(name), 0.0
        total += timed("git clone", ["git", "clone", "-q", str(HERE), "checkout"], desk, desk / "store")
        environment = [sys.executable, "-m", "venv", "mine"]
        total += timed("python3 -m venv mine", environment, desk, desk / "store")
        bin_ = desk / "mine" / "bin"
        install = [bin_ / "python", "-m", "pip", "install", "-q", "./checkout[plot]"]
        total += timed('mine/bin/python -m pip install "./checkout[plot]"', install, desk, desk / "store")
        (desk / "runs.csv").write_text(export())
        for line in shell_lines():
            command, *words = shlex.split(line)
            total += timed(line, [bin_ / command, *words], desk, desk / "store")
        picture = desk / "forecast.png"
        print(f"{'from nothing to the first picture':62s} {total:7.1f} s")
        assert picture.read_bytes()[:4] == b"\x89PNG"
        picture.unlink()
        (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
        (desk / "six.py").write_text(block)
        timed("the six lines of Python, stores empty", [bin_ / "python", "six.py"], desk, desk / "other")
        timed("the same again", [bin_ / "python", "six.py"], desk, desk / "other")
        assert picture.read_bytes()[:4] == b"\x89PNG"


if __name__ == "__main__":
    main()
