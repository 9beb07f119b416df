"""Energy from what a phone wrote down while it worked: traces made up, and one of a made-up phone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Callable, List, Mapping, Tuple

import numpy as np
import pytest

from device_agent.bridge import playback
from device_agent.bridge.phone import PhoneDevice
from device_agent.bridge.playback import Sample, meter_trace, parse_trace, sampler
from device_agent.bridge.snapshot import Snapshot
from device_agent.measure.statistics import Samples
from protos import figures
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhone
from tests.device_agent.bridge.test_measuring import RUNNER, bench_of, device, handset, job, result_of
from tests.device_agent.test_measure_faults import Files, tiny

__all__ = ["device", "handset", "tiny"]  # fixtures

BATTERY = "sys/class/power_supply/battery"
ODPM = "sys/bus/iio/devices/iio:device0/energy_value"
SPEC = pb.EnergySpec(window_s=5.0)
IDLE_W, BUSY_W, CALL_S = 0.5, 2.5, 0.004
BEGIN_S = 1000.0


def marks(begin_s: float, seconds: float) -> Tuple[Samples, Samples]:
    runs = np.arange(0, int(seconds / CALL_S) + 1, 10, dtype=np.float64)
    return begin_s + runs * CALL_S, runs


def trace(idle_s: float, busy_s: float, files: Callable[[float, float], Mapping[str, str]]) -> List[Sample]:
    """Idle, busy, idle; `files` is told the watts and the joules so far."""
    samples, joules = [], 0.0
    for number in range(int(10 * (2 * idle_s + busy_s)) + 1):
        at_s = number / 10
        power_w = BUSY_W if idle_s <= at_s < idle_s + busy_s else IDLE_W
        samples.append((BEGIN_S + at_s, Snapshot(files(power_w, joules))))
        joules += power_w / 10
    return samples


def battery(power_w: float, _joules: float) -> Mapping[str, str]:
    microamperes = str(-round(power_w / 4.0 * 1e6))
    told = {"type": "Battery", "status": "Discharging", "current_now": microamperes, "voltage_now": "4000000"}
    return {f"{BATTERY}/{name}": value for name, value in told.items()}


def odpm(_power_w: float, joules: float) -> Mapping[str, str]:
    return {ODPM: f"t=358356\nCH0(T=358356)[S2M_VDD_CPUCL2], {round(joules * 1e6)}"}


@pytest.mark.parametrize(("files", "idle_s", "busy_s"), [(battery, 14.0, 24.0), (odpm, 4.0, 7.0)])
def test_the_energy_of_an_inference_is_power_times_time_whatever_the_source(
    files: Callable[[float, float], Mapping[str, str]], idle_s: float, busy_s: float
) -> None:
    told = meter_trace(trace(idle_s, busy_s, files), marks(BEGIN_S + idle_s, busy_s), SPEC, 0.95)
    assert figures.value_of(told.energy_j) == pytest.approx(BUSY_W * CALL_S, rel=0.03)
    assert figures.value_of(told.net_energy_j) == pytest.approx((BUSY_W - IDLE_W) * CALL_S, rel=0.04)
    assert figures.value_of(told.idle_power_w) == pytest.approx(IDLE_W, rel=0.05)
    assert told.source in ("battery battery", "ODPM S2M_VDD_CPUCL2")
    assert told.runs == pytest.approx(told.window_s / CALL_S, rel=0.02)
    assert told.energy_j.estimate.HasField("interval")


def test_a_battery_that_charges_tells_why_there_is_no_energy() -> None:
    def charging(power_w: float, joules: float) -> Mapping[str, str]:
        return {**battery(power_w, joules), f"{BATTERY}/status": "Charging"}

    told = meter_trace(trace(14, 24, charging), marks(BEGIN_S + 14, 24), SPEC, 0.95)
    assert "is not discharging (Charging)" in told.energy_j.unavailable
    assert "unplug" in told.power_w.unavailable


def test_a_cable_put_in_meanwhile_voids_the_window() -> None:
    whole = trace(14, 24, battery)
    charging = Snapshot({**battery(BUSY_W, 0), f"{BATTERY}/status": "Charging"})
    broken = [*whole[:200], *((at_s, charging) for at_s, _ in whole[200:])]
    assert "not discharging" in meter_trace(broken, marks(BEGIN_S + 14, 24), SPEC, 0.95).energy_j.unavailable


def test_no_sensor_is_a_reason() -> None:
    told = meter_trace(trace(4, 7, lambda *_: {}), marks(BEGIN_S + 4, 7), SPEC, 0.95)
    assert told.energy_j.unavailable


@pytest.mark.parametrize("kept", [0, 30, 110])
def test_a_trace_that_is_too_short_is_no_measurement(kept: int) -> None:
    told = meter_trace(trace(4, 7, odpm)[:kept], marks(BEGIN_S + 4, 7), SPEC, 0.95)
    assert "wrote down" in told.energy_j.unavailable


def test_inferences_that_ended_early_are_no_measurement() -> None:
    assert (
        "wrote down too little"
        in meter_trace(trace(4, 7, odpm), marks(BEGIN_S + 4, 3), SPEC, 0.95).energy_j.unavailable
    )


def test_a_trace_is_read_up_to_where_it_was_cut_off() -> None:
    text = f"@ 10.50\n==> /dev/null <==\n\n==> /{ODPM} <==\nt=1\nCH0(T=1)[S], 5\n@ 10.61\n==> /{ODPM} <==\nt=2"
    (at_s, files), *more = parse_trace(text)
    assert at_s == 10.5
    assert files.read(ODPM).endswith("CH0(T=1)[S], 5")
    assert not more
    assert parse_trace("") == parse_trace("sh: read: /proc/uptime: Permission denied\n") == []


def test_the_sampler_starts_nothing_but_head_and_sleep() -> None:
    assert "$(" not in sampler()


@pytest.mark.slow
async def test_a_made_up_phone_with_power_rails(
    handset: FakePhone, device: PhoneDevice, tiny: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one rail counts 2 W, whatever it does."""
    # Where the made-up phone lies shows in what its programs write into files.
    parse = playback.parse_trace
    monkeypatch.setattr(playback, "parse_trace", lambda text: parse(text.replace(str(handset.root), "")))
    (handset.root / "proc/uptime").symlink_to("/proc/uptime")
    rail, ended = handset.path(f"/{ODPM}"), threading.Event()
    rail.parent.mkdir(parents=True)
    begin_s = time.monotonic()

    def count() -> None:
        while True:
            microjoules = round(2e6 * (time.monotonic() - begin_s))
            new = rail.with_name("new")
            new.write_text(f"t=1\nCH0(T=1)[S2M_VDD_CPUCL2], {microjoules}\n")
            new.replace(rail)
            if ended.wait(0.02):
                return

    counting = threading.Thread(target=count)
    counting.start()
    try:
        spec, paths = job(tiny[0], energy=(pb.EnergySpec(window_s=2.0), "", None))
        result = result_of(await bench_of(device, RUNNER, tmp_path).measure(spec, paths))
    finally:
        ended.set()
        counting.join()
    assert not result.energy.energy_j.unavailable
    assert figures.value_of(result.energy.power_w) == pytest.approx(2.0, rel=0.1)
    assert result.energy.source == "ODPM S2M_VDD_CPUCL2"
    assert result.energy.runs > 1000
