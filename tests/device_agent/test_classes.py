"""What a machine is taken for, what it tells of itself, and what can be sensed on it, on made-up machines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agent import host
from device_agent.classes import jetpack, raspberry
from device_agent.classes.devicetree import DeviceTree, read_device_tree
from device_agent.classes.facts import arm_cores
from device_agent.classes.names import class_of, family
from device_agent.classes.raspberry import ThrottleFlags
from device_agent.hoststate import HostReader
from protos import contract, figures
from tests.device_agent.boards import tree
from tests.device_agent.machines import FIRMWARE, MACHINES, RPI_VOLT, board, zones


@pytest.mark.parametrize(
    ("name", "device_class", "facts"),
    [
        ("nano", "jetson-nano", "gpu=57000000.gpu jetpack=4.6.4 l4t=32.7.4 power_mode=MAXN_(0) soc=tegra210"),
        ("tx2", "jetson-tx2", "jetpack=4.6 l4t=32.6.1 power_mode=MAXP_CORE_ARM_(3) soc=tegra186"),
        (
            "xavier-nx",
            "jetson-xavier-nx",
            "gpu=17000000.gv11b jetpack=5.1.2 l4t=35.4.1 power_mode=MODE_15W_6CORE_(2) soc=tegra194",
        ),
        (
            "orin-nano",
            "jetson-orin-nano",
            "gpu=17000000.gpu jetpack=6.2 l4t=36.4.3 power_mode=MAXN_SUPER_(2) soc=tegra234",
        ),
        ("agx-orin", "jetson-orin", "gpu=17000000.gpu jetpack=6.0 l4t=36.3.0 power_mode=MAXN_(0) soc=tegra234"),
        ("thor", "jetson-thor", "gpu=gpu-gpc-0 jetpack=7.0 l4t=38.2.0 power_mode=120W_(1) soc=tegra264"),
        ("pi3", "raspberrypi3", "soc=bcm2837"),
        ("pi4", "raspberrypi4", "soc=bcm2711"),
        ("pi5", "raspberrypi5", "soc=bcm2712"),
        ("rock5b", "radxa-rock-5b", "clusters=little_0-3,_big_4-7 gpu=fb000000.gpu soc=rk3588"),
        ("laptop", "x86_64", ""),
        ("server", "x86_64", ""),
        ("container", "x86_64", ""),
    ],
)
def test_a_machine_has_a_class_and_facts(tmp_path: Path, name: str, device_class: str, facts: str) -> None:
    hardware = host.hardware(tree(tmp_path, MACHINES[name]))
    assert class_of(read_device_tree(tmp_path), "x86_64") == device_class
    told = (f"{key}={text.replace(' ', '_')}" for key, text in sorted(hardware.facts.items()))
    assert " ".join(told) == facts


@pytest.mark.parametrize(
    ("name", "board_name", "processor"),
    [
        ("xavier-nx", "NVIDIA Jetson Xavier NX Developer Kit", "6 Carmel"),
        ("tx2", "quill", "2 Denver 2 + 4 Cortex-A57"),
        ("thor", "NVIDIA Jetson AGX Thor Developer Kit", "14 Neoverse-V3AE"),
        ("pi5", "Raspberry Pi 5 Model B Rev 1.0", "4 Cortex-A76"),
        ("rock5b", "Radxa ROCK 5B", "4 Cortex-A55 + 4 Cortex-A76"),
        ("laptop", "Latitude 7490", "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz"),
        ("container", "", "AMD EPYC"),
    ],
)
def test_board_and_processor_have_their_names(tmp_path: Path, name: str, board_name: str, processor: str) -> None:
    hardware = host.hardware(tree(tmp_path, MACHINES[name]))
    assert (hardware.board, hardware.cpu_model) == (board_name, processor)


# Names


@pytest.mark.parametrize(
    ("model", "device_class"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi4"),
        ("Raspberry Pi 400 Rev 1.0", "raspberrypi4"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypizero2"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", "raspberrypi4"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-orin"),
        ("jetson-nano: NVIDIA Jetson Nano 2GB", "jetson-nano"),
        ("PowerEdge R640", "aarch64"),
        ("", "aarch64"),
    ],
)
def test_names_that_jobs_know_stay(model: str, device_class: str) -> None:
    assert class_of(DeviceTree(model), "aarch64") == device_class


@pytest.mark.parametrize(
    ("model", "compatible", "device_class"),
    [
        # Early JetPacks, and carrier boards of others, name no product.
        ("NVIDIA Orin NX Developer Kit", ["nvidia,p3768-0000+p3767-0000", "nvidia,tegra234"], "jetson-orin-nx"),
        ("reComputer", ["seeed,j401", "nvidia,p3767-0003", "nvidia,tegra234"], "jetson-orin-nano"),
        ("Jetson-AGX", ["nvidia,p2972-0000", "nvidia,tegra194"], "jetson-xavier"),
        ("A board of tomorrow", ["nvidia,p9999-0000", "nvidia,tegra999"], "jetson-tegra999"),
        ("Raspberry Pi Zero W Rev 1.1", ["raspberrypi,model-zero-w", "brcm,bcm2835"], "raspberrypi-model-zero-w"),
        ("Hardkernel ODROID-N2", ["hardkernel,odroid-n2", "amlogic,s922x", "amlogic,g12b"], "hardkernel-odroid-n2"),
        ("linux,dummy-virt", ["linux,dummy-virt"], "aarch64"),
    ],
)
def test_boards_without_a_name_of_ours_are_called_as_programs_call_them(
    model: str, compatible: List[str], device_class: str
) -> None:
    assert class_of(DeviceTree(model, tuple(compatible)), "aarch64") == device_class


@settings(deadline=None)  # files, on a machine that others use
@given(st.text(max_size=200), st.lists(st.binary(max_size=80), max_size=4), st.binary(max_size=60))
def test_whatever_a_device_tree_holds_the_class_is_a_name(
    tmp_path_factory: pytest.TempPathFactory, model: str, compatible: List[bytes], rest: bytes
) -> None:
    root = tmp_path_factory.mktemp("board")
    folder = root / "proc/device-tree"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(model.encode(errors="replace") + b"\0" + rest)
    (folder / "compatible").write_bytes(b"\0".join(compatible))
    found = read_device_tree(root)
    assert contract.is_id(class_of(found, "aarch64"))
    assert found.model.isprintable()
    assert family(found) in ("jetson", "raspberrypi", "other")


def test_a_device_tree_with_rubbish_is_read_as_far_as_it_makes_sense(tmp_path: Path) -> None:
    folder = tmp_path / "proc/device-tree"
    folder.mkdir(parents=True)
    (folder / "model").write_bytes(b"\0\0\x1b[2JRaspberry Pi 4\x07 Model B\0\xff\xfe")
    (folder / "compatible").write_bytes(b"\0raspberrypi,4-model-b\0\xff\xff\0bad name\0brcm,bcm2711\0\0")
    found = read_device_tree(tmp_path)
    assert found == DeviceTree("[2JRaspberry Pi 4 Model B", ("raspberrypi,4-model-b", "brcm,bcm2711"))
    (folder / "model").write_bytes(b"x" * 10_000)
    assert len(read_device_tree(tmp_path).model) == 128


def test_what_cannot_be_read_even_by_root_is_as_good_as_absent(tmp_path: Path) -> None:
    for name in ("proc/device-tree/model", "proc/device-tree/compatible", "etc/nv_tegra_release", FIRMWARE):
        (tmp_path / name).mkdir(parents=True)
    for name in ("proc/cpuinfo", "sys/class/thermal/thermal_zone0/temp", "sys/class/devfreq/1.gpu/cur_freq"):
        (tmp_path / name).mkdir(parents=True)
    assert read_device_tree(tmp_path) == DeviceTree()
    assert dict(host.hardware(tmp_path).facts) == {}
    assert all(sensor.unavailable and not sensor.source for sensor in host.sensors(tmp_path))


# Jetson


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t186ref", {"l4t": "32.7.1", "jetpack": "4.6.1"}),
        ("# R36 (release), REVISION: 4.0, GCID: 37537400", {"l4t": "36.4.0", "jetpack": "6.1"}),
        ("# R36 (release), REVISION: 99.1, GCID: 1", {"l4t": "36.99.1", "jetpack": "6"}),
        ("# R99 (release), REVISION: 1.0, GCID: 1", {"l4t": "99.1.0"}),
        ("", {}),
        ("# R (release), REVISION: , GCID: 1\n\0\xff", {}),
        ("R36", {}),
    ],
)
def test_the_release_tells_the_jetpack(tmp_path: Path, text: str, facts: Dict[str, str]) -> None:
    assert jetpack.facts(tree(tmp_path, {"etc/nv_tegra_release": text})) == facts


@pytest.mark.parametrize(
    ("status", "conf", "mode"),
    [
        ("pmode:0001", "< POWER_MODEL ID=1 NAME=MODE_10W >", "MODE_10W (1)"),
        ("pmode:0001 fmode:quiet", "", "1"),
        ("pmode:", "< POWER_MODEL ID=1 NAME=MODE_10W >", ""),
        ("garbage\0", "", ""),
        ("", "", ""),
    ],
)
def test_the_power_mode_is_told_without_root(tmp_path: Path, status: str, conf: str, mode: str) -> None:
    tree(tmp_path, {"var/lib/nvpmodel/status": status, "etc/nvpmodel.conf": conf})
    assert jetpack.power_mode(tmp_path) == mode


def test_cores_that_nobody_knows_keep_their_numbers() -> None:
    assert arm_cores("CPU implementer\t: 0x61\nCPU part\t: 0x023\n") == "1 implementer 0x61 part 0x023"
    assert arm_cores("CPU implementer\t: 0x41\n") == arm_cores("") == ""


# Sensors


def sensed(root: Path) -> Dict[str, str]:
    """Source of each quantity, "-" where it cannot be sensed."""
    return {sensor.quantity: sensor.source or "-" for sensor in host.sensors(root)}


_COOLING = "processor cooling devices"


@pytest.mark.parametrize(
    ("name", "energy", "thermometer", "clock", "throttling"),
    [
        ("nano", "INA POM_5V_IN", "CPU-therm", "cpufreq", _COOLING),
        ("tx2", "-", "BCPU-therm", "cpufreq", "-"),
        ("xavier-nx", "INA VDD_IN", "CPU-therm", "cpufreq", _COOLING),
        ("orin-nano", "INA VDD_IN", "cpu-thermal", "cpufreq", f"{_COOLING}, soctherm_oc"),
        (
            "agx-orin",
            "INA VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0",
            "cpu-thermal",
            "cpufreq",
            f"{_COOLING}, soctherm_oc",
        ),
        ("thor", "INA VIN", "cpu-thermal", "cpufreq", f"{_COOLING}, soctherm_oc"),
        ("pi3", "-", "cpu-thermal", "cpufreq", f"/{FIRMWARE}"),
        ("pi4", "-", "cpu-thermal", "cpufreq", f"/{FIRMWARE}"),
        ("pi5", "-", "cpu-thermal", "cpufreq", f"/{FIRMWARE}"),
        ("rock5b", "-", "package-thermal", "cpufreq", _COOLING),
        ("laptop", "RAPL package-0 + dram-0", "x86_pkg_temp", "cpufreq", f"thermal_throttle, {_COOLING}"),
        ("server", "-", "k10temp Tctl", "-", "-"),
        ("container", "-", "-", "-", "-"),
    ],
)
def test_each_class_is_sensed_where_it_tells_most(
    tmp_path: Path, name: str, energy: str, thermometer: str, clock: str, throttling: str
) -> None:
    found = sensed(tree(tmp_path, MACHINES[name]))
    graphics = {"gpu_frequency_hz": found["gpu_frequency_hz"]} if "gpu_frequency_hz" in found else {}
    assert found == {
        "energy_j": energy,
        "temperature_c": thermometer,
        "frequency_hz": clock,
        "throttling": throttling,
        **graphics,
    }
    assert bool(graphics) == (name in ("nano", "xavier-nx", "orin-nano", "agx-orin", "thor", "rock5b"))


def test_what_cannot_be_sensed_in_a_container_says_where_it_could(tmp_path: Path) -> None:
    reasons = [sensor.unavailable for sensor in host.sensors(tree(tmp_path, MACHINES["container"]))]
    assert all(reasons)
    assert [reason.endswith(host.MEASURE_OUTSIDE) for reason in reasons] == [False, True, True, True]


@pytest.mark.parametrize(
    ("degrees", "told"),
    [
        ({"PMIC-Die": 100_000}, None),  # of no Jetson, so that it is the hottest zone of an unknown board
        ({"acpitz": 25_000, "iwlwifi_1": 99_000}, 25.0),
        ({"acpitz": -5_000, "x86_pkg_temp": -250_000}, -5.0),
        ({"cpu-thermal": 0}, None),
    ],
)
def test_a_thermometer_tells_of_the_processor_or_nothing(tmp_path: Path, degrees: Dict[str, int], told: float) -> None:
    files = {**zones(degrees), **(board("quill", "nvidia,tegra186") if "PMIC-Die" in degrees else {})}
    assert figures.value_of(HostReader(tree(tmp_path, files)).temperature_c()) == told


# The Raspberry Pi's firmware


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("0", []),
        ("1", ["under-voltage"]),
        ("50005", ["under-voltage", "throttled"]),
        ("80000", ["soft temperature limit"]),
        ("20002\n", ["clock capped"]),
        ("f000f", ["under-voltage", "clock capped", "throttled", "soft temperature limit"]),
    ],
)
def test_the_firmwares_flags_are_told_in_words(tmp_path: Path, told: str, words: List[str]) -> None:
    flags = ThrottleFlags(tree(tmp_path, {FIRMWARE: told}))
    assert raspberry.in_words(flags.read() or 0) == words
    assert HostReader(tmp_path).throttling() == ([f"firmware: {', '.join(words)}"] if words else [])


@pytest.mark.parametrize("text", ["", "hot", "throttled=0x0", "\0"])
def test_flags_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    flags = ThrottleFlags(tree(tmp_path, {FIRMWARE: text}))
    assert flags.source == ""
    assert flags.read() is None


def test_kernels_without_the_firmwares_file_tell_of_the_voltage_alone(tmp_path: Path) -> None:
    tree(tmp_path, {f"{RPI_VOLT}/name": "rpi_volt\n", f"{RPI_VOLT}/in0_lcrit_alarm": "1\n"})
    flags = ThrottleFlags(tmp_path)
    assert flags.source == "rpi_volt: under-voltage alone"
    assert raspberry.in_words(flags.read() or 0) == ["under-voltage"]
    shutil.rmtree(tmp_path / "sys")
    assert flags.read() is None


def test_a_board_watches_its_flags_its_protection_and_its_graphics(tmp_path: Path) -> None:
    def watched(name: str) -> Dict[Tuple[str, str], object]:
        probes = HostReader(tree(tmp_path / name, MACHINES[name])).probes([0])
        quantities = ("throttle_flags", "over_current_count", "gpu_frequency_hz", "gpu_load_ratio")
        return {(probe.quantity, probe.source): probe.read() for probe in probes if probe.quantity in quantities}

    assert watched("pi4") == {("throttle_flags", f"/{FIRMWARE}"): 0}
    assert watched("orin-nano") == {
        ("over_current_count", "soctherm_oc"): 52.0,
        ("gpu_frequency_hz", "17000000.gpu"): 306e6,
        ("gpu_load_ratio", "17000000.gpu"): 0.25,
    }
    assert watched("rock5b") == {("gpu_frequency_hz", "fb000000.gpu"): 300e6}
    assert watched("laptop") == {}


def test_graphics_that_are_slowed_down_slow_a_jetson_down_and_its_fan_does_not(tmp_path: Path) -> None:
    root = tree(tmp_path, MACHINES["orin-nano"])
    for device in range(5):
        tree(root, {f"sys/class/thermal/cooling_device{device}/cur_state": "1\n"})
    assert HostReader(root).throttling() == [
        "cooling device cpufreq-cpu0 at 1 of 3",
        "cooling device devfreq-17000000.gpu at 1 of 3",
        "cooling device cpu-throttle-alert at 1 of 3",
    ]
