"""What a user may ask of a device's state during the timed windows, and what came of it, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from gauntlet.errors import UsageError

if TYPE_CHECKING:
    from protos.gauntlet.v1 import setup_pb2

_PREFIXES = {"ghz": 1e9, "mhz": 1e6, "khz": 1e3, "hz": 1.0}
NAMES = ("governor", "min_frequency_hz", "max_frequency_hz", "power_mode", "jetson_clocks", "cores")


class SetupOptions(TypedDict, total=False):
    """State of the device during the timed windows, where it permits; what is left out stays as it is found."""

    governor: str
    #: Clock limits.
    min_frequency_hz: float
    max_frequency_hz: float
    #: A Jetson's.
    power_mode: str
    jetson_clocks: bool
    #: Among which threads are held: "big", "little", or numbers such as "0-3".
    cores: str


def check(options: Mapping[str, Any], pin: bool) -> None:
    """Refuse what cannot be meant.

    Args:
        options: the set-up.
        pin: are threads held to cores?

    Raises:
        UsageError: cores without pinning, or limits the wrong way round.
    """
    if options.get("cores") and not pin:
        raise UsageError("cores are chosen, and threads are not to be held to cores", "leave out one of the two")
    low, high = options.get("min_frequency_hz", 0.0), options.get("max_frequency_hz", 0.0)
    if not (0 <= low < math.inf and 0 <= high < math.inf) or (high and low > high):
        raise UsageError(f"clock limits from {low:g} to {high:g} Hz make no sense", "give a lower and an upper one")


def device_setup(options: Mapping[str, Any]) -> setup_pb2.DeviceSetup | None:
    """The set-up that the options ask for; None: none."""
    from protos.gauntlet.v1 import setup_pb2

    asked = {name: options[name] for name in NAMES if options.get(name)}
    return setup_pb2.DeviceSetup(**asked) if asked else None


def frequency_hz(text: str, option: str) -> float:
    """Read "1.5GHz", "800 MHz" or "" (0: not asked for).

    Raises:
        UsageError: it is no clock.
    """
    compact = text.replace(" ", "").lower()
    if not compact:
        return 0.0
    for unit, factor in _PREFIXES.items():
        if compact.endswith(unit):
            try:
                value = float(compact.removesuffix(unit)) * factor
            except ValueError:
                break
            if 0 < value < math.inf:
                return value
            break
    raise UsageError(f"{option}: {text} is no clock", "give it as 1.5GHz or 800MHz")


def setup_document(report: setup_pb2.SetupReport) -> dict[str, Any]:
    """What was asked, and each change as it was found, wanted and read back."""
    asked = {name: getattr(report.asked, name) or None for name in NAMES}
    changes = ("control", "target", "found", "wanted", "read_back")
    return {"asked": asked, "changes": [{name: getattr(c, name) or None for name in changes} for c in report.changes]}


def control_document(control: setup_pb2.Control) -> dict[str, Any]:
    """Something that a device can be set to, or the reason why not."""
    return {
        "name": control.name,
        "state": control.state or None,
        "choices": list(control.choices),
        "unavailable": control.unavailable or None,
    }
