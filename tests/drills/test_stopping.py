"""An orchestrator that is stopped in order, under load: nobody notices but by the wait."""

from __future__ import annotations

import time

import pytest

from protos.gauntlet.v1 import job_pb2
from tests.drills.processes import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_restarts_in_order_under_load_cost_no_job_an_attempt(lab: Lab, small_model: bytes) -> None:
    for name in ("a1", "a2"):
        lab.start_agent(name)
    ids = lab.submit(small_model, count=16, seconds=0.1)
    for _ in range(2):
        lab.client.wait_ready(20)  # before, a signal is no stop in order
        time.sleep(1.0)  # let some be measured
        lab.orchestrator.terminate()
        assert lab.orchestrator.wait(20) == 0
        lab.start_orchestrator()
    jobs = [lab.end_of(job_id) for job_id in ids]
    assert [job.state for job in jobs] == [job_pb2.JOB_STATE_SUCCEEDED] * 16
    assert [len(job.attempts) for job in jobs] == [1] * 16
    lab.audit()
