"""What there is to run: `python -m benchmarks` lists every benchmark with what it measures."""

import ast
from pathlib import Path


def listed(folder=Path(__file__).parent):
    """(name, the first line of its docstring) of every benchmark that is a command."""
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/__main__.py")]):
        source = path.read_text()
        if "def main()" in source and path != Path(__file__):
            name = path.parent.name if path.stem == "__main__" else path.stem
            yield name, ast.get_docstring(ast.parse(source)).splitlines()[0]


def main():
    width = max(len(name) for name, _ in listed())
    print(*(f"python -m benchmarks.{name:{width}}  {about}" for name, about in listed()), sep="\n")


if __name__ == "__main__":
    main()
