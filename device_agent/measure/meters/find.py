"""Which meters a device has, and which one measures best."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Sequence

from device_agent.measure.meters.android import find_battery, find_odpm
from device_agent.measure.meters.base import ACCELERATOR, BOARD, PROCESSOR, Files, LocalFiles, Meter, NoMeter
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.measure.meters.jetson import find_jetson
from device_agent.measure.meters.joint import JointMeter
from device_agent.measure.meters.nvml import find_nvml
from device_agent.measure.meters.rapl import find_rapl
from device_agent.measure.meters.raspberry import find_raspberry
from device_agent.measure.meters.stream import VARIABLE, find_stream

_ROOT = Path("/")


def find_meter(root: Path = _ROOT, accelerator: bool = False) -> Meter:
    """The best meter of this machine, or `NoMeter` with the reason.

    Args:
        root: of the file system, or of a made-up one.
        accelerator: does the work run on a graphics processor?
    """
    return choose_meter(survey_machine(root), accelerator)


def survey_machine(root: Path = _ROOT) -> List[Meter]:
    """All meters of this machine, the best first; those that cannot be read say why.

    Args:
        root: of the file system, or of a made-up one, which has neither external meters nor graphics processors.
    """
    meters = [*survey(LocalFiles(root)), find_raspberry(root)]
    if root == _ROOT:
        name = os.environ.get(VARIABLE, "")
        # Somebody has wired it up on purpose: it goes first.
        meters = ([find_stream(name)] if name else []) + meters + [find_nvml()]
    return meters


def survey(files: Files) -> List[Meter]:
    """All meters whose files a device shows, the best first; those that cannot be read say why.

    Args:
        files: of the device.
    """
    return [find_jetson(files), find_rapl(files), find_odpm(files), *find_hwmon(files), find_battery(files)]


def choose_meter(meters: Sequence[Meter], accelerator: bool = False) -> Meter:
    """The first that can be read and covers the work.

    A board's meter covers everything. A processor's does not see a graphics board, and the other way round: for work on
    a graphics processor the two are added up.

    Args:
        meters: the best first.
        accelerator: does the work run on a graphics processor?
    """
    usable = [meter for meter in meters if not meter.unavailable]
    processors = [meter for meter in usable if meter.facts.covers == PROCESSOR]
    accelerators = [meter for meter in usable if meter.facts.covers == ACCELERATOR]
    boards = [meter for meter in usable if meter.facts.covers == BOARD]
    if accelerator and boards:
        return boards[0]
    if accelerator and accelerators:
        return JointMeter([processors[0], accelerators[0]]) if processors else accelerators[0]
    if accelerator:
        return NoMeter("no meter of the graphics processor; with an NVIDIA driver: pip install nvidia-ml-py")
    if boards or processors:
        return next(meter for meter in usable if meter.facts.covers in (BOARD, PROCESSOR))
    return NoMeter(_reason(meters))


def _reason(meters: Sequence[Meter]) -> str:
    """What would help most: a sensor that is there but must not be read."""
    reasons = [meter.unavailable for meter in meters if meter.unavailable]
    for reason in reasons:
        if ";" in reason and ("no permission" in reason or VARIABLE in reason or "discharging" in reason):
            return reason
    return (
        "no RAPL counter (/sys/class/powercap/intel-rapl:*) and no other known power sensor; a meter on its supply can "
        f"be named by {VARIABLE} in the agent's environment"
    )
