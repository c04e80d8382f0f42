"""Tables that print whole, within the width of the screen, with what is to be read first above them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pandas as pd

from .._html import notebook

if TYPE_CHECKING:
    from typing import Any

WIDTH_OF_A_PIPE = 100  # columns of text, where there is no terminal to ask


class Table(pd.DataFrame):
    """A frame that prints its diagnostics first, then every column, and its `attrs["notes"]` last."""

    _metadata = ["health"]

    def __init__(self, data: Any = None, health: str = "", **kwargs: Any) -> None:
        """The table of `data`, with `health` to be printed above it."""
        super().__init__(data, **kwargs)  # pyright: ignore[reportCallIssue]  # pandas-stubs know no subclass
        self.health = health

    @property
    def _constructor(self) -> type[Table]:
        """Slices are tables too, with the same lines above them."""
        return type(self)

    def __str__(self) -> str:
        """The health, the table with every column, and the notes."""
        width = shutil.get_terminal_size((WIDTH_OF_A_PIPE, 24)).columns
        table = pd.DataFrame(self).to_string(float_format=lambda x: f"{x:.4g}", line_width=width)
        notes = "\n".join(map(str, self.attrs.get("notes", ())))
        return "\n\n".join(filter(None, [self.health, table, notes]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        first, *rest = self.health.splitlines() or [""]
        return notebook(first, "\n".join(rest), pd.DataFrame(self), self.attrs.get("notes", ()))


def table(data: Any, *, health: str) -> Table:
    """A `Table`: pandas' stubs know no arguments of a subclass."""
    make: Any = Table
    return make(data, health=health)
