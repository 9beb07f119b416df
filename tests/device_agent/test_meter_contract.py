"""What every meter must do: one suite, all sources."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Mapping

import pytest

from device_agent.measure.meters import Meter, MeterError, stream, survey
from device_agent.measure.meters.android import find_battery, find_odpm
from device_agent.measure.meters.hwmon import find_hwmon
from device_agent.measure.meters.jetson import find_jetson
from device_agent.measure.meters.joint import JointMeter
from device_agent.measure.meters.nvml import find_nvml
from device_agent.measure.meters.rapl import find_rapl
from device_agent.measure.meters.stream import StreamMeter, parse_line
from tests.device_agent.boards import (
    AGX_ORIN,
    NANO,
    ORIN_NANO,
    THOR,
    TX2,
    Clock,
    FakeFiles,
    FakeNvml,
    ManualTicker,
    battery,
    odpm,
    rapl,
)

NANO_POWER = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/in_power0_input"
ACPI_POWER = "sys/class/hwmon/hwmon0/power1_average"
ACPI = {"sys/class/hwmon/hwmon0/name": "power_meter\n", ACPI_POWER: "1000000\n"}
BATTERY_CURRENT = "sys/class/power_supply/battery/current_now"


class Rig:
    """A meter and the machine that it reads.

    `spend` lets it draw power for a while, `break_off` takes the sensor away, `garble` has it tell something else from
    now on. Counters have `go_back`: the count is less than it was, and has not wrapped.
    """

    def __init__(
        self, meter: Meter, clock: Clock, set_power: Callable[[float, float], None], break_off: Callable[[], None]
    ) -> None:
        self.meter, self.clock, self._set_power, self.break_off = meter, clock, set_power, break_off
        self.tickers: List[ManualTicker] = []
        self.garble: Callable[[str], None]
        self.go_back: Callable[[], None]

    def spend(self, watts: float, seconds: float) -> None:
        """Draw power in steps of a tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.clock.now += 0.1
            self._set_power(watts, 0.1)
            for ticker in self.tickers:
                ticker.tick()


def _with_ticker(make: Callable[..., Meter], clock: Clock) -> Rig:
    """A rig of a power meter; the caller sets what power is."""
    tickers: List[ManualTicker] = []

    def make_ticker(work: Callable[[], object], period_s: float) -> ManualTicker:
        tickers.append(ManualTicker(work, period_s))
        return tickers[-1]

    meter = make(make_ticker)
    meter._clock = clock  # type: ignore[attr-defined]
    rig = Rig(meter, clock, lambda watts, seconds: None, lambda: None)
    rig.tickers = tickers
    return rig


def _tells(rig: Rig, files: FakeFiles, path: str) -> None:
    """What garbles a rig that reads its power from a file."""

    def garble(text: str) -> None:
        files.files[path] = text
        rig._set_power = lambda watts, seconds: None

    rig.garble = garble


def rapl_rig() -> Rig:
    clock, files = Clock(), FakeFiles(rapl([1_000_000]))
    counter = "sys/class/powercap/intel-rapl:0/energy_uj"
    meter = find_rapl(files)
    meter._clock = clock  # type: ignore[attr-defined]

    def grow(watts: float, seconds: float) -> None:
        files.files[counter] = str(int(files.files[counter]) + round(1e6 * watts * seconds))

    rig = Rig(meter, clock, grow, lambda: files.errors.update({counter: OSError(5, "Input/output error")}))
    rig.go_back = lambda: files.files.update({counter: "900000"})

    def garble(text: str) -> None:
        files.files[counter] = text
        rig._set_power = lambda watts, seconds: None

    rig.garble = garble
    return rig


def odpm_rig() -> Rig:
    clock, count = Clock(), [28_071_872]
    files = FakeFiles(odpm(count[0]))
    meter = find_odpm(files)
    meter._clock = clock  # type: ignore[attr-defined]

    def grow(watts: float, seconds: float) -> None:
        count[0] += round(1e6 * watts * seconds)
        files.files.update(odpm(count[0]))

    rig = Rig(meter, clock, grow, files.files.clear)
    rig.go_back = lambda: files.files.update(odpm(28_000_000))

    def garble(text: str) -> None:
        files.files.update(odpm(text))
        rig._set_power = lambda watts, seconds: None

    rig.garble = garble
    return rig


