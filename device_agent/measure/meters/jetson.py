"""Jetson boards: INA3221 and INA238 power monitors, by hwmon (JetPack 5 and later) or IIO (JetPack 4 and earlier).

    board           rails                                             total
    Nano            POM_5V_IN, POM_5V_GPU, POM_5V_CPU                 POM_5V_IN
    TX2             VDD_IN, VDD_SYS_{GPU,SOC,CPU,DDR}, …              VDD_IN, the module
    Orin NX, Nano   VDD_IN, VDD_CPU_GPU_CV, VDD_SOC                   VDD_IN, the module
    AGX Xavier      GPU, CPU, SOC, CV, VDDRQ, SYS5V                   all six, side by side
    AGX Orin        VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0,             the first three
                    VDDQ_VDD2_1V8AO (fed by VIN_SYS_5V0)
    AGX Thor        VIN (INA238), VDD_GPU, VDD_CPU_SOC_MSS, …         VIN, module and carrier

Rails are found by label: addresses and channel numbers differ between boards and JetPacks.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from device_agent.measure.meters.base import BOARD, Facts, Files, Meter, NoMeter, no_permission
from device_agent.measure.meters.power import MakeTicker, PowerMeter
from device_agent.measure.ticker import Ticker

# Reading a rail over the bus takes a millisecond or so, in which an inference can go on.
_PERIOD_S = 0.1
# The monitors average some conversions of about a millisecond.
_UPDATE_S = 0.01
# INA3221: 8 mV a step of voltage, 40 µV a step over a shunt of 2-5 mΩ, so 8-20 mA; at 5 V, 8 mA are 40 mW.
_STEP_W = 0.04


class _Total(NamedTuple):
    """Rails that add up to a board's total, rails by which the board is known, and what the total covers."""

    rails: Tuple[str, ...]
    known_by: Tuple[str, ...]
    covers: str


_MODULE = "the module's monitored rails, without the carrier board"
#: The most telling first. Where a rail feeds another one (VIN_SYS_5V0 feeds VDDQ_VDD2_1V8AO), only the first counts.
_TOTALS = (
    _Total(("POM_5V_IN",), (), "the whole board"),
    _Total(("VDD_IN",), (), "the module, without the carrier board"),
    # An INA238 without a label is one of many things, beside these rails it is Thor's input.
    _Total(("VIN",), ("VDD_CPU_SOC_MSS",), "module and carrier board"),
    _Total(("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), (), _MODULE),
    _Total(("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"), (), _MODULE),
    _Total(("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"), (), _MODULE),
)
_HWMON = ("sys/bus/i2c/devices/*/hwmon/hwmon*", "sys/class/hwmon/hwmon*")
_IIO = (
    "sys/bus/i2c/drivers/ina3221x/*/iio:device*",
    "sys/bus/i2c/devices/*/iio:device*",
    "sys/bus/iio/devices/iio:device*",
)

#: Watts of a rail now.
_Read = Callable[[], float]


def find_jetson(files: Files, make_ticker: MakeTicker = Ticker) -> Meter:
    """The board's rails.

    Args:
        files: of the board.
        make_ticker: see `PowerMeter`.
    """
    denied: List[str] = []
    rails = _hwmon_rails(files, denied) or _iio_rails(files, denied)
    known = next((t for t in _TOTALS if all(label in rails for label in (*t.rails, *t.known_by))), None)
    if known is None:
        if denied:
            return NoMeter(no_permission(denied[0], "iio" if "iio:" in denied[0] else "hwmon"))
        if rails:
            return NoMeter(f"power rails without a known total: {', '.join(rails)}")
        return NoMeter("no Jetson power monitor (INA3221)")
    total = known.rails
    facts = Facts(
        source="INA " + " + ".join(total),
        covers=BOARD,
        counted=total,
        apart=tuple(label for label in rails if label not in total),
        step_w=_STEP_W * len(total),
        update_s=_UPDATE_S,
        remark=known.covers,
    )

    def read() -> Mapping[str, float]:
        powers = {label: _try(read_one, needed=label in total) for label, read_one in rails.items()}
        return {label: power_w for label, power_w in powers.items() if power_w is not None}

    return PowerMeter(facts, read, _PERIOD_S, make_ticker=make_ticker)


def _try(read: _Read, needed: bool) -> Optional[float]:
    """A rail that the total does not need may be gated off for a while."""
    try:
        return read()
    except (OSError, ValueError):
        if needed:
            raise
        return None


def _hwmon_rails(files: Files, denied: List[str]) -> Dict[str, _Read]:
    rails: Dict[str, _Read] = {}
    for folder in dict.fromkeys(folder for pattern in _HWMON for folder in files.glob(pattern)):
        chip = _read(files, f"{folder}/name")
        if not chip.startswith("ina"):
            continue
        if chip.startswith("ina3221"):
            # in4-6 are shunt voltages, in7 is their sum: only channels 1-3 are rails.
            for channel in (1, 2, 3):
                label = _read(files, f"{folder}/in{channel}_label")
                if _read(files, f"{folder}/in{channel}_enable") == "0":
                    continue
                paths = (f"{folder}/in{channel}_input", f"{folder}/curr{channel}_input")
                _add(rails, label, _product(files, *paths), paths[0], denied)
        else:
            # INA238: one channel, the power in µW; older kernels do not pass the label on.
            label = _read(files, f"{folder}/label") or _read(files, f"{folder}/power1_label") or "VIN"
            path = f"{folder}/power1_input"
            _add(rails, label, _scaled(files, path, 1e-6), path, denied)
    return rails


def _iio_rails(files: Files, denied: List[str]) -> Dict[str, _Read]:
    rails: Dict[str, _Read] = {}
    for folder in dict.fromkeys(folder for pattern in _IIO for folder in files.glob(pattern)):
        for channel in (0, 1, 2):
            label = _read(files, f"{folder}/rail_name_{channel}")
            power = f"{folder}/in_power{channel}_input"
            if _read(files, power):
                _add(rails, label, _scaled(files, power, 1e-3), power, denied)
            else:
                paths = (f"{folder}/in_voltage{channel}_input", f"{folder}/in_current{channel}_input")
                _add(rails, label, _product(files, *paths), paths[0], denied)
    return rails


def _add(rails: Dict[str, _Read], label: str, read: _Read, path: str, denied: List[str]) -> None:
    """Add a rail that can be read; NC is a channel that is not connected."""
    if not label or label.upper() == "NC" or label in rails:
        return
    try:
        read()
    except PermissionError:
        denied.append(path)
    except (OSError, ValueError):
        pass  # switched off, or no number
    else:
        rails[label] = read


def _product(files: Files, millivolts: str, milliamperes: str) -> _Read:
    return lambda: int(files.read(millivolts)) * int(files.read(milliamperes)) / 1e6


def _scaled(files: Files, path: str, scale: float) -> _Read:
    return lambda: int(files.read(path)) * scale


def _read(files: Files, path: str) -> str:
    try:
        return files.read(path)
    except (OSError, ValueError):
        return ""
