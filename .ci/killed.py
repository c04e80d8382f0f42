"""Kill -9 in the middle of `fit_many(folder=)` and `save`: nothing lost, nothing half written.

    uv run python .ci/killed.py [times]

A child fits tables into a folder and then saves one posterior over and over. Every other time it is killed
at a random moment from its start, else while it saves. After each death every file must load whole, and those
that were there must still be there. At the end the fits are completed and must predict bit for bit what an
undisturbed job gives.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import lossband as lb

QUICK = dict(method="laplace", num_samples=200, num_chains=2, progress=False, batch=1)
TOKENS = np.geomspace(1e8, 1e12, 12)


def tables():
    """Sixteen curves of twelve points."""
    rng = np.random.default_rng(0)
    return [
        pd.DataFrame(
            {"tokens": TOKENS, "loss": (2 + (TOKENS / 1e8) ** -0.3) * np.exp(rng.normal(0, 0.004, 12))}
        )
        for _ in range(16)
    ]


def child(folder):
    """Fit what is not there yet, then save for ever."""
    print("begun", flush=True)
    posts = lb.fit_many(tables(), "power", drift=None, folder=folder / "fits", **QUICK)
    print("fitted", flush=True)
    while True:
        posts[0].save(folder / "one.nc")


def whole(folder):
    """Names of the posteriors that load; a file that does not is an error."""
    paths = sorted(path for path in folder.rglob("*.nc") if not path.name.startswith("."))
    for path in paths:
        lb.load(path)
    return {path.name for path in paths}


def main(times):
    """Kill, look, and go on."""
    random.seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder, known, fitting, saving = Path(name), set(), 0, 0
        for turn in range(times):
            command = [sys.executable, __file__, "child", name]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "begun\n"
            ended = process.stdout.readline() if turn % 2 else ""
            time.sleep(random.uniform(0, 1) if turn % 2 else random.uniform(0.5, 4))
            process.send_signal(signal.SIGKILL)
            ended += process.communicate()[0]
            fitting, saving = fitting + (ended == ""), saving + (ended != "")
            found = whole(folder)
            assert known <= found, f"lost: {known - found}"
            known = found
            if len(known) == 17 and random.random() < 0.4:  # so that later kills meet fits, too
                for path in (folder / "fits").glob("*.nc"):
                    path.unlink()
                known = {"one.nc"}
        left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".nc"]
        left += [path.name for path in folder.rglob(".*.nc*")]
        again = lb.fit_many(tables(), "power", drift=None, folder=folder / "fits", **QUICK)
        fresh = lb.fit_many(tables(), "power", drift=None, **QUICK)
        for one, other in zip(again, fresh, strict=True):
            new = pd.DataFrame({"tokens": [1e13]})
            np.testing.assert_array_equal(one.draws(new), other.draws(new))
    print(
        f"{times} kills ({fitting} while fitting, {saving} while saving): every file whole, none lost; "
        f"{len(left)} temporary files left behind; completed fits are bit for bit those of an undisturbed job"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(Path(sys.argv[2]))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
