"""Ctrl-C in a shell: the command ends within two seconds, whatever it is at."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 1.5  # seconds for what stands half-way to be taken back


@contextmanager
def stoppable(status: int) -> Iterator[None]:
    """Within the block Ctrl-C raises KeyboardInterrupt, and ends the process should that not be heeded.

    Compilers cannot be interrupted, and some swallow what a signal raises in them.

    Args:
        status: of a process that had to be ended.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    timers = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        timers.append(threading.Timer(GRACE, end, (status,)))
        timers[-1].daemon = True
        timers[-1].start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception:
        if timers:  # what became of an interrupt amid an import
            raise KeyboardInterrupt from None
        raise
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(status: int) -> None:
    """End the process at once."""
    print("error: interrupted.\nhint: Run it again.", file=sys.stderr, flush=True)
    os._exit(status)


def leave(status: int) -> None:
    """End the process at once where it would wait for a thread: a fit that compiles, a library's timer."""
    main = threading.main_thread()
    if any(thread is not main and not thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
