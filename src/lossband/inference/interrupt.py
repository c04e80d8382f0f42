"""Ctrl-C: fits in threads that end at their next block of draws once nobody waits for them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tqdm import tqdm

THREADS = "lossband-fit"  # their names begin with it


class Stopped(Exception):
    """Raised in a thread whose result nobody waits for any more."""


class StoppableBar:
    """A progress bar that raises `Stopped` in the thread that moves it, once `stop` is set."""

    def __init__(self, bar: tqdm, stop: threading.Event) -> None:
        """The bar, and the event that stops whoever moves it."""
        self.bar, self.stop = bar, stop

    def update(self) -> None:
        """Move the bar by one block."""
        self._heed()
        self.bar.update()

    def set_description(self, text: str) -> None:
        """Say what is being done."""
        self._heed()
        self.bar.set_description(text)

    def _heed(self) -> None:
        if self.stop.is_set():
            raise Stopped


def side_by_side(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], bar: tqdm) -> Iterator[Any]:
    """Results of `function(*job, bar)`, in order, from threads on all cores.

    Where the caller is interrupted, or one job fails, jobs that have not begun never begin, and the others
    end at their next block: the caller does not wait for them.
    """
    stop = threading.Event()
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=THREADS)
    try:
        futures = [pool.submit(function, *job, StoppableBar(bar, stop)) for job in jobs]
        for future in futures:
            yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
