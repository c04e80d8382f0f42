"""Naming: which metric becomes which column, by the user's word or by its usual name."""

from collections.abc import Iterable, Mapping

from ..errors import InputError, listed, nearest
from ..runs.names import HELD_OUT, TRAINING, USUAL, first_of, losses_of, plain
from ..runs.table import VOCABULARY


def usual_columns(names: Iterable[str]) -> dict[str, str]:
    """Name -> lossband's, of the names that say what they are; a loss and the clock are chosen elsewhere."""
    names = list(names)
    found = {name: name for name in names if name in VOCABULARY and name not in ("loss", "run", "step")}
    for ours, known in USUAL.items():
        if ours not in found.values() and (name := first_of(names, known)):
            found[name] = ours
    return found


def choose(
    names: Iterable[str],
    columns: Mapping[str, str],
    *,
    constants: Iterable[str] = (),
    held_out: bool = False,
) -> dict[str, str]:
    """Name -> lossband's name, of what was logged.

    Args:
        names: of what was logged.
        columns: the user's choice; what it says nothing of goes by its usual names.
        constants: names of a run's settings, which `columns` may give too.
        held_out: as in `losses_of`.

    Raises:
        InputError: a metric that was not logged, or no loss, or no single one, among those that were.
    """
    names = list(names)
    for metric, ours in columns.items():
        if metric not in names and metric not in constants:
            raise InputError(
                f"columns= names {metric!r}, which was not logged{nearest(metric, names)}",
                f"Logged were {listed(names, 20)}.",
            )
        known(ours)
    found = {name: ours for name, ours in usual_columns(names).items() if ours not in columns.values()}
    found |= {metric: ours for metric, ours in columns.items() if metric in names}
    if "loss" not in found.values():
        found[_loss(names, held_out)] = "loss"
    return found


def _loss(names: list[str], held_out: bool) -> str:
    losses = losses_of(names, held_out=held_out)
    if not losses:
        raise InputError(
            f"no training loss was logged under a usual name; logged were {listed(names, 20)}.",
            "Name it: columns={'your/loss': 'loss'}.",
            "Name it: --columns your/loss=loss.",
        )
    if len(losses) > 1 and plain(losses[0]) not in (*TRAINING, *HELD_OUT):
        raise InputError(
            f"{len(losses)} metrics may be the loss ({listed(losses, 20)}), and none has a usual name.",
            f"Name it: columns={{{losses[0]!r}: 'loss'}}.",
            f"Name it: --columns '{losses[0]}=loss'.",
        )
    return losses[0]


def said(chosen: Mapping[str, str], names: Iterable[str]) -> str:
    """Which metric became which column, and which other losses there are; empty if nothing is to be said."""
    words = ", ".join(f"{ours} is {name!r}" for name, ours in chosen.items() if name != ours)
    others = [name for name in losses_of(names) if name not in chosen]
    if not others:
        return f"{words}." if words else ""
    loss = next(name for name, ours in chosen.items() if ours == "loss")
    other = f"columns={{{others[0]!r}: 'loss'}} takes that"
    return f"{words or f'loss is {loss!r}'}; also logged: {listed(others)} ({other})."


def known(name: object) -> None:
    """Refuse a name that is no column of lossband."""
    if name not in VOCABULARY:
        raise InputError(
            f"{name!r} is no column of lossband{nearest(name, VOCABULARY)}",
            f"Use one of {', '.join(VOCABULARY)}.",
        )
