"""How the machine is doing around a measurement: temperature, clock, governor, load, throttling.

Many servers and containers show none of these files: "unavailable" is an answer. Every reader takes a root, so that
tests can make machines up.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Set

from protos import figures
from protos.gauntlet.v1 import figure_pb2, measurement_pb2

_CPU = "sys/devices/system/cpu"
#: /proc/stat counts in ticks of 10 ms: shorter spans say nothing.
_LEAST_SPAN_S = 0.1
#: Boards have a dozen zones, servers more cores than a light look may read.
_MOST_ZONES = 16
_MOST_CLOCKS = 8
#: Thermal zones that tell of the processor, the best first; else the hottest zone counts.
_PROCESSOR_ZONES = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "CPU-therm", "cpu")


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

    def state(self, since: Optional[CpuTimes] = None) -> measurement_pb2.HostState:
        """All that can be read now; background load over the time since `since`."""
        governor = self.governor()
        return measurement_pb2.HostState(
            temperature_c=self.temperature_c(),
            frequency_hz=self.frequency_hz(),
            load_average=self.load_average(),
            governor=governor,
            governor_unavailable="" if governor else "no cpufreq",
            background_cores=self.background_cores(since),
        )

    def temperature_c(self) -> figure_pb2.Figure:
        """Of the processor, else of the hottest zone."""
        zones = {}
        for folder in sorted((self._root / "sys/class/thermal").glob("thermal_zone*")):
            degrees = _degrees(folder / "temp")
            if degrees is not None:
                zones[(_text(folder / "type") or folder.name)] = degrees
        for name in _PROCESSOR_ZONES:
            if name in zones:
                return figures.measured(zones[name])
        if zones:
            return figures.measured(max(zones.values()))
        return figures.unavailable("no thermal zone in /sys/class/thermal")

    def frequency_hz(self) -> figure_pb2.Figure:
        """Mean of the cores' present clocks."""
        kilohertz = self._all_cores("cpufreq/scaling_cur_freq")
        if kilohertz:
            return figures.measured(1000 * sum(kilohertz) / len(kilohertz), len(kilohertz))
        return figures.unavailable("no cpufreq in /sys/devices/system/cpu (virtual machine or container?)")

    def load_average(self) -> figure_pb2.Figure:
        """Of one minute."""
        text = _text(self._root / "proc/loadavg")
        try:
            return figures.measured(float((text or "").split()[0]))
        except (IndexError, ValueError):
            return figures.unavailable("no /proc/loadavg")

    def governor(self) -> str:
        """Of the cores: one name, or several joined by "+"; empty when it is not known."""
        found = {
            name
            for folder in self._cores()
            for name in [_text(folder / "cpufreq/scaling_governor")]
            if name is not None
        }
        return "+".join(sorted(found))

    def cpu_times(self) -> Optional[CpuTimes]:
        """Processor time used so far, or None off Linux."""
        text = _text(self._root / "proc/stat")
        fields = text.split("\n", 1)[0].split() if text else []
        # proc(5): user nice system idle iowait irq softirq steal …
        if len(fields) < 8 or fields[0] != "cpu":
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

    def throttling(self) -> Throttling:
        """What counts up, or stands up, when a processor is slowed down."""
        counts = self._all_cores("thermal_throttle/core_throttle_count")
        counts += self._all_cores("thermal_throttle/package_throttle_count")
        cooling = [_number(folder / "cur_state") or 0 for folder in self._cooling_devices()]
        limits = self._all_cores("cpufreq/scaling_max_freq")
        hardware = self._all_cores("cpufreq/cpuinfo_max_freq")
        limited = bool(limits and hardware and min(limits) < max(hardware) and limits != hardware)
        return Throttling(counts, cooling, limited)

    def probes(self, cpus: Sequence[int] = ()) -> List[Probe]:
        """What can be watched while a measurement runs: heat, clocks and throttling, as far as this machine shows them.

        Args:
            cpus: whose clocks count, for example those that the work is pinned to; empty: some of all.
        """
        found: List[Probe] = []
        names: Set[str] = set()
        for folder in sorted((self._root / "sys/class/thermal").glob("thermal_zone*")):
            name = _text(folder / "type") or folder.name
            name = name if name not in names else f"{name} ({folder.name})"
            names.add(name)
            probe = Probe("temperature_c", name, partial(_degrees, folder / "temp"))
            # A zone that tells nothing now may be gated off for good; each costs a look at every sample.
            if probe.read() is not None and len(found) < _MOST_ZONES:
                found.append(probe)
        cores = list(cpus) or sorted(int(folder.name[3:]) for folder in self._cores())[:_MOST_CLOCKS]
        clocks = [self._root / _CPU / f"cpu{core}" / "cpufreq/scaling_cur_freq" for core in cores]
        if clocks and _mean_hz(clocks) is not None:
            source = "cpu" + ",".join(map(str, cores))
            found.append(Probe("frequency_hz", source, partial(_mean_hz, clocks)))
        counts = [
            path
            for core in cores
            for name in ("core_throttle_count", "package_throttle_count")
            for path in [self._root / _CPU / f"cpu{core}" / "thermal_throttle" / name]
            if _number(path) is not None
        ]
        if counts:
            found.append(Probe("throttle_count", "thermal_throttle", partial(_sum, counts)))
        cooling = [folder / "cur_state" for folder in self._cooling_devices()]
        if cooling:
            found.append(Probe("cooling_state", "processor cooling devices", partial(_sum, cooling)))
        return found

    def _cooling_devices(self) -> List[Path]:
        return [
            folder
            for folder in sorted((self._root / "sys/class/thermal").glob("cooling_device*"))
            # Fans cool without slowing anything down, and an idle injection driver is not a limit.
            if any(word in (_text(folder / "type") or "").lower() for word in ("processor", "cpu"))
            and _number(folder / "cur_state") is not None
        ]

    def _cores(self) -> List[Path]:
        return sorted((self._root / _CPU).glob("cpu[0-9]*"))

    def _all_cores(self, name: str) -> List[int]:
        return [value for folder in self._cores() for value in [_number(folder / name)] if value is not None]


@dataclass(frozen=True)
class Throttling:
    """A reading of all that tells of throttling.

    Attributes:
        counts: throttle events of each core and package.
        cooling: state of each processor cooling device, 0 is off.
        limited: is some core's allowed clock below what it can do?
    """

    counts: Sequence[int]
    cooling: Sequence[int]
    limited: bool

    def remark_since(self, before: Throttling) -> Optional[str]:
        """What happened since `before`, in words, or None."""
        if sum(self.counts) > sum(before.counts):
            return "the processor was throttled for heat while it was measured"
        if sum(self.cooling) > sum(before.cooling):
            return "a processor cooling device stepped in while it was measured"
        if self.limited:
            return "the clock is limited below what the processor can do (scaling_max_freq < cpuinfo_max_freq)"
        return None


def _text(path: Path) -> Optional[str]:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> Optional[int]:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _degrees(path: Path) -> Optional[float]:
    millidegrees = _number(path)
    # Absent sensors report 0 or absolute zero.
    if millidegrees is None or millidegrees <= -40_000 or millidegrees == 0:
        return None
    return millidegrees / 1000


def _mean_hz(paths: Sequence[Path]) -> Optional[float]:
    kilohertz = [value for value in map(_number, paths) if value is not None]
    return 1000 * sum(kilohertz) / len(kilohertz) if kilohertz else None


def _sum(paths: Sequence[Path]) -> Optional[float]:
    values = [value for value in map(_number, paths) if value is not None]
    return float(sum(values)) if values else None
