"""Marks of tests whose input is that of a public report, and the table of them.

python -m tests.reports
"""

import ast
from pathlib import Path

import pytest

KINDS = {
    1: "checked in one place, read raw in another",
    2: "importers that drop, merge or repair silently",
    3: "data that contradict every law",
    4: "writes",
    5: "arguments",
    6: "stopping",
    7: "first contact",
}
HERE = Path(__file__).parent


def report(kind, place):
    """Mark a test with the report that its input was taken from: `owner/name#number`, of a kind of `KINDS`."""
    assert kind in KINDS and "#" in place
    return pytest.mark.report(kind, place)


def found():
    """Kind -> places of the reports that tests are marked with, read from their source."""
    places = {kind: set() for kind in KINDS}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "report":
                kind, place = (argument.value for argument in node.args)
                places[kind].add(place)
    return places


def link(place):
    """A Markdown link to a report."""
    repository, number = place.split("#")
    return f"[{place}](https://github.com/{repository}/issues/{number})"


def main():
    """Print the table of kinds."""
    print("| kind | inputs | reports |\n|---|---|---|")
    for kind, places in found().items():
        print(f"| {kind}. {KINDS[kind]} | {len(places)} | {', '.join(map(link, sorted(places)))} |")


if __name__ == "__main__":
    main()
