"""How the machine is doing around a measurement: temperature, clock, governor, load, throttling.

Many servers and containers show none of these files: "unavailable" is an answer. Every reader takes a root, so that
tests can make machines up.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from device_agent.classes.defaults import DEFAULTS
from device_agent.classes.devicetree import read_device_tree
from device_agent.classes.gpu import find_gpu
from device_agent.classes.names import family
from device_agent.classes.raspberry import ThrottleFlags, in_words
from device_agent.tuning.system import list_folder, number, read
from protos import figures
from protos.gauntlet.v1 import figure_pb2, measurement_pb2

_CPU = "sys/devices/system/cpu"
#: /proc/stat counts in ticks of 10 ms: shorter spans say nothing.
_LEAST_SPAN_S = 0.1
#: Boards have a dozen zones, servers more cores than a light look may read.
_MOST_ZONES = 16
_MOST_CLOCKS = 8
#: Drivers of x86 processors' own thermometers, of which the first tells of the whole package (Tctl, Package id 0).
_PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower")
#: Where a processor shows the same degrees as a thermal zone.
_PACKAGE_ZONE = "x86_pkg_temp"
#: Over-current protection of a Jetson's power supply: low voltage, average and momentary current (NVIDIA's driver
#: tegra234-oc-event.c; its counters only grow).
_OVER_CURRENT_CHIP, _OVER_CURRENT_COUNT = "soctherm_oc", re.compile(r"oc\d_event_cnt")
#: Silicon works at neither; what lies outside is a sensor's way to say that it has nothing to tell.
_COLDEST_C, _HOTTEST_C = -40.0, 200.0
#: Of the processor's own protection against heat.
_THROTTLE_COUNTS = ("core_throttle_count", "package_throttle_count")
NO_THERMOMETER = "no thermal zone in /sys/class/thermal"
NO_THROTTLING = "no throttle counter and no cooling device can be read"
NO_CPUFREQ = "no cpufreq in /sys/devices/system/cpu (virtual machine or container?)"


@dataclass(frozen=True)
class CpuTimes:
    """A reading of the host's processor time.

    Attributes:
        at_s: when, monotonic.
        busy_s: of all processes and interrupts, on all cores.
        own_s: of this process.
    """

    at_s: float
    busy_s: float
    own_s: float


@dataclass(frozen=True)
class Probe:
    """One quantity that can be read again and again at little cost.

    Attributes:
        quantity: with its unit, for example "temperature_c".
        source: what is read, for example the thermal zone "x86_pkg_temp".
        read: its value now, or None.
    """

    quantity: str
    source: str
    read: Callable[[], Optional[float]]


class HostReader:
    """Reads the state of a machine.

    Args:
        root: of the file system, or of a made-up one.
        clock: seconds, monotonic.
    """

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._defaults = DEFAULTS[family(read_device_tree(root))]
        self._flags = ThrottleFlags(root)

    def state(self, since: Optional[CpuTimes] = None, cpus: Sequence[int] = ()) -> measurement_pb2.HostState:
        """All that can be read now.

        Args:
            since: the background load is that since then.
            cpus: whose clocks count; empty: all.
        """
        governor = self.governor()
        limit, rated = self.clock_limits_hz(cpus)
        return measurement_pb2.HostState(
            temperature_c=self.temperature_c(),
            frequency_hz=self.frequency_hz(cpus),
            frequency_limit_hz=limit,
            rated_frequency_hz=rated,
            throttling=self.throttling(cpus),
            load_average=self.load_average(),
            governor=governor,
            governor_unavailable="" if governor else NO_CPUFREQ,
            background_cores=self.background_cores(since),
        )

    def temperature_c(self) -> figure_pb2.Figure:
        """Of the processor, else of the hottest zone."""
        thermometer = self.thermometer()
        degrees = thermometer.read() if thermometer is not None else None
        if degrees is None:
            return figures.unavailable(NO_THERMOMETER)
        return figures.measured(degrees)

    def thermometer(self) -> Optional[Probe]:
        """What tells of the processor's heat: its thermal zone, else the one that is hottest now; None without any.

        It stays with that zone: where a sensor vanishes, another one's degrees say nothing about it.
        """
        zones = [(probe, degrees) for probe in self._zones() for degrees in [probe.read()] if degrees is not None]
        named = {probe.source: probe for probe, _ in reversed(zones)}
        known = next((named[name] for name in self._defaults.thermometers if name in named), None)
        if known is None and zones:
            chips = [probe for probe, _ in zones if probe.source.startswith(_PROCESSOR_CHIPS)]
            told = [zone for zone in zones if not zone[0].source.startswith(self._defaults.no_thermometers)]
            hottest = max(told, key=lambda zone: zone[1], default=None)
            known = chips[0] if chips else hottest[0] if hottest else None
        return known

    def frequency_hz(self, cpus: Sequence[int] = ()) -> figure_pb2.Figure:
        """Mean of the present clocks of these cores, or of all."""
        kilohertz = self._clocks("scaling_cur_freq", cpus)
        if kilohertz:
            return figures.measured(1000 * sum(kilohertz) / len(kilohertz), len(kilohertz))
        return figures.unavailable(NO_CPUFREQ)

    def some_cores(self) -> List[int]:
        """Numbers of the first cores, as many as a light look may read."""
        return [int(folder.name[3:]) for folder in self._cores()][:_MOST_CLOCKS]

    def clock_limits_hz(self, cpus: Sequence[int] = ()) -> Tuple[figure_pb2.Figure, figure_pb2.Figure]:
        """Highest clock that is allowed now, and that the processor is made for: the lowest over the cores."""
        names = ("scaling_max_freq", "cpuinfo_max_freq")
        found = [self._clocks(name, cpus) for name in names]
        limit, rated = (figures.measured(1000.0 * min(k)) if k else figures.unavailable(NO_CPUFREQ) for k in found)
        return limit, rated

    def load_average(self) -> figure_pb2.Figure:
        """Of one minute."""
        text = read(self._root / "proc/loadavg")
        try:
            return figures.measured(float((text or "").split()[0]))
        except (IndexError, ValueError):
            return figures.unavailable("no /proc/loadavg")

    def governor(self) -> str:
        """Of the cores: one name, or several joined by "+"; empty when it is not known."""
        found = {
            name for folder in self._cores() for name in [read(folder / "cpufreq/scaling_governor")] if name is not None
        }
        return "+".join(sorted(found))

    def cpu_times(self) -> Optional[CpuTimes]:
        """Processor time used so far, or None off Linux."""
        text = read(self._root / "proc/stat")
        fields = text.split("\n", 1)[0].split() if text else []
        # proc(5): user nice system idle iowait irq softirq steal …
        if len(fields) < 8 or fields[0] != "cpu" or not all(field.isdigit() for field in fields[1:]):
            return None
        ticks = [int(field) for field in fields[1:]]
        steal = ticks[7] if len(ticks) > 7 else 0
        busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + steal
        own = os.times()
        return CpuTimes(self._clock(), busy / os.sysconf("SC_CLK_TCK"), own.user + own.system)

    def background_cores(self, since: Optional[CpuTimes]) -> figure_pb2.Figure:
        """Processor time used by other processes since then, in cores."""
        now = self.cpu_times()
        if now is None:
            return figures.unavailable("no /proc/stat")
        if since is None or now.at_s - since.at_s < _LEAST_SPAN_S:
            return figures.unavailable(f"read less than {_LEAST_SPAN_S:g} s after the last time")
        others_s = (now.busy_s - since.busy_s) - (now.own_s - since.own_s)
        return figures.measured(max(0.0, others_s / (now.at_s - since.at_s)))

    def throttling(self, cpus: Sequence[int] = ()) -> List[str]:
        """What holds the processor back now, in words.

        Args:
            cpus: whose clocks count; empty: all.
        """
        return self.throttle_watch(cpus)()

    def throttle_watch(self, cpus: Sequence[int] = (), most_devices: Optional[int] = None) -> Callable[[], List[str]]:
        """The same, to be asked again and again at little cost.

        Args:
            cpus: whose clocks count; empty: all.
            most_devices: cooling devices that are looked at; servers have one for each core. None: all.
        """
        devices = [
            (folder / "cur_state", read(folder / "type"), number(folder / "max_state"))
            for folder in self._cooling_devices()[:most_devices]
        ]
        clocks = [
            (core / "cpufreq/scaling_max_freq", rated)
            for core in self._cores(cpus)
            for rated in [number(core / "cpufreq/cpuinfo_max_freq")]
            if rated is not None
        ]

        def look() -> List[str]:
            flags = in_words(self._flags.read() or 0)
            found = [f"firmware: {', '.join(flags)}"] if flags else []
            for path, name, most in devices:
                state = number(path)
                if state is not None and state > 0:
                    found.append(f"cooling device {name} at {state}{f' of {most}' if most is not None else ''}")
            limits = {(limit, rated) for path, rated in clocks for limit in [number(path)] if limit is not None}
            found += [
                f"clock limited to {limit / 1e6:.2f} of {rated / 1e6:.2f} GHz"
                for limit, rated in sorted(limits)
                if 0 < limit < rated
            ]
            # Many cores say the same.
            return list(dict.fromkeys(found))

        return look

    def throttling_sources(self) -> List[str]:
        """What would tell that the processor is held back, in words; its clock's limit does not tell of heat."""
        found = [self._flags.source] if self._flags.source else []
        if any(self._readable(f"thermal_throttle/{name}") for name in _THROTTLE_COUNTS):
            found.append("thermal_throttle")
        if self._cooling_devices():
            found.append("processor cooling devices")
        if self._over_current_counts():
            found.append(_OVER_CURRENT_CHIP)
        return found

    def probes(self, cpus: Sequence[int] = ()) -> List[Probe]:
        """What can be watched while a measurement runs: heat, clocks and throttling, as far as this machine shows them.

        Args:
            cpus: whose clocks count, for example those that the work is pinned to; empty: some of all.
        """
        # A zone that tells nothing now may be gated off for good; each costs a look at every sample.
        found = [probe for probe in self._zones() if probe.read() is not None][:_MOST_ZONES]
        cores = list(cpus) or self.some_cores()
        for quantity, name in (("frequency_hz", "scaling_cur_freq"), ("frequency_limit_hz", "scaling_max_freq")):
            clocks = self._readable(f"cpufreq/{name}", cores)
            if clocks:
                found.append(Probe(quantity, "cpu" + ",".join(map(str, cores)), partial(_mean_hz, clocks)))
        counts = [path for name in _THROTTLE_COUNTS for path in self._readable(f"thermal_throttle/{name}", cores)]
        if counts:
            found.append(Probe("throttle_count", "thermal_throttle", partial(_sum, counts)))
        cooling = [folder / "cur_state" for folder in self._cooling_devices()]
        if cooling:
            found.append(Probe("cooling_state", "processor cooling devices", partial(_sum, cooling)))
        if self._flags.source:
            found.append(Probe("throttle_flags", self._flags.source, self._flags.read))
        over_current = self.over_current()
        if over_current is not None:
            found.append(over_current)
        gpu = find_gpu(self._root)
        if gpu is not None:
            found.append(Probe("gpu_frequency_hz", gpu.name, gpu.frequency_hz))
            if gpu.load_ratio() is not None:
                found.append(Probe("gpu_load_ratio", gpu.name, gpu.load_ratio))
        return found

    def over_current(self) -> Optional[Probe]:
        """How often a Jetson's over-current protection has lowered clocks since it started; None elsewhere."""
        counts = self._over_current_counts()
        return Probe("over_current_count", _OVER_CURRENT_CHIP, partial(_sum, counts)) if counts else None

    def _zones(self) -> List[Probe]:
        found: Dict[str, Probe] = {}
        for folder in list_folder(self._root / "sys/class/thermal", "thermal_zone*"):
            name = read(folder / "type") or folder.name
            name = name if name not in found else f"{name} ({folder.name})"
            found[name] = Probe("temperature_c", name, partial(_degrees, folder / "temp"))
        for folder in self._chips(*_PROCESSOR_CHIPS) if _PACKAGE_ZONE not in found else []:
            name = f"{read(folder / 'name')} {read(folder / 'temp1_label') or folder.name}"
            found[name] = Probe("temperature_c", name, partial(_degrees, folder / "temp1_input"))
        return list(found.values())

    def _chips(self, *names: str) -> List[Path]:
        folders = list_folder(self._root / "sys/class/hwmon", "hwmon*")
        return [folder for folder in folders if read(folder / "name") in names]

    def _over_current_counts(self) -> List[Path]:
        return [
            path
            for folder in self._chips(_OVER_CURRENT_CHIP)
            for path in list_folder(folder, "oc*")
            if _OVER_CURRENT_COUNT.fullmatch(path.name) and number(path) is not None
        ]

    def _cooling_devices(self) -> List[Path]:
        return [
            folder
            for folder in list_folder(self._root / "sys/class/thermal", "cooling_device*")
            # Fans cool without slowing anything down, and an idle injection driver is not a limit.
            if any(word in (read(folder / "type") or "").lower() for word in self._defaults.slowing)
            and number(folder / "cur_state") is not None
        ]

    def _cores(self, cpus: Sequence[int] = ()) -> List[Path]:
        if cpus:
            return [self._root / _CPU / f"cpu{core}" for core in cpus]
        folders = list_folder(self._root / _CPU, "cpu[0-9]*")
        return sorted((folder for folder in folders if folder.name[3:].isdigit()), key=lambda f: int(f.name[3:]))

    def _readable(self, name: str, cpus: Sequence[int] = ()) -> List[Path]:
        return [folder / name for folder in self._cores(cpus) if number(folder / name) is not None]

    def _clocks(self, name: str, cpus: Sequence[int]) -> List[int]:
        """In kHz, of the cores that tell it."""
        found = [number(folder / "cpufreq" / name) for folder in self._cores(cpus)]
        # A clock that stands still is a file that tells nothing.
        return [value for value in found if value is not None and value > 0]


def _degrees(path: Path) -> Optional[float]:
    millidegrees = number(path)
    # Absent sensors report 0.
    if not millidegrees or not _COLDEST_C * 1000 < millidegrees < _HOTTEST_C * 1000:
        return None
    return millidegrees / 1000


def _mean_hz(paths: Sequence[Path]) -> Optional[float]:
    kilohertz = _all(paths)
    return 1000 * sum(kilohertz) / len(kilohertz) if kilohertz and min(kilohertz) > 0 else None


def _sum(paths: Sequence[Path]) -> Optional[float]:
    values = _all(paths)
    return float(sum(values)) if values else None


def _all(paths: Sequence[Path]) -> List[int]:
    """The number in each file, or nothing when one is gone: what the others say would look like a change."""
    values = [value for value in map(number, paths) if value is not None]
    return values if len(values) == len(paths) else []
