"""Plain-text logs: of programs whose lines are known, or by a regular expression with named groups."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, Note
from ..runs.files import read_text
from .patterns import ANSI, PROGRAMS, program_of
from .records import Logs, Points

THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
COUNTS = ("step", "tokens")


def lines_of(source: str | os.PathLike) -> list[str]:
    """The lines of a log, without what colours them on a terminal."""
    return ANSI.sub("", read_text(source)).splitlines()


def is_one(path: Path) -> bool:
    """Whether a file's lines are those of a program that is known."""
    return path.is_file() and program_of(lines_of(path)) is not None


def read_logs(source: str | os.PathLike, *, pattern: str | None, run: str | None = None) -> Logs:
    """Numbers of every line that the pattern finds something in.

    Args:
        source: the path of the log.
        pattern: a regular expression with named groups, or None for the lines of a known program.
        run: the run's label.

    Raises:
        InputError: an invalid pattern, one that lacks a group or matches no line; a group that is no number.
    """
    lines, name, notes = lines_of(source), run or Path(source).name.partition(".")[0], ()
    if pattern is None and (program := program_of(lines)):
        expressions = PROGRAMS[program]
        notes = (Note("program", f"read as a log of {program}."),)
    else:
        expressions = (_compiled(pattern),)
    series, skipped, epochs = _points(lines, expressions, name)
    if not series:
        raise InputError(
            f"none of the {len(lines)} lines of {str(source)!r} matches the pattern {pattern!r}.",
            "Try it on one line first; it is searched for anywhere in a line.",
        )
    if epochs:
        notes = (*notes, Note("epochs", "the log has no steps: step counts epochs."))
    return Logs(series, skipped=skipped, notes=notes, own_names=set(series) != {name})


def _points(
    lines: Sequence[str], expressions: Sequence[re.Pattern[str]], run: str
) -> tuple[dict[str, dict[str, Points]], int, bool]:
    """Run -> metric -> points; how many lines say nothing; whether steps are epochs."""
    series: dict[str, dict[str, Points]] = {}
    skipped, step, epochs = 0, None, False
    for number, line in enumerate(lines):
        match = next((found for each in expressions if (found := each.search(line))), None)
        if match is None:
            skipped += 1
            continue
        found = {name: value for name, value in match.groupdict().items() if value is not None}
        name = found.pop("run", run)
        numbers = {group: _number(value, group, number) for group, value in found.items()}
        epochs = epochs or ("epoch" in numbers and not set(COUNTS) & set(numbers))
        step = numbers.pop("step", numbers.get("tokens", numbers.pop("epoch", step)))
        if step is None:  # a held-out loss before the first step
            step = 0.0
        for metric, value in numbers.items():
            series.setdefault(name, {}).setdefault(metric, []).append((step, value))
    return series, skipped, epochs


def _compiled(pattern: str | None) -> re.Pattern[str]:
    if not pattern:
        raise InputError(
            "a plain-text log needs a pattern.",
            r"For instance pattern=r'step (?P<step>\d+).*loss (?P<loss>\S+)'.",
            r"For instance --pattern 'step (?P<step>\d+).*loss (?P<loss>\S+)'.",
        )
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"the pattern {pattern!r} is no regular expression: {error}.", "Correct it."
        ) from None
    groups = set(expression.groupindex)
    if "loss" not in groups or not groups & {"step", "tokens"}:
        raise InputError(
            f"the pattern {pattern!r} has the groups {sorted(groups)}; expected loss, and step or tokens.",
            r"Name them: (?P<step>\d+), (?P<loss>\S+).",
        )
    return expression


def _number(text: str, group: str, line: int) -> float:
    """A group as a number; commas stand between thousands, and only in counts."""
    plain = text.strip(" ,;|")
    if "," in plain:
        if group not in COUNTS or not THOUSANDS.fullmatch(plain):
            raise InputError(
                f"the group {group} found {text!r} in line {line + 1}; a comma may only part the thousands "
                "of a step or of tokens.",
                "Write decimal points: replace the commas in the log.",
                r"Write decimal points: sed -E 's/([0-9]),([0-9])/\1.\2/g' train.log > plain.log.",
            )
        plain = plain.replace(",", "")
    try:
        return float(plain)
    except ValueError:
        raise InputError(
            f"the group {group} found {text!r} in line {line + 1}, which is no number.", "Narrow the pattern."
        ) from None
