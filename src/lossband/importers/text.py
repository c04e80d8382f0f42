"""Plain-text logs, by a regular expression with named groups."""

import os
import re
from pathlib import Path

from ..errors import InputError
from .records import Logs


def read_logs(source: str | os.PathLike, *, pattern: str | None, run: str | None = None) -> Logs:
    """Numbers of every line that the pattern finds something in.

    Raises:
        InputError: an invalid pattern, one that lacks a group or matches no line; a group that is no number.
    """
    expression = _compiled(pattern)
    try:
        lines = Path(source).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{str(source)!r} cannot be read: {error}.", "Check the path.") from error
    series, skipped = {}, 0
    for number, line in enumerate(lines):
        match = expression.search(line)
        if match is None:
            skipped += 1
            continue
        found = {name: value for name, value in match.groupdict().items() if value is not None}
        name = found.pop("run", run or Path(source).stem)
        numbers = {group: _number(value, group, number) for group, value in found.items()}
        step = int(numbers.pop("step", numbers.get("tokens")))
        for metric, value in numbers.items():
            series.setdefault(name, {}).setdefault(metric, []).append((step, value))
    if not series:
        raise InputError(
            f"none of the {len(lines)} lines of {str(source)!r} matches the pattern {pattern!r}.",
            "Try it on one line first; it is searched for anywhere in a line.",
        )
    return Logs(series, skipped=skipped)


def _compiled(pattern: str | None) -> re.Pattern[str]:
    if not pattern:
        raise InputError(
            "a plain-text log needs a pattern.", r"For instance 'step (?P<step>\d+).*loss (?P<loss>\S+)'."
        )
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"the pattern {pattern!r} is no regular expression: {error}.", "Correct it."
        ) from error
    groups = set(expression.groupindex)
    if "loss" not in groups or not groups & {"step", "tokens"}:
        raise InputError(
            f"the pattern {pattern!r} has the groups {sorted(groups)}; expected loss, and step or tokens.",
            r"Name them: (?P<step>\d+), (?P<loss>\S+).",
        )
    return expression


def _number(text: str, group: str, line: int) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError as error:
        raise InputError(
            f"the group {group} found {text!r} in line {line + 1}, which is no number.", "Narrow the pattern."
        ) from error
