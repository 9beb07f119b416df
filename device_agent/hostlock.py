"""Waiting for the host's lock around timed windows, for a bounded time and with a failure that names the holder."""

from __future__ import annotations

import time
from typing import Callable

from device_agent.errors import MeasurementError
from protos import hostlock
from protos.gauntlet.v1 import failure_pb2
from protos.hostlock import PATH_VARIABLE, lock_path

DEFAULT_WAIT_S = 120.0
_POLL_S = 0.01

__all__ = ["DEFAULT_WAIT_S", "PATH_VARIABLE", "HostLock", "lock_path"]


class HostLock(hostlock.HostLock):
    """The lock, for an agent."""

    def acquire(
        self,
        wait_s: float = DEFAULT_WAIT_S,
        on_wait: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> float:
        """Wait for it.

        Args:
            wait_s: at most.
            on_wait: called once when it is not free at once.
            clock: seconds, monotonic.
            sleep: waits.

        Returns:
            Seconds waited.

        Raises:
            MeasurementError: device unfit, naming the holder, after `wait_s`.
        """
        begin = clock()
        told = False
        try:
            while not self.try_acquire():
                if not told:
                    on_wait()
                    told = True
                self.want(True)
                if clock() - begin >= wait_s:
                    holder = self.holder()
                    who = f"process {holder}" if holder else "another process"
                    raise MeasurementError(
                        failure_pb2.FAILURE_KIND_DEVICE_UNFIT,
                        f"{who} has held this host's lock for timed windows for more than {wait_s:g} s",
                        f"end that process; the lock is {self._path}",
                    )
                sleep(_POLL_S)
        except OSError as error:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_DEVICE_UNFIT,
                f"cannot open the lock for timed windows {self._path}: {error.strerror}",
                f"make it readable, or set {PATH_VARIABLE} to one path for all agents of this host",
            ) from error
        finally:
            self.want(False)
        return clock() - begin
