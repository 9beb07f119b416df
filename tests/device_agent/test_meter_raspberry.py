"""The power chip of a Raspberry Pi 5, by a made-up `vcgencmd` that prints what users list."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_agent.measure.meters import Meter, MeterError, find_meter
from device_agent.measure.meters.raspberry import find_raspberry, parse_adc
from tests.device_agent.boards import ManualTicker, tree
from tests.device_agent.machines import PI_4, PI_5, PMIC

WATTS = {"3V3_SYS": 0.33, "DDR_VDD2": 0.22, "VDD_CORE": 1.5}


def board(root: Path, script: str, files: dict[str, str] = PI_5) -> Path:
    tree(root, {**files, "usr/bin/vcgencmd": f"#!/bin/sh\n{script}\n", "said": PMIC})
    (root / "usr/bin/vcgencmd").chmod(0o755)
    return root


def saying(root: Path, files: dict[str, str] = PI_5) -> Path:
    return board(root, f'[ "$*" = pmic_read_adc ] && cat "{root}/said"', files)


def find(root: Path) -> Meter:
    return find_raspberry(root, ManualTicker)  # type: ignore[arg-type]


def test_rails_with_a_current_and_a_voltage_add_up(tmp_path: Path) -> None:
    assert parse_adc(PMIC) == pytest.approx(WATTS)
    meter = find(saying(tmp_path))
    assert meter.facts.source == "PMIC 3V3_SYS + DDR_VDD2 + VDD_CORE"
    assert meter.power_w() == pytest.approx(2.05)
    meter.start()
    assert set(meter.stop().rails) == set(WATTS)
    assert find_meter(tmp_path).facts.source == meter.facts.source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\xff",
        'error=1 error_msg="Command not registered"',
        "EXT5V_V volt(24)=5.1V",
        "VDD_CORE_A current(7)=2.0A\nVDD_CORE_V volt(15)=warmV",
        "VDD_CORE_A current(7)=2.0V\nVDD_CORE_V volt(15)=0.75A",
    ],
)
def test_what_lists_no_rail_is_no_meter(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="no rail"):
        parse_adc(text)
    tree(saying(tmp_path), {"said": text})
    assert "lists no rails" in find(tmp_path).unavailable


def test_a_rail_that_is_missing_later_voids_the_window(tmp_path: Path) -> None:
    meter = find(saying(tmp_path))
    meter.start()
    tree(tmp_path, {"said": PMIC.replace("VDD_CORE_V", "VDD_CORE_X")})
    with pytest.raises(MeterError, match="no power for VDD_CORE"):
        meter.stop()
    assert meter.power_w() is None


def test_without_the_group_video_the_remedy_is_named(tmp_path: Path) -> None:
    root = board(tmp_path, 'echo "Can\'t open device file: /dev/vcio"; exit 255')
    reason, _, remedy = find(root).unavailable.partition("; ")
    assert reason == "no permission to open /dev/vcio for vcgencmd"
    assert remedy.startswith("sudo usermod -aG video ")
    assert find_meter(root).unavailable == f"{reason}; {remedy}"


def test_a_command_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_agent.measure.meters.raspberry._TIMEOUT_S", 0.2)
    assert "took longer than 0.2 s" in find(board(tmp_path, "exec sleep 600")).unavailable


def test_other_boards_are_not_asked(tmp_path: Path) -> None:
    assert find(tmp_path / "empty").unavailable == "no power chip with sensors (Raspberry Pi 5)"
    assert find(saying(tmp_path / "pi4", PI_4)).unavailable == "no power chip with sensors (Raspberry Pi 5)"
    root = saying(tmp_path / "pi5")
    (root / "usr/bin/vcgencmd").chmod(0o644)
    assert find(root).unavailable
