"""Executors: which of them can run fits."""

from typing import Any

from ..errors import InputError


def usable(executor: Any) -> Any:
    """The executor, if its workers can run JAX: None, or anything with `submit` that does not fork.

    A forked worker inherits the locks of JAX's threads without the threads, and waits for ever.

    Raises:
        InputError: no executor, or a pool of processes whose context forks.
    """
    if executor is None:
        return None
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise InputError(
            f"executor= got {executor!r}; expected something with submit(function, *args).",
            'For instance concurrent.futures.ProcessPoolExecutor with the context "spawn".',
        )
    method = getattr(getattr(executor, "_mp_context", None), "get_start_method", lambda: "")()
    if method == "fork":
        raise InputError(
            "executor= got a pool of forked processes; JAX has threads, and a forked worker waits for them "
            "for ever.",
            "Start them afresh: ProcessPoolExecutor(4, mp_context=multiprocessing.get_context('spawn')).",
        )
    return executor
