"""Phones through a real bridge and a real orchestrator: plugged in, measured on, pulled out in mid-run.

The phones and their `adb` are made up (`tests/device_agent/bridge/phones.py`); the runner on them is the reference one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protos.gauntlet.v1 import device_pb2, failure_pb2, job_pb2
from tests.device_agent.bridge.phones import FakePhones
from tests.drills.processes import Lab, quick_job

pytest.importorskip("ai_edge_litert")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ONLINE, LOST = device_pb2.DEVICE_STATE_ONLINE, device_pb2.DEVICE_STATE_LOST
SUCCEEDED = job_pb2.JOB_STATE_SUCCEEDED
RUNNER = Path(__file__).resolve().parents[2] / "examples/phone_runner/runner.py"
ONE, OTHER = "pixel8-4A2B", "spare"


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[FakePhones]:
    made = FakePhones(tmp_path / "phones")
    made.add("4A2B")
    made.add("77", usb="1-3")
    yield made
    made.close()


def start_bridge(lab: Lab, phones: FakePhones) -> subprocess.Popen[bytes]:
    options = ["--orchestrator", lab.address, "--state-dir", str(lab.folder / "bridge"), "--agent-id", "usbhost"]
    options += ["--adb", str(phones.command), "--runner", str(RUNNER), "--phone", f"77={OTHER}"]
    return lab._start("bridge", ["-m", "device_agent", "bridge", *options])


def wait_for(lab: Lab, device_id: str, state: int = ONLINE) -> None:
    lab.wait_until(lambda: lab.device(device_id).state == state, f"{device_id} in state {state}")


def submit(lab: Lab, model: bytes, device_id: str = "", seconds: float = 0.3) -> str:
    """A job for a phone, or for any; its id."""
    ref = lab.client.put_bytes(model, "model/tflite", "drill.tflite")
    spec = quick_job(ref, seconds=seconds)
    spec.device.device_class, spec.device.device_id = "pixel8", device_id
    [job_id] = lab.submit_specs([spec])
    return job_id


def test_phones_are_devices_that_measure_and_one_that_is_pulled_out_costs_the_other_nothing(
    lab: Lab, phones: FakePhones, small_model: bytes
) -> None:
    bridge = start_bridge(lab, phones)
    for device_id in (ONE, OTHER):
        wait_for(lab, device_id)
        job = lab.end_of(submit(lab, small_model, device_id))
        assert job.state == SUCCEEDED, job
        assert job.result.provenance.device_id == device_id
        assert job.result.provenance.device_class == "pixel8"

    long = submit(lab, small_model, ONE, seconds=120.0)
    meanwhile = submit(lab, small_model, OTHER, seconds=2.0)
    lab.wait_until(lambda: phones.running("4A2B") > 0 and lab.client.job(long).step == "timing", "it is timed")
    phones.unplug("4A2B")
    wait_for(lab, ONE, LOST)
    assert "unplugged" in lab.device(ONE).state_reason or "is gone" in lab.device(ONE).state_reason
    # At once, not when its 120 s are over; and back in the queue, for this very phone.
    lab.wait_until(lambda: len(lab.client.job(long).attempts) > 0, "its attempt has failed")
    assert lab.client.job(long).attempts[0].failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST
    lab.client.cancel([long], "seen enough")
    assert lab.end_of(meanwhile).state == SUCCEEDED
    command = [sys.executable, "-m", "gauntlet", "devices", "--lab", lab.address]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{ONE} lost: " in shown

    phones.plug("4A2B")
    wait_for(lab, ONE)
    assert lab.end_of(submit(lab, small_model, ONE)).state == SUCCEEDED
    assert [event.kind for event in lab.device(ONE).events if event.kind in ("attached", "lost")] == [
        "attached",
        "lost",
        "attached",
    ]
    bridge.terminate()
    assert bridge.wait(30) == 0
    wait_for(lab, ONE, device_pb2.DEVICE_STATE_ENROLLED)
    lab.audit()


def test_what_comes_and_goes_while_the_orchestrator_is_away_is_right_when_it_is_back(
    lab: Lab, phones: FakePhones, small_model: bytes
) -> None:
    start_bridge(lab, phones)
    wait_for(lab, ONE)
    wait_for(lab, OTHER)
    lab.orchestrator.kill()
    lab.orchestrator.wait()
    phones.unplug("4A2B")
    lab.start_orchestrator()
    wait_for(lab, OTHER)
    lab.wait_until(lambda: lab.device(ONE).state not in (ONLINE, device_pb2.DEVICE_STATE_BUSY), "it is not there")
    phones.plug("4A2B")
    wait_for(lab, ONE)
    assert lab.end_of(submit(lab, small_model, ONE)).state == SUCCEEDED


def test_a_bridge_that_is_killed_comes_back_with_the_same_phones_and_the_job_with_it(
    lab: Lab, phones: FakePhones, small_model: bytes
) -> None:
    bridge = start_bridge(lab, phones)
    wait_for(lab, ONE)
    job_id = submit(lab, small_model, ONE, seconds=3.0)
    lab.wait_until(lambda: lab.client.job(job_id).step == "timing", "it is timed")
    bridge.kill()
    bridge.wait()
    wait_for(lab, ONE, LOST)
    start_bridge(lab, phones)
    wait_for(lab, OTHER)
    job = lab.end_of(job_id)
    assert job.state == SUCCEEDED, job
    assert job.attempts[0].failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST
