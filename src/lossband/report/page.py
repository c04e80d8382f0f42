"""Pieces of an HTML page: everything that comes from the user is escaped."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def page(title: str, sections: Iterable[str]) -> str:
    """One self-contained page: the style is inside, and nothing is fetched."""
    style = (files("lossband.report") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A section with its heading; the parts are HTML already."""
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(parts) + "</section>"


def text(words: str, kind: str = "") -> str:
    """A paragraph; `kind` is a class of the style sheet."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def note(code: str, words: str) -> str:
    """A coded remark as a paragraph."""
    return f'<p class="note"><code>{escape(code)}</code> {escape(words)}</p>'


def table(frame: "pd.DataFrame") -> str:
    """A frame as a table that scrolls sideways on a narrow screen."""
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in frame)
    rows = [
        "".join(f"<td>{escape(shown(value))}</td>" for value in row) for row in frame.itertuples(index=False)
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def listing(pairs: Mapping[str, object]) -> str:
    """Names and what they are."""
    return (
        "<dl>" + "".join(f"<dt>{escape(n)}</dt><dd>{escape(str(v))}</dd>" for n, v in pairs.items()) + "</dl>"
    )


def code(words: str) -> str:
    """Lines as they are."""
    return f'<pre class="wide">{escape(words)}</pre>'


def figure(svg: str, caption: str = "", kind: str = "") -> str:
    """A drawing, which is SVG already, with its caption; `kind` is a class of the style sheet."""
    return f'<figure class="{kind}">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def panels(figures: Iterable[str]) -> str:
    """Figures side by side."""
    return f'<div class="panels">{"".join(figures)}</div>'


def shown(value: object) -> str:
    """A cell: numbers at four significant digits."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return str(value)
