"""An attached phone as a device: what it is, how it is, whether it may measure.

A look at it costs one command. While it measures nobody looks: what was seen last stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import AsyncIterator, Awaitable, Callable, List, Mapping, Optional, Sequence

from device_agent.bridge import describe, gates
from device_agent.bridge.adb import Phone
from device_agent.bridge.snapshot import FIXED, LIVE, Snapshot, script
from device_agent.bridge.vitals import (
    Battery,
    Heat,
    parse_battery,
    parse_free_bytes,
    parse_heat,
    parse_properties,
    parse_wakefulness,
)
from device_agent.errors import MeasurementError, one_line
from device_agent.hoststate import HostReader
from device_agent.measure.meters.android import find_battery, find_odpm
from device_agent.telemetry import EnergyCount
from protos import figures
from protos.gauntlet.v1 import device_pb2, failure_pb2, figure_pb2, measurement_pb2
from protos.timed import timed_parts

#: Here runners, models and results lie on a phone; its shell may write and run there, on every phone.
FOLDER = "/data/local/tmp"
_LOOK_TIMEOUT_S = 15.0
_LOOK_AGAIN_S = 2.0
#: That tell what holds a phone back: a heartbeat carries them.
_MOST_PHRASES = 16
#: How long a job waits for a phone to cool down, unless it says.
COOL_MAX_S = 60.0
COOLING_STEP = "cooling down"
_PROGRAMS = {
    "battery": "dumpsys battery",
    "heat": "dumpsys thermalservice",
    "screen": "dumpsys power | grep -m 1 mWakefulness=",
    "disk": f"df -k {FOLDER}",
}
_MADE_OF = {"properties": "getprop", "uname": 'echo "$(uname -m) $(uname -r)"'}
_NOT_YET = "the phone has not been looked at yet"

Sleep = Callable[[float], Awaitable[object]]


class NotReadyError(Exception):
    """The phone answers, and has not started up yet."""


@dataclass(frozen=True)
class Vitals:
    """How a phone was when somebody looked.

    Attributes:
        host: for the provenance, as of any device.
        battery: of its services.
        heat: likewise.
        screen: "Awake", "Asleep", "Dozing"; empty: unknown.
        free_bytes: of the disk on which models lie; None: unknown.
    """

    host: measurement_pb2.HostState
    battery: Battery
    heat: Heat
    screen: str
    free_bytes: Optional[int]

    def remarks(self) -> List[str]:
        """What a reader of a result has to know."""
        found = []
        if self.battery.powered_by:
            found.append(f"powered by {' and '.join(self.battery.powered_by)}, battery {self.battery.status}")
        if self.screen == "Awake":
            found.append("the screen was on")
        return found


class PhoneDevice:
    """An attached phone.

    Args:
        phone: to speak with it.
        clock: seconds, monotonic.
    """

    def __init__(self, phone: Phone, clock: Callable[[], float] = time.monotonic) -> None:
        self.phone = phone
        self._clock = clock
        self._snapshot = Snapshot({})
        self._vitals: Optional[Vitals] = None
        self._count: Optional[EnergyCount] = None
        self._energy = figures.unavailable(_NOT_YET)
        self._at_work = False
        self._looking = asyncio.Lock()

    # ------------------------------------------------------------------------------------------------ files, for meters

    def read(self, path: str) -> str:
        """See `meters.base.Files`: what the phone's file held at the last look."""
        return self._snapshot.read(path)

    def glob(self, pattern: str) -> List[str]:
        """See `meters.base.Files`."""
        return self._snapshot.glob(pattern)

    # ------------------------------------------------------------------------------------------------ what it is

    async def describe(
        self, name: str, labels: Mapping[str, str], facts: Mapping[str, str]
    ) -> device_pb2.DeviceDescription:
        """It, as a device that nothing can run models on yet.

        Args:
            name: its id; empty: of its model and serial number.
            labels: of the operator's choice.
            facts: what the bridge knows of it.

        Raises:
            AdbError: it does not answer.
            NotReadyError: it is starting.
        """
        snapshot = await self._read_all((*FIXED, *LIVE), {**_PROGRAMS, **_MADE_OF})
        properties = parse_properties(_said(snapshot, "properties"))
        if properties.get("sys.boot_completed", "1") != "1":
            raise NotReadyError("it is starting up")
        vitals = await self._take(snapshot)
        meters = [find_odpm(self), find_battery(self)]
        # Every phone has a battery: where nothing can be metered its reason is the one to mend.
        meter = next((meter for meter in meters if not meter.unavailable), meters[-1])
        self._count = EnergyCount(meter)
        self._energy = self._count.read()
        model = properties.get("ro.product.model", "")
        hardware = describe.hardware(snapshot, properties)
        hardware.facts.update(facts)
        return device_pb2.DeviceDescription(
            device_id=name or describe.id_of(self.phone.serial, model),
            device_class=describe.class_of(model),
            labels=dict(labels),
            hardware=hardware,
            sensors=describe.sensors(meter, vitals.host, vitals.battery.ratio is not None),
        )

    # ------------------------------------------------------------------------------------------------ how it is

    async def look(self) -> Vitals:
        """How it is now, by one command.

        Raises:
            AdbError: it does not answer.
        """
        return await self._take(await self._read_all(LIVE, _PROGRAMS))

    async def refresh(self) -> None:
        """Look, unless it measures.

        Raises:
            AdbError: it does not answer.
        """
        async with self._looking:
            if not self._at_work:
                await self.look()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """While this is held the phone carries out a job, which looks at it when it likes to; nobody else does."""
        self._at_work = True
        try:
            async with self._looking:  # who had begun to look has ended
                pass
            yield
        finally:
            self._at_work = False

    def telemetry(self, device_id: str) -> device_pb2.DeviceTelemetry:
        """What was seen last; asks nobody, and never fails."""
        vitals = self._vitals
        if vitals is None:
            return device_pb2.DeviceTelemetry(device_id=device_id, temperature_c=figures.unavailable(_NOT_YET))
        return device_pb2.DeviceTelemetry(
            device_id=device_id,
            temperature_c=vitals.host.temperature_c,
            frequency_hz=vitals.host.frequency_hz,
            load_average=vitals.host.load_average,
            throttling=vitals.host.throttling,
            energy_j=self._energy,
            disk_free_bytes=_figure(vitals.free_bytes, f"df {FOLDER} tells nothing"),
            battery_ratio=_figure(vitals.battery.ratio, "dumpsys battery tells no level"),
        )

    # ------------------------------------------------------------------------------------------------ may it measure?

    async def make_fit(
        self,
        spec: measurement_pb2.MeasurementSpec,
        on_step: Callable[[str], None],
        sleep: Sleep = asyncio.sleep,
    ) -> Vitals:
        """Wait until the phone may carry out a job, or say why it may not.

        Args:
            spec: of the job; tells whether heat matters, and how long to wait for it to pass.
            on_step: told that it cools down.
            sleep: waits.

        Returns:
            How it is before the job.

        Raises:
            MeasurementError: it is unfit.
            AdbError: it does not answer.
        """
        timed = bool(timed_parts(spec))
        end_s = self._clock() + (spec.throttle.cool_max_s or COOL_MAX_S)
        while True:
            vitals = await self.look()
            found = gates.unfit(vitals.battery, vitals.heat, timed)
            if found is None:
                return vitals
            if not found.passes or self._clock() >= end_s:
                raise MeasurementError(
                    failure_pb2.FAILURE_KIND_DEVICE_UNFIT,
                    f"the phone is unfit: {found.reason}",
                    "let it cool: out of its case, off its charger" if found.passes else "charge it, or put it right",
                )
            on_step(COOLING_STEP)
            await sleep(_LOOK_AGAIN_S)

    # ------------------------------------------------------------------------------------------------ one look

    async def _read_all(self, patterns: Sequence[str], programs: Mapping[str, str]) -> Snapshot:
        output = await self.phone.shell(["sh", "-c", script(patterns, programs)], _LOOK_TIMEOUT_S)
        return Snapshot.parse(output.stdout.decode(errors="replace"))

    async def _take(self, snapshot: Snapshot) -> Vitals:
        heat = parse_heat(_said(snapshot, "heat"))
        # Hundreds of small files: on a slow disk that takes tenths of a second, which the other phones do not wait for.
        host = await asyncio.to_thread(_host_state, snapshot, heat)
        self._snapshot = snapshot
        self._vitals = Vitals(
            host=host,
            battery=parse_battery(_said(snapshot, "battery")),
            heat=heat,
            screen=parse_wakefulness(_said(snapshot, "screen")),
            free_bytes=parse_free_bytes(_said(snapshot, "disk")),
        )
        if self._count is not None:
            self._energy = self._count.read()
        return self._vitals


def _host_state(snapshot: Snapshot, heat: Heat) -> measurement_pb2.HostState:
    with snapshot.laid_out() as root:
        state = HostReader(root).state()
    state.throttling[:] = [one_line(phrase) for phrase in state.throttling[:_MOST_PHRASES]]
    if heat.cpu_c is not None:
        # Of the vendor's own choice of sensors; the kernel's zones have names that only he understands.
        state.temperature_c.CopyFrom(figures.measured(heat.cpu_c))
    if heat.status:
        state.throttling.append(f"thermal status {heat.status} ({heat.word})")
    state.background_cores.CopyFrom(figures.unavailable("not looked at on phones"))
    return state


def _figure(value: Optional[float], why_not: str) -> figure_pb2.Figure:
    return figures.measured(value) if value is not None else figures.unavailable(why_not)


def _said(snapshot: Snapshot, name: str) -> str:
    try:
        return snapshot.read(name)
    except OSError:
        return ""
