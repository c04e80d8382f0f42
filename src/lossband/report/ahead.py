"""What a report says beyond the data: the equation with fitted numbers, a forecast, a split of budgets."""

import inspect
import re
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..posterior.posterior import Posterior
from . import charts, page

TIMES = (10.0, 100.0)  # the largest compute of the data: what the report forecasts
CENTRES = {"N0": "params", "D0": "tokens", "T0": "loops", "x0": None}


def equation(post: Posterior) -> str:
    """A section with the law's equation as its docstring has it, and with the medians of the fit to cite."""
    fit = post.parts[post.cited][1]
    law = fit.problem.model.law
    lines = _lines(law.curve)
    if not lines:
        return ""
    numbers = {name: float(np.median(v)) for name, v in fit.draws.sites.items() if np.ndim(v) <= 2}
    for name, column in CENTRES.items():
        column = column or next(iter(law.inputs))
        if column in fit.problem.unit.centre:
            numbers[name] = float(fit.problem.unit.centre[column])
    filled = [_filled(line, numbers) for line in lines]
    words = (
        f"Medians of the fit {post.cited!r}, in the table's own units; intervals stand in the table below."
    )
    return page.section(
        "Equation", page.code("\n".join(lines)), page.code("\n".join(filled)), page.text(words, "soft")
    )


def _lines(curve: Any) -> list[str]:
    """The first indented block of a docstring."""
    found = re.search(r"(?:^ {4,}\S.*\n?)+", inspect.getdoc(curve) or "", flags=re.MULTILINE)
    return inspect.cleandoc(found[0]).splitlines() if found else []


def _filled(line: str, numbers: dict[str, float]) -> str:
    """A line with numbers for the names on the right of its equals signs."""
    names = "|".join(sorted(map(re.escape, numbers), key=len, reverse=True))
    parts = re.split(r"(,\s{2,})", line)
    made = []
    for part in parts:
        left, equals, right = part.partition("=")
        if left.strip() in numbers:  # a definition of what has its number already
            equals, right = "=", f" {numbers[left.strip()]:.4g}"
        else:
            replace = re.compile(rf"(?<![\w.])({names})(?![\w(])")
            right = replace.sub(lambda found: f"{numbers[found[0]]:.4g}", right)
            if re.search(r" [-+*/] ", left):  # an equation, and no definition
                left = replace.sub(lambda found: f"{numbers[found[0]]:.4g}", left)
        made.append(left + equals + right)
    return "".join(made)


def forecast(post: Posterior) -> str:
    """Sections with the best split of ten and a hundred times the largest compute, and the losses there."""
    inputs = post.law.inputs
    if not {"params", "tokens"} <= set(inputs):
        return ""
    frame = post.problem.frame
    cost = frame["params"] * frame["tokens"] * (frame["loops"] if "loops" in inputs else 1)
    try:
        plan = post.optimal([6 * float(cost.max()) * times for times in TIMES])
    except InputError as error:  # a law whose other inputs have no usual value
        return page.section("Forecast", page.text(f"No split of a budget: {error.what}", "soft"))
    names = [name for name in ("params", "tokens", "loops") if f"{name}_median" in plan.frame]
    new = pd.DataFrame({name: plan.frame[f"{name}_median"] for name in names})
    rows = plan.frame[[c for c in plan.frame if "within" not in str(c)]].set_index("flops").T
    rows = rows.set_axis([f"{page.shown(flops)} FLOPs" for flops in rows.columns], axis=1)
    table = page.table(rows.rename_axis("at the best split").reset_index())
    words = "Ten and a hundred times the largest compute of the data, split as the law has it best (6ND)."
    notes = [page.note(note.code, note.text) for note in plan.notes]
    drawing = page.figure(charts.ahead(post, new), "Diamonds: forecasts at the best split.", kind="paper")
    return page.section("Forecast and plan", page.text(words, "soft"), drawing, table, *notes)
