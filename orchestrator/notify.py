"""Telling systemd how the orchestrator is: ready, alive, about to stop (the protocol of sd_notify(3)).

A unit with Type=notify and WatchdogSec= names a datagram socket in NOTIFY_SOCKET and the time within which it wants to
hear in WATCHDOG_USEC. The signs of life come from the event loop: when that hangs, they end, and systemd starts the
orchestrator anew. Where nobody asked, nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Manager:
    """Whoever started this process and wants to know how it is; perhaps nobody.

    Args:
        address: a path, or a name in the abstract name space that begins with "@"; empty: nobody asked.
        within_s: it has to hear of us so often; None: it need not.
    """

    def __init__(self, address: str = "", within_s: float | None = None) -> None:
        self._address = address
        self._within_s = within_s

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Manager:
        """As the environment has it; what makes no sense there is told to the log, and nobody's business else."""
        address = environ.get("NOTIFY_SOCKET", "")
        if address and address[0] not in "/@":
            log.warning("NOTIFY_SOCKET=%s is no address that is understood here: the manager is told nothing", address)
            return cls()
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return cls(address)  # meant for another process
        asked = environ.get("WATCHDOG_USEC", "")
        if asked and not (asked.isdecimal() and int(asked)):
            log.warning("WATCHDOG_USEC=%s is no number of microseconds: no signs of life are given", asked)
            asked = ""
        return cls(address, int(asked) / 1e6 if asked else None)

    def ready(self) -> None:
        """It listens."""
        self._say("READY=1")

    async def attend(self, until: asyncio.Event) -> None:
        """Give signs of life, and say so when `until` is set and the process is about to stop."""
        # Half the time, as sd_watchdog_enabled(3) recommends.
        pause_s = None if self._within_s is None else self._within_s / 2
        while not until.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), pause_s)
                break
            self._say("WATCHDOG=1")
        self._say("STOPPING=1")

    def _say(self, what: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
                out.sendto(what.encode(), address)
        except OSError as error:
            log.warning("the service manager is not told %s: %s", what, error.strerror)