def jetson_rig() -> Rig:
    files = FakeFiles(NANO)
    rig = _with_ticker(lambda make: find_jetson(files, make), Clock())
    rig._set_power = lambda watts, _: files.files.update({NANO_POWER: str(round(watts * 1e3))})
    rig.break_off = files.files.clear
    _tells(rig, files, NANO_POWER)
    return rig


def battery_rig() -> Rig:
    files = FakeFiles(battery(-1_000_000, 4_000_000))
    rig = _with_ticker(lambda make: find_battery(files, make), Clock())
    rig._set_power = lambda watts, _: files.files.update(battery(-round(watts / 4 * 1e6), 4_000_000))
    rig.break_off = files.files.clear
    _tells(rig, files, BATTERY_CURRENT)
    return rig


def hwmon_rig() -> Rig:
    files = FakeFiles(ACPI)
    rig = _with_ticker(lambda make: find_hwmon(files, make)[0], Clock())
    rig._set_power = lambda watts, _: files.files.update({ACPI_POWER: str(round(watts * 1e6))})
    rig.break_off = files.files.clear
    _tells(rig, files, ACPI_POWER)
    return rig


def nvml_rig(counts: bool = True) -> Rig:
    clock = Clock()
    library = FakeNvml(clock, counts=counts)
    energy = [1_000.0]

    def grow(watts: float, seconds: float) -> None:
        library.watts = watts
        energy[0] += watts * seconds

    if counts:
        library.nvmlDeviceGetTotalEnergyConsumption = (  # type: ignore[method-assign]
            lambda handle: round(energy[0] * 1000) if not library.gone else library.nvmlDeviceGetPowerUsage(handle)
        )
    rig = _with_ticker(lambda make: find_nvml(library, make), clock)
    rig._set_power = grow
    rig.break_off = lambda: setattr(library, "gone", True)
    rig.go_back = lambda: energy.__setitem__(0, 0.5)

    def garble(text: str) -> None:
        for name in ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"):
            setattr(library, name, lambda handle: text)

    rig.garble = garble
    return rig


def joint_rig() -> Rig:
    first, second = rapl_rig(), nvml_rig()
    second.meter._clock = first.clock  # type: ignore[attr-defined]
    rig = Rig(JointMeter([first.meter, second.meter]), first.clock, lambda watts, seconds: None, second.break_off)

    def both(watts: float, seconds: float) -> None:
        first._set_power(watts / 4, seconds)
        second._set_power(3 * watts / 4, seconds)

    rig._set_power = both
    rig.garble, rig.go_back = second.garble, first.go_back
    return rig


