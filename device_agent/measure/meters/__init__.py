"""Meters of energy: one interface, many sources.

`find` asks every reader what a device's files show; each answers with a `CounterMeter` (RAPL, ODPM, NVML, energy of
hwmon), a `PowerMeter` (Jetson, Raspberry Pi 5, battery, power of hwmon, old NVML), a `StreamMeter` (external), or a
`NoMeter` that says why there is none and how to mend that. A `JointMeter` adds up a processor and a graphics board.
"""

from device_agent.measure.meters.base import (
    ACCELERATOR,
    BOARD,
    PROCESSOR,
    Facts,
    Files,
    LocalFiles,
    Look,
    Meter,
    MeterError,
    NoMeter,
    Reading,
)
from device_agent.measure.meters.find import choose_meter, find_meter, survey, survey_machine

__all__ = [
    "ACCELERATOR",
    "BOARD",
    "PROCESSOR",
    "Facts",
    "Files",
    "LocalFiles",
    "Look",
    "Meter",
    "MeterError",
    "NoMeter",
    "Reading",
    "choose_meter",
    "find_meter",
    "survey",
    "survey_machine",
]
