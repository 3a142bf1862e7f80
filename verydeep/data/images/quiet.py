"""``QUIET``: a thread-safe context in which Pillow's warnings are not shown.

The standard library has no public way until Python 3.14: ``warnings.catch_warnings`` swaps the
filter list of the whole process, so with threads, or a caller doing the same, the wrong list could
stay for good; ``warnings.filterwarnings`` would silence Pillow for the calling program too. So this
module inserts one entry into ``warnings.filters`` and removes it again.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from types import TracebackType


class _Quiet:
    """Silences Pillow's warnings while any thread is inside."""

    ENTRY = ("ignore", None, Warning, re.compile(r"PIL\."), 0)

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A forked process has none of the threads that may be inside or hold the lock.
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if next(iter(warnings.filters), None) != self.ENTRY:  # a later filter would win
                warnings.filters.insert(0, self.ENTRY)  # type: ignore[attr-defined]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            while self._inside == 0 and self.ENTRY in warnings.filters:
                warnings.filters.remove(self.ENTRY)  # type: ignore[attr-defined]


QUIET = _Quiet()
