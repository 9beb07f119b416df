"""What a heartbeat carries, whatever the machine does in between."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict

import pytest

from device_agent.measure.meters import NoMeter, find_meter
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.measure.meters.rapl import find_rapl
from device_agent.telemetry import EnergyCount, TelemetryReader
from protos import figures
from protos.gauntlet.v1 import device_pb2
from tests.device_agent.boards import Clock, FakeFiles, rapl, tree
from tests.device_agent.machines import FIRMWARE, MACHINES

COUNTER = "sys/class/powercap/intel-rapl:0/energy_uj"


def reader_of(root: Path, name: str, clock: Clock) -> TelemetryReader:
    return TelemetryReader("bench", root, tree(root, MACHINES[name]), clock)


def values(reading: device_pb2.DeviceTelemetry) -> Dict[str, object]:
    """Of each figure, None where there is none."""
    fields = ("temperature_c", "frequency_hz", "load_average", "energy_j", "battery_ratio")
    return {name: figures.value_of(getattr(reading, name)) for name in fields}


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_every_machine_has_a_heartbeat_with_reasons_for_what_is_missing(tmp_path: Path, name: str) -> None:
    [reading] = reader_of(tmp_path, name, Clock())()
    assert reading.device_id == "bench"
    for field in ("temperature_c", "frequency_hz", "load_average", "energy_j", "disk_free_bytes", "battery_ratio"):
        figure = getattr(reading, field)
        assert (figures.value_of(figure) is None) == bool(figure.unavailable), field
    assert list(reading.throttling) == []
    assert (figures.value_of(reading.disk_free_bytes) or 0) > 0


def test_a_laptop_tells_all_of_it(tmp_path: Path) -> None:
    assert values(reader_of(tmp_path, "laptop", Clock()).read()) == {
        "temperature_c": 61.0,
        "frequency_hz": 4.2e9,
        "load_average": None,
        "energy_j": 0.0,
        "battery_ratio": 0.73,
    }


def test_a_board_that_senses_power_tells_no_energy_between_measurements(tmp_path: Path) -> None:
    reading = reader_of(tmp_path, "orin-nano", Clock()).read()
    assert reading.energy_j.unavailable.startswith("INA VDD_IN senses power: ")


def test_what_holds_a_board_back_is_told_each_time_anew(tmp_path: Path) -> None:
    pi, jetson = tmp_path / "pi", tmp_path / "jetson"
    reader = reader_of(pi, "pi4", Clock())
    assert list(reader.read().throttling) == []
    tree(pi, {FIRMWARE: "50005\n"})
    assert list(reader.read().throttling) == ["firmware: under-voltage, throttled"]
    tree(pi, {FIRMWARE: "0\n"})
    assert list(reader.read().throttling) == []
    reader = reader_of(jetson, "orin-nano", Clock())
    assert list(reader.read().throttling) == []  # what happened before it looked is not of now
    tree(jetson, {"sys/class/hwmon/hwmon9/oc3_event_cnt": "40\n"})
    assert list(reader.read().throttling) == ["over-current protection stepped in 3 times"]
    assert list(reader.read().throttling) == []
    (jetson / "sys/class/hwmon/hwmon9/oc3_event_cnt").unlink()
    assert list(reader.read().throttling) == []


def test_a_sensor_that_vanishes_is_looked_for_after_a_minute(tmp_path: Path) -> None:
    clock = Clock()
    reader = reader_of(tmp_path, "pi4", clock)
    assert figures.value_of(reader.read().temperature_c) == 47.225
    shutil.rmtree(tmp_path / "sys/class/thermal/thermal_zone0")
    assert reader.read().temperature_c.unavailable
    later = {"sys/class/thermal/thermal_zone3/type": "cpu-thermal", "sys/class/thermal/thermal_zone3/temp": "50000"}
    tree(tmp_path, later)
    clock.now += 59
    assert reader.read().temperature_c.unavailable
    clock.now += 1
    reader.read()
    assert figures.value_of(reader.read().temperature_c) == 50.0


def test_a_machine_that_goes_to_pieces_has_a_heartbeat_all_the_same(tmp_path: Path) -> None:
    root = tmp_path / "root"
    reader = TelemetryReader("bench", tmp_path / "state", tree(root, MACHINES["laptop"]), Clock())
    shutil.rmtree(root / "sys")
    shutil.rmtree(root / "proc")
    reading = reader.read()
    assert set(values(reading).values()) == {None}
    assert "No such file" in reading.disk_free_bytes.unavailable
    # Where each file is a folder, not even root can read it.
    for name in MACHINES["laptop"]:
        (root / name).mkdir(parents=True, exist_ok=True)
    assert set(values(reader.read()).values()) == {None}


def test_a_bug_of_ours_costs_the_reading_and_not_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = reader_of(tmp_path, "pi4", Clock())
    monkeypatch.setattr(reader, "read", lambda: 1 / 0)
    for _ in range(3):
        assert list(reader()) == [device_pb2.DeviceTelemetry(device_id="bench")]
    assert [record.message for record in caplog.records] == ["the state of bench cannot be read"]


@pytest.mark.parametrize("text", ["", "full", "-1", "101", "\0"])
def test_a_battery_that_tells_nonsense_tells_nothing(tmp_path: Path, text: str) -> None:
    reader = reader_of(tmp_path, "laptop", Clock())
    tree(tmp_path, {"sys/class/power_supply/battery/capacity": text})
    assert reader.read().battery_ratio.unavailable


def test_the_battery_of_a_mouse_is_not_the_devices(tmp_path: Path) -> None:
    folder = "sys/class/power_supply/hidpp_battery_0"
    tree(tmp_path, {f"{folder}/type": "Battery", f"{folder}/scope": "Device", f"{folder}/capacity": "50"})
    assert TelemetryReader("bench", tmp_path, tmp_path).read().battery_ratio.unavailable


# Energy


class Counted:
    """A RAPL counter under a count of energy."""

    def __init__(self, wrap_uj: int) -> None:
        self.clock, self.files = Clock(), FakeFiles(rapl([0], wrap_uj=wrap_uj, dram=False))
        self.meter = find_rapl(self.files)
        self.meter._clock = self.clock  # type: ignore[attr-defined]
        self.count = EnergyCount(self.meter)

    def energy_j(self, counter_uj: object) -> object:
        self.clock.now += 5
        self.files.files[COUNTER] = str(counter_uj)
        return figures.value_of(self.count.read())


def test_energy_is_counted_on_over_the_counters_end() -> None:
    counted = Counted(wrap_uj=100_000_000)
    told = [counted.energy_j(count) for count in (90_000_000, 95_000_000, 5_000_000, 85_000_000, 1_000_000)]
    assert told == pytest.approx([0.0, 5.0, 15.0, 95.0, 111.0])


def test_a_counter_that_was_reset_goes_on_from_where_it_was() -> None:
    counted = Counted(wrap_uj=262_143_328_850)
    told = [counted.energy_j(count) for count in (900_000_000, 950_000_000, 7, "gone", 1_000_000, 3_000_000)]
    assert told == [0.0, 50.0, None, None, 50.0, 52.0]


def test_a_meter_that_does_not_count_says_why() -> None:
    chip = "sys/class/hwmon/hwmon0"
    power = find_hwmon(FakeFiles({f"{chip}/name": "power_meter", f"{chip}/power1_input": "1000000"}))[0]
    assert "senses power" in EnergyCount(power).read().unavailable
    assert EnergyCount(NoMeter("nothing here")).read().unavailable == "nothing here"


def test_a_heartbeat_carries_the_reason_and_not_the_remedy(tmp_path: Path) -> None:
    denied = FakeFiles(rapl([1]), {COUNTER: PermissionError(13, "Permission denied")})
    assert EnergyCount(find_rapl(denied)).read().unavailable == f"no permission to read /{COUNTER}"
    assert EnergyCount(find_meter(tmp_path)).read().unavailable
