"""A phone as a device: what it says of itself, how it is, and whether it may measure."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from device_agent.bridge.adb import AdbGone, AdbProgram
from device_agent.bridge.phone import COOLING_STEP, NotReadyError, PhoneDevice
from device_agent.errors import MeasurementError
from protos import figures
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhone, FakePhones

TIMED = pb.MeasurementSpec(latency=pb.LatencySpec(min_samples=30))
UNTIMED = pb.MeasurementSpec(accuracy=pb.AccuracySpec())


class Clock:
    """Time that passes when somebody sleeps; meanwhile something may happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: List[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def phone(phones: FakePhones) -> FakePhone:
    return phones.add("4A2B")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def device(phones: FakePhones, phone: FakePhone, tmp_path: Path, clock: Clock) -> PhoneDevice:
    adb = AdbProgram(phones.command)
    return PhoneDevice(adb.phone((await adb.devices())[0]), clock)


async def test_it_says_what_it_is(device: PhoneDevice) -> None:
    described = await device.describe("", {"room": "lab2"}, {"usb": "usb:1-1"})
    hardware = described.hardware
    assert (described.device_id, described.device_class) == ("pixel8-4A2B", "pixel8")
    assert (hardware.board, hardware.cpu_model) == ("Google Pixel 8", "Google Tensor G3")
    assert (hardware.architecture, hardware.kernel) == ("aarch64", "5.15.110-android14-11")
    assert (hardware.logical_cores, hardware.memory_bytes) == (9, 7634212 * 1024)
    assert hardware.operating_system == "Android 14 (API 34)"
    assert list(hardware.cpu_features) == ["asimd", "asimdhp", "asimddp", "i8mm", "bf16"]
    assert hardware.facts["build"].startswith("google/shiba/")
    assert not described.runtimes
    assert not described.capabilities


async def test_a_phone_that_says_next_to_nothing_is_a_device_all_the_same(
    device: PhoneDevice, phone: FakePhone
) -> None:
    phone.write("properties", "")
    for service in ("battery", "thermalservice", "power"):
        phone.path(f"/dumpsys/{service}").unlink()
    for path in ("/sys", "/proc"):
        for file in phone.path(path).glob("**/*"):
            if file.is_file():
                file.unlink()
    described = await device.describe("", {}, {})
    assert (described.device_id, described.device_class) == ("android-4A2B", "android")
    assert all(sensor.unavailable for sensor in described.sensors)
    telemetry = device.telemetry("x")
    for figure in (telemetry.temperature_c, telemetry.frequency_hz, telemetry.battery_ratio, telemetry.energy_j):
        assert figures.value_of(figure) is None
        assert figure.unavailable
    assert await device.make_fit(TIMED, lambda _: None)


async def test_a_phone_that_starts_up_is_not_ready(device: PhoneDevice, phone: FakePhone) -> None:
    phone.set_properties(sys__boot_completed="0")
    with pytest.raises(NotReadyError):
        await device.describe("", {}, {})


async def test_before_anybody_looked_telemetry_says_so(device: PhoneDevice) -> None:
    assert device.telemetry("x").temperature_c.unavailable == "the phone has not been looked at yet"


async def test_its_state_is_that_of_a_host_with_the_heat_that_its_vendor_tells(
    device: PhoneDevice, phone: FakePhone
) -> None:
    phone.thermal_status(1)
    phone.write("/sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0\n")
    phone.write("/sys/class/thermal/cooling_device0/cur_state", "3\n")
    phone.write("/sys/class/thermal/cooling_device0/max_state", "8\n")
    state = (await device.look()).host
    assert state.temperature_c.estimate.value == 34.0
    assert state.governor == "sched_pixel"
    assert state.load_average.estimate.value == 1.25
    assert list(state.throttling) == ["cooling device thermal-cpufreq-0 at 3 of 8", "thermal status 1 (light)"]


async def test_a_phone_that_finds_reasons_without_end_does_not_fill_the_bridges_heartbeat(
    device: PhoneDevice, phone: FakePhone
) -> None:
    for number in range(40):
        phone.write(f"/sys/class/thermal/cooling_device{number}/type", f"{number}" * 5000)
        phone.write(f"/sys/class/thermal/cooling_device{number}/cur_state", "1\n")
    await device.describe("", {}, {})
    assert device.telemetry("d").ByteSize() < 16 * 1024


async def test_energy_is_counted_by_rails_and_not_told_by_a_battery(device: PhoneDevice, phone: FakePhone) -> None:
    rails = "/sys/bus/iio/devices/iio:device0/energy_value"
    phone.write(rails, "t=1000\nCH3(T=1000)[S2M_VDD_CPUCL2], 1000000\n")
    await device.describe("", {}, {})
    device.telemetry("x")
    phone.write(rails, "t=2000\nCH3(T=2000)[S2M_VDD_CPUCL2], 1500000\n")
    device._clock.now += 1.0  # type: ignore[attr-defined]
    await device.look()
    assert device.telemetry("x").energy_j.estimate.value == pytest.approx(0.5)
    phone.path(rails).unlink()
    phone.write("/sys/class/power_supply/battery/status", "Discharging\n")
    await device.describe("", {}, {})
    assert "battery battery senses power" in device.telemetry("x").energy_j.unavailable


async def test_a_phone_that_is_fit_measures_at_once(device: PhoneDevice, clock: Clock) -> None:
    vitals = await device.make_fit(TIMED, lambda _: None, clock.sleep)
    assert clock.slept == []
    assert vitals.remarks() == ["powered by USB, battery charging"]


async def test_a_hot_phone_is_waited_for(device: PhoneDevice, phone: FakePhone, clock: Clock) -> None:
    phone.thermal_status(2, 41.0)
    steps: List[str] = []

    async def cool(seconds: float) -> None:
        await clock.sleep(seconds)
        if len(clock.slept) == 2:
            phone.thermal_status(0)

    await device.make_fit(TIMED, steps.append, cool)
    assert steps == [COOLING_STEP] * 2


async def test_one_that_stays_hot_is_unfit(device: PhoneDevice, phone: FakePhone, clock: Clock) -> None:
    phone.thermal_status(2, 41.0)
    spec = pb.MeasurementSpec(latency=TIMED.latency, throttle=pb.ThrottleSpec(cool_max_s=9.0))
    with pytest.raises(MeasurementError, match=r"thermal status is 2 \(moderate\) at 41.0 °C") as unfit:
        await device.make_fit(spec, lambda _: None, clock.sleep)
    assert unfit.value.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    assert 9.0 <= clock.now < 12.0


async def test_heat_does_not_matter_to_what_is_not_timed(device: PhoneDevice, phone: FakePhone, clock: Clock) -> None:
    phone.thermal_status(2, 41.0)
    await device.make_fit(UNTIMED, lambda _: None, clock.sleep)
    assert clock.slept == []


@pytest.mark.parametrize("spec", [TIMED, UNTIMED])
async def test_an_empty_battery_is_not_waited_for(
    device: PhoneDevice, phone: FakePhone, clock: Clock, spec: pb.MeasurementSpec
) -> None:
    phone.battery(level=12)
    with pytest.raises(MeasurementError, match=r"battery is at 12 %, less than 30 % \(charging\)") as unfit:
        await device.make_fit(spec, lambda _: None, clock.sleep)
    assert unfit.value.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    assert clock.slept == []


async def test_a_phone_that_leaves_before_its_job_is_gone(device: PhoneDevice, phones: FakePhones) -> None:
    phones.unplug("4A2B")
    with pytest.raises(AdbGone):
        await device.make_fit(TIMED, lambda _: None)
