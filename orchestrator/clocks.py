"""Unix time for deadlines, which no jump of the wall clock moves."""

from __future__ import annotations

import time

_OFFSET_S = time.time() - time.monotonic()


def steady() -> float:
    """Unix time as it was when this process began, counted on by the monotonic clock.

    A deadline has to outlast the orchestrator, so that it is stored as a time of day. While the process lives its clock
    may be set, by an hour or by decades on a board without a battery, and no job may come due by that.
    """
    return _OFFSET_S + time.monotonic()
