"""A check: what it measures, how often, what it reports."""

from __future__ import annotations

from pathlib import Path

from device_agent.fitness.history import History
from protos import figures
from protos.gauntlet.v1.fitness_pb2 import (
    FITNESS_VERDICT_BASELINE,
    FITNESS_VERDICT_GOOD,
    FITNESS_VERDICT_SHIFTED,
    FITNESS_VERDICT_UNAVAILABLE,
)
from tests.device_agent.fitness.fakes import Device, FakeTime


async def test_the_first_check_takes_the_median_of_three_fresh_processes(tmp_path: Path) -> None:
    device = Device(tmp_path, 1.2e-3, 1.0e-3, 1.01e-3)
    assert await device.checker.check("start") == FITNESS_VERDICT_BASELINE
    assert [fresh for _, fresh in device.pool.asked] == [True] * 3
    check = device.told[0].check
    assert (check.device_id, check.occasion, check.checked_at) == ("pi", "start", "2026-01-02T03:04:05+00:00")
    assert check.reference_s.estimate.value == 1.01e-3
    assert check.expected_s.unavailable
    assert not check.HasField("shift")


async def test_a_good_check_takes_one_process_and_trusts_what_was_finished(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, 1.01e-3)
    await device.checker.check("start")
    device.history.finished("lease-1")
    assert await device.checker.check("idle") == FITNESS_VERDICT_GOOD
    assert device.pool.checked == 4
    check = device.told[1].check
    assert abs(check.shift - 0.01) < 1e-9
    assert check.reference_s.estimate.samples == 700
    assert not check.suspect_lease_ids
    assert device.history.known.unchecked == []


async def test_one_process_that_lies_badly_in_memory_is_outvoted(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, 1.06e-3, 1.0e-3, 1.01e-3)
    await device.checker.check("start")
    device.history.finished("lease-1")
    assert await device.checker.check("idle") == FITNESS_VERDICT_GOOD
    assert device.told[1].check.reference_s.estimate.value == 1.01e-3


async def test_a_confirmed_shift_names_what_is_suspect_and_what_was_noticed(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, 1.06e-3, 1.05e-3, 1.052e-3)
    await device.checker.check("start")
    for lease in ("lease-1", "lease-2"):
        device.history.finished(lease)
    device.pool.remarks = ["other processes used 1.2 cores meanwhile"]
    assert await device.checker.check("every 10 jobs") == FITNESS_VERDICT_SHIFTED
    check = device.told[1].check
    assert list(check.suspect_lease_ids) == ["lease-1", "lease-2"]
    assert round(check.shift, 6) == 0.052
    assert check.expected_s.estimate.value == 1e-3
    assert "5.2 % longer" in check.reason
    assert check.reason.count("other processes used 1.2 cores") == 1


async def test_a_restart_judges_what_the_earlier_life_measured(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await device.checker.check("start")
    device.history.finished("lease-1")
    again = Device(tmp_path, 1.1e-3)
    assert await again.checker.check("start") == FITNESS_VERDICT_SHIFTED
    assert list(again.told[0].check.suspect_lease_ids) == ["lease-1"]


async def test_a_new_runtime_begins_a_new_baseline_and_the_old_one_stays(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await device.checker.check("start")
    device.history.finished("lease-1")
    device.pool.version, device.pool.script = "2.4", [1.5e-3]
    assert await device.checker.check("start") == FITNESS_VERDICT_BASELINE
    assert "results since the last one (1) can no longer be judged" in device.told[1].check.reason
    device.pool.version, device.pool.script = "2.3", [1e-3]
    assert await device.checker.check("start") == FITNESS_VERDICT_GOOD


async def test_a_check_that_fails_says_why_and_leaves_the_question_open(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, "the worker was ended by SIGSEGV")
    await device.checker.check("start")
    device.history.finished("lease-1")
    assert await device.checker.check("idle") == FITNESS_VERDICT_UNAVAILABLE
    check = device.told[1].check
    assert "SIGSEGV" in check.reason
    assert figures.value_of(check.reference_s) is None
    assert device.history.known.unchecked == ["lease-1"]


async def test_a_shift_whose_confirmation_fails_is_no_shift(tmp_path: Path) -> None:
    device = Device(tmp_path, *[1e-3] * 3, 1.1e-3, "the worker was ended by SIGSEGV")
    await device.checker.check("start")
    assert await device.checker.check("idle") == FITNESS_VERDICT_UNAVAILABLE


async def test_without_a_runtime_the_check_is_unavailable_with_a_remedy(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3, runtimes=())
    assert await device.checker.check("start") == FITNESS_VERDICT_UNAVAILABLE
    assert "install ai-edge-litert" in device.told[0].check.reason
    assert device.pool.asked == []


async def test_the_noise_floor_rides_with_the_next_check(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await device.checker.check("start")
    assert await device.checker.measure_floor()
    await device.checker.check("idle")
    assert [report.HasField("noise_floor") for report in device.told] == [False, True]
    floor = device.checker.floor()
    assert floor is not None
    assert (floor.share, floor.processes) == (0.004, 6)


async def test_a_noise_floor_that_cannot_be_measured_is_none(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    device.pool.floor = "the worker was ended by SIGSEGV"
    assert not await device.checker.measure_floor()
    assert device.checker.floor() is None


async def test_a_noise_floor_ages_and_is_of_its_runtime_only(tmp_path: Path) -> None:
    time = FakeTime()
    device = Device(tmp_path, 1e-3, time=time)
    await device.checker.check("start")
    assert device.checker.floor_age_s() == float("inf")
    await device.checker.measure_floor()
    await time.goes_by(60)
    assert device.checker.floor_age_s() == 60
    # A clock that was set back must not keep a floor for ever.
    time.now_s = -3600.0
    assert device.checker.floor_age_s() == float("inf")
    device.pool.version = "2.4"
    await device.checker.check("start")
    assert device.checker.floor() is None


async def test_reports_wait_on_disk(tmp_path: Path) -> None:
    device = Device(tmp_path, 1e-3)
    await device.checker.check("start")
    assert list(History(device.path, "pi").known.reports) == [device.told[0].check.check_id]
