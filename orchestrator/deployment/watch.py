"""A limit for waits that have none: paramiko writes to a socket until it is through, however long that takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Watch:
    """Ends a connection when nothing moves on it for a while; used with `with` around what waits.

    Args:
        limit_s: how long nothing may move.
        end: called from another thread; makes whoever waits give up.

    Attributes:
        expired: it had to be ended.
    """

    def __init__(self, limit_s: float, end: Callable[[], None]) -> None:
        self.expired = False
        self._limit_s = limit_s
        self._end = end
        self._done = threading.Event()
        self._moved_s = time.monotonic()

    def moved(self) -> None:
        """Something did."""
        self._moved_s = time.monotonic()

    def __enter__(self) -> Watch:
        self.moved()
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()

    def _look(self) -> None:
        while not self._done.wait(max(0.0, self._moved_s + self._limit_s - time.monotonic())):
            if time.monotonic() >= self._moved_s + self._limit_s:
                self.expired = True
                self._end()
                return
