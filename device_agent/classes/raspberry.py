"""The flags with which a Raspberry Pi's firmware says that it holds the processor back.

    bit     0   1   2   3  …  16  17  18  19
            now              since the kernel last asked

They are those of `vcgencmd get_throttled` (Raspberry Pi documentation, "os: get_throttled"). The kernel asks every 2 s
and clears the upper ones each time (linux/drivers/hwmon/raspberrypi-hwmon.c), so that its file misses nothing and lags
by 2 s at most. Kernels without that file tell of the voltage alone, by the sensor "rpi_volt".
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional

from device_agent.tuning.system import list_folder, number, read

#: What each of the four lower bits says.
FLAGS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
_NOW, _SINCE = 0xF, 16
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_UNDER_VOLTAGE = 1


class ThrottleFlags:
    """The firmware's flags.

    Args:
        root: of the file system, or of a made-up one.

    Attributes:
        source: what is read; empty where there is nothing.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._firmware = root / _FIRMWARE
        self._alarm = next(
            (
                name.parent / "in0_lcrit_alarm"
                for name in list_folder(root / "sys/class/hwmon", "hwmon*/name")
                if read(name) == "rpi_volt"
            ),
            None,
        )
        self.source = "/" + _FIRMWARE if _hexadecimal(self._firmware) is not None else ""
        if not self.source and self._alarm is not None:
            self.source = "rpi_volt: under-voltage alone"

    def read(self) -> Optional[int]:
        """The four flags, now or since the kernel last asked, as bits; None where they cannot be read."""
        told = _hexadecimal(self._firmware)
        if told is not None:
            return (told | told >> _SINCE) & _NOW
        alarm = number(self._alarm) if self._alarm is not None else None
        return None if alarm is None else _UNDER_VOLTAGE * bool(alarm)


def in_words(flags: int) -> List[str]:
    """What the flags say, a word or two each."""
    return [name for bit, name in enumerate(FLAGS) if flags >> bit & 1]


def _hexadecimal(path: Path) -> Optional[int]:
    try:
        return int(read(path) or "", 16)
    except ValueError:
        return None
