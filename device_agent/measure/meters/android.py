"""Phones: the battery's gauge, and the power rails of Pixel 6 and later (ODPM).

Both read `Files`, so that a bridge on the USB host can hand in a phone's. Android's own accounting (batterystats,
power_profile) is a model and never read here.
"""

from __future__ import annotations

import re
import time
from typing import Callable, Dict, List, Mapping, Optional

from device_agent.measure.meters.base import BOARD, PROCESSOR, Facts, Files, Meter, NoMeter
from device_agent.measure.meters.counters import Counter, CounterMeter
from device_agent.measure.meters.power import MakeTicker, PowerMeter
from device_agent.measure.ticker import Ticker

_BATTERY_PERIOD_S = 1.0
# Fuel gauges average over a second or more.
_BATTERY_UPDATE_S = 1.0
#: current_now is in µA by the kernel's rule, in mA on some vendors' phones. Awake, a phone draws more than 6 mA
#: (6,000 µA) and less than 6 A (6,000 mA).
_LEAST_MICROAMPERES = 6_000

_ODPM_LINE = re.compile(r"^CH(\d+)\(T=(\d+)\)\[([^\]]+)\],\s*(\d+)$")
# The driver keeps its sums for 20 counts of the sampling rate, 125 Hz on shipped phones.
_ODPM_UPDATE_S = 0.2
_ODPM_STEP_J = 1e-6
#: Switched supplies (S…) of cores, memory, interconnect and accelerators. Linear regulators (L…) are fed by them, and
#: radios, screen and cameras are not what an inference needs.
_ODPM_COUNTED = re.compile(r"^S\d+[A-Z]_VDD(2H|Q)?_(CPUCL\d|MIF|INT|G3D|TPU|MEM)")


class _BatteryError(ValueError):
    """The battery's figures mean something else just now."""


def find_battery(files: Files, make_ticker: MakeTicker = Ticker, clock: Callable[[], float] = time.monotonic) -> Meter:
    """The battery of a phone or laptop, while it discharges.

    Args:
        files: of the device.
        make_ticker: see `PowerMeter`.
        clock: likewise.
    """
    folders = [f for f in files.glob("sys/class/power_supply/*") if _text(files, f"{f}/type") == "Battery"]
    # Wireless keyboards and pens report a battery of their own.
    folders = [f for f in folders if _text(files, f"{f}/scope") != "Device"]
    if not folders:
        return NoMeter("no battery in /sys/class/power_supply")
    battery = _Battery(files, folders[0])
    try:
        battery.settle()
        battery.read()
    except PermissionError:
        return NoMeter(f"no permission to read /{folders[0]}; on Android the adb shell may, apps may not")
    except _BatteryError as error:
        return NoMeter(f"the battery {error}; unplug the device (adb works over the network: adb tcpip)")
    except (OSError, ValueError) as error:
        return NoMeter(f"the battery's current or voltage cannot be read: {error}")
    name = folders[0].rsplit("/", 1)[-1]
    facts = Facts(
        source=f"battery {name}",
        covers=BOARD,
        counted=(name,),
        update_s=_BATTERY_UPDATE_S,
        remark="the whole device with its screen and radios",
    )
    return PowerMeter(facts, lambda: {name: battery.read()}, _BATTERY_PERIOD_S, clock, make_ticker)


class _Battery:
    """Watts of a battery, whatever signs and units the vendor chose.

    Args:
        files: of the device.
        folder: of the power supply.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._ampere_unit = 1e-6
        self._sign = 1

    def settle(self) -> None:
        """Find out sign and unit, once: they belong to the device.

        Raises:
            OSError: the current cannot be read.
            ValueError: it is no number, or 0.
        """
        if self._has_power():
            return
        current = int(self._read("current_now"))
        if not current:
            raise _BatteryError("reads a current of 0")
        self._ampere_unit = 1e-3 if abs(current) < _LEAST_MICROAMPERES else 1e-6
        # Negative while discharging, says the kernel; several vendors do it the other way round.
        self._sign = 1 if current > 0 else -1

    def read(self) -> float:
        """Watts drawn from it.

        Raises:
            OSError: it cannot be read.
            ValueError: it does not discharge, or a file holds no number.
        """
        status = self._read("status")
        if status != "Discharging":
            raise _BatteryError(f"is not discharging ({status})")
        if self._has_power():
            return abs(int(self._read("power_now"))) / 1e6
        current = self._sign * int(self._read("current_now"))
        if current < 0:
            raise _BatteryError("was charged for a moment: its current changed sign")
        voltage = int(self._read("voltage_now"))
        # µV by the kernel's rule, mV on some phones; a cell has between 2 and 25 V.
        return current * self._ampere_unit * voltage * (1e-6 if voltage > 100_000 else 1e-3)

    def _has_power(self) -> bool:
        return bool(_text(self._files, f"{self._folder}/power_now"))

    def _read(self, name: str) -> str:
        return self._files.read(f"{self._folder}/{name}")


def find_odpm(files: Files, clock: Callable[[], float] = time.monotonic) -> Meter:
    """The power rails that Pixel phones count by themselves.

    Args:
        files: of the phone.
        clock: seconds, monotonic.
    """
    paths = files.glob("sys/bus/iio/devices/iio:device*/energy_value")
    if not paths:
        return NoMeter("no on-device power rails (ODPM, Pixel 6 and later)")
    try:
        found = _odpm(files, paths)
    except PermissionError as error:
        return NoMeter(f"no permission to read /{paths[0]}; a userdebug build or root may ({error.strerror})")
    except (OSError, ValueError) as error:
        return NoMeter(f"the power rails (ODPM) cannot be read: {error}")
    counted = tuple(rail for rail in found if _ODPM_COUNTED.match(rail))
    if not counted:
        return NoMeter(f"power rails (ODPM) without any of the processor: {', '.join(found)}")
    facts = Facts(
        source="ODPM " + " + ".join(counted),
        covers=PROCESSOR,
        counted=counted,
        apart=tuple(rail for rail in found if rail not in counted),
        step_j=_ODPM_STEP_J * len(counted),
        update_s=_ODPM_UPDATE_S,
        remark="rails of cores, memory and accelerators, not the whole phone",
    )
    counters = [Counter(rail, counted=rail in counted) for rail in found]
    return CounterMeter(facts, counters, lambda: _odpm(files, paths), clock)


def _odpm(files: Files, paths: List[str]) -> Mapping[str, float]:
    """Joules of each rail: the lines "CH3(T=358356)[S2M_VDD_CPUCL2], 761330" hold microwatt-seconds."""
    rails: Dict[str, float] = {}
    for path in paths:
        lines = files.read(path).splitlines()
        for line in lines[1:]:
            match = _ODPM_LINE.match(line.strip())
            if match is None:
                raise ValueError(f"/{path}: {line!r} is no channel")
            rails[match.group(3)] = int(match.group(4)) / 1e6
    if not rails:
        raise ValueError(f"/{paths[0]} names no channel")
    return rails


def _text(files: Files, path: str) -> Optional[str]:
    try:
        return files.read(path)
    except (OSError, ValueError):
        return None
