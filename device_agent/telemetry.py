"""How a device is, for each heartbeat: read in well under a millisecond, and whatever happens, a heartbeat goes out.

Where sensors are is looked up once, and again every minute while one is missing: drivers load late, sensors vanish.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

from device_agent.hoststate import NO_CPUFREQ, NO_THERMOMETER, HostReader, Probe
from device_agent.measure.meters import Meter, MeterError, choose_meter, survey_machine
from device_agent.measure.meters.counters import CounterMeter
from device_agent.tuning.system import list_folder, number, read
from protos import figures
from protos.gauntlet.v1 import device_pb2, figure_pb2

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 60.0
#: When the last heartbeat is older than this, there is no lab just now.
_FRESH_S = 10.0
_MOST_DEVICES = 16
NO_BATTERY = "no battery in /sys/class/power_supply"


class EnergyCount:
    """The energy since this object was made, as a meter counts it, whatever its counters do in between.

    Args:
        meter: of the machine; only one with counters tells, since another would have to be sampled all the time.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._counts = isinstance(meter, CounterMeter)
        self._running = False
        #: Of earlier windows, and up to the last look of the present one.
        self._before_j = self._window_j = 0.0

    def read(self) -> figure_pb2.Figure:
        """Joules, or why there are none."""
        if self._meter.unavailable:
            # The remedy stands in the device's description: no heartbeat need carry it.
            return figures.unavailable(self._meter.unavailable.partition("; ")[0])
        if not self._counts:
            return figures.unavailable(f"{self._meter.facts.source} senses power: energy is told by measurements only")
        try:
            if self._running:
                self._window_j = self._meter.look().energy_j
            else:
                self._meter.start()
                self._running = True
        except MeterError as error:
            # A counter was reset, as by a suspend, or is gone: what came since the last look is not known.
            self._before_j, self._window_j, self._running = self._before_j + self._window_j, 0.0, False
            return figures.unavailable(str(error))
        return figures.measured(self._before_j + self._window_j)


class TelemetryReader:
    """Reads one device that is this machine.

    Args:
        device_id: of the device.
        state_folder: where the agent keeps artifacts and results.
        root: of the file system, or of a made-up one.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        device_id: str,
        state_folder: Path,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device_id = device_id
        self._state_folder = state_folder
        self._root = root
        self._clock = clock
        self._host = HostReader(root, clock)
        self._energy = EnergyCount(choose_meter(survey_machine(root)))
        self._over_current: Optional[Probe] = None
        self._over_currents: Optional[float] = None
        self._complained = False
        self._look_for_sensors()

    def __call__(self) -> Sequence[device_pb2.DeviceTelemetry]:
        """What a heartbeat carries; an empty reading where our own code fails: the device must not be lost for that."""
        try:
            return [self.read()]
        except Exception:
            if not self._complained:
                log.exception("the state of %s cannot be read", self._device_id)
            self._complained = True
            return [device_pb2.DeviceTelemetry(device_id=self._device_id)]

    def read(self) -> device_pb2.DeviceTelemetry:
        """All that can be read now."""
        reading = device_pb2.DeviceTelemetry(
            device_id=self._device_id,
            temperature_c=_figure(self._thermometer, NO_THERMOMETER),
            frequency_hz=_figure(self._clock_probe, NO_CPUFREQ),
            load_average=self._host.load_average(),
            throttling=[*self._held_back(), *self._over_current_events()],
            energy_j=self._energy.read(),
            disk_free_bytes=self._disk_free_bytes(),
            battery_ratio=self._battery_ratio(),
        )
        figures_read = (reading.temperature_c, reading.frequency_hz, reading.battery_ratio)
        if any(figure.unavailable for figure in figures_read) and self._clock() - self._looked_s >= _LOOK_AGAIN_S:
            self._look_for_sensors()
        return reading

    def _look_for_sensors(self) -> None:
        self._looked_s = self._clock()
        self._thermometer = self._host.thermometer()
        cores = self._host.some_cores()
        self._clock_probe = next((p for p in self._host.probes(cores) if p.quantity == "frequency_hz"), None)
        self._held_back = self._host.throttle_watch(cores, _MOST_DEVICES)
        self._over_current = self._host.over_current()
        self._battery = next(
            (
                folder / "capacity"
                for folder in list_folder(self._root / "sys/class/power_supply", "*")
                # "Device": of a mouse or a keyboard.
                if read(folder / "type") == "Battery" and read(folder / "scope") != "Device"
            ),
            None,
        )

    def _over_current_events(self) -> List[str]:
        """What a Jetson's supply protection did since the last heartbeat."""
        count = self._over_current.read() if self._over_current is not None else None
        before, self._over_currents = self._over_currents, count
        if count is None or before is None or count <= before:
            return []
        return [f"over-current protection stepped in {count - before:g} times"]

    def _disk_free_bytes(self) -> figure_pb2.Figure:
        try:
            disk = os.statvfs(self._state_folder)
        except OSError as error:
            return figures.unavailable(f"{self._state_folder}: {error.strerror}")
        return figures.measured(float(disk.f_bavail * disk.f_frsize))

    def _battery_ratio(self) -> figure_pb2.Figure:
        percent = number(self._battery) if self._battery is not None else None
        if percent is None or not 0 <= percent <= 100:
            return figures.unavailable(NO_BATTERY)
        return figures.measured(percent / 100)


def _figure(probe: Optional[Probe], why_not: str) -> figure_pb2.Figure:
    value = probe.read() if probe is not None else None
    return figures.unavailable(why_not) if value is None else figures.measured(value)


class SharedTelemetry:
    """Read once for all who ask: a second look at a time would cost what is measured twice as much, and would take from
    the first what counts since the last look.

    Args:
        telemetry: what reads it.
        clock: seconds, monotonic.
    """

    def __init__(
        self, telemetry: Callable[[], Sequence[device_pb2.DeviceTelemetry]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Tuple[float, Sequence[device_pb2.DeviceTelemetry]] = (-_FRESH_S, ())

    def __call__(self) -> Sequence[device_pb2.DeviceTelemetry]:
        """Read it now."""
        with self._lock:
            return self._read()

    def recent(self) -> Sequence[device_pb2.DeviceTelemetry]:
        """As it was a few seconds ago at most."""
        with self._lock:
            read_at, kept = self._kept
            return kept if self._clock() - read_at < _FRESH_S else self._read()

    def _read(self) -> Sequence[device_pb2.DeviceTelemetry]:
        readings = self._telemetry()
        self._kept = (self._clock(), readings)
        return readings
