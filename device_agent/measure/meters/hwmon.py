"""Any other sensor of the hwmon class: `energy*_input` in µJ, `power*_input` or `power*_average` in µW.

Nothing tells which of several rails feeds which. So a chip counts with its one rail, or with the one that is labelled
as the total; everything else would be a guess that may count twice.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from device_agent.measure.meters.base import ACCELERATOR, BOARD, PROCESSOR, Facts, Files, Meter, NoMeter, no_permission
from device_agent.measure.meters.counters import Counter, CounterMeter
from device_agent.measure.meters.power import MakeTicker, PowerMeter
from device_agent.measure.ticker import Ticker

_PERIOD_S = 0.05
_UPDATE_S = 0.05
_STEP_UNIT = 1e-6
#: A battery's charger and negotiated USB power are no consumption; Jetson's monitors have a reader of their own.
_NOT_CONSUMPTION = re.compile(r"^(BAT|AC|hidpp|ucsi|tcpm|cros_)", re.IGNORECASE)
_GRAPHICS = ("amdgpu", "i915", "xe", "nouveau")
_PROCESSORS = ("amd_energy", "zenpower", "fam15h_power")
_TOTAL = re.compile(r"total|system|\bin(put)?\b|^ps\d|socket", re.IGNORECASE)


def find_hwmon(files: Files, make_ticker: MakeTicker = Ticker) -> List[Meter]:
    """A meter for each chip that tells a total; else one `NoMeter` with the reason.

    Args:
        files: of the machine.
        make_ticker: see `PowerMeter`.
    """
    meters: List[Meter] = []
    reasons: List[str] = []
    for folder in files.glob("sys/class/hwmon/hwmon*"):
        chip = _read(files, f"{folder}/name") or folder.rsplit("/", 1)[-1]
        if _NOT_CONSUMPTION.match(chip):
            continue
        for pattern in ("energy*_input", "power*_input", "power*_average"):
            rails, denied = _rails(files, folder, pattern)
            if denied:
                reasons.append(no_permission(denied, "hwmon", chip))
            total = _total(rails)
            if total:
                meters.append(_meter(files, chip, rails, total, pattern.startswith("energy"), make_ticker))
                break
            if rails:
                reasons.append(f"{chip}: several rails, none of which says that it is the total: {', '.join(rails)}")
    return meters or [NoMeter(reasons[0] if reasons else "no power sensor in /sys/class/hwmon")]


def _meter(
    files: Files, chip: str, rails: Dict[str, str], total: Tuple[str, ...], energy: bool, make_ticker: MakeTicker
) -> Meter:
    facts = Facts(
        source=f"{chip} {' + '.join(total)}",
        covers=ACCELERATOR if chip in _GRAPHICS else PROCESSOR if chip in _PROCESSORS else BOARD,
        counted=total,
        apart=tuple(rail for rail in rails if rail not in total),
        step_j=_STEP_UNIT if energy else 0.0,
        step_w=0.0 if energy else _STEP_UNIT,
        update_s=_UPDATE_S,
        remark="the sensor's own step is not known: its unit counts as one",
    )

    def read() -> Dict[str, float]:
        return {rail: int(files.read(path)) / 1e6 for rail, path in rails.items()}

    if energy:
        return CounterMeter(facts, [Counter(rail, counted=rail in total) for rail in rails], read)
    return PowerMeter(facts, read, _PERIOD_S, make_ticker=make_ticker)


def _rails(files: Files, folder: str, pattern: str) -> Tuple[Dict[str, str], Optional[str]]:
    rails: Dict[str, str] = {}
    denied: Optional[str] = None
    for path in files.glob(f"{folder}/{pattern}"):
        channel = path.rsplit("/", 1)[-1].split("_")[0]
        try:
            int(files.read(path))
        except PermissionError:
            denied = path
            continue
        except (OSError, ValueError):
            continue
        label = _read(files, f"{folder}/{channel}_label") or channel
        rails[label if label not in rails else f"{label} ({channel})"] = path
    return rails, denied


def _total(rails: Dict[str, str]) -> Tuple[str, ...]:
    if len(rails) == 1:
        return tuple(rails)
    # amd_energy has a counter for each socket, side by side, and one for each core inside them.
    sockets = tuple(rail for rail in rails if re.match(r"Esocket\d+$", rail))
    if sockets:
        return sockets
    named = tuple(rail for rail in rails if _TOTAL.search(rail))
    return named if len(named) == 1 else ()


def _read(files: Files, path: str) -> str:
    try:
        return files.read(path)
    except (OSError, ValueError):
        return ""