class Lines:
    """Samples handed in by the test."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        raise StopIteration

    def close(self) -> None:
        self.closed = True


def stream_rig() -> Rig:
    clock = Clock()
    meter = StreamMeter("shunt", Lines, clock)  # type: ignore[arg-type]
    # As after the first lines; test_meter_stream.py reads real ones.
    meter._lines = Lines()  # type: ignore[assignment]
    for stamp_s in (-0.2, -0.1, 0.0):
        meter._take((stamp_s, 4.0), clock.now + stamp_s)

    def grow(watts: float, seconds: float) -> None:
        meter._last_w = watts  # a step, not a ramp
        meter._take((meter._stamps[-1] + seconds, watts), clock.now)

    rig = Rig(meter, clock, grow, lambda: setattr(meter, "_ended", "external meter shunt ended"))

    def garble(text: str) -> None:
        def read(watts: float, seconds: float) -> None:
            sample = parse_line(f"{meter._stamps[-1] + seconds},{text}")
            if sample is None:
                meter._bad += 1
            else:
                meter._take(sample, clock.now)

        rig._set_power = read

    rig.garble = garble
    return rig


RIGS: Dict[str, Callable[[], Rig]] = {
    "RAPL": rapl_rig,
    "ODPM": odpm_rig,
    "Jetson": jetson_rig,
    "battery": battery_rig,
    "hwmon": hwmon_rig,
    "NVML counter": nvml_rig,
    "NVML power": lambda: nvml_rig(counts=False),
    "joint": joint_rig,
    "stream": stream_rig,
}


#: What a driver gone wrong, a half-written file or another unit may say.
GARBAGE = ("", "n/a", "nan", "-99999999999999", "99999999999999999999", "\0\0\0\0")


@pytest.fixture(params=RIGS.values(), ids=RIGS.keys())
def rig(request: pytest.FixtureRequest) -> Rig:
    made: Rig = request.param()
    made.spend(4.0, 0.1)
    return made


def test_a_window_holds_what_was_spent_in_it(rig: Rig) -> None:
    rig.meter.start()
    rig.spend(4.0, 5.0)
    reading = rig.meter.stop()
    assert reading.energy_j == pytest.approx(20.0, rel=1e-6)
    assert reading.seconds == pytest.approx(5.0)
    assert reading.wraps == 0


def test_looks_go_up_to_the_reading(rig: Rig) -> None:
    rig.meter.start()
    rig.spend(4.0, 1.0)
    first = rig.meter.look()
    rig.spend(4.0, 1.0)
    second = rig.meter.look()
    reading = rig.meter.stop()
    assert (first.energy_j, second.energy_j, reading.energy_j) == pytest.approx((4.0, 8.0, 8.0))
    assert (first.seconds, second.seconds) == pytest.approx((1.0, 2.0))


def test_windows_do_not_remember_each_other(rig: Rig) -> None:
    for seconds in (3.0, 1.0):
        rig.meter.start()
        rig.spend(4.0, seconds)
        assert rig.meter.stop().energy_j == pytest.approx(4.0 * seconds)
        rig.spend(4.0, 2.0)


def test_the_reading_says_how_far_off_it_may_be_and_names_every_rail(rig: Rig) -> None:
    rig.meter.start()
    rig.spend(4.0, 5.0)
    reading = rig.meter.stop()
    facts = rig.meter.facts
    assert facts.source
    assert facts.remark
    assert facts.covers in ("processor", "board", "accelerator")
    assert 0 < reading.resolution_j < 20
    assert set(facts.counted) | set(facts.apart) == set(reading.rails)
    assert sum(reading.rails[rail] for rail in facts.counted) == pytest.approx(reading.energy_j)


def test_a_sensor_that_vanishes_makes_the_window_void_and_says_so(rig: Rig) -> None:
    rig.meter.start()
    rig.spend(4.0, 1.0)
    rig.break_off()
    with pytest.raises(MeterError, match=r"\w"):
        rig.meter.stop()
    assert all(not ticker.running for ticker in rig.tickers)


@pytest.mark.parametrize("text", GARBAGE, ids=["empty", "words", "nan", "below nothing", "beyond belief", "zeros"])
def test_garbage_makes_the_window_void_and_is_no_power(rig: Rig, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LAST_SAMPLE_S", 0.01)
    rig.meter.start()
    rig.meter.power_w()
    rig.spend(4.0, 1.0)
    rig.garble(text)
    rig.spend(4.0, 1.0)
    told_w = rig.meter.power_w()
    # An external meter tells the last sample that made sense.
    assert told_w is None or (isinstance(rig.meter, StreamMeter) and told_w == 4.0)
    with pytest.raises(MeterError, match=r"^[^\n]+$"):
        rig.meter.stop()
    assert all(not ticker.running for ticker in rig.tickers)


def test_an_external_meter_wired_the_wrong_way_round_measures_nothing() -> None:
    rig = stream_rig()
    rig.meter.start()
    rig.spend(-4.0, 1.0)
    with pytest.raises(MeterError, match="are its leads swapped"):
        rig.meter.stop()


def test_an_external_meter_whose_clock_goes_backwards_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LAST_SAMPLE_S", 0.01)
    rig = stream_rig()
    meter = rig.meter
    assert isinstance(meter, StreamMeter)
    meter.start()
    rig.spend(4.0, 1.0)
    for stamp_s in (0.0, 0.1, 0.2):
        rig.clock.now += 0.1
        meter._take((stamp_s, 4.0), rig.clock.now)
    with pytest.raises(MeterError, match="lags behind"):
        meter.stop()


def test_one_sample_of_garbage_in_many_does_no_harm() -> None:
    for make in (jetson_rig, hwmon_rig, battery_rig):
        rig = make()
        rig.spend(4.0, 0.1)
        rig.meter.start()
        rig.spend(4.0, 2.0)
        honest = rig._set_power
        rig.garble("999999999999")
        rig.spend(4.0, 0.1)
        rig._set_power = honest
        rig.spend(4.0, 2.0)
        assert rig.meter.stop().energy_j == pytest.approx(4.0 * 4.1)


@pytest.mark.parametrize("name", ["RAPL", "ODPM", "NVML counter", "joint"])
def test_a_counter_that_goes_backwards_makes_the_window_void(name: str) -> None:
    rig = RIGS[name]()
    rig.spend(4.0, 0.1)
    rig.meter.start()
    rig.spend(4.0, 1.0)
    rig.go_back()
    with pytest.raises(MeterError, match="went backwards, from"):
        rig.meter.stop()
    assert all(not ticker.running for ticker in rig.tickers)


BOARDS: Dict[str, Mapping[str, str]] = {
    "RAPL": rapl([1_000_000]),
    "RAPL, two sockets": rapl([1_000_000, 2_000_000]),
    "ODPM": odpm(28_071_872),
    "Nano": NANO,
    "TX2": TX2,
    "Orin Nano": ORIN_NANO,
    "AGX Orin": AGX_ORIN,
    "Thor": THOR,
    "battery": battery(-1_000_000, 4_000_000),
    "ACPI": ACPI,
}


@pytest.mark.parametrize("tree", BOARDS.values(), ids=BOARDS.keys())
def test_a_sensor_that_cannot_be_read_is_unavailable_with_the_reason_before_any_window(tree: Mapping[str, str]) -> None:
    names = ("name", "label", "type", "status", "max_energy_range_uj", "enable")
    sensors = [path for path in tree if not path.endswith(names) and "rail_name" not in path]
    for error in (PermissionError(13, "Permission denied"), OSError(5, "Input/output error"), ValueError("no text")):
        for paths in (sensors, list(tree)):
            files = FakeFiles(tree, dict.fromkeys(paths, error))
            for meter in survey(files):
                assert meter.unavailable, meter.facts
                assert "\n" not in meter.unavailable
                with pytest.raises(MeterError):
                    meter.start()
    for text in ("", "n/a", "4.5e"):
        assert all(meter.unavailable for meter in survey(FakeFiles({**tree, **dict.fromkeys(sensors, text)})))


def test_one_unreadable_socket_of_two_is_not_taken_for_the_machine() -> None:
    files = FakeFiles(rapl([1_000_000, 2_000_000]))
    files.files["sys/class/powercap/intel-rapl:1/energy_uj"] = "n/a"
    assert "the counter of package-1" in find_rapl(files).unavailable


def test_power_is_told_beside_a_window_without_changing_it(rig: Rig) -> None:
    rig.meter.start()
    rig.meter.power_w()
    rig.spend(4.0, 1.0)
    assert rig.meter.power_w() == pytest.approx(4.0)
    assert rig.meter.stop().energy_j == pytest.approx(4.0)
    rig.break_off()
    assert rig.meter.power_w() is None


def test_the_fixture_tree_is_like_a_file_system(tmp_path: Path) -> None:
    files = FakeFiles({"sys/a/b1/name": "x", "sys/a/b2": "y", "sys/c": "z"})
    assert files.glob("sys/a/b*") == ["sys/a/b1", "sys/a/b2"]
    assert files.glob("sys/a/*/name") == ["sys/a/b1/name"]
