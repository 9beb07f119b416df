"""A device that was set up is put back, whoever dies in the middle."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from orchestrator.client import Refused
from protos.gauntlet.v1 import failure_pb2, job_pb2
from protos.gauntlet.v1.setup_pb2 import DeviceSetup
from tests.device_agent.tuning.board import board, values
from tests.drills.processes import Lab, busy_worker

pytestmark = pytest.mark.slow

SETUP = DeviceSetup(governor="performance", max_frequency_hz=1.5e9)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A made-up board, whose files a real agent writes."""
    return board(tmp_path / "board")


def is_set_up(root: Path) -> bool:
    return {value for name, value in values(root).items() if name.endswith("governor")} == {"performance"}


def submit_and_wait_for_timing(lab: Lab, root: Path, model: bytes, seconds: float = 3.0) -> str:
    [job_id] = lab.submit(model, seconds=seconds, setup=SETUP)
    lab.wait_for_step(job_id, "timing")
    assert is_set_up(root)
    return job_id


def start(lab: Lab, root: Path, *options: str):  # type: ignore[no-untyped-def]
    return lab.start_agent("a1", "--setup-root", str(root), *(options or ("--allow-setup",)))


def test_a_job_finds_the_device_as_it_asked_and_leaves_it_as_it_was(lab: Lab, root: Path, small_model: bytes) -> None:
    before = values(root)
    start(lab, root)
    [job_id] = lab.submit(small_model, seconds=0.3, setup=SETUP)
    job = lab.end_of(job_id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job.failure
    assert values(root) == before
    report = job.result.provenance.setup
    assert report.asked == SETUP
    assert [(change.control, change.found, change.read_back) for change in report.changes] == [
        ("governor", "schedutil", "performance"),
        ("governor", "schedutil", "performance"),
        ("clock_limits", "300000", "300000"),
        ("clock_limits", "1800000", "1500000"),
        ("clock_limits", "500000", "500000"),
        ("clock_limits", "2400000", "1500000"),
    ]


def test_an_agent_that_is_killed_restores_at_its_next_start(lab: Lab, root: Path, small_model: bytes) -> None:
    before = values(root)
    agent = start(lab, root)
    job_id = submit_and_wait_for_timing(lab, root, small_model)
    agent.send_signal(signal.SIGKILL)
    agent.wait(10)
    assert is_set_up(root), "nobody was there to put it back"
    # The new life is not even allowed to set anything up: it restores all the same.
    start(lab, root, "--label", "life=2")
    assert values(root) == before
    lab.client.cancel([job_id])


def test_the_job_of_a_killed_agent_runs_again_and_finds_the_old_values(
    lab: Lab, root: Path, small_model: bytes
) -> None:
    before = values(root)
    agent = start(lab, root)
    job_id = submit_and_wait_for_timing(lab, root, small_model, seconds=1.5)
    agent.send_signal(signal.SIGKILL)
    agent.wait(10)
    start(lab, root)
    job = lab.end_of(job_id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job.failure
    assert job.result.provenance.setup.changes[0].found == "schedutil"
    assert values(root) == before


def test_a_worker_that_is_killed_is_tidied_up_after(lab: Lab, root: Path, small_model: bytes) -> None:
    before = values(root)
    agent = start(lab, root)
    submit_and_wait_for_timing(lab, root, small_model)
    busy_worker(agent).kill()
    lab.wait_until(lambda: values(root) == before, "the old values")


def test_a_cancelled_job_is_tidied_up_after(lab: Lab, root: Path, small_model: bytes) -> None:
    before = values(root)
    start(lab, root)
    job_id = submit_and_wait_for_timing(lab, root, small_model)
    lab.client.cancel([job_id])
    lab.wait_until(lambda: values(root) == before, "the old values")


def test_an_agent_that_is_told_to_stop_restores_before_it_goes(lab: Lab, root: Path, small_model: bytes) -> None:
    before = values(root)
    agent = start(lab, root)
    submit_and_wait_for_timing(lab, root, small_model)
    agent.terminate()
    agent.wait(20)
    assert values(root) == before


def test_what_the_owner_does_not_permit_is_refused_at_once(lab: Lab, root: Path, small_model: bytes) -> None:
    start(lab, root, "--label", "x=y")
    with pytest.raises(Refused, match="cannot set governor: this agent was not started with --allow-setup"):
        lab.submit(small_model, setup=DeviceSetup(governor="performance"))


def test_what_the_board_does_not_have_is_refused_at_once(lab: Lab, root: Path, small_model: bytes) -> None:
    start(lab, root)
    with pytest.raises(Refused, match=r"has no governor turbo \(it has performance, powersave, schedutil\)"):
        lab.submit(small_model, setup=DeviceSetup(governor="turbo"))
    with pytest.raises(Refused, match="cannot set power mode: no nvpmodel on this machine"):
        lab.submit(small_model, setup=DeviceSetup(power_mode="MAXN"))


def test_a_core_that_is_not_there_fails_the_job_in_words(lab: Lab, root: Path, small_model: bytes) -> None:
    start(lab, root)
    [job_id] = lab.submit(small_model, setup=DeviceSetup(cores="4000"))
    job = lab.end_of(job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_DEVICE_UNFIT
    assert "core 4000 is not there" in job.failure.message


def test_a_chosen_core_is_the_one_that_is_held(lab: Lab, root: Path, small_model: bytes) -> None:
    start(lab, root)
    [job_id] = lab.submit(small_model, setup=DeviceSetup(cores="0"))
    provenance = lab.end_of(job_id).result.provenance
    assert list(provenance.cpus) == [0]
    assert provenance.setup.asked.cores == "0"
