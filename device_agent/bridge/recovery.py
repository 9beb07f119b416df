"""A phone that is attached and does not answer: its connection is made anew, then it is restarted if that is allowed.

    hangs ──▶ reconnect ──hangs again──▶ reboot, at most so often, written down before it is made ──▶ reconnect …

`tuning.recovery` decides; a phone's reboot is the one command that it limits.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Callable

from device_agent.bridge.adb import AdbError, AdbPhone
from device_agent.bridge.discovery import file_name
from device_agent.tuning import runs
from device_agent.tuning.recovery import Limits, Recovery

log = logging.getLogger(__name__)

#: A phone takes a minute or two to start; three reboots a day say that a person has to look at it.
LIMITS = Limits(after_troubles=2, min_interval_s=600.0, max_per_day=3, settle_s=120.0)


class Reviver:
    """Brings one phone back, over all the times that it is attached; forget it when the phone answers.

    Args:
        key: of the phone, see `discovery.Tracker`.
        folder: keeps when it was rebooted.
        may_reboot: did the operator allow it?
        clock: Unix time.
    """

    def __init__(self, key: str, folder: Path, may_reboot: bool, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._file = folder / f"reboots-{file_name(key)}.json"
        self._may_reboot = may_reboot
        self._clock = clock
        self._state = runs.load(self._file, Recovery(LIMITS, int(may_reboot)), clock())

    async def revive(self, phone: AdbPhone) -> None:
        """It hangs: do the next thing about it, and say so."""
        self._state, hook = self._state.trouble(self._clock())
        try:
            if hook is None:
                why_not = self._state.blocked if self._may_reboot else "that needs --allow-reboot"
                log.warning("phone %s: reconnecting it%s", self._key, f"; no reboot: {why_not}" if why_not else "")
                await phone.reconnect()
            else:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                runs.save(self._file, self._state)
                made = f"{len(self._state.runs)} of at most {LIMITS.max_per_day} times in 24 hours"
                log.warning("phone %s: rebooting it, %s", self._key, made)
                await phone.reboot()
        except OSError as error:
            log.error("phone %s: not rebooted, since that cannot be counted in %s: %s", self._key, self._file, error)
        except AdbError as error:
            log.error("phone %s: %s", self._key, error)
