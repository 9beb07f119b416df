"""The doctor on made-up boards: what it finds, and the remedies that a person copies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

import pytest

from device_agent import doctor
from device_agent.doctor import Finding
from device_agent.measure.meters import LocalFiles
from device_agent.measure.meters.base import no_permission
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.tuning.system import group_name
from tests.device_agent.boards import FakeFiles, tree
from tests.device_agent.machines import FIRMWARE, MACHINES


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LOOK_S", 0.0)


def findings(root: Path, name: str, **changes: str) -> Dict[str, Finding]:
    return {finding.topic: finding for finding in doctor.report(tree(root, {**MACHINES[name], **changes}))}


def test_a_jetson_says_what_it_is_its_power_mode_and_what_its_graphics_lack(tmp_path: Path) -> None:
    found = findings(tmp_path, "orin-nano")
    assert found["class"].text == (
        "jetson-orin-nano; gpu 17000000.gpu; jetpack 6.2; l4t 36.4.3; power mode MAXN_SUPER (2); soc tegra234"
    )
    assert found["power mode"].text.startswith(
        "MAXN_SUPER (2) of 15W (0), 25W (1), MAXN_SUPER (2); jobs cannot set it: "
    )
    assert found["power mode"].remedy.endswith("by hand: sudo nvpmodel -m NUMBER && sudo jetson_clocks")
    assert found["graphics"].text == "NVIDIA 17000000.gpu, which no installed runtime uses"
    assert "JetPack" in found["graphics"].remedy
    assert found["throttling"].text.endswith("processor cooling devices, soctherm_oc")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set a power mode")
def test_a_jetson_on_which_all_can_be_set_has_no_remark(tmp_path: Path) -> None:
    found = findings(tmp_path, "nano", **{"usr/sbin/nvpmodel": "#!"})
    assert found["power mode"] == Finding("power mode", doctor.OK, "MAXN (0) of MAXN (0), 5W (1)")


def test_a_board_under_voltage_wants_another_supply(tmp_path: Path) -> None:
    found = findings(tmp_path, "pi4", **{FIRMWARE: "50005"})
    assert found["throttling"].text == "held back now: firmware: under-voltage, throttled"
    assert found["throttling"].remedy == doctor.LOW_VOLTAGE
    assert not {"graphics", "power mode"} & set(found)
    hot = findings(tmp_path, "pi4", **{FIRMWARE: "80008"})
    assert "cooling" in hot["throttling"].remedy


def test_a_counter_for_root_only_comes_with_a_rule_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normal = LocalFiles.read

    def denied(self: LocalFiles, path: str) -> str:
        if path.endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return normal(self, path)

    monkeypatch.setattr(LocalFiles, "read", denied)
    found = findings(tmp_path, "laptop")
    energy = found["energy"]
    assert (energy.status, energy.text) == (
        doctor.ABSENT,
        "no permission to read /sys/class/powercap/intel-rapl:0/energy_uj",
    )
    group = group_name(os.getegid())
    rule = f'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chgrp -R {group} /sys%p", RUN+="/bin/chmod -R g+r /sys%p"'
    [line] = [line for line in doctor.render([energy]).splitlines() if "udevadm" in line]
    assert line == (
        f"    echo '{rule}' > /etc/udev/rules.d/70-gauntlet-powercap.rules && udevadm control --reload "
        "&& udevadm trigger --subsystem-match=powercap --action=add"
    )


def test_a_chip_of_hwmon_for_root_only_comes_with_a_rule_of_its_own() -> None:
    chip = "sys/class/hwmon/hwmon0"
    files = {f"{chip}/name": "amd_energy", f"{chip}/energy1_input": "1"}
    path = f"{chip}/energy1_input"
    reason = find_hwmon(FakeFiles(files, {path: PermissionError(13, "Permission denied")}))[0].unavailable
    assert reason == no_permission(path, "hwmon", "amd_energy")
    assert 'SUBSYSTEM=="hwmon", ACTION=="add", ATTR{name}=="amd_energy", RUN+=' in reason


def test_a_group_without_a_name_is_its_number() -> None:
    assert group_name(2**31 - 5) == str(2**31 - 5)


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_the_report_on_every_machine_fits_80_columns_but_for_commands(tmp_path: Path, name: str) -> None:
    text = doctor.render(doctor.report(tree(tmp_path, MACHINES[name])))
    wide = [line for line in text.splitlines() if len(line) > 80]
    # Paths and commands are not broken; the lock's is the test's own.
    assert [line for line in wide if not line.startswith("    echo ") and "host.lock" not in line] == []
