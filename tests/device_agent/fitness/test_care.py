"""When checks happen, and who waits for them: time passes as the test says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import List

import pytest

from device_agent.fitness.care import ASKED, EVERY_JOBS, SETTLE_S, SETTLING_STEP, STEP, Care, FitnessCare
from protos.gauntlet.v1 import fitness_pb2
from protos.gauntlet.v1 import measurement_pb2 as pb
from tests.device_agent.fitness.fakes import Device, settle

TIMED = pb.MeasurementSpec(latency=pb.LatencySpec())
UNTIMED = pb.MeasurementSpec(accuracy=pb.AccuracySpec(), memory=pb.MemorySpec())
DAY_S = 24 * 3600.0


class Ward:
    """A device that is looked after, and what it went through."""

    def __init__(self, device: Device, floor_every_s: float = 0.0) -> None:
        self.device = device
        self.care = FitnessCare(device.checker, floor_every_s, device.time.sleep, device.time.clock)
        self.steps: List[str] = []
        self._leases = 0

    @property
    def occasions(self) -> List[str]:
        return [report.check.occasion for report in self.device.told]

    async def lease(self, spec: pb.MeasurementSpec = TIMED) -> str:
        """Carry one out; returns its id."""
        self._leases += 1
        lease_id = f"lease-{self._leases}"
        await self.care.before(spec, self.steps.append)
        self.care.after(spec, lease_id)
        return lease_id

    async def leases(self, count: int) -> None:
        for _ in range(count):
            await self.lease()


async def started(device: Device, floor_every_s: float = 0.0) -> Ward:
    """Checked once, and at rest."""
    ward = Ward(device, floor_every_s)
    ward.care.rest()
    await settle()
    assert ward.occasions == ["start"]
    return ward


async def test_the_start_is_checked_at_once_while_nobody_waits(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    await ward.lease()
    assert ward.occasions == ["start"]
    assert ward.steps == []


async def test_the_first_timed_lease_waits_for_the_check_that_runs(tmp_path: Path) -> None:
    ward = Ward(Device(tmp_path, 1e-3))
    ward.device.pool.gate.clear()
    ward.care.rest()
    await settle()
    lease = asyncio.ensure_future(ward.lease())
    await settle()
    assert not lease.done()
    assert ward.steps == [STEP]
    ward.device.pool.gate.set()
    await lease
    assert ward.occasions == ["start"]
    assert ward.device.pool.cancelled == 0


async def test_a_lease_that_comes_before_any_rest_is_preceded_by_the_check(tmp_path: Path) -> None:
    ward = Ward(Device(tmp_path, 1e-3))
    await ward.lease()
    assert ward.occasions == ["start"]


async def test_an_untimed_lease_takes_the_device_and_the_check_comes_later(tmp_path: Path) -> None:
    ward = Ward(Device(tmp_path, 1e-3))
    ward.device.pool.gate.clear()
    ward.care.rest()
    await settle()
    await ward.lease(UNTIMED)
    assert ward.device.pool.cancelled == 1
    assert ward.occasions == []
    ward.device.pool.gate.set()
    ward.care.rest()
    await settle()
    assert ward.occasions == ["start"]


async def test_ten_timed_jobs_are_followed_by_a_check(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    await ward.leases(EVERY_JOBS)
    assert ward.occasions == ["start"]
    await ward.lease()
    assert ward.occasions == ["start", "every 10 jobs"]
    assert ward.device.history.known.unchecked == ["lease-11"]


async def test_untimed_jobs_neither_count_nor_wait(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    await ward.leases(EVERY_JOBS)
    for _ in range(5):
        await ward.lease(UNTIMED)
    assert ward.occasions == ["start"]
    assert ward.device.history.known.unchecked == [f"lease-{number}" for number in range(1, 11)]


@pytest.mark.parametrize("part", ["latency", "energy", "comparison", "multi_stream", "offline"])
async def test_every_timed_part_counts(part: str, tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    spec = pb.MeasurementSpec()
    getattr(spec, part).SetInParent()
    lease_id = await ward.lease(spec)
    assert ward.device.history.known.unchecked == [lease_id]


async def test_rest_after_a_timed_job_brings_a_check_after_a_second(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    await ward.lease()
    ward.care.rest()
    await ward.device.time.goes_by(0.9)
    assert ward.occasions == ["start"]
    await ward.device.time.goes_by(0.2)
    assert ward.occasions == ["start", "idle"]
    await ward.device.time.goes_by(1000)
    assert ward.occasions == ["start", "idle"]


async def test_a_lease_never_waits_for_a_check_at_rest(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    await ward.lease()
    ward.care.rest()
    ward.device.pool.gate.clear()
    await ward.device.time.goes_by(2)
    await ward.lease()
    assert ward.device.pool.cancelled == 1
    assert ward.steps == []
    assert ward.device.history.known.unchecked == ["lease-1", "lease-2"]


async def test_after_a_shift_the_device_rests_and_is_checked_before_it_measures(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, *[1.1e-3] * 3, 1e-3)
    ward = await started(device)
    await ward.leases(EVERY_JOBS)
    lease = asyncio.ensure_future(ward.lease())
    await settle()
    assert not lease.done()
    assert ward.steps == [STEP, SETTLING_STEP]
    await device.time.goes_by(SETTLE_S)
    assert lease.done()
    assert ward.occasions == ["start", "every 10 jobs", "after a shift"]
    assert len(device.told[1].check.suspect_lease_ids) == EVERY_JOBS
    await ward.lease()
    assert ward.occasions == ["start", "every 10 jobs", "after a shift"]


async def test_a_device_that_shifts_at_every_look_works_on_and_its_results_are_suspect(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, *[1.1e-3] * 3, *[1.2e-3] * 3, 1e-3)
    ward = await started(device)
    await ward.leases(EVERY_JOBS)
    between = asyncio.ensure_future(ward.lease())
    await device.time.goes_by(SETTLE_S)
    assert between.done()
    after = asyncio.ensure_future(ward.lease())
    await device.time.goes_by(2 * SETTLE_S)
    assert after.done()
    assert [list(report.check.suspect_lease_ids)[-1:] for report in device.told[1:]] == [
        ["lease-10"],
        [],
        ["lease-11"],
        [],
    ]


async def test_a_shift_at_rest_is_looked_at_again_without_a_lease(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, 1.1e-3)
    ward = await started(device)
    await ward.lease()
    ward.care.rest()
    await device.time.goes_by(1 + SETTLE_S)
    assert ward.occasions == ["start", "idle", "after a shift"]
    assert "from now on" in device.told[-1].check.reason


async def test_a_check_that_fails_is_tried_at_the_next_occasion_and_not_for_each_job(tmp_path: Path) -> None:
    device = Device(tmp_path, "the worker was ended by SIGSEGV")
    ward = await started(device)
    await ward.leases(3)
    assert ward.occasions == ["start"]
    ward.care.rest()
    await device.time.goes_by(2)
    assert ward.occasions == ["start", "idle"]
    device.pool.script = [1e-3]
    await ward.leases(EVERY_JOBS + 1)
    assert ward.occasions == ["start", "idle", "every 10 jobs"]


async def test_a_device_without_a_runtime_says_so_once(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3, runtimes=())
    ward = await started(device, DAY_S)
    await ward.leases(2 * EVERY_JOBS)
    ward.care.rest()
    await device.time.goes_by(2 * DAY_S)
    assert ward.occasions == ["start"]
    assert device.history.known.unchecked == []


async def test_a_bug_in_a_check_costs_the_check_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    device = Device(tmp_path)
    ward = Ward(device)
    await ward.lease()
    assert "IndexError" in caplog.text
    assert device.history.known.unchecked == ["lease-1"]


async def test_the_noise_floor_is_measured_after_a_minute_of_rest_and_daily(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    ward = await started(device, DAY_S)
    await device.time.goes_by(59)
    assert device.pool.compared == 0
    await device.time.goes_by(2)
    assert device.pool.compared == 1
    assert ward.occasions == ["start", "idle"]
    assert device.told[-1].noise_floor.floor.estimate.value == 0.004
    await device.time.goes_by(DAY_S - 120)
    assert device.pool.compared == 1
    await device.time.goes_by(240)
    assert device.pool.compared == 2


async def test_a_known_floor_is_not_measured_again_after_a_restart(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await started(device, DAY_S)
    await device.time.goes_by(61)
    again = Device(tmp_path, 1e-3, time=device.time)
    await started(again, DAY_S)
    await device.time.goes_by(3600)
    assert again.pool.compared == 0


async def test_a_lease_stops_the_noise_floor_at_once_and_it_is_taken_up_later(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    ward = await started(device, DAY_S)
    device.pool.gate.clear()
    await device.time.goes_by(61)
    await ward.lease()
    assert device.pool.cancelled == 1
    device.pool.gate.set()
    ward.care.rest()
    await device.time.goes_by(62)
    assert device.pool.compared == 2


async def test_a_floor_that_fails_is_not_tried_without_end(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    device.pool.floor = "the worker was ended by SIGSEGV"
    await started(device, DAY_S)
    await device.time.goes_by(3600)
    assert 2 <= device.pool.compared <= 6


async def test_never_means_never(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await started(device, 0.0)
    await device.time.goes_by(10 * DAY_S)
    assert device.pool.compared == 0


async def test_closed_it_stops_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    device.pool.gate.clear()
    ward = Ward(device)
    ward.care.rest()
    await settle()
    await ward.care.close()
    assert device.pool.cancelled == 1
    ward.care.rest()
    await device.time.goes_by(100)
    assert device.pool.checked == 1


async def test_a_device_at_rest_is_checked_as_soon_as_somebody_asks(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3), floor_every_s=DAY_S)
    assert ward.care.ask("d1", idle=True) is None
    await settle()
    await ward.device.time.goes_by(1.0)
    assert ward.occasions == ["start", ASKED]
    await ward.lease()
    assert ward.occasions == ["start", ASKED]  # asked for once, made once


async def test_a_device_at_work_is_checked_before_its_next_timed_lease(tmp_path: Path) -> None:
    ward = await started(Device(tmp_path, 1e-3))
    ward.care.ask("d1", idle=False)
    await ward.device.time.goes_by(100.0)
    assert ward.occasions == ["start"]
    await ward.lease()
    assert ward.occasions == ["start", ASKED]


async def test_the_check_that_runs_answers_who_asks_meanwhile(tmp_path: Path) -> None:
    ward = Ward(Device(tmp_path, 1e-3))
    ward.device.pool.gate.clear()
    ward.care.rest()
    await settle()
    ward.care.ask("d1", idle=True)
    ward.device.pool.gate.set()
    await settle()
    await ward.device.time.goes_by(100.0)
    assert ward.occasions == ["start"]
    assert ward.device.pool.cancelled == 0


def test_a_device_that_is_never_checked_says_so() -> None:
    report = Care().ask("d1", idle=True)
    assert report is not None
    assert report.check.device_id == "d1"
    assert report.check.verdict == fitness_pb2.FITNESS_VERDICT_UNAVAILABLE
    assert report.check.reference_s.unavailable == report.check.reason == "this agent does not check its device"
