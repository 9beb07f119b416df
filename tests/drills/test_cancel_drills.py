"""A cancel, or a deadline, ends the worker that measures, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from orchestrator.client.specs import job_spec, latency_spec, measurement_spec
from protos.gauntlet.v1 import failure_pb2, job_pb2
from tests.drills.processes import Lab, busy_worker
from tests.drills.test_drills import device_works

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

#: What is promised; what a busy machine adds to it.
PROMISED_S, NOISE_S = 1.0, 4.0


def long_jobs(lab: Lab, model: bytes, count: int = 1, **fields: object) -> list[str]:
    """Jobs that time for half a minute; their ids."""
    ref = lab.client.put_bytes(model, "model/tflite", "drill.tflite")
    latency = latency_spec(warmup_min_s=0.0, warmup_max_s=0.1, min_s=30.0, max_s=30.0, half_width=1e-6)
    measured = measurement_spec(ref, latency=latency, memory=False, energy=False)
    specs = [job_spec(measured, **fields) for _ in range(count)]  # type: ignore[arg-type]
    return [job.job_id for job in lab.client.submit(specs)]


@pytest.mark.parametrize(
    "cancel",
    [lambda lab, ids: lab.client.cancel(ids), lambda lab, ids: lab.client.cancel(campaign_id="c1")],
    ids=["jobs", "campaign"],
)
def test_a_cancel_ends_the_worker_within_a_second(
    lab: Lab, small_model: bytes, cancel: Callable[[Lab, list[str]], list[str]]
) -> None:
    agent = lab.start_agent()
    ids = long_jobs(lab, small_model, 50, campaign_id="c1")
    lab.wait_for_step(ids[0], "timing")
    worker = busy_worker(agent)
    began = time.monotonic()
    assert sorted(cancel(lab, ids)) == sorted(ids)
    lab.wait_until(lambda: not worker.is_running() or worker.status() == "zombie", "the worker ended")
    took_s = time.monotonic() - began
    print(f"the worker ended {took_s:.2f} s after the cancel")  # noqa: T201
    assert took_s < PROMISED_S + NOISE_S
    assert {lab.client.job(job_id).state for job_id in ids} == {job_pb2.JOB_STATE_CANCELLED}
    device_works(lab, small_model)


def test_a_deadline_ends_what_runs_and_what_waits_behind_it(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    running, waiting = long_jobs(lab, small_model, 2, deadline_s=4.0)
    lab.wait_for_step(running, "timing")
    worker = busy_worker(agent)
    assert lab.end_of(running).failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    assert lab.end_of(waiting).failure.kind == failure_pb2.FAILURE_KIND_QUEUE_DEADLINE
    lab.wait_until(lambda: not worker.is_running() or worker.status() == "zombie", "the worker ended")
    device_works(lab, small_model)


def test_a_deadline_holds_over_a_restart_of_the_orchestrator(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    [job_id] = long_jobs(lab, small_model, deadline_s=5.0)
    lab.wait_for_step(job_id, "timing")
    lab.orchestrator.kill()
    lab.orchestrator.wait()
    lab.start_orchestrator()
    job = lab.end_of(job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    assert len(job.attempts) == 1
    device_works(lab, small_model)


def test_a_killed_agent_has_tried_only_what_it_worked_on(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    for job_id in lab.submit(small_model, count=8, seconds=0.01):  # it shows that it is quick
        lab.end_of(job_id)
    slow = long_jobs(lab, small_model)
    quick = lab.submit(small_model, count=12, seconds=0.01)
    lab.wait_for_step(slow[0], "timing")
    held = lab.device("a1").prefetched
    agent.kill()
    agent.wait()
    lab.start_agent()
    jobs = [lab.end_of(job_id) for job_id in quick]
    assert [job.state for job in jobs] == [job_pb2.JOB_STATE_SUCCEEDED] * 12
    assert held > 0
    assert {len(job.attempts) for job in jobs} == {1}
    lab.client.cancel(slow)
    assert len(lab.end_of(slow[0]).attempts) == 2
