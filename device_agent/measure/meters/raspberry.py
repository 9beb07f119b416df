"""Raspberry Pi 5: the rails of its power chip, as `vcgencmd pmic_read_adc` lists them.

           3V3_SYS_A current(1)=0.06148359A            a current …
           3V3_SYS_V volt(9)=3.29982600V               … and a voltage make a rail: 3V3_SYS
             EXT5V_V volt(24)=4.92450000V              the input: no current is told, so it is no rail

The sum over the rails is what the chip hands out. What runs at 5 V (USB, fan, boards on top) and the chip's own losses
are not in it, and nothing on the board measures them. No public document describes the list: this is how users' logs
have it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Dict, Mapping

from device_agent.classes.devicetree import read_device_tree
from device_agent.measure.meters.base import BOARD, Facts, Meter, NoMeter
from device_agent.measure.meters.power import MakeTicker, PowerMeter
from device_agent.measure.ticker import Ticker
from device_agent.tuning.system import run_command, user_name

_COMMAND = "usr/bin/vcgencmd"
#: What the command cannot open without the group video, and says so.
_DEVICE = "/dev/vcio"
#: Of the Raspberry Pi 5, 500 and Compute Module 5: earlier boards have no such sensors.
_CHIP = "bcm2712"
_TIMEOUT_S = 2.0
#: A process for each sample: more often would be a load of its own.
_PERIOD_S = 0.25
_UPDATE_S = 0.05
_LINE = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=(-?\d+\.\d+)([AV])\s*$", re.MULTILINE)
_NONE = "no power chip with sensors (Raspberry Pi 5)"


def find_raspberry(root: Path = Path("/"), make_ticker: MakeTicker = Ticker) -> Meter:
    """The board's rails.

    Args:
        root: of the file system, or of a made-up one with a command of its own.
        make_ticker: see `PowerMeter`.
    """
    command = root / _COMMAND
    if read_device_tree(root).soc != _CHIP or not command.is_file():
        return NoMeter(_NONE)
    try:
        rails = tuple(_rails(command))
    except PermissionError as error:
        return NoMeter(str(error))
    except (OSError, ValueError) as error:
        return NoMeter(f"`vcgencmd pmic_read_adc` lists no rails: {error}")
    facts = Facts(
        source="PMIC " + " + ".join(rails),
        covers=BOARD,
        counted=rails,
        update_s=_UPDATE_S,
        remark="what the power chip hands out, without its own losses and what runs at 5 V (USB, fan)",
    )
    return PowerMeter(facts, lambda: _rails(command), _PERIOD_S, make_ticker=make_ticker)


def parse_adc(said: str) -> Dict[str, float]:
    """Watts of each rail that has both a current and a voltage.

    Args:
        said: by `vcgencmd pmic_read_adc`.

    Raises:
        ValueError: there is none.
    """
    values: Dict[str, Dict[str, float]] = {"A": {}, "V": {}}
    for rail, unit, value, suffix in _LINE.findall(said):
        if unit == suffix:
            values[unit][rail] = float(value)
    watts = {rail: amperes * values["V"][rail] for rail, amperes in values["A"].items() if rail in values["V"]}
    if not watts:
        raise ValueError(f"no rail in {said.strip()[:100]!r}")
    return watts


def _rails(command: Path) -> Mapping[str, float]:
    try:
        done = run_command([str(command), "pmic_read_adc"], _TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"`vcgencmd pmic_read_adc` took longer than {_TIMEOUT_S:g} s") from error
    if _DEVICE in done.stdout:
        user = user_name(os.geteuid())
        raise PermissionError(
            f"no permission to open {_DEVICE} for vcgencmd; sudo usermod -aG video {user}, then log in anew"
        )
    return parse_adc(done.stdout)
