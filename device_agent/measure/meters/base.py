"""What every meter of energy is: joules over a window, and all that is needed to judge them.

    start ───── look ───── look ─ … ─ stop          look: joules and seconds since start, cheap
      │          │                     │            stop: the reading of the whole window
      └ thread or counter, as the source needs ┘

Readers of files take `Files`, not paths of this machine: tests make boards up, and a bridge reads a phone's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Protocol, Tuple

from device_agent.tuning.system import group_name
from protos import udev
from protos.gauntlet.v1 import figure_pb2

#: What a meter's joules cover: the processor's packages, the whole board, the graphics processor.
PROCESSOR, BOARD, ACCELERATOR = "processor", "board", "accelerator"
#: No device that is measured draws this much for long: a source that says so tells garbage.
MOST_W = 5_000.0


class MeterError(Exception):
    """A window could not be metered; the message says why and how to mend that."""


class Files(Protocol):
    """Reads a device's files; paths have no leading slash."""

    def read(self, path: str) -> str:
        """Content without surrounding blanks.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not text.
        """

    def glob(self, pattern: str) -> List[str]:
        """Paths that match, in order; none where they cannot be listed."""


class LocalFiles:
    """Files of this machine.

    Args:
        root: of the file system, or of a made-up one.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def read(self, path: str) -> str:
        """See `Files`."""
        return (self._root / path).read_text().strip()

    def glob(self, pattern: str) -> List[str]:
        """See `Files`."""
        try:
            return sorted(str(path.relative_to(self._root)) for path in self._root.glob(pattern))
        except OSError:
            return []


@dataclass(frozen=True)
class Facts:
    """What a meter reads.

    Attributes:
        source: for people, for example "RAPL package-0 + dram"; empty without a meter.
        covers: `PROCESSOR`, `BOARD` or `ACCELERATOR`.
        counted: rails that the total adds up; no two of them overlap.
        apart: rails that are told but not counted, because they are parts of counted ones or beside the point.
        step_j: smallest change of its counter; 0 for a sensor of power.
        step_w: smallest change of its power; 0 for a counter, or where it is not known.
        update_s: how old a reading may be.
        origin: measured, or estimated by a model of the vendor's.
        remark: what the figure leaves out, in words; may be empty.
    """

    source: str
    covers: str
    counted: Tuple[str, ...]
    apart: Tuple[str, ...] = ()
    step_j: float = 0.0
    step_w: float = 0.0
    update_s: float = 0.0
    origin: figure_pb2.Origin = figure_pb2.ORIGIN_MEASURED
    remark: str = ""


@dataclass(frozen=True)
class Look:
    """A glance into a running window.

    Attributes:
        energy_j: since the window's start, of the counted rails.
        seconds: likewise.
    """

    energy_j: float
    seconds: float


@dataclass(frozen=True)
class Reading:
    """Energy over a window.

    Attributes:
        energy_j: of the counted rails.
        seconds: length of the window.
        resolution_j: the most by which `energy_j` may be off for the counter's steps and the age of its readings.
        rails: joules of each rail, counted or not.
        wraps: how often a counter started anew.
    """

    energy_j: float
    seconds: float
    resolution_j: float
    rails: Dict[str, float]
    wraps: int = 0


class Meter(Protocol):
    """Adds up energy between `start` and `stop`; beside that, tells the power now and then."""

    @property
    def facts(self) -> Facts:
        """What is read."""

    @property
    def unavailable(self) -> str:
        """Why it cannot be read; after "; " how to mend that. Empty when it can."""

    def start(self) -> None:
        """Begin a window.

        Raises:
            MeterError: it cannot be read (any more).
        """

    def look(self) -> Look:
        """Take note of the counter; called often enough that it wraps at most once in between.

        Raises:
            MeterError: it cannot be read any more.
        """

    def stop(self) -> Reading:
        """End the window, also one that has failed.

        Raises:
            MeterError: the window is void.
        """

    def power_w(self) -> Optional[float]:
        """Watts now, or since the last call where the source counts energy; None when it cannot tell.

        Belongs to no window, and may be called by another thread than the rest.
        """


class NoMeter:
    """The meter of a machine without one: everything is unavailable, for a reason."""

    facts = Facts("", "", ())

    def __init__(self, reason: str) -> None:
        self.unavailable = reason

    def start(self) -> None:
        """See `Meter`."""
        raise MeterError(self.unavailable)

    def look(self) -> Look:
        """See `Meter`."""
        raise MeterError(self.unavailable)

    def stop(self) -> Reading:
        """See `Meter`."""
        raise MeterError(self.unavailable)

    def power_w(self) -> Optional[float]:
        """See `Meter`."""
        return None


def no_permission(path: str, subsystem: str, chip: str = "") -> str:
    """Why a meter's file cannot be read, and the udev rule that lets this process's group read it from now on.

    Args:
        path: of the file.
        subsystem: that udev knows its folder by, for example "powercap".
        chip: the folder's name file says; empty: any.
    """
    return f"no permission to read /{path}; {udev.let_read(subsystem, group_name(os.getegid()), chip)}"


def edge_resolution_j(facts: Facts, energy_j: float, seconds: float) -> float:
    """How far the energy of a window may be off: at both ends a step and a stale reading, and half a step of power.

    A steady load does not dither a sensor of power, so that its rounding need not average out.

    Args:
        facts: of the meter.
        energy_j: of the window.
        seconds: its length.
    """
    power_w = abs(energy_j) / seconds if seconds > 0 else 0.0
    stale_s = min(facts.update_s, seconds)
    return 2 * (facts.step_j + stale_s * power_w) + facts.step_w / 2 * seconds
