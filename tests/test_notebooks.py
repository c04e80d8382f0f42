"""The notebooks: every cell runs, and what a cell ends with shows itself."""

import ast
import json
import shutil
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
matplotlib.use("Agg")


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_and_shows_its_result(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(EXAMPLES / "wandb_export.csv", tmp_path)
    names, pages, drawn = {"__name__": "notebook"}, 0, 0
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        *lines, last = ast.parse("".join(cell["source"])).body
        assert isinstance(last, ast.Expr)
        exec(compile(ast.Module(lines, []), path.name, "exec"), names)
        shown = eval(compile(ast.Expression(last.value), path.name, "eval"), names)
        assert shown is not None
        pages += hasattr(shown, "_repr_html_")
        drawn += isinstance(np.ravel(np.asarray(shown, dtype=object))[0], plt.Axes)
    plt.close("all")
    assert pages >= 3 and drawn >= 2
