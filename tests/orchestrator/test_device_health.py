"""When a device is put out of service: the rules, by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.health import Answer, Cause, Finding, Health, Limits, answer, probe_wait_s
from protos.gauntlet.v1 import fitness_pb2

GOOD, SHIFTED, BASELINE, UNAVAILABLE = (
    fitness_pb2.FITNESS_VERDICT_GOOD,
    fitness_pb2.FITNESS_VERDICT_SHIFTED,
    fitness_pb2.FITNESS_VERDICT_BASELINE,
    fitness_pb2.FITNESS_VERDICT_UNAVAILABLE,
)


def a_check(verdict: int, device_id: str = "d1") -> fitness_pb2.FitnessCheck:
    return fitness_pb2.FitnessCheck(device_id=device_id, verdict=verdict, reason="why")  # type: ignore[arg-type]


def cause(finding: Finding | None) -> Cause | None:
    return None if finding is None else finding.cause


@given(st.lists(st.floats(0.0, 400.0), max_size=30))
def test_a_crash_loop_is_five_restarts_within_ten_minutes(gaps: list[float]) -> None:
    health, now = Health(Limits()), 0.0
    counted: list[float] = []
    for gap in gaps:
        now += gap
        counted.append(now)
        looped = len([at for at in counted if at > now - 600]) >= 5
        assert cause(health.restarted("d1", now)) is (Cause.CRASH_LOOP if looped else None)
        if looped:
            counted.clear()  # found once, it is counted anew


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 300.0)), max_size=40))
def test_failures_count_in_a_row_and_within_ten_minutes(outcomes: list[tuple[bool, float]]) -> None:
    health, now = Health(Limits()), 0.0
    row = 0
    failures: list[float] = []
    for number, (succeeded, gap) in enumerate(outcomes):
        now += gap
        if succeeded:
            health.succeeded("d1")
            row = 0
            continue
        row += 1
        failures.append(now)
        bad = row >= 3 or len([at for at in failures if at > now - 600]) >= 5
        assert cause(health.failed("d1", f"job {number}", "disk full", now)) is (Cause.FAILURES if bad else None)
        if bad:
            row, failures = 0, []


def test_one_job_counts_once_however_often_it_comes_back() -> None:
    health = Health(Limits())
    assert [health.failed("d1", "j1", "disk full", float(at)) for at in range(10)] == [None] * 10


@given(st.permutations([(device, job) for device in ("d1", "d2", "d3") for job in range(3)]))
def test_a_model_that_fails_everywhere_quarantines_no_fleet(order: list[tuple[str, int]]) -> None:
    health = Health(Limits())
    found = [device for device, job in order if health.failed(device, f"j{job}", "crashed", 0.0)]
    # A device may be found before a second one has shown that the job is to blame; never all of them.
    assert len(found) <= 1


@given(st.lists(st.permutations(["d1", "d2", "d3"]), max_size=20))
def test_jobs_that_fail_on_the_next_device_as_well_quarantine_nobody(jobs: list[list[str]]) -> None:
    health = Health(Limits())
    tries = [(device, number) for number, devices in enumerate(jobs) for device in devices]
    assert [health.failed(device, f"j{number}", "crashed", 0.0) for device, number in tries] == [None] * len(tries)


def test_the_reason_names_what_happened() -> None:
    health = Health(Limits())
    health.failed("d1", "j1", "disk full", 0.0)
    health.failed("d1", "j2", "device lost", 1.0)
    finding = health.failed("d1", "j3", "disk full", 2.0)
    assert finding == Finding(Cause.FAILURES, "3 jobs in a row failed by its fault: disk full, device lost")


@given(st.lists(st.sampled_from([GOOD, SHIFTED, BASELINE, UNAVAILABLE]), max_size=20))
def test_drift_is_two_shifted_checks_in_a_row_that_nothing_settles(verdicts: list[int]) -> None:
    health, shifts = Health(Limits()), 0
    for verdict in verdicts:
        if verdict != UNAVAILABLE:
            shifts = shifts + 1 if verdict == SHIFTED else 0
        found = cause(health.checked(a_check(verdict)))
        assert found is (Cause.DRIFT if shifts == 2 and verdict == SHIFTED else None)
        if found:
            shifts = 0


def test_what_came_before_a_device_came_back_no_longer_counts() -> None:
    health = Health(Limits())
    for job in ("j1", "j2"):
        health.failed("d1", job, "disk full", 0.0)
    health.checked(a_check(SHIFTED))
    health.forget("d1")
    assert health.failed("d1", "j3", "disk full", 1.0) is None
    assert health.checked(a_check(SHIFTED)) is None


def test_devices_are_judged_apart() -> None:
    health = Health(Limits())
    assert health.checked(a_check(SHIFTED, "d1")) is None
    assert health.checked(a_check(SHIFTED, "d2")) is None
    assert cause(health.checked(a_check(SHIFTED, "d1"))) is Cause.DRIFT


@pytest.mark.parametrize(
    ("verdict", "of", "meaning"),
    [
        (GOOD, Cause.DRIFT, Answer.BACK),
        (BASELINE, Cause.DRIFT, Answer.BACK),
        (SHIFTED, Cause.CRASH_LOOP, Answer.STAY),
        (UNAVAILABLE, Cause.CRASH_LOOP, Answer.PROBATION),
        (UNAVAILABLE, Cause.FAILURES, Answer.PROBATION),
        (UNAVAILABLE, Cause.DRIFT, Answer.STAY),
    ],
)
def test_what_a_probe_means(verdict: int, of: Cause, meaning: Answer) -> None:
    assert answer(a_check(verdict), of.value) is meaning


def test_probes_become_rare() -> None:
    waits = [probe_wait_s(asked, 30.0) for asked in range(9)]
    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]
    assert probe_wait_s(10**6, 30.0) == 1800
