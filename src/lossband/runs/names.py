"""Names: under which people and programs keep a loss, sizes, tokens and the rest, the likeliest first."""

import re
from collections.abc import Iterable

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
    "run_uuid",
    "experiment key",
    "experiment_key",
    "experimentkey",
)
_PREFIX = re.compile(r"^(config|summary|params|metrics|hparams|model|parameters)[./]", re.IGNORECASE)
_LOSS = re.compile(r"(^|[/_.\- ])(loss|bpb|nll|cross_entropy|crossentropy|ce|xent)$", re.IGNORECASE)
_PART = re.compile(r"aux|z_loss|balanc|router|distil|penalt|regulari|(^|[/_])kl", re.IGNORECASE)


def plain(name: str) -> str:
    """A name in small letters, without the part that says where a program keeps it."""
    return _PREFIX.sub("", str(name).strip()).lower()


def first_of(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """The first of the wanted names that is among these, as it is written there."""
    here: dict[str, str] = {}
    for name in names:
        here.setdefault(plain(name), name)
    return next((here[each] for each in wanted if each in here), None)


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


def guessed(names: Iterable[object]) -> dict[str, str]:
    """The user's name -> lossband's, of names that look like a column of lossband and are none yet."""
    names = [name for name in names if isinstance(name, str)]
    found = {}
    for ours, known in USUAL.items():
        if ours not in names and (name := first_of(names, known)):
            found[name] = ours
    if "step" not in names and (name := first_of(names, STEPS)):
        found[name] = "step"
    if "loss" not in names and (losses := losses_of(names)):
        found[losses[0]] = "loss"
    return found


def columns_line(names: Iterable[object], needed: str | None = None) -> str:
    """The `columns=` to write for a table of these names, as far as they can be guessed.

    Args:
        names: of the table's columns.
        needed: a column that must be among them, by a placeholder if by no other name.
    """
    found = guessed(names)
    if not found or (needed and needed not in found.values()):
        found |= {"yours": needed or "params"}
    return f"columns={{{', '.join(f'{mine!r}: {ours!r}' for mine, ours in found.items())}}}"
