"""One thread for linear algebra.

On matrices of some tens of columns, waking other threads costs five times the work itself.
"""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import ThreadpoolController

_LOCK = threading.Lock()
_USERS = []  # who is inside at present; the last one to leave puts back what the first one found


class OneThread:
    """While any thread of this process is inside, BLAS and LAPACK use one thread each.

    What they used before comes back after.
    """

    limits: Any = None

    def __enter__(self) -> None:
        """Limit BLAS to one thread, unless somebody has done so already."""
        with _LOCK:
            if not _USERS:
                OneThread.limits = ThreadpoolController().limit(limits=1, user_api="blas")
                OneThread.limits.__enter__()
            _USERS.append(self)

    def __exit__(self, *error: Any) -> None:
        """Lift the limit when nobody needs it any more."""
        with _LOCK:
            _USERS.remove(self)
            if not _USERS:
                OneThread.limits.__exit__(*error)
