"""Editors and checkers see what users call: a script that passes, slips that are reported."""

import ast
import subprocess
import sys
from pathlib import Path

import lossband

HERE = Path(__file__).parent / "typing"
PACKAGE = Path(lossband.__file__).parent


def checked(name):
    """Pyright's errors of a script: line -> text."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(HERE / name)]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    assert "errors" in out or "error," in out, out
    errors = [line for line in out.splitlines() if " - error: " in line]
    return {int(line.split(f"{name}:")[1].split(":")[0]): line for line in errors}


def test_a_users_script_has_no_errors():
    assert checked("good.py") == {}


def test_each_slip_of_a_user_is_reported_where_it_stands():
    lines = (HERE / "bad.py").read_text().splitlines()
    slips = ("backtst", "observatoin", "cots", "heath")
    places = {n for n, line in enumerate(lines, 1) if any(slip in line for slip in slips)}
    found = checked("bad.py")
    assert set(found) == places and len(places) == len(slips)
    assert all(any(slip in text for text in found.values()) for slip in slips)


def test_the_stub_has_the_names_that_the_package_has():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    names = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(lossband.__all__)
    assert (PACKAGE / "py.typed").exists()
