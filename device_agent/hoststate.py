"""How the machine is doing around a measurement: temperature, clock, governor, load, throttling.

Many servers and containers show none of these files: "unavailable" is an answer. Every reader takes a root, so that
tests can make machines up.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from protos import figures
from protos.gauntlet.v1 import figure_pb2, measurement_pb2

_CPU = "sys/devices/system/cpu"
#: /proc/stat counts in ticks of 10 ms: shorter spans say nothing.
_LEAST_SPAN_S = 0.1
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
            millidegrees = _number(folder / "temp")
            # Absent sensors report 0 or absolute zero.
            if millidegrees is not None and millidegrees > -40_000 and millidegrees != 0:
                zones[(_text(folder / "type") or folder.name)] = millidegrees / 1000
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
        cooling = [
            value
            for folder in sorted((self._root / "sys/class/thermal").glob("cooling_device*"))
            # Fans cool without slowing anything down, and an idle injection driver is not a limit.
            if any(word in (_text(folder / "type") or "").lower() for word in ("processor", "cpu"))
            for value in [_number(folder / "cur_state")]
            if value is not None
        ]
        limits = self._all_cores("cpufreq/scaling_max_freq")
        hardware = self._all_cores("cpufreq/cpuinfo_max_freq")
        limited = bool(limits and hardware and min(limits) < max(hardware) and limits != hardware)
        return Throttling(counts, cooling, limited)

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
