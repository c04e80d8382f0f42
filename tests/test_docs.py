"""The pages: their code runs, and every coded note and every law stands where it is explained."""

import ast
import re
from pathlib import Path

import pytest

import lossband as lb
from lossband.laws.law import LAWS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lossband"


def blocks(page):
    """Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first = blocks("README.md")[0]
    assert 10 <= len(first.strip().splitlines()) <= 20
    names = {}
    exec(compile(first, "README.md", "exec"), names)
    assert "R-hat" in capsys.readouterr().out
    assert {"lo_90", "hi_90", "extrapolation"} <= set(names["band"])
    assert lb.load("looped.nc").law.name == "looped"


@pytest.mark.parametrize("page", ["README.md", "docs/writing-a-law.md"])
def test_the_law_on_the_page_is_a_law(page):
    (block,) = [block for block in blocks(page) if "@lb.law" in block]
    names = {"lb": lb}
    exec(compile(block, page, "exec"), names)
    try:
        assert names["ours"].inputs == ("params", "tokens")
        assert LAWS["ours"] is names["ours"]
    finally:
        LAWS.pop("ours")  # other tests go over every law


def codes():
    """Codes of every note that the source makes."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "Note"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield node.args[0].value


def test_every_coded_note_stands_on_the_page():
    found = set(codes())
    assert {"rhat", "resumed", "one-ratio"} <= found  # the walk sees them
    page = (ROOT / "docs/when-not-to-trust.md").read_text(encoding="utf-8")
    assert not {code for code in found if f"| `{code}` |" not in page}


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links {link}"


def test_every_command_that_the_pages_name_is_there():
    from lossband.cli import COMMANDS

    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {
        name for page in pages for name in re.findall(r"lossband ([a-z]+) ", page.read_text(encoding="utf-8"))
    }
    assert {"fit", "compare", "report"} <= named
    assert named & {
        "fit",
        "predict",
        "backtest",
        "compare",
        "plan",
        "report",
        "data",
        "figure",
        "demo",
    } <= set(COMMANDS)
