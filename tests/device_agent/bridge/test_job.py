"""What every job on a phone needs: cores, time, and windows that are taken again when the phone throttled."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest

from device_agent.bridge.job import Hands, Job, mask, take_hold
from device_agent.bridge.phone import PhoneDevice, Vitals
from device_agent.bridge.vitals import Battery, Heat
from device_agent.errors import MeasurementError
from device_agent.measure.statistics import Samples
from protos.gauntlet.v1 import failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.bridge.phones import FakePhone
from tests.device_agent.bridge.test_measuring import device, handset

__all__ = ["device", "handset"]  # fixtures

CPU = "/sys/devices/system/cpu"
STEADY = np.full(60, 1e-3)


@pytest.mark.parametrize(("threads", "cpus"), [(1, [8]), (2, [7, 8]), (5, [4, 5, 6, 7, 8]), (9, list(range(9)))])
async def test_each_thread_gets_a_core_the_biggest_first(
    device: PhoneDevice, handset: FakePhone, threads: int, cpus: List[int]
) -> None:
    remarks: List[str] = []
    hands = await take_hold(device.phone, threads, True, remarks.append)
    assert hands == Hands(cpus, [core for core in range(9) if core not in cpus], has_timeout=True)
    assert not remarks


async def test_cores_that_are_offline_are_not_chosen(device: PhoneDevice, handset: FakePhone) -> None:
    handset.write(f"{CPU}/online", "0-3,6\n")
    hands = await take_hold(device.phone, 2, True, lambda _: None)
    assert (hands.cpus, hands.others) == ([3, 6], [0, 1, 2])


@pytest.mark.parametrize("online", ["", "none of them", "0-"])
async def test_a_phone_that_does_not_tell_its_cores_is_not_held(
    device: PhoneDevice, handset: FakePhone, online: str
) -> None:
    handset.path(f"{CPU}/present").unlink()
    handset.write(f"{CPU}/online", online)
    remarks: List[str] = []
    assert not (await take_hold(device.phone, 1, True, remarks.append)).cpus
    assert remarks == ["not held to cores: 1 threads on 0 cores that are online"]


async def test_more_threads_than_cores_are_not_held(device: PhoneDevice) -> None:
    remarks: List[str] = []
    assert not (await take_hold(device.phone, 10, True, remarks.append)).cpus
    assert remarks == ["not held to cores: 10 threads on 9 cores that are online"]


async def test_who_wants_no_cores_gets_none(device: PhoneDevice) -> None:
    assert not (await take_hold(device.phone, 1, False, lambda _: None)).cpus


@pytest.mark.parametrize(("cpus", "expected"), [([0], "1"), ([8], "100"), ([4, 5, 6, 7], "f0")])
def test_masks_are_hexadecimal_without_a_prefix(cpus: List[int], expected: str) -> None:
    assert mask(cpus) == expected


def test_a_program_is_held_and_ended_by_the_phone_as_far_as_it_can() -> None:
    assert Hands([8], [0], True).line(["../x", "--y"], 2.5) == "timeout -s KILL 3 taskset 100 ../x --y"
    assert Hands().line(["../x"], 2.5) == "../x"


# ------------------------------------------------------------------------------------------------------- windows


def job(device: PhoneDevice, folder: Path, **fields: Any) -> Job:
    spec = pb.MeasurementSpec(latency=pb.LatencySpec(), **fields)
    return Job(spec, {}, folder, folder, device, lambda _: None)


class Windows:
    """Takes a window, and lets the phone throttle in the first of them."""

    def __init__(self, handset: FakePhone, throttled: int) -> None:
        self._handset = handset
        self._throttled = throttled
        self.taken = 0

    async def __call__(self) -> Samples:
        self.taken += 1
        khz = 1_200_000 if self.taken <= self._throttled else 2_914_000
        self._handset.write(f"{CPU}/cpu8/cpufreq/scaling_max_freq", f"{khz}\n")
        for core in range(8):
            self._handset.write(f"{CPU}/cpu{core}/cpufreq/scaling_max_freq", "2914000\n")
            self._handset.write(f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq", "2914000\n")
        return STEADY


def latencies(samples: Samples) -> Optional[Samples]:
    return samples


async def begun(handset: FakePhone, made: Job) -> Job:
    await Windows(handset, 0)()
    await made.make_fit()
    return made


async def test_a_window_without_throttling_is_taken_once(
    device: PhoneDevice, handset: FakePhone, tmp_path: Path
) -> None:
    made = await begun(handset, job(device, tmp_path, throttle=pb.ThrottleSpec(repeats=2, drift=0.05)))
    windows = Windows(handset, 0)
    await made.window(windows, latencies)
    assert windows.taken == 1
    assert not made.result.provenance.unfit


async def test_a_window_in_which_it_throttled_is_taken_again(
    device: PhoneDevice, handset: FakePhone, tmp_path: Path
) -> None:
    made = await begun(handset, job(device, tmp_path, throttle=pb.ThrottleSpec(repeats=2, drift=0.05)))
    windows = Windows(handset, 1)
    await made.window(windows, latencies)
    assert windows.taken == 2
    told = made.result.provenance
    assert any("taken again" in remark and "clock" in remark for remark in told.remarks)
    assert not told.unfit


async def test_what_throttles_each_time_is_marked(device: PhoneDevice, handset: FakePhone, tmp_path: Path) -> None:
    made = await begun(handset, job(device, tmp_path, throttle=pb.ThrottleSpec(repeats=1, drift=0.05)))
    windows = Windows(handset, 9)
    await made.window(windows, latencies)
    assert windows.taken == 2
    (unfit,) = made.result.provenance.unfit
    assert unfit.startswith("the phone slowed down in each of 2 windows: ")
    assert "from 2.91 to 1.20 GHz" in unfit


async def test_latencies_that_rise_are_a_sign_where_no_file_tells(
    device: PhoneDevice, handset: FakePhone, tmp_path: Path
) -> None:
    made = await begun(handset, job(device, tmp_path, throttle=pb.ThrottleSpec(drift=0.05)))

    async def warming() -> Samples:
        await Windows(handset, 0)()
        return np.linspace(1e-3, 1.5e-3, 60)

    await made.window(warming, latencies)
    assert "latencies rose" in made.result.provenance.unfit[0]


async def test_time_that_the_phone_takes_to_cool_down_does_not_count(
    device: PhoneDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    async def cooling(*_: Any) -> Vitals:
        now[0] += 100.0
        return Vitals(pb.HostState(), Battery(), Heat(), "", None)

    monkeypatch.setattr(device, "make_fit", cooling)
    made = dataclasses.replace(job(device, tmp_path, timeout_s=10.0), clock=lambda: now[0])
    await made.make_fit()
    now[0] += 4.0
    assert made.left_s() == pytest.approx(6.0)
    made.step("timing")
    now[0] += 7.0
    with pytest.raises(MeasurementError, match="did not end within 10 s; last: timing") as caught:
        made.left_s()
    assert caught.value.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
