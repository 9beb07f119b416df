"""Attends to all phones on this machine's ports: each is a device of the agent for as long as it is there and answers.

    listing ──tracker──▶ came ──▶ a task for each phone: describe ─▶ device ─▶ look every few seconds …
       ▲                                                     │ hangs                      │ hangs, gone
       │                                                     ▼                            ▼
       └───── each second            reconnect or reboot; the tracker lets it settle and come again

A phone that is lost in a measurement is no device any more before its job is reported as failed: it gets no other one
to lose.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Awaitable, Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Set

from device_agent.bridge.adb import AdbError, AdbGone, AdbHung, AdbPhone, AdbProgram
from device_agent.bridge.discovery import Tracker
from device_agent.bridge.listing import Attached
from device_agent.bridge.phone import NotReadyError, PhoneDevice
from device_agent.bridge.recovery import Reviver
from device_agent.errors import MeasurementError
from device_agent.runner import Pool
from device_agent.workers import Outcome
from protos import contract
from protos.gauntlet.v1 import device_pb2, failure_pb2, measurement_pb2

log = logging.getLogger(__name__)

_STARTING_AGAIN_S = 1.0
_FAILED_AGAIN_S = 60.0
#: So many listings may fail, as while somebody restarts adb's server, before its phones count as gone.
_MISSED_LISTINGS = 5


class Bench(Pool, Protocol):
    """Carries out jobs on one phone, see `measuring.PhoneBench`."""

    @property
    def runtimes(self) -> Sequence[device_pb2.Runtime]:
        """What its runner offers."""
        ...

    @property
    def capabilities(self) -> Sequence[str]:
        """Parts of a specification that it can carry out; energy, if the phone can be metered."""
        ...


#: Puts a runner on a phone. Raises AdbError, MeasurementError, OSError: it is of no use there.
MakeBench = Callable[[PhoneDevice], Awaitable[Bench]]


class Devices(Protocol):
    """Who is told which devices there are: the agent."""

    def attach(self, description: device_pb2.DeviceDescription, pool: Pool) -> None:
        """A device is there."""
        ...

    async def detach(self, device_id: str, reason: str) -> None:
        """It is not there any more; returns when what it worked on has been stopped."""
        ...


@dataclass(frozen=True)
class Manner:
    """How phones are attended to.

    Attributes:
        names: of phones, by serial number or port.
        labels: of all of them.
        facts: likewise, for their hardware.
        may_reboot: may one that hangs be rebooted?
        poll_s: between two listings.
        look_every_s: between two looks at a phone.
    """

    names: Mapping[str, str]
    labels: Mapping[str, str]
    facts: Mapping[str, str]
    may_reboot: bool = False
    poll_s: float = 1.0
    look_every_s: float = 5.0


@dataclass(frozen=True)
class _Present:
    """A phone that is a device."""

    device: PhoneDevice
    device_id: str


class Attendant:
    """Attends to all phones.

    Args:
        adb: to speak with them.
        devices: told of each.
        make_bench: see there.
        folder: keeps when phones were rebooted.
        manner: see there.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        adb: AdbProgram,
        devices: Devices,
        make_bench: MakeBench,
        folder: Path,
        manner: Manner,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._adb = adb
        self._devices = devices
        self._make_bench = make_bench
        self._folder = folder
        self._manner = manner
        self._clock = clock
        self._tracker = Tracker(manner.names)
        self._tasks: Dict[str, asyncio.Task[None]] = {}
        self._leaving: Set[asyncio.Task[None]] = set()
        self._present: Dict[str, _Present] = {}
        self._revivers: Dict[str, Reviver] = {}
        self._missed = 0
        self._said = ""

    def telemetry(self) -> List[device_pb2.DeviceTelemetry]:
        """Of all phones, as seen last."""
        return [present.device.telemetry(present.device_id) for present in list(self._present.values())]

    async def run(self) -> None:
        """Attend to them until cancelled."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(self._manner.poll_s)
        finally:
            tasks = [*self._tasks.values(), *self._leaving]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self) -> None:
        """Look which phones are there, and do what follows."""
        listed = await self._list()
        if listed is None:
            return
        changes = self._tracker.see(listed, self._clock())
        for notice in changes.notices:
            log.warning("%s", notice.replace("\n", "; "))
        for key, reason in changes.left:
            self._part(key, reason)
        for key, attached in changes.came:
            task = self._tasks[key] = asyncio.ensure_future(self._attend(key, attached))
            task.add_done_callback(partial(self._ended, key))

    async def _list(self) -> Optional[List[Attached]]:
        try:
            listed = await self._adb.devices()
        except AdbError as error:
            self._missed += 1
            if str(error) != self._said:
                self._said = str(error)
                log.error("%s", self._said.replace("\n", "; "))
            return [] if self._missed >= _MISSED_LISTINGS else None
        self._missed, self._said = 0, ""
        return listed

    # ------------------------------------------------------------------------------------------------ one phone

    async def _attend(self, key: str, attached: Attached) -> None:
        """All that happens to a phone from when it came until it leaves."""
        phone = self._adb.phone(attached)
        try:
            device = await self._welcome(key, attached, phone)
            while True:
                await asyncio.sleep(self._manner.look_every_s)
                await device.refresh()
        except NotReadyError as error:
            log.info("phone %s: %s", attached.where, error)
            self._tracker.failed(key, self._clock() + _STARTING_AGAIN_S)
        except AdbGone as error:
            log.error("phone %s: %s", attached.where, error)
            self._part(key, str(error))
            if isinstance(error, AdbHung):
                await self._reviver(key).revive(phone)
            self._tracker.lost(key, self._clock())
        except Exception as error:  # whatever is wrong with one phone, the others go on
            why = f"{error!s} {getattr(error, 'remedy', '')}".replace("\n", "; ").strip() or repr(error)
            unexpected = not isinstance(error, (AdbError, MeasurementError, OSError))
            log.error("phone %s cannot be used: %s; tried again in a while", attached.where, why, exc_info=unexpected)
            self._part(key, f"it cannot be used: {why}")
            self._tracker.failed(key, self._clock() + _FAILED_AGAIN_S)

    async def _welcome(self, key: str, attached: Attached, phone: AdbPhone) -> PhoneDevice:
        """Make a device of a phone."""
        manner = self._manner
        device = PhoneDevice(phone)
        facts = {**manner.facts, "serial": attached.serial, **({"usb": attached.usb} if attached.usb else {})}
        description = await device.describe(manner.names.get(key, ""), manner.labels, facts)
        self._revivers.pop(key, None)
        bench = await self._make_bench(device)
        _offer(description, bench)
        if description.ByteSize() > contract.MAX_DESCRIPTION_BYTES:  # the lab would refuse the bridge, with all phones
            raise AdbError(f"it describes itself in {description.ByteSize()} bytes, more than the lab takes")
        if any(other.device_id == description.device_id for other in self._present.values()):
            raise AdbError(f"another phone is {description.device_id}\nname one of them: --phone SERIAL=NAME")
        self._present[key] = _Present(device, description.device_id)
        self._devices.attach(description, _Watched(bench, device, lambda reason: self._lost(key, reason)))
        log.info("phone %s is device %s (%s)", attached.where, description.device_id, description.hardware.board)
        return device

    def _part(self, key: str, reason: str) -> None:
        """It is no device any more; what it worked on is stopped beside what goes on with the others."""
        task = self._tasks.get(key)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        present = self._present.pop(key, None)
        if present is not None:
            log.info("device %s left: %s", present.device_id, reason)
            leaving = asyncio.ensure_future(self._devices.detach(present.device_id, reason))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _lost(self, key: str, reason: str) -> None:
        """A measurement found out that it is gone; returns when nobody will give it another one."""
        present = self._present.pop(key, None)
        if present is not None:
            log.info("device %s left: %s", present.device_id, reason)
            # First of all: meanwhile it may be pulled out and come back, which then is another attachment.
            self._part(key, reason)
            self._tracker.lost(key, self._clock())
            await self._devices.detach(present.device_id, reason)

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    def _reviver(self, key: str) -> Reviver:
        if key not in self._revivers:
            self._revivers[key] = Reviver(key, self._folder, self._manner.may_reboot)
        return self._revivers[key]


class _Watched:
    """A bench that is watched for the loss of its phone, at which nobody looks meanwhile."""

    def __init__(self, bench: Bench, device: PhoneDevice, lost: Callable[[str], Awaitable[None]]) -> None:
        self._bench = bench
        self._device = device
        self._lost = lost

    async def measure(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = lambda name: None,
    ) -> Outcome:
        """See `Pool`."""
        async with self._device.at_work():
            outcome = await self._bench.measure(spec, paths, on_step)
        if outcome.failure is not None and outcome.failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST:
            await self._lost(outcome.failure.message)
        return outcome


class NoBench:
    """The bench of a bridge without a runner: its phones are shown, and take no jobs."""

    runtimes: Sequence[device_pb2.Runtime] = ()
    capabilities: Sequence[str] = ()

    async def measure(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = lambda name: None,
    ) -> Outcome:
        """See `Pool`."""
        failure = failure_pb2.Failure(
            kind=failure_pb2.FAILURE_KIND_RUNTIME_ABSENT,
            message="this bridge has no runner",
            remedy="start it with --runner FILE, see docs/phones.md",
        )
        return Outcome(failure=failure)


def _offer(description: device_pb2.DeviceDescription, bench: Bench) -> None:
    """Add what a bench offers."""
    metered = any(sensor.quantity == "energy_j" and not sensor.unavailable for sensor in description.sensors)
    description.runtimes.extend(bench.runtimes)
    description.capabilities.extend(name for name in bench.capabilities if metered or name != "energy")
