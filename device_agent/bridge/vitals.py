"""How a phone is: what its services tell of battery, heat and screen. Pure: text in, values out.

Every value may be missing: services differ with Android's version and its vendor, and what they do not tell is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

#: Of `dumpsys thermalservice`, Android 10 and later (PowerManager.THERMAL_STATUS_*).
THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
#: Kinds of temperatures (android.hardware.thermal, TemperatureType).
_CPU, _SKIN = "0", "3"
#: BatteryManager.BATTERY_STATUS_*.
_STATUS = {"2": "charging", "3": "discharging", "4": "not charging", "5": "full"}
_TEMPERATURE = re.compile(r"Temperature\{mValue=(?P<value>[-\d.]+), mType=(?P<kind>-?\d+), mName=(?P<name>[^,}]+)")
#: A sensor that has nothing to tell says 0, or something that no phone survives.
_COLDEST_C, _HOTTEST_C = -30.0, 130.0


@dataclass(frozen=True)
class Battery:
    """Of `dumpsys battery`.

    Attributes:
        ratio: how full, 0-1.
        temperature_c: of the cell.
        status: "charging", "discharging", "not charging", "full"; empty: unknown.
        powered_by: "AC", "USB", "Wireless", "Dock"; empty: nothing.
        made_up: somebody had it tell something else (`dumpsys battery set|unplug`); the phone is charged all the same.
    """

    ratio: Optional[float] = None
    temperature_c: Optional[float] = None
    status: str = ""
    powered_by: Tuple[str, ...] = ()
    made_up: bool = False


@dataclass(frozen=True)
class Heat:
    """Of `dumpsys thermalservice`.

    Attributes:
        status: 0 none … 6 shutdown; None: it does not tell.
        made_up: somebody set it (`cmd thermalservice override-status`).
        cpu_c: of the hottest sensor of the processor.
        skin_c: likewise of the case, which is what most phones throttle by.
    """

    status: Optional[int] = None
    made_up: bool = False
    cpu_c: Optional[float] = None
    skin_c: Optional[float] = None

    @property
    def word(self) -> str:
        """The status, for people."""
        return THERMAL_STATUS[self.status] if self.status is not None else "unknown"


def parse_battery(text: str) -> Battery:
    """Read `dumpsys battery`."""
    fields: Dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    level, scale = _number(fields.get("level")), _number(fields.get("scale"))
    ratio = level / scale if level is not None and scale is not None and scale > 0 else None
    tenths = _number(fields.get("temperature"))
    return Battery(
        ratio=ratio if ratio is not None and 0 <= ratio <= 1 else None,
        temperature_c=_plausible(tenths / 10) if tenths is not None else None,
        status=_STATUS.get(fields.get("status", ""), ""),
        powered_by=tuple(
            name for name in ("AC", "USB", "Wireless", "Dock") if fields.get(f"{name.lower()} powered") == "true"
        ),
        made_up="UPDATES STOPPED" in text,
    )


def parse_heat(text: str) -> Heat:
    """Read `dumpsys thermalservice`; what its hardware tells now counts, not what it remembers."""
    status = re.search(r"^\s*Thermal Status:\s*(\d+)\s*$", text, re.MULTILINE)
    level = int(status[1]) if status and int(status[1]) < len(THERMAL_STATUS) else None
    _, _, current = text.partition("Current temperatures from HAL:")
    current = current.partition("Current cooling devices")[0]
    return Heat(
        status=level,
        made_up="IsStatusOverride: true" in text,
        cpu_c=_hottest(current, _CPU),
        skin_c=_hottest(current, _SKIN),
    )


def parse_wakefulness(text: str) -> str:
    """Of `dumpsys power`: "Awake", "Asleep", "Dozing", "Dreaming"; empty: unknown."""
    match = re.search(r"mWakefulness=(\w+)", text)
    return match[1] if match else ""


def parse_free_bytes(text: str) -> Optional[int]:
    """Of `df -k FOLDER`: what is available; None: unknown."""
    # Toybox and GNU: Filesystem 1K-blocks Used Available Use% Mounted-on.
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 4 and fields[3].isdigit():
            return int(fields[3]) * 1024
    return None


def parse_properties(text: str) -> Dict[str, str]:
    """Of `getprop`."""
    return dict(re.findall(r"^\[([^\]\n]+)\]: \[([^\]\n]*)\]\r?$", text, re.MULTILINE))


def _hottest(text: str, kind: str) -> Optional[float]:
    found: List[float] = []
    for match in _TEMPERATURE.finditer(text):
        value = _number(match["value"])
        if match["kind"] == kind and value is not None and value and _plausible(value) is not None:
            found.append(value)
    return max(found) if found else None


def _plausible(degrees: float) -> Optional[float]:
    return degrees if _COLDEST_C <= degrees <= _HOTTEST_C else None


def _number(text: Optional[str]) -> Optional[float]:
    try:
        return float(text) if text is not None and re.fullmatch(r"-?\d+(\.\d+)?", text) else None
    except ValueError:
        return None
