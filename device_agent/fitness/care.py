"""When a device is checked: at start, every ten timed jobs, at rest, when asked; once a day, its noise floor is found.

    start ─▶ check ─▶ lease ... lease ─▶ check ─▶ lease ... lease ─1 s─▶ check ─60 s─▶ noise floor, check
               │        └── 10 timed jobs ──┘                          └─ a lease cancels what runs here ─┘
               └─ the first timed lease waits for it

What runs while nobody waits gives way at once; the worker that it had is killed, and another stands ready.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
import uuid
from typing import Awaitable, Callable, Dict, Optional

from device_agent.fitness.checker import Checker
from device_agent.fitness.history import Floor
from protos import figures
from protos.gauntlet.v1 import agent_pb2, fitness_pb2, measurement_pb2
from protos.timed import timed_parts

log = logging.getLogger(__name__)

STEP = "fitness check"
ASKED = "asked for"
SETTLING_STEP = "resting after a shift"
EVERY_JOBS = 10
_IDLE_S = 1.0
#: A shift may pass, heat above all: a device that just shifted rests for so long, and is checked before it measures.
SETTLE_S = 10.0
_FLOOR_IDLE_S = 60.0
_FLOOR_RETRY_S = 600.0

Sleep = Callable[[float], Awaitable[object]]


class Care:
    """Looks after a device that is not checked: does nothing, and says so when it is asked to."""

    def rest(self) -> None:
        """The device holds no lease, from now on."""

    async def before(self, spec: measurement_pb2.MeasurementSpec, on_step: Callable[[str], None]) -> None:
        """A lease is to be carried out next; returns when the device is fit to, or not to be had fit."""

    def after(self, spec: measurement_pb2.MeasurementSpec, lease_id: str) -> None:
        """A lease was carried out and has a result, which nobody knows of yet."""

    def ask(self, device_id: str, idle: bool) -> Optional[agent_pb2.FitnessReport]:
        """The orchestrator wants a check: as soon as the device is `idle`; a report, if there will never be one."""
        check = fitness_pb2.FitnessCheck(
            check_id=uuid.uuid4().hex,
            device_id=device_id,
            checked_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            occasion=ASKED,
            verdict=fitness_pb2.FITNESS_VERDICT_UNAVAILABLE,
            reason="this agent does not check its device",
            reference_s=figures.unavailable("this agent does not check its device"),
            expected_s=figures.unavailable("nothing to compare it with"),
        )
        return agent_pb2.FitnessReport(check=check)

    def floor(self) -> Optional[Floor]:
        """The device's noise floor, if it was measured."""
        return None

    def reports(self) -> Dict[str, agent_pb2.FitnessReport]:
        """What waits for an acknowledgement, by the check's id."""
        return {}

    def acknowledged(self, check_id: str) -> None:
        """The orchestrator has a report."""

    async def close(self) -> None:
        """Stop whatever runs."""


class FitnessCare(Care):
    """Looks after a device that is checked.

    Args:
        checker: of the device.
        floor_every_s: longest age of the noise floor; 0: it is never measured.
        sleep: waits.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        checker: Checker,
        floor_every_s: float,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checker = checker
        self._floor_every_s = floor_every_s
        self._sleep = sleep
        self._clock = clock
        self._resting: Optional[asyncio.Task[None]] = None
        self._checking = asyncio.Lock()
        self._closed = False
        # What is owed: a check of the start, one asked for, one after a shift, jobs since the last attempt.
        self._started = False
        self._asked = False
        self._shifted_at_s: Optional[float] = None
        self._jobs = 0

    def rest(self) -> None:
        """See `Care`."""
        if not self._closed and self._resting is None:
            self._resting = asyncio.ensure_future(self._rest())

    async def before(self, spec: measurement_pb2.MeasurementSpec, on_step: Callable[[str], None]) -> None:
        """See `Care`."""
        timed = bool(timed_parts(spec))
        if timed and self._due() and self._checking.locked():
            on_step(STEP)
            async with self._checking:
                pass  # the one that runs is as good as another
        await self._wake()
        # Of a device that shifts at every look, a lease waits for two.
        for _ in range(2):
            if timed and self._due():
                if self._shifted_at_s is not None:
                    on_step(SETTLING_STEP)
                    await self._settle()
                on_step(STEP)
                await self._check(self._due())

    def after(self, spec: measurement_pb2.MeasurementSpec, lease_id: str) -> None:
        """See `Care`."""
        if timed_parts(spec) and self._checker.able:
            self._jobs += 1
            self._checker.history.finished(lease_id)

    def ask(self, device_id: str, idle: bool) -> Optional[agent_pb2.FitnessReport]:
        """See `Care`."""
        self._asked = True
        # Else it is made when the lease that is held has ended, or before the next one.
        if idle and not self._checking.locked():
            if self._resting is not None:
                self._resting.cancel()
                self._resting = None
            self.rest()
        return None

    def floor(self) -> Optional[Floor]:
        """See `Care`."""
        return self._checker.floor()

    def reports(self) -> Dict[str, agent_pb2.FitnessReport]:
        """See `Care`."""
        return dict(self._checker.history.known.reports)

    def acknowledged(self, check_id: str) -> None:
        """See `Care`."""
        self._checker.history.acknowledged(check_id)

    async def close(self) -> None:
        """See `Care`."""
        self._closed = True
        await self._wake()

    def _due(self) -> str:
        """The occasion of a check that the next timed job has to wait for; empty: none."""
        if self._asked:
            return ASKED
        if not self._started:
            return "start"
        if self._shifted_at_s is not None:
            return "after a shift"
        return f"every {EVERY_JOBS} jobs" if self._jobs >= EVERY_JOBS else ""

    async def _rest(self) -> None:
        if self._started:
            await self._sleep(_IDLE_S)
        while True:
            while occasion := self._due() or ("idle" if self._jobs else ""):
                await self._settle()
                await self._check(occasion)
            if not (self._floor_every_s > 0 and self._checker.able):
                return
            await self._sleep(_FLOOR_IDLE_S)
            if self._checker.floor_age_s() >= self._floor_every_s:
                if await self._checker.measure_floor():
                    await self._check("idle")
                else:
                    await self._sleep(_FLOOR_RETRY_S)

    async def _check(self, occasion: str) -> None:
        async with self._checking:
            verdict = fitness_pb2.FITNESS_VERDICT_UNAVAILABLE
            try:
                verdict = await self._checker.check(occasion)
            except Exception:  # a lease waits for it, and is carried out whatever becomes of checks
                log.exception("fitness check")
            # Also of one that failed: it is tried again at the next occasion, not for each job.
            self._started = True
            self._asked = False
            self._jobs = 0
            shifted = verdict == fitness_pb2.FITNESS_VERDICT_SHIFTED
            self._shifted_at_s = self._clock() if shifted else None

    async def _settle(self) -> None:
        if self._shifted_at_s is not None:
            await self._sleep(max(0.0, self._shifted_at_s + SETTLE_S - self._clock()))

    async def _wake(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()
            await asyncio.gather(resting, return_exceptions=True)
