"""Energy of an inference, from a meter where there is one.

RAPL (Linux power capping framework): /sys/class/powercap/intel-rapl:N/{name,energy_uj,max_energy_range_uj}, a counter
in microjoules for each package that wraps at max_energy_range_uj; AMD processors show the same files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Protocol, Sequence, Tuple

from protos import figures
from protos.gauntlet.v1 import figure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb

RAPL_REMEDY = (
    'as root: echo \'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod a+r /sys%p/energy_uj"\' '
    "> /etc/udev/rules.d/70-rapl.rules && udevadm control --reload && udevadm trigger --subsystem-match=powercap "
    "--action=add"
)
_IDLE_S = 1.0
# The counter is updated about every millisecond; a look each 50 ms costs nothing and never misses a wrap.
_LOOK_S = 0.05


@dataclass(frozen=True)
class EnergyReading:
    """Energy over a window.

    Attributes:
        energy_j: all that the meter saw.
        seconds: length of the window.
    """

    energy_j: float
    seconds: float


class Meter(Protocol):
    """Adds up energy between `start` and `stop`."""

    @property
    def source(self) -> str:
        """What is read, for example "RAPL package-0"; empty without a meter."""

    @property
    def unavailable(self) -> str:
        """Why it cannot be read, and how to mend that; empty when it can."""

    def start(self) -> None:
        """Begin a window."""

    def look(self) -> None:
        """Take note of the counter; called often enough that it wraps at most once in between."""

    def stop(self) -> EnergyReading:
        """End the window."""


class NoMeter:
    """The meter of a machine without one: everything is unavailable, for a reason."""

    source = ""

    def __init__(self, reason: str) -> None:
        self.unavailable = reason

    def start(self) -> None:
        """Nothing to begin."""

    def look(self) -> None:
        """Nothing to see."""

    def stop(self) -> EnergyReading:
        """Never called where `unavailable` is heeded."""
        raise RuntimeError(self.unavailable)


class RaplMeter:
    """Sum over processor packages.

    Args:
        zones: (folder, name, wrap in µJ) of each.
        clock: seconds, monotonic.
    """

    unavailable = ""

    def __init__(self, zones: Sequence[Tuple[Path, str, int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._zones = zones
        self._clock = clock
        self._last: List[int] = []
        self._total_uj = 0
        self._began_s = 0.0
        self.source = "RAPL " + " + ".join(name for _, name, _ in zones)

    def start(self) -> None:
        """See `Meter`."""
        self._total_uj = 0
        self._last = self._read()
        self._began_s = self._clock()

    def look(self) -> None:
        """See `Meter`."""
        now = self._read()
        for (_, _, wrap_uj), before, after in zip(self._zones, self._last, now):
            # The counter runs from 0 to wrap_uj and then starts again.
            self._total_uj += after - before if after >= before else after + wrap_uj - before
        self._last = now

    def stop(self) -> EnergyReading:
        """See `Meter`."""
        self.look()
        return EnergyReading(self._total_uj / 1e6, self._clock() - self._began_s)

    def _read(self) -> List[int]:
        return [int((folder / "energy_uj").read_text()) for folder, _, _ in self._zones]


def find_meter(root: Path = Path("/")) -> Meter:
    """The meter of this machine, or `NoMeter` with the reason.

    Args:
        root: of the file system, or of a made-up one.
    """
    powercap = root / "sys/class/powercap"
    zones: List[Tuple[Path, str, int]] = []
    denied: Optional[Path] = None
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            # Subzones (core, dram) and psys overlap with the packages or mean something else on each machine.
            if not name.startswith("package-"):
                continue
            wrap_uj = int((folder / "max_energy_range_uj").read_text())
            int((folder / "energy_uj").read_text())
        except PermissionError:
            denied = folder / "energy_uj"
            continue
        except (OSError, ValueError):
            continue
        zones.append((folder, name, wrap_uj))
    if denied is not None:
        return NoMeter(f"no permission to read {denied}; {RAPL_REMEDY}")
    if not zones:
        return NoMeter("no RAPL counter (/sys/class/powercap/intel-rapl:*) and no other known power sensor")
    return RaplMeter(zones)


def measure_energy(
    invoke: Callable[[], None],
    spec: pb.EnergySpec,
    meter: Meter,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> pb.EnergyResult:
    """Idle baseline, then a metered window of back-to-back inferences."""
    if meter.unavailable:
        absent = figures.unavailable(meter.unavailable)
        return pb.EnergyResult(energy_j=absent, net_energy_j=absent, power_w=absent, idle_power_w=absent)
    meter.start()
    sleep(_IDLE_S)
    idle = meter.stop()
    idle_w = idle.energy_j / idle.seconds
    runs = 0
    meter.start()
    now = clock()
    end, next_look = now + spec.window_s, now + _LOOK_S
    while now < end or not runs:
        invoke()
        runs += 1
        now = clock()
        if now >= next_look:
            meter.look()
            next_look = now + _LOOK_S
    busy = meter.stop()
    return pb.EnergyResult(
        energy_j=_figure(busy.energy_j / runs, runs),
        net_energy_j=_figure((busy.energy_j - idle_w * busy.seconds) / runs, runs),
        power_w=_figure(busy.energy_j / busy.seconds, 1),
        idle_power_w=_figure(idle_w, 1),
        source=meter.source,
        window_s=busy.seconds,
    )


def _figure(value: float, samples: int) -> figure_pb2.Figure:
    return figures.measured(value, samples)
