"""Readers of the machine on made-up trees: memory, heat, clock, cores, description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

from device_agent import cores, host
from device_agent.hoststate import HostReader
from device_agent.measure.memory import ResidentMemory, measure_memory
from protos import figures
from tests.device_agent.boards import tree

# Memory


def test_peak_memory_is_vmhwm_less_what_was_there(tmp_path: Path) -> None:
    tree(tmp_path, {"status": "VmHWM:\t  5000 kB\nVmRSS:\t  3000 kB\n", "clear_refs": ""})

    def work() -> None:
        tree(tmp_path, {"status": "VmHWM:\t  9000 kB\nVmRSS:\t  4000 kB\n"})

    result = measure_memory(work, ResidentMemory(tmp_path))
    assert figures.value_of(result.peak_bytes) == 9000 * 1024
    assert figures.value_of(result.model_bytes) == 6000 * 1024
    assert figures.value_of(result.steady_bytes) == 1000 * 1024
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_peak_memory_is_unavailable_without_proc(tmp_path: Path) -> None:
    result = measure_memory(lambda: None, ResidentMemory(tmp_path / "nothing"))
    assert result.peak_bytes.unavailable
    assert figures.value_of(result.model_bytes) is None
    assert figures.value_of(result.steady_bytes) is None


_TOUCH_50_MIB = """
from device_agent.measure.memory import measure_memory
kept = []
print(measure_memory(lambda: kept.append(b"x" * (50 * 1024**2))).model_bytes.estimate.value)
"""


def test_real_memory_grows_with_what_is_touched() -> None:
    # A process of its own: what this one has freed, it would use again.
    done = subprocess.run([sys.executable, "-c", _TOUCH_50_MIB], capture_output=True, text=True, timeout=60, check=True)
    assert 50 * 1024**2 <= float(done.stdout) < 70 * 1024**2


# State

BOARD = {
    "sys/class/thermal/thermal_zone0/type": "gpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "71000",
    "sys/class/thermal/thermal_zone1/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone1/temp": "52500",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0",
    "sys/class/thermal/cooling_device0/cur_state": "0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1800000",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000",
    "proc/loadavg": "0.25 0.1 0.0 1/100 123",
    "proc/stat": "cpu  100 0 100 1000 0 0 0 0 0 0\n",
}


def test_state_of_a_board(tmp_path: Path) -> None:
    state = HostReader(tree(tmp_path, BOARD)).state()
    assert figures.value_of(state.temperature_c) == 52.5
    assert figures.value_of(state.frequency_hz) == 1.5e9
    assert figures.value_of(state.load_average) == 0.25
    assert state.governor == "ondemand"


def test_a_machine_that_shows_nothing_gives_reasons(tmp_path: Path) -> None:
    state = HostReader(tmp_path).state()
    for figure in (state.temperature_c, state.frequency_hz, state.load_average, state.background_cores):
        assert figure.unavailable
    assert (state.governor, bool(state.governor_unavailable)) == ("", True)


def test_background_load_is_what_others_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    own = type("Times", (), {"user": 1.0, "system": 0.0})
    monkeypatch.setattr("device_agent.hoststate.os.times", lambda: own)
    reader = HostReader(tree(tmp_path, BOARD), lambda: now[0])
    before = reader.cpu_times()
    now[0] += 2
    own.user = 3.0
    # 300 ticks of 10 ms more, of which this process used 2 s.
    tree(tmp_path, {"proc/stat": "cpu  400 0 100 1000 0 0 0 0 0 0\n"})
    assert figures.value_of(reader.background_cores(before)) == pytest.approx(0.5)
    now[0] = 10.01
    assert "less than" in reader.background_cores(before).unavailable


def test_what_holds_a_board_back_is_told(tmp_path: Path) -> None:
    reader = HostReader(tree(tmp_path, BOARD))
    assert list(reader.state().throttling) == []
    assert reader.throttling_sources() == ["processor cooling devices"]
    cooling = {f"sys/class/thermal/cooling_device{n}/type": "cpufreq-cpu0" for n in (0, 1)}
    states = {f"sys/class/thermal/cooling_device{n}/cur_state": "2" for n in (0, 1)}
    most = {f"sys/class/thermal/cooling_device{n}/max_state": "8" for n in (0, 1)}
    limit = {"sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "600000"}
    tree(tmp_path, {**cooling, **states, **most, **limit})
    state = reader.state()
    assert list(state.throttling) == ["cooling device cpufreq-cpu0 at 2 of 8", "clock limited to 0.60 of 1.80 GHz"]
    assert figures.value_of(state.frequency_limit_hz) == 0.6e9
    assert figures.value_of(state.rated_frequency_hz) == 1.8e9


def test_clocks_are_those_of_the_cores_that_are_asked_for(tmp_path: Path) -> None:
    big = {
        f"sys/devices/system/cpu/cpu4/cpufreq/{name}": "2400000"
        for name in ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_max_freq")
    }
    reader = HostReader(tree(tmp_path, {**BOARD, **big}))
    pinned, everywhere = reader.state(cpus=[4]), reader.state()
    assert [figures.value_of(f) for f in (pinned.frequency_hz, pinned.frequency_limit_hz)] == [2.4e9, 2.4e9]
    assert figures.value_of(everywhere.frequency_hz) == pytest.approx(1.95e9)
    assert figures.value_of(everywhere.rated_frequency_hz) == 1.8e9


@pytest.mark.parametrize("text", ["", "gone", "0", "-273000", "-40000", "255000000", "52.5\n71", "\x00"])
def test_a_sensor_that_tells_nonsense_tells_nothing(tmp_path: Path, text: str) -> None:
    files = {name: content for name, content in BOARD.items() if "zone0" not in name}
    thermometer = HostReader(tree(tmp_path, files)).thermometer()
    assert thermometer is not None
    assert thermometer.read() == 52.5
    tree(tmp_path, {"sys/class/thermal/thermal_zone1/temp": text})
    assert thermometer.read() is None
    assert HostReader(tmp_path).temperature_c().unavailable


def test_a_thermometer_stays_with_its_zone(tmp_path: Path) -> None:
    thermometer = HostReader(tree(tmp_path, BOARD)).thermometer()
    assert thermometer is not None
    (tmp_path / "sys/class/thermal/thermal_zone1/temp").unlink()
    assert thermometer.read() is None


@pytest.mark.parametrize("text", ["-1", "0", "fast", ""])
def test_a_clock_that_tells_nonsense_is_unavailable(tmp_path: Path, text: str) -> None:
    folder = "sys/devices/system/cpu/cpu0/cpufreq"
    reader = HostReader(tree(tmp_path, BOARD))
    clock = next(probe for probe in reader.probes([0]) if probe.quantity == "frequency_hz")
    tree(tmp_path, {f"{folder}/{name}": text for name in ("scaling_cur_freq", "scaling_max_freq")})
    assert clock.read() is None
    state = reader.state()
    assert state.frequency_hz.unavailable
    assert state.frequency_limit_hz.unavailable
    assert not state.throttling


@pytest.mark.parametrize("text", ["cpu  100 0 100\n", "cpu  1 2 3 four 5 6 7 8\n", "", "intr 1 2 3 4 5 6 7 8\n"])
def test_processor_times_that_cannot_be_read_are_unavailable(tmp_path: Path, text: str) -> None:
    reader = HostReader(tree(tmp_path, {**BOARD, "proc/stat": text}))
    assert reader.cpu_times() is None
    assert "no /proc/stat" in reader.background_cores(None).unavailable


def test_what_can_be_watched_on_a_board(tmp_path: Path) -> None:
    counts = {
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3",
        "sys/class/thermal/thermal_zone2/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone2/temp": "40000",
        # Gated off, and a sensor that is not there.
        "sys/class/thermal/thermal_zone3/type": "cv0-thermal",
        "sys/class/thermal/thermal_zone3/temp": "-256000",
        "sys/class/thermal/thermal_zone4/type": "pmic",
    }
    probes = HostReader(tree(tmp_path, {**BOARD, **counts})).probes([0])
    assert [(probe.quantity, probe.source, probe.read()) for probe in probes] == [
        ("temperature_c", "gpu-thermal", 71.0),
        ("temperature_c", "cpu-thermal", 52.5),
        ("temperature_c", "cpu-thermal (thermal_zone2)", 40.0),
        ("frequency_hz", "cpu0", 1.5e9),
        ("frequency_limit_hz", "cpu0", 1.8e9),
        ("throttle_count", "thermal_throttle", 3.0),
        ("cooling_state", "processor cooling devices", 0.0),
    ]
    tree(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "gone"})
    assert probes[0].read() is None


def test_a_machine_that_shows_nothing_has_nothing_to_watch(tmp_path: Path) -> None:
    assert HostReader(tmp_path).probes() == []


# Cores


def test_big_cores_are_chosen_before_little_ones(tmp_path: Path) -> None:
    capacity = {0: 400, 1: 400, 2: 1024, 3: 1024}
    tree(tmp_path, {f"sys/devices/system/cpu/cpu{n}/cpu_capacity": str(c) for n, c in capacity.items()})
    assert cores.choose_cores([0, 1, 2, 3], 1, tmp_path) == [3]
    assert cores.choose_cores([0, 1, 2, 3], 2, tmp_path) == [2, 3]
    assert cores.choose_cores([0, 1], 3, tmp_path) is None


def test_threads_of_one_physical_core_come_last(tmp_path: Path) -> None:
    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    tree(
        tmp_path,
        {f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": s for n, s in siblings.items()},
    )
    assert cores.choose_cores([0, 1, 2, 3], 2, tmp_path) == [2, 3]
    assert cores.choose_cores([0, 1, 2, 3], 3, tmp_path) == [1, 2, 3]
    assert cores.choose_cores([0, 1, 3], 2, tmp_path) == [0, 3]


# Description


def test_hardware_of_a_board(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd evtstrm aes asimddp\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
        },
    )
    hardware = host.hardware(tmp_path)
    assert hardware.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert list(hardware.cpu_features) == ["asimd", "asimddp"]
    assert hardware.operating_system == "Debian GNU/Linux 13 (trixie)"
    assert hardware.virtualization == ""
    assert hardware.logical_cores >= 1


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({".dockerenv": ""}, "container"),
        ({"proc/1/cgroup": "0::/system.slice/docker-1234.scope/docker/1"}, "container"),
        ({"proc/cpuinfo": "flags\t\t: fpu hypervisor sse2\n"}, "virtual machine"),
        ({"proc/cpuinfo": "flags\t\t: fpu sse2\n"}, ""),
    ],
)
def test_virtualization(tmp_path: Path, files: Dict[str, str], kind: str) -> None:
    assert host.virtualization(tree(tmp_path, files)) == kind


@pytest.mark.parametrize(
    ("arguments", "is_ours"),
    [
        (["/usr/bin/gauntlet", "bench", "m.tflite"], True),
        (["/opt/venv/bin/python", "/opt/venv/bin/gauntlet-agent", "run"], True),
        (["python3", "-m", "orchestrator.server"], True),
        (["python3", "-m", "device_agent.worker", "--request-fd=3"], True),
        (["vim", "notes", "gauntlet"], False),
        (["python3", "-m", "orchestra"], False),
        (["python3", "-m"], False),
        ([], False),
    ],
)
def test_other_gauntlet_processes_are_told_by_their_command_line(arguments: List[str], is_ours: bool) -> None:
    assert host._is_gauntlet(arguments) == is_ours


def test_this_machine_describes_itself() -> None:
    device = host.describe_device("bench-1", {"room": "lab"}, "my-class")
    assert (device.device_id, device.device_class, device.labels["room"]) == ("bench-1", "my-class", "lab")
    assert {"latency", "memory", "accuracy", "output_check", "faults"} <= set(device.capabilities)
    assert [r.name for r in device.runtimes]
    energy = next(s for s in device.sensors if s.quantity == "energy_j")
    assert ("energy" in device.capabilities) == (not energy.unavailable)
