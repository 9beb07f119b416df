"""Computing beside devices that are being timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from protos.hostlock import HostLock

_POLL_S = 0.005


@contextmanager
def outside_timed_windows() -> Iterator[None]:
    """Compute only while no device of this host is being timed: a busy neighbour multiplies its 99th percentile."""
    lock = HostLock()
    while not lock.try_acquire(shared=True):
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()
