"""Patterns: the lines that training programs print, for logs that come without a pattern."""

import re

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_N = r"[+-]?(?:\d[\d.,]*(?:e[+-]?\d+)?|nan|inf)"  # a number, or what a diverged run prints for one


def _line(text: str) -> re.Pattern[str]:
    """A pattern with @name for a number's group."""
    return re.compile(re.sub(r"@(\w+)", lambda name: f"(?P<{name[1]}>{_N})", text), re.IGNORECASE)


PROGRAMS = {
    "nanoGPT": (
        _line(r"^iter @step: loss @loss, time"),
        _line(r"^step @step: train loss @train_loss, val loss @val_loss"),
    ),
    "llm.c": (
        _line(r"^step\s+@step/\d+ \| (?:train )?loss @loss.*?(?:\| lr @lr)?(?: \||$)"),
        _line(r"^s:@step trl:@loss(?: lr:@lr)?"),
        _line(r"^s:@step tel:@val_loss"),
        _line(r"^val loss @val_loss"),
    ),
    "torchtitan": (_line(r"\bstep:\s*@step\s+loss:\s*@loss\b"),),
    "Megatron": (
        _line(r"\biteration\s+@step/\s*\d+ \|.*?learning rate: @lr \|.*?\blm[ _]loss: @loss"),
        _line(r"\biteration\s+@step/\s*\d+ \|.*?\blm[ _]loss: @loss"),
        _line(r"validation loss at iteration @step \| lm loss value: @val_loss"),
    ),
    "modded-nanogpt": (
        _line(r"\bstep:@step/\d+ train_loss:@loss"),
        _line(r"\bstep:@step/\d+ val_loss:@val_loss"),
    ),
    "LitGPT": (_line(r"\biter \d+ step @step \| loss train: @loss, val: (?:@val_loss|n/a)"),),
    "Trainer": (
        _line(r"\{'loss': '?@loss'?,.*?'learning_rate': '?@lr'?,.*?'epoch': '?@epoch'?"),
        _line(r"\{'eval_loss': '?@eval_loss'?,.*?'epoch': '?@epoch'?"),
    ),
}


def program_of(lines: list[str]) -> str | None:
    """The program that most lines are of, if three are of any."""
    counts = {
        name: sum(any(p.search(line) for p in each) for line in lines) for name, each in PROGRAMS.items()
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= 3 else None
