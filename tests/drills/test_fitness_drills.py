"""A real agent whose device shifts, a real orchestrator, and what becomes of the results."""

from __future__ import annotations

import json
import signal

import pytest

from protos.gauntlet.v1 import device_pb2, fitness_pb2, job_pb2
from tests.drills.processes import Lab

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.slow


def test_results_of_a_device_that_shifted_are_marked_and_taken_again(
    lab: Lab, small_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_FITNESS", "1")
    agent = lab.start_agent("a1")
    lab.wait_until(lambda: len(lab.device("a1").checks) > 0, "the check of the start")
    assert lab.device("a1").checks[-1].verdict == fitness_pb2.FITNESS_VERDICT_BASELINE
    [job_id] = lab.submit(small_model)
    assert lab.end_of(job_id).state == job_pb2.JOB_STATE_SUCCEEDED
    # It dies at once, before it can look again; meanwhile the device becomes twice as fast, or so its history says.
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    path = lab.folder / "a1" / "fitness.json"
    history = json.loads(path.read_text())
    assert len(history["unchecked"]) == 1
    for baseline in history["baselines"].values():
        baseline["first_s"] *= 2
        baseline["recent_s"] = [2 * level_s for level_s in baseline["recent_s"]]
    path.write_text(json.dumps(history))
    lab.wait_until(lambda: lab.device("a1").state == device_pb2.DEVICE_STATE_LOST, "the device is lost")
    lab.start_agent("a1")
    lab.wait_until(lambda: bool(lab.client.job(job_id).suspicion.successor_job_id), "the mark")
    suspicion = lab.client.job(job_id).suspicion
    assert "reference model" in suspicion.reason
    successor = lab.end_of(suspicion.successor_job_id)
    assert successor.state == job_pb2.JOB_STATE_SUCCEEDED
    assert not successor.HasField("suspicion")
    lab.wait_until(lambda: json.loads(path.read_text())["reports"] == [], "every report is acknowledged")


def test_a_real_agent_may_be_told_not_to_check(lab: Lab, small_model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUNTLET_FITNESS", "1")
    lab.start_agent("a1", "--no-fitness")
    [job_id] = lab.submit(small_model)
    assert lab.end_of(job_id).state == job_pb2.JOB_STATE_SUCCEEDED
    assert not lab.device("a1").checks
    assert not (lab.folder / "a1" / "fitness.json").exists()
