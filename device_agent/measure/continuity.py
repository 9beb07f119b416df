"""Was a timed window interrupted? A process that was stopped, or a machine that slept, has measured nothing."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Optional

#: The two clocks are not read at the same instant.
_SUSPEND_TOLERANCE_S = 0.01


class Continuity:
    """Tells whether this process was stopped and continued, or the machine suspended, since `begin`.

    SIGCONT reaches a stopped process when it goes on. CLOCK_BOOTTIME goes on during a suspend, CLOCK_MONOTONIC does not
    (clock_gettime(2)).
    """

    def __init__(self) -> None:
        self._continued = 0
        self._continued_at_begin = 0
        self._slept_at_begin_s = 0.0

    def install(self) -> None:
        """Listen to SIGCONT; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCONT, self._on_continue)

    def begin(self) -> None:
        """Start watching a window."""
        self._continued_at_begin = self._continued
        self._slept_at_begin_s = _slept_s()

    def broken(self) -> Optional[str]:
        """Why the window since `begin` is void, or None."""
        if self._continued != self._continued_at_begin:
            return "the worker was stopped and continued (SIGCONT)"
        if _slept_s() - self._slept_at_begin_s > _SUSPEND_TOLERANCE_S:
            return "the machine was suspended"
        return None

    def _on_continue(self, _signal: int, _frame: Optional[FrameType]) -> None:
        self._continued += 1


def _slept_s() -> float:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
