"""Results in a notebook: a heading, lines, a table and notes as a little HTML, everything escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

MAX_ROWS = 60


def notebook(title: str, text: str = "", frame: pd.DataFrame | None = None, notes: Iterable = ()) -> str:
    """What a notebook shows of a result.

    Args:
        title: one line.
        text: lines under it, as they are.
        frame: a table, of which at most 60 rows are shown.
        notes: coded remarks or lines of text.

    Returns:
        HTML.
    """
    parts = [f"<p><b>{escape(title)}</b></p>"]
    if text:
        parts.append(f"<pre>{escape(text)}</pre>")
    if frame is not None:
        shown: dict[str, Any] = dict(float_format=lambda value: f"{value:.4g}", border=0, max_rows=MAX_ROWS)
        parts.append(f'<div style="overflow-x:auto">{frame.to_html(**shown)}</div>')
    if said := [f"<li>{escape(str(note))}</li>" for note in notes]:
        parts.append(f"<ul>{''.join(said)}</ul>")
    return f"<div>{''.join(parts)}</div>"
