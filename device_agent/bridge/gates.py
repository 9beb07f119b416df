"""May a phone measure now? Pure: how it is goes in, what keeps it comes out.

Heat passes, so a job waits for a while; an empty battery does not fill up while one waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from device_agent.bridge.vitals import Battery, Heat


@dataclass(frozen=True)
class Limits:
    """What a phone must keep to.

    Attributes:
        battery_ratio: least charge: below some vendors lower the clocks, or the phone goes to sleep.
        battery_c: hottest cell. Chargers slow down at 45 °C, and the phone with them: 5 degrees before that.
        thermal_status: highest; from "light" on Android throttles already (PowerManager.THERMAL_STATUS_LIGHT).
    """

    battery_ratio: float = 0.30
    battery_c: float = 40.0
    thermal_status: int = 0


@dataclass(frozen=True)
class Unfit:
    """What keeps a phone from measuring.

    Attributes:
        reason: for people.
        passes: may it be over in a minute?
    """

    reason: str
    passes: bool


def unfit(battery: Battery, heat: Heat, timed: bool, limits: Limits = Limits()) -> Optional[Unfit]:
    """What keeps it, if anything; what the phone does not tell keeps it from nothing.

    Args:
        battery: of the phone.
        heat: likewise.
        timed: will it take times or joules, which heat falsifies?
        limits: what it must keep to.
    """
    if battery.made_up or heat.made_up:
        what, service = ("battery", "dumpsys battery") if battery.made_up else ("heat", "cmd thermalservice")
        return Unfit(f"its {what} is made up by somebody (end it: adb shell {service} reset)", passes=False)
    if battery.ratio is not None and battery.ratio < limits.battery_ratio:
        charge = f"{100 * battery.ratio:.0f} %, less than {100 * limits.battery_ratio:.0f} %"
        return Unfit(f"its battery is at {charge} ({battery.status or 'unknown whether it charges'})", passes=False)
    if not timed:
        return None
    if heat.status is not None and heat.status > limits.thermal_status:
        skin = f" at {heat.skin_c:.1f} °C" if heat.skin_c is not None else ""
        return Unfit(f"its thermal status is {heat.status} ({heat.word}){skin}", passes=True)
    if battery.temperature_c is not None and battery.temperature_c > limits.battery_c:
        return Unfit(f"its battery has {battery.temperature_c:.1f} °C, more than {limits.battery_c:g} °C", passes=True)
    return None
