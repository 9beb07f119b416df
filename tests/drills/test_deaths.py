"""The orchestrator dies at every step of a job's way, and at random times under load; nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator import failpoints
from protos.gauntlet.v1 import job_pb2
from tests.drills.processes import PATIENCE_S, Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

AGENTS = ("a1", "a2")
KILLS = 20


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab that lives through all deaths of this file."""
    with contextlib.closing(Lab(tmp_path_factory.mktemp("lab"))) as lab:
        for name in AGENTS:
            lab.start_agent(name, "--no-fitness")
        yield lab


@pytest.mark.parametrize("point", failpoints.POINTS)
def test_killed_at_a_step(long_lived: Lab, small_model: bytes, point: str) -> None:
    lab = long_lived
    lab.restart_orchestrator(f"{point}:2" if point.startswith("result") else point)
    with ThreadPoolExecutor(1) as client:  # it does not notice but for a pause
        submitting = client.submit(lab.submit, small_model, count=4, seconds=0.1)
        assert lab.orchestrator.wait(PATIENCE_S) == failpoints.EXIT_CODE
        lab.start_orchestrator()
        ids = submitting.result(PATIENCE_S)
    assert [lab.end_of(job_id).state for job_id in ids] == [job_pb2.JOB_STATE_SUCCEEDED] * 4
    lab.audit()


def test_killed_at_random_times_under_load(long_lived: Lab, small_model: bytes) -> None:
    lab = long_lived
    chance = random.Random(6)
    enough = threading.Event()
    taken = threading.Semaphore(0)

    def load() -> None:
        while not enough.wait(0.4):  # about as fast as two devices measure
            lab.submit(small_model, count=chance.randint(1, 3), seconds=0.05)
            taken.release()

    with ThreadPoolExecutor(1) as client:
        submitting = client.submit(load)
        try:
            for _ in range(KILLS):
                assert taken.acquire(timeout=PATIENCE_S)  # it has come up, and taken jobs
                time.sleep(chance.uniform(0.0, 0.5))
                lab.restart_orchestrator()
        finally:
            enough.set()
        submitting.result(PATIENCE_S)
    lab.audit()
    jobs = [lab.client.job(job_id) for job_id in lab.ledger.acknowledged.values()]
    assert {job.state for job in jobs} == {job_pb2.JOB_STATE_SUCCEEDED}
