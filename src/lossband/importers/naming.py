"""Names: under which names programs log a loss, sizes, tokens and the rest, the likeliest first."""

import re
from collections.abc import Iterable, Mapping

from ..errors import InputError, listed, nearest
from ..runs.table import VOCABULARY

TRAINING = (
    "loss",
    "train/loss",
    "train_loss",
    "train.loss",
    "training/loss",
    "training_loss",
    "loss/train",
    "train/lm_loss",
    "lm loss",
    "lm_loss",
    "lm-loss-training/lm loss",
    "train/crossentropyloss",
    "train/cross_entropy_loss",
    "train/ce_loss",
    "loss_metrics/global_avg_loss",
    "train_loss_step",
    "train/loss_step",
    "train_loss_epoch",
    "train/loss_epoch",
    "train_bpb",
    "train/bpb",
    "train/train_loss",
)
HELD_OUT = (
    "eval/loss",
    "eval_loss",
    "val/loss",
    "val_loss",
    "loss/val",
    "valid/loss",
    "valid_loss",
    "validation/loss",
    "validation_loss",
    "lm loss validation",
    "lm-loss-validation/lm loss validation",
    "test/loss",
    "test_loss",
    "val_bpb",
    "val/bpb",
    "eval/bpb",
    "bpb",
)
USUAL = {
    "params": (
        "params",
        "n_params",
        "num_params",
        "num_parameters",
        "n_parameters",
        "parameters",
        "total_params",
        "total_parameters",
        "model_params",
        "model_parameters",
        "num_model_params",
        "param_count",
        "parameter_count",
        "trainable_params",
        "non_embedding_params",
        "num_non_embedding_params",
        "params_non_embedding",
        "n",
    ),
    "tokens": (
        "tokens",
        "num_input_tokens_seen",
        "train/num_input_tokens_seen",
        "train/tokens",
        "tokens_seen",
        "train/tokens_seen",
        "total_tokens",
        "train/total_tokens",
        "throughput/total_tokens",
        "consumed_tokens",
        "consumed_train_tokens",
        "train_tokens",
        "training_tokens",
        "n_tokens",
        "num_tokens",
        "d",
    ),
    "flops": (
        "flops",
        "train_flops",
        "training_flops",
        "total_flops",
        "total_flos",
        "train/total_flos",
        "compute",
        "c",
    ),
    "lr": (
        "lr",
        "learning_rate",
        "train/learning_rate",
        "train/lr",
        "learning-rate",
        "learning-rate/learning-rate",
        "learning rate",
        "optim/learning_rate_group0",
        "lr-adamw",
        "lr-adam",
        "lr-sgd",
    ),
    "d_model": ("d_model", "n_embd", "hidden_size"),
    "n_layer": ("n_layer", "n_layers", "num_layers", "num_hidden_layers"),
    "n_head": ("n_head", "n_heads", "num_heads", "num_attention_heads"),
}
STEPS = (
    "_step",
    "step",
    "trainer/global_step",
    "train/global_step",
    "global_step",
    "iteration",
    "iter",
    "steps",
    "current_steps",
    "optimizer_step",
)
LABELS = (
    "run",
    "run_name",
    "run name",
    "name",
    "experiment",
    "experiment_name",
    "run id",
    "run_id",
    "experiment key",
    "experiment_key",
    "experimentkey",
)
_PREFIX = re.compile(r"^(config|summary|params|metrics|hparams|model|parameters)[./]", re.IGNORECASE)
_LOSS = re.compile(r"(^|[/_.\- ])(loss|bpb|nll|cross_entropy|crossentropy|ce|xent)$", re.IGNORECASE)
_PART = re.compile(r"aux|z_loss|balanc|router|distil|penalt|regulari|(^|[/_])kl", re.IGNORECASE)


def plain(name: str) -> str:
    """A name in small letters, without the part that says where a program keeps it."""
    return _PREFIX.sub("", name.strip()).lower()


def first_of(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The first of the wanted names that is among these, as it is written there."""
    here: dict[str, str] = {}
    for name in names:
        here.setdefault(plain(name), name)
    return next((here[each] for each in wanted if each in here), None)


def usual_columns(names: Iterable[str]) -> dict[str, str]:
    """Name -> lossband's, of the names that say what they are; a loss and the clock are chosen elsewhere."""
    names = list(names)
    found = {name: name for name in names if name in VOCABULARY and name not in ("loss", "run", "step")}
    for ours, known in USUAL.items():
        if ours not in found.values() and (name := first_of(names, known)):
            found[name] = ours
    return found


def losses_of(names: Iterable[str], *, held_out: bool = False) -> list[str]:
    """The names that are a loss's, the best first.

    Args:
        names: of what was logged.
        held_out: whether a held-out loss is the better one, as where each run has one number: a training
            loss then is that of its last batch.
    """
    names = list(names)
    order = ("loss", *HELD_OUT, *TRAINING) if held_out else (*TRAINING, *HELD_OUT)
    rank = {name: position for position, name in reversed(list(enumerate(order)))}
    known = sorted((name for name in names if plain(name) in rank), key=lambda name: rank[plain(name)])
    return known or [name for name in names if _LOSS.search(name) and not _PART.search(name)]


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
