"""A thread that calls a function at a low rate, out of the way of what is being timed."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import AbstractSet, Callable, Optional


def _all_cores() -> AbstractSet[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else frozenset()


#: At import nothing is pinned yet.
_ALLOWED = _all_cores()


class Ticker:
    """Calls `work` each `period_s` between `start` and `stop`.

    The thread leaves the cores to which a measurement is pinned, where there are others. In a silence it wakes once at
    most.

    Args:
        work: must not raise, and not take long.
        period_s: from one call to the next.
    """

    def __init__(self, work: Callable[[], object], period_s: float) -> None:
        self._work = work
        self._period_s = period_s
        self._thread: Optional[threading.Thread] = None
        self._ended = threading.Event()
        self._speaking = threading.Event()

    def start(self) -> None:
        """Begin; the first call comes after one period."""
        self.stop()
        self._ended.clear()
        self._speaking.set()
        pinned = _all_cores()
        self._thread = threading.Thread(target=self._run, args=(_ALLOWED - pinned,), name="ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the last call is over."""
        self._ended.set()
        self._speaking.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def silence(self, wanted: bool) -> None:
        """No call begins while silence is wanted; one that has begun goes on."""
        if wanted:
            self._speaking.clear()
        else:
            self._speaking.set()

    def _run(self, cores: AbstractSet[int]) -> None:
        if cores:
            # 0 is the calling thread here, not the process. Where the cores were taken away, any will do.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)
        while not self._ended.wait(self._period_s):
            if self._speaking.is_set():
                self._work()
            self._speaking.wait()
