"""Which rails of real boards are read, which of them add up to the total, and what is said where they cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from device_agent.measure.meters import LocalFiles, Meter, MeterError, choose_meter, find_meter, survey
from device_agent.measure.meters.android import find_battery, find_odpm
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.measure.meters.jetson import find_jetson
from device_agent.measure.meters.nvml import find_nvml
from device_agent.measure.meters.rapl import find_rapl
from tests.device_agent.boards import (
    AGX_ORIN,
    AGX_XAVIER,
    NANO,
    ODPM_MAIN,
    ORIN_NANO,
    THOR,
    TX2,
    Clock,
    FakeFiles,
    FakeNvml,
    battery,
    ina3221_iio,
    odpm,
    rapl,
    tree,
)

COUNTER = "sys/class/powercap/intel-rapl:0/energy_uj"
DENIED = PermissionError(13, "Permission denied")


def watts(meter: Meter) -> float:
    power_w = meter.power_w()
    assert power_w is not None, meter.unavailable
    return power_w


# Jetson


@pytest.mark.parametrize(
    ("board", "counted", "power_w"),
    [
        (NANO, ("POM_5V_IN",), 4.0),
        (TX2, ("VDD_IN",), 7.6),
        (ORIN_NANO, ("VDD_IN",), 7.0),
        # VDDQ_VDD2_1V8AO (1 W) is fed by VIN_SYS_5V0 and in it already.
        (AGX_ORIN, ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), 3.8 + 1.9 + 4.0),
        (AGX_XAVIER, ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"), 19 * 0.08 + 2.0),
        (THOR, ("VIN",), 23.0),
    ],
    ids=["Nano", "TX2", "Orin Nano", "AGX Orin", "AGX Xavier", "Thor"],
)
def test_rails_of_a_jetson_add_up_to_its_total_once(
    tmp_path: Path, board: Dict[str, str], counted: tuple[str, ...], power_w: float
) -> None:
    meter = find_jetson(LocalFiles(tree(tmp_path, board)))
    assert meter.facts.counted == counted
    assert watts(meter) == pytest.approx(power_w)
    assert not any("shunt" in rail or rail == "NC" for rail in (*meter.facts.counted, *meter.facts.apart))


def test_a_fed_rail_is_told_apart(tmp_path: Path) -> None:
    assert find_jetson(LocalFiles(tree(tmp_path, AGX_ORIN))).facts.apart == ("VDDQ_VDD2_1V8AO",)


def test_thor_without_its_input_sensor_adds_up_its_modules_rails(tmp_path: Path) -> None:
    without = {path: text for path, text in THOR.items() if "hwmon3" not in path}
    meter = find_jetson(LocalFiles(tree(tmp_path, without)))
    # The gated GPU's small negative reading is an offset like any other.
    assert watts(meter) == pytest.approx(-0.396 + 6.0 + 6.5)


def test_a_rail_that_is_gated_off_does_not_take_the_total_along() -> None:
    files = FakeFiles(ORIN_NANO)
    meter = find_jetson(files)
    folder = "sys/bus/i2c/devices/1-0040/hwmon/hwmon3"
    files.errors[f"{folder}/curr2_input"] = OSError(61, "No data available")
    assert watts(meter) == pytest.approx(7.0)
    files.errors[f"{folder}/curr1_input"] = OSError(61, "No data available")
    assert meter.power_w() is None


def test_a_nano_without_a_power_file_has_volts_times_amperes(tmp_path: Path) -> None:
    files = LocalFiles(tree(tmp_path, ina3221_iio("6-0040", 0, [("POM_5V_IN", 5000, 800)], power=False)))
    assert watts(find_jetson(files)) == pytest.approx(4.0)


def test_unknown_rails_are_not_guessed_at(tmp_path: Path) -> None:
    files = LocalFiles(tree(tmp_path, ina3221_iio("1-0040", 0, [("LEFT", 5000, 800), ("RIGHT", 5000, 100)])))
    assert find_jetson(files).unavailable == "power rails without a known total: LEFT, RIGHT"


def test_garbage_in_a_rail_of_the_total_leaves_none() -> None:
    path = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input"
    meter = find_jetson(FakeFiles({**NANO, path: "n/a"}))
    assert "without a known total" in meter.unavailable


# RAPL


def test_rapl_counts_packages_and_memory_and_tells_the_rest_apart(tmp_path: Path) -> None:
    meter = find_rapl(LocalFiles(tree(tmp_path, rapl([900_000, 500_000], psys=True))))
    assert meter.facts.counted == ("package-0", "dram-0", "package-1", "dram-1")
    assert meter.facts.apart == ("core-0", "core-1", "psys")
    assert meter.facts.source == "RAPL package-0 + dram-0 + package-1 + dram-1"


def test_rapl_counters_wrap_each_at_its_end() -> None:
    files, clock = FakeFiles(rapl([900_000], wrap_uj=1_000_000, dram=False)), Clock()
    meter = find_rapl(files)
    meter._clock = clock  # type: ignore[attr-defined]
    meter.start()
    for count_uj, energy_j in ((950_000, 0.05), (150_000, 0.25), (50_000, 1.15)):
        clock.now += 0.05
        files.files[COUNTER] = str(count_uj)
        assert meter.look().energy_j == pytest.approx(energy_j)
    reading = meter.stop()
    assert reading.wraps == 2
    assert reading.rails["core-0"] == 0


def test_a_counter_that_was_reset_is_not_taken_for_one_that_wrapped() -> None:
    files, clock = FakeFiles(rapl([900_000_000])), Clock()
    meter = find_rapl(files)
    meter._clock = clock  # type: ignore[attr-defined]
    meter.start()
    clock.now += 0.05
    files.files[COUNTER] = "12"
    with pytest.raises(MeterError, match=r"package-0 went backwards, from 900\.0\d* J to 0\.000012 J"):
        meter.look()


@pytest.mark.parametrize("text", ["", "n/a", "-5", "12.5 J"])
def test_garbage_in_a_counter_voids_the_window(text: str) -> None:
    files = FakeFiles(rapl([900_000]))
    meter = find_rapl(files)
    meter.start()
    files.files[COUNTER] = text
    with pytest.raises(MeterError):
        meter.look()


def test_rapl_without_permission_names_the_remedy_and_no_part_of_it_is_taken_for_the_whole() -> None:
    meter = find_rapl(FakeFiles(rapl([900_000, 500_000]), {COUNTER: DENIED}))
    assert f"no permission to read /{COUNTER}; as root" in meter.unavailable
    assert "udev" in meter.unavailable


# Phones


def test_pixel_rails_of_cores_memory_and_accelerators_are_counted(tmp_path: Path) -> None:
    meter = find_odpm(LocalFiles(tree(tmp_path, odpm(28_071_872))))
    assert meter.facts.counted == (
        "S10M_VDD_TPU",
        "S2M_VDD_CPUCL2",
        "S3M_VDD_CPUCL1",
        "S4M_VDD_CPUCL0",
        "S5M_VDD_INT",
        "S1M_VDD_MIF",
        "S2S_VDD_G3D",
    )
    # The radios are not the model's, and L2S is fed by one of the others.
    assert meter.facts.apart == ("VSYS_PWR_MODEM", "VSYS_PWR_RFFE", "VSYS_PWR_WLAN_BT", "L2S_VDD_AOC_RET")


def test_pixel_rails_that_the_shell_may_not_read_say_so() -> None:
    assert "no permission" in find_odpm(FakeFiles(odpm(1), {ODPM_MAIN: DENIED})).unavailable
    garbage = {**odpm(1), ODPM_MAIN: "t=1\nCH0 hello\n"}
    assert "is no channel" in find_odpm(FakeFiles(garbage)).unavailable


@pytest.mark.parametrize(
    ("current", "voltage"),
    [
        (-800_000, 3_800_000),  # by the kernel's rule
        (800_000, 3_800_000),  # the other sign
        (-800, 3_800_000),  # milliamperes
        (800, 3_800),  # millivolts, too
    ],
)
def test_a_battery_is_understood_in_every_vendors_units(current: int, voltage: int) -> None:
    assert watts(find_battery(FakeFiles(battery(current, voltage)))) == pytest.approx(3.04)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging"])
def test_a_battery_that_does_not_discharge_measures_nothing(status: str) -> None:
    reason = find_battery(FakeFiles(battery(-800_000, 3_800_000, status))).unavailable
    assert reason.startswith(f"the battery is not discharging ({status}); unplug")


def test_a_battery_that_is_charged_for_a_moment_tells_nothing_then() -> None:
    files = FakeFiles(battery(-800_000, 3_800_000))
    meter = find_battery(files)
    files.files.update(battery(300_000, 3_800_000))
    assert meter.power_w() is None


def test_a_battery_that_reads_nothing_is_unavailable() -> None:
    assert "current of 0" in find_battery(FakeFiles(battery(0, 3_800_000))).unavailable
    denied = {"sys/class/power_supply/battery/current_now": DENIED}
    assert "apps may not" in find_battery(FakeFiles(battery(1, 1), denied)).unavailable


def test_a_laptops_battery_tells_its_power_itself() -> None:
    folder = "sys/class/power_supply/BAT0"
    files = {f"{folder}/type": "Battery", f"{folder}/status": "Discharging", f"{folder}/power_now": "7500000"}
    assert watts(find_battery(FakeFiles(files))) == pytest.approx(7.5)


# Others


def test_a_chip_with_several_rails_counts_only_by_a_total() -> None:
    folder = "sys/class/hwmon/hwmon2"
    rails = {f"{folder}/name": "psu\n", f"{folder}/power1_input": "5000000", f"{folder}/power2_input": "3000000"}
    assert "psu: several rails" in find_hwmon(FakeFiles(rails))[0].unavailable
    meter = find_hwmon(FakeFiles({**rails, f"{folder}/power1_label": "power total"}))[0]
    assert (meter.facts.counted, meter.facts.apart, watts(meter)) == (("power total",), ("power2",), 5.0)


def test_sockets_are_added_up_and_their_cores_are_not() -> None:
    folder = "sys/class/hwmon/hwmon0"
    files = {f"{folder}/name": "amd_energy"}
    for channel, label in enumerate(["Ecore000", "Ecore001", "Esocket0", "Esocket1"], 1):
        files[f"{folder}/energy{channel}_label"] = label
        files[f"{folder}/energy{channel}_input"] = "1000000"
    meter = find_hwmon(FakeFiles(files))[0]
    assert meter.facts.counted == ("Esocket0", "Esocket1")
    assert meter.facts.covers == "processor"


@pytest.mark.parametrize("chip", ["BAT0", "ucsi_source_psy_USBC000:001", "hidpp_battery_0"])
def test_chargers_and_batteries_of_mice_are_no_consumption(chip: str) -> None:
    files = {"sys/class/hwmon/hwmon0/name": chip, "sys/class/hwmon/hwmon0/power1_input": "5000000"}
    assert find_hwmon(FakeFiles(files))[0].unavailable


def test_nvml_without_driver_or_sensor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    assert "Library Not Found" in find_nvml(FakeNvml(clock, driver=False)).unavailable
    mute = FakeNvml(clock)
    mute.gone = True
    assert "neither energy nor power" in find_nvml(mute).unavailable
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    library = FakeNvml(clock)
    find_nvml(library)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1234")
    find_nvml(library)
    assert library.asked == [2, "GPU-1234"]


# The choice


def test_a_boards_meter_goes_before_its_processors(tmp_path: Path) -> None:
    meter = find_meter(tree(tmp_path, {**rapl([1]), **ORIN_NANO}))
    assert meter.facts.source == "INA VDD_IN"


def test_work_on_a_graphics_processor_adds_processor_and_board_up() -> None:
    card = find_nvml(FakeNvml(Clock()))
    meters = [*survey(FakeFiles(rapl([1]))), card]
    assert choose_meter(meters).facts.source == "RAPL package-0 + dram-0"
    joint = choose_meter(meters, accelerator=True)
    assert joint.facts.source == "RAPL package-0 + dram-0 + NVML NVIDIA A2"
    # A processor's meter alone would leave most of it out, and a card's knows nothing of a processor's work.
    assert choose_meter(meters[:-1], accelerator=True).unavailable
    assert choose_meter([card]).unavailable
    assert choose_meter(survey(FakeFiles(ORIN_NANO)), accelerator=True).facts.source == "INA VDD_IN"


def test_without_any_sensor_the_reason_is_the_one_that_helps() -> None:
    assert "no RAPL counter" in choose_meter(survey(FakeFiles({}))).unavailable
    denied = survey(FakeFiles(rapl([1]), {COUNTER: DENIED}))
    assert "no permission" in choose_meter(denied).unavailable
    charging = survey(FakeFiles(battery(1_000_000, 4_000_000, "Charging")))
    assert "unplug" in choose_meter(charging).unavailable
