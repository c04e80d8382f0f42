"""What a figure leaves behind: the picture, the tables that answer its question, the fits."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._lazy import required
from ..errors import Note

if TYPE_CHECKING:
    import pandas as pd

    from ..posterior.posterior import Posterior


@dataclass(frozen=True)
class Figure:
    """A figure and its answers.

    name: of the figure, and of its files.
    title: the question that it answers.
    axes: matplotlib axes.
    tables: title -> frame, the answers with their intervals.
    posts: name -> `Posterior`, the fits behind it.
    notes: coded remarks on the table that was given.
    """

    name: str
    title: str
    axes: np.ndarray
    tables: "dict[str, pd.DataFrame]"
    posts: "dict[str, Posterior]"
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        """The question, the fits' health, the notes and the tables, as text."""
        parts = [self.title]
        parts += [f"{name}: {str(post.health).splitlines()[0]}" for name, post in self.posts.items()]
        parts += dict.fromkeys(map(str, self.notes))  # several fits may say the same
        for title, table in self.tables.items():
            parts.append(f"\n{title}\n{table.to_string(index=False, float_format=lambda x: f'{x:.4g}')}")
        return "\n".join(parts)

    def save(self, out: str | os.PathLike) -> list[Path]:
        """Write the picture, every table as CSV and every fit as netCDF to a folder; return the paths."""
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / f"{self.name}.png"]
        np.ravel(self.axes)[0].figure.savefig(paths[0], dpi=160)
        for number, table in enumerate(self.tables.values()):
            paths.append(out / f"{self.name}-{number + 1}.csv")
            table.to_csv(paths[-1], index=False)
        return paths + [post.save(out / f"{self.name}-{name}.nc") for name, post in self.posts.items()]


def tell(draw: Callable[..., Figure], out: str | os.PathLike | None = None, **options: Any) -> list[Path]:
    """Draw a figure, print its answers, and write its files to a folder; return the paths.

    Args:
        draw: one of the figures, a function.
        out: the folder: by default the first word of the command line, else the figure's name.
        options: of the figure.
    """
    required("matplotlib", "plot", "pictures")
    import matplotlib

    matplotlib.use("Agg")
    figure = draw(**options)
    print(figure)
    return figure.save(out or (sys.argv[1] if len(sys.argv) > 1 else figure.name))


def interval(draws: np.ndarray, *, level: float = 0.9, name: str = "") -> dict[str, float]:
    """Median and equal-tailed interval of `(sample,)` draws, which may be infinite, as columns of a table."""
    low, mid, high = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2], method="inverted_cdf")
    return {f"{name}median": mid, f"{name}lo_90": low, f"{name}hi_90": high}


def flat(post: "Posterior") -> dict[str, np.ndarray]:
    """Every scalar site's draws, `(sample,)`, by name."""
    return {name: np.ravel(value) for name, value in post.sites.items() if np.ndim(value) == 2}


def first_line(what: Any) -> str:
    """The first line of a docstring: the question that a figure answers."""
    return (what.__doc__ or "").splitlines()[0]
