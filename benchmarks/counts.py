"""Counts of the house: files, rooms, lines, long functions, types.

python -m benchmarks.counts            # of this tree
python -m benchmarks.counts OTHER/src/lossband
"""

import argparse
import ast
from pathlib import Path

LONG = 30  # lines of a function's body


def length(function):
    """Lines of a function's body, its docstring and signature not counted."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def arrows(package, files):
    """Imports from one room (a folder or a file of the package) to another, each pair once."""
    found = set()
    for file, tree in files.items():
        parts = file.relative_to(package).with_suffix("").parts
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = parts[: len(parts) - node.level]
                names = [node.module.split(".")] if node.module else [[a.name] for a in node.names]
                found |= {(parts[0], (*above, *name)[0]) for name in names if (*above, *name)}
    return {(one, other) for one, other in found if one != other}


def counts(package):
    """The counts of a package's folder, name -> number."""
    files = {file: ast.parse(file.read_text()) for file in sorted(package.rglob("*.py"))}
    functions = [
        (file, node)
        for file, tree in files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    takes = [
        arg
        for _, f in functions
        for arg in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)
        if arg.arg not in ("self", "cls")
    ]
    long = [(file, f.name) for file, f in functions if length(f) > LONG]
    return {
        "files": len(files),
        "entries": sum(not entry.name.startswith("__pycache__") for entry in package.iterdir()),
        "lines": sum(len(file.read_text().splitlines()) for file in files),
        "arrows between rooms": len(arrows(package, files)),
        f"functions over {LONG} lines": len(long),
        "of these in inference": sum("inference" in file.parts for file, _ in long),
        "typed parameters, %": round(100 * sum(a.annotation is not None for a in takes) / len(takes), 1),
        "typed returns, %": round(100 * sum(f.returns is not None for _, f in functions) / len(functions), 1),
    }


def main():
    """Print the counts of each package named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="*", type=Path, default=[Path("src/lossband")])
    for package in parser.parse_args().package:
        print(package)
        for name, number in counts(package).items():
            print(f"  {name:24s} {number}")


if __name__ == "__main__":
    main()
