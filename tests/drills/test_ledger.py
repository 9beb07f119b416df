"""The ledger finds what it is there to find: each rule, broken by hand in a real database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator import jobs
from orchestrator.store.base import NewJob
from orchestrator.store.sql import SqlStore
from protos.gauntlet.v1 import failure_pb2, job_pb2, measurement_pb2
from tests.drills.ledger import Ledger

LOST = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_DEVICE_LOST)
INVALID = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL)


def measured_at(second: int) -> measurement_pb2.MeasurementResult:
    result = measurement_pb2.MeasurementResult()
    result.provenance.device_id = "d1"
    result.provenance.started_at = f"2026-01-01T00:00:{second:02}.000+00:00"
    result.provenance.worker_s = 1.0
    return result


@pytest.fixture
async def kept(tmp_path: Path) -> Ledger:
    """A lab with jobs `good` (two attempts, and a late result of the first), `bad` (failed) and `other`."""
    times = iter(range(1_790_000_000, 1_790_000_100))
    store = await SqlStore.open(tmp_path / "lab.sqlite", clock=lambda: float(next(times)))
    ledger = Ledger()
    specs = [job_pb2.JobSpec(idempotency_key=f"key-{name}", max_attempts=2) for name in ("good", "bad", "other")]
    ledger.submitting(specs)
    new = [NewJob(spec.idempotency_key[4:], spec, "", ()) for spec in specs]
    for spec, answer in zip(specs, await store.submit(new), strict=True):
        ledger.submitted(spec, answer.job_id)
    await store.apply("good", jobs.Leased("l1", "d1"))
    await store.apply("good", jobs.Failed("l1", LOST))
    await store.apply("good", jobs.Leased("l2", "d1"))
    await store.apply("good", jobs.Succeeded("l1"), measured_at(9))
    await store.apply("good", jobs.Succeeded("l2"), measured_at(10))
    await store.apply("bad", jobs.Leased("l3", "d1"))
    await store.apply("bad", jobs.Failed("l3", INVALID))
    await store.apply("other", jobs.Leased("l4", "d1"))
    await store.apply("other", jobs.Succeeded("l4"), measured_at(20))
    for spec in specs:
        job = await store.job(spec.idempotency_key[4:])
        assert job is not None
        ledger.saw(job)
    await store.close()
    return ledger


def test_a_lab_in_order_is_in_order(kept: Ledger, tmp_path: Path) -> None:
    kept.check(tmp_path)


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("DELETE FROM outcomes WHERE job_id = 'good'", "succeeded with 0 outcomes"),
        ("UPDATE outcomes SET failure = x'080d' WHERE job_id = 'good'", "result: True, failure: True"),
        ("UPDATE outcomes SET failure = x'' WHERE job_id = 'bad'", "failed without a kind"),
        ("UPDATE jobs SET state = 'running' WHERE id = 'good'", "is running"),
        ("UPDATE outcomes SET result = x'' WHERE job_id = 'good'", "another result"),
        ("UPDATE jobs SET idempotency_key = 'mine' WHERE id = 'good'", "was asked for by nobody"),
        ("UPDATE jobs SET idempotency_key = 'mine' WHERE id = 'good'", "was acknowledged, but stored as []"),
        ("UPDATE attempts SET number = 3 WHERE lease_id = 'l2'", "attempts [1, 3], counted 2"),
        ("UPDATE jobs SET max_attempts = 1 WHERE id = 'good'", "2 attempts, 1 allowed"),
        ("UPDATE attempts SET ended_at = NULL WHERE lease_id = 'l1'", "attempt 1: ended None"),
        ("UPDATE attempts SET failure = NULL WHERE lease_id = 'l1'", "failure: False"),
        ("UPDATE attempts SET failure = x'0809' WHERE lease_id = 'l2'", "failure: True"),
        ("UPDATE attempts SET started_at = started_at - 10 WHERE lease_id = 'l2'", "l2 ends 4.000 s after l1 begins"),
        ("UPDATE superseded SET lease_id = 'l9'", "a late result of lease l9, which it never had"),
        ("UPDATE superseded SET lease_id = 'l2'", "lease l2 counts, and is kept as late"),
    ],
)
def test_each_rule_is_watched(kept: Ledger, tmp_path: Path, harm: str, found: str) -> None:
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection:
        assert connection.execute(harm).rowcount == 1
        connection.commit()
    with pytest.raises(AssertionError) as told:
        kept.check(tmp_path)
    assert found in str(told.value)


def test_two_measurements_of_one_device_at_one_time_are_found(kept: Ledger, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection:
        overlapping = measured_at(10).SerializeToString()
        connection.execute("UPDATE outcomes SET result = ? WHERE job_id = 'other'", (overlapping,))
        connection.commit()
    kept.ends.clear()
    with pytest.raises(AssertionError, match="device d1: good ends"):
        kept.check(tmp_path)


def test_an_end_that_changes_is_found(kept: Ledger, tmp_path: Path) -> None:
    job = job_pb2.Job(job_id="good", state=job_pb2.JOB_STATE_FAILED, failure=INVALID)
    kept.saw(job)
    with pytest.raises(AssertionError, match="job good ended as"):
        kept.check(tmp_path)
