"""Callbacks of trainers that print the estimated final loss: Hugging Face's Trainer, and Lightning.

Each is a class of the trainer's own kind, made when it is first asked for: the trainer may not be there.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any

from .._lazy import required
from ..errors import InputError
from ..runs.schedules import Schedule, schedule
from .tracker import Tracker

PREFIX = "lossband/"
NAMES = ("HuggingFaceCallback", "LightningCallback")
SCHEDULES = {  # of Hugging Face -> ours
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "inverse_sqrt": "inverse_sqrt",
}


@functools.cache
def _hugging_face() -> type:
    required("transformers", "trainer", "Hugging Face's callbacks")
    from transformers import TrainerCallback

    class HuggingFaceCallback(TrainerCallback):
        """Print the estimated final training loss of a Hugging Face Trainer, with its 90 % band.

        The numbers also go to the state's `log_history`, and to a W&B run that is active.

        Args:
            options: of `lossband.Tracker`: `target`, `every`, `earlier`, `say`. By default `until` is the
                trainer's last step, and `schedule` the one of its arguments, where it is known.

        Example:
            >>> from lossband.live.callbacks import HuggingFaceCallback
            >>> callback = HuggingFaceCallback(target=2.5)
        """

        def __init__(self, **options: Any) -> None:
            """See the class."""
            self.options, self.tracker, self.waiting = options, None, []

        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            """Begin to track."""
            given = {"until": state.max_steps, "schedule": schedule_of(args, state.max_steps)} | self.options
            self.tracker = Tracker(log=self._take, **given)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
            """Take a logged loss; hand over the forecasts that are ready."""
            if self.tracker is not None and logs and "loss" in logs:
                self.tracker.update(state.global_step, logs["loss"], logs.get("learning_rate"))
            self._hand_over(state)

        def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            """Wait for the last forecast."""
            if self.tracker is not None:
                self.tracker.close()
            self._hand_over(state)

        def _take(self, numbers: dict[str, float], step: float) -> None:
            self.waiting.append(
                {f"{PREFIX}{name}": value for name, value in numbers.items()} | {"step": step}
            )

        def _hand_over(self, state: Any) -> None:
            while self.waiting:
                entry = self.waiting.pop(0)
                state.log_history.append(entry)
                _to_wandb(entry)

    return HuggingFaceCallback


@functools.cache
def _lightning() -> type:
    package = next(
        (name for name in ("lightning", "pytorch_lightning") if importlib.util.find_spec(name)), None
    )
    if package is None:
        raise InputError("Lightning's callbacks need lightning.", "pip install lightning")
    module = importlib.import_module("lightning.pytorch" if package == "lightning" else package)

    class LightningCallback(module.Callback):
        """Print the estimated final training loss of a Lightning run, with its 90 % band.

        The loss and the learning rate of the first optimizer are read at every `log_every_n_steps`. The
        numbers also go to the trainer's loggers.

        Args:
            options: of `lossband.Tracker`, such as `schedule` and `target`. By default `until` is the
                trainer's last step.

        Example:
            >>> from lossband.live.callbacks import LightningCallback  # doctest: +SKIP
            >>> callback = LightningCallback(target=2.5)  # doctest: +SKIP
        """

        def __init__(self, **options: Any) -> None:
            """See the class."""
            self.options, self.tracker, self.waiting = options, None, []

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Begin to track."""
            given = {"until": trainer.estimated_stepping_batches} | self.options
            self.tracker = Tracker(log=self._take, **given)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            """Take the loss of a step that the trainer logs; hand over the forecasts that are ready."""
            step = trainer.global_step
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if self.tracker is None or loss is None or step % (trainer.log_every_n_steps or 50):
                return
            rates = [group["lr"] for optimizer in trainer.optimizers[:1] for group in optimizer.param_groups]
            self.tracker.update(step, float(loss), rates[0] if rates else None)
            self._hand_over(trainer)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            """Wait for the last forecast."""
            if self.tracker is not None:
                self.tracker.close()
            self._hand_over(trainer)

        def _take(self, numbers: dict[str, float], step: float) -> None:
            self.waiting.append(({f"{PREFIX}{name}": value for name, value in numbers.items()}, int(step)))

        def _hand_over(self, trainer: Any) -> None:
            while self.waiting:
                numbers, step = self.waiting.pop(0)
                for logger in trainer.loggers:
                    logger.log_metrics(numbers, step=step)

    return LightningCallback


def schedule_of(args: Any, until: int) -> Schedule | None:
    """The schedule that a Trainer's arguments name, where it is one of ours and no more is set."""
    kind = getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)
    warmup = args.get_warmup_steps(until)
    if kind not in SCHEDULES or args.lr_scheduler_kwargs or (kind == "inverse_sqrt" and not warmup):
        return None
    name: Any = SCHEDULES[kind]
    return schedule(name, until=until, peak=args.learning_rate, warmup=warmup)


def _to_wandb(entry: dict[str, float]) -> None:
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.log({name: value for name, value in entry.items() if name != "step"})


def __getattr__(name: str) -> Any:
    makers = dict(zip(NAMES, (_hugging_face, _lightning), strict=True))
    if name not in makers:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return makers[name]()


def __dir__() -> list[str]:
    return [*NAMES]
