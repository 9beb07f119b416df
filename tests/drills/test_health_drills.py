"""A device that crashes again and again is put out of service, and comes back without a person."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from protos.gauntlet.v1 import device_pb2, job_pb2
from tests.drills.processes import Lab

pytest.importorskip("ai_edge_litert")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

QUARANTINED, ONLINE = device_pb2.DEVICE_STATE_QUARANTINED, device_pb2.DEVICE_STATE_ONLINE


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, health=("--first-probe-s", "1"))
    try:
        yield lab
    finally:
        lab.close()


def crash_again_and_again(lab: Lab) -> None:
    agent = lab.start_agent("a1")
    for _ in range(5):
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        lab.wait_until(lambda: lab.device("a1").state == device_pb2.DEVICE_STATE_LOST, "the device is lost")
        agent = lab.start_agent("a1")


def events(lab: Lab) -> list[str]:
    """What happened to the device, oldest first."""
    return [event.kind for event in reversed(lab.device("a1").events)]


def test_a_crash_loop_ends_in_quarantine_and_a_probe_brings_the_device_back(
    lab: Lab, small_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_FITNESS", "1")
    crash_again_and_again(lab)
    assert lab.device("a1").state == QUARANTINED
    assert "its agent started anew 5 times" in lab.device("a1").state_reason
    [job_id] = lab.submit(small_model)
    lab.restart_orchestrator()  # a quarantine outlasts it
    assert lab.client.job(job_id).state == job_pb2.JOB_STATE_QUEUED
    assert "a1" in lab.client.job(job_id).waits_for
    # On a noisy machine the first looks may find a shift; one that finds the same twice settles it.
    lab.wait_until(lambda: "released" in events(lab), "a probe brings it back")
    released = next(event for event in lab.device("a1").events if event.kind == "released")
    assert released.detail.startswith("a probe found it well: ")
    assert lab.end_of(job_id).state == job_pb2.JOB_STATE_SUCCEEDED


def test_a_device_that_is_never_checked_comes_back_by_a_job_that_succeeds(lab: Lab, small_model: bytes) -> None:
    crash_again_and_again(lab)
    assert lab.device("a1").state == QUARANTINED
    lab.wait_until(lambda: "on probation" in events(lab), "no check can be made")
    assert lab.device("a1").state == QUARANTINED
    [job_id] = lab.submit(small_model)
    assert lab.end_of(job_id).state == job_pb2.JOB_STATE_SUCCEEDED
    lab.wait_until(lambda: lab.device("a1").state == ONLINE, "it is back")
    assert events(lab)[-3:] == ["quarantined", "on probation", "released"]
