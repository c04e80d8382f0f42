"""`help()` on every public name: one sentence, and an example that runs."""

import doctest
import inspect
from types import ModuleType

import matplotlib
import matplotlib.pyplot as plt
import pytest

import lossband as lb
from lossband.evaluation.classic import classic
from lossband.laws.law import LAWS
from lossband.planning.next_run import NextRun
from lossband.planning.recipes import Comparison

matplotlib.use("Agg")
PUBLIC = {
    name: getattr(lb, name)
    for name in lb.__all__
    if not isinstance(getattr(lb, name), ModuleType | tuple) and name != "Average"  # the same as Posterior
}
METHODS = "predict draws prob gap log_score optimal plot summary save".split()
NAMES = PUBLIC | {f"Posterior.{name}": getattr(lb.Posterior, name) for name in METHODS}
NAMES |= {
    "Backtest.calibration": lb.Backtest.calibration,
    "Backtest.plot": lb.Backtest.plot,
    "Plan.plot": lb.Plan.plot,
    "Outlook.plot": lb.Outlook.plot,
    "Comparison.plot": Comparison.plot,
    "NextRun.plot": NextRun.plot,
    "Law.with_priors": lb.Law.with_priors,
    "classic": classic,
}


@pytest.mark.parametrize("name", NAMES)
def test_help_begins_with_a_sentence_and_names_every_argument(name):
    found = NAMES[name]
    text = inspect.getdoc(found)
    first = text.splitlines()[0]
    assert 20 < len(first) <= 120 and (
        first.endswith((".", ":")) or ". " in first or "." in text.split("\n\n")[0]
    )
    if inspect.isfunction(found):
        given = [p for p in inspect.signature(found).parameters if p not in ("self", "args", "kwargs")]
        missing = [p for p in given if p not in text]
        assert not missing, f"{name} does not say what {missing} are"


@pytest.mark.filterwarnings("ignore:.*many figures.*")
@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    known = set(LAWS)
    (example,) = doctest.DocTestFinder(recurse=False).find(
        NAMES[name], name, globs={"lb": lb, "lossband": lb}
    )
    try:
        assert example.examples, f"{name} has no example"
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example)
        assert not result.failed, capsys.readouterr().out[-2000:]
    finally:
        plt.close("all")
        for law in set(LAWS) - known:
            LAWS.pop(law)
