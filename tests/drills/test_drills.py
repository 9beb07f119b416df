"""Things that go wrong in a lab, with real processes.

After each: every job has exactly one result or one typed failure, and the device is back without a person.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from fault_injection.tflite import read_model, write_model
from orchestrator.client import Refused
from orchestrator.client.specs import job_spec, measurement_spec
from protos.gauntlet.v1 import device_pb2, failure_pb2, job_pb2
from tests.drills.conftest import export
from tests.drills.processes import FINAL, Lab, busy_worker, descendants

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SUCCEEDED, FAILED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED


def device_works(lab: Lab, model: bytes) -> None:
    """The proof that a device is back: it measures."""
    [job_id] = lab.submit(model)
    assert lab.end_of(job_id).state == SUCCEEDED


# ---------------------------------------------------------------------------------------------------- the worker


def test_a_worker_killed_from_outside_costs_an_attempt_not_the_job(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    [job_id] = lab.submit(small_model, seconds=3)
    lab.wait_for_step(job_id, "timing")
    busy_worker(agent).kill()
    job = lab.end_of(job_id)
    assert job.state == SUCCEEDED
    assert [a.failure.signal for a in job.attempts] == [signal.SIGKILL, 0]
    assert job.attempts[0].failure.last_step == "timing"
    assert agent.poll() is None


def test_a_segfault_is_the_models_failure_with_its_signal(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    [job_id] = lab.submit(small_model, seconds=3)
    lab.wait_for_step(job_id, "timing")
    busy_worker(agent).send_signal(signal.SIGSEGV)
    job = lab.end_of(job_id)
    assert job.state == FAILED
    assert job.failure.kind == failure_pb2.FAILURE_KIND_CRASHED
    assert job.failure.signal == signal.SIGSEGV
    assert len(job.attempts) == 1
    assert agent.poll() is None
    device_works(lab, small_model)


def test_a_worker_that_hangs_is_killed_at_its_limit(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    [job_id] = lab.submit(small_model, seconds=1, timeout_s=4.0)
    lab.wait_for_step(job_id, "timing")
    hung = busy_worker(agent)
    hung.suspend()
    job = lab.end_of(job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
    device_works(lab, small_model)


def test_a_model_that_stalls_the_runtime_is_killed_at_its_limit(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    heavy = [nn.Conv2d(1, 96, 3, padding=1)] + [nn.Conv2d(96, 96, 5, padding=2) for _ in range(6)]
    stalling = export(nn.Sequential(*heavy, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 1, 1, 512, 512)
    [job_id] = lab.submit(stalling, timeout_s=1.0)
    job = lab.end_of(job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_TIMED_OUT
    device_works(lab, small_model)


def test_a_model_that_needs_more_memory_than_it_may_have(lab: Lab, small_model: bytes) -> None:
    lab.start_agent("a1", "--worker-memory-mb", "1500")

    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    [job_id] = lab.submit(_with_input_of(export(Twice(), 1, 1, 8, 8), 16_000))  # two tensors of 1 GB
    job = lab.end_of(job_id)
    assert job.failure.kind == failure_pb2.FAILURE_KIND_OUT_OF_MEMORY
    assert len(job.attempts) == 1
    device_works(lab, small_model)


# ---------------------------------------------------------------------------------------------------- the agent


def test_a_killed_agent_loses_no_job(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    ids = lab.submit(small_model, count=3, seconds=1)
    lab.wait_for_step(ids[0], "timing")
    workers = descendants(agent.pid)
    agent.kill()
    agent.wait()
    lab.wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in workers), "its workers ended")
    lab.wait_until(lambda: lab.device("a1").state == device_pb2.DEVICE_STATE_LOST, "the device is lost")
    lab.start_agent()
    jobs = [lab.end_of(job_id) for job_id in ids]
    assert [job.state for job in jobs] == [SUCCEEDED] * 3
    assert [len(job.attempts) for job in jobs] == [2, 1, 1]
    assert jobs[0].attempts[0].failure.kind == failure_pb2.FAILURE_KIND_DEVICE_LOST


def test_a_stopped_agent_is_noticed_and_its_late_result_counts_once(lab: Lab, small_model: bytes) -> None:
    agent = lab.start_agent()
    [job_id] = lab.submit(small_model, seconds=1)
    lab.wait_for_step(job_id, "timing")
    stopped = time.monotonic()
    agent.send_signal(signal.SIGSTOP)
    lab.wait_until(lambda: lab.device("a1").state == device_pb2.DEVICE_STATE_LOST, "the stopped agent is lost")
    assert time.monotonic() - stopped < 15
    assert lab.client.job(job_id).state == job_pb2.JOB_STATE_QUEUED
    agent.send_signal(signal.SIGCONT)  # its worker finished meanwhile
    job = lab.end_of(job_id)
    assert job.state == SUCCEEDED
    assert len(job.attempts) == 2
    lab.wait_until(lambda: lab.client.job(job_id).superseded_results == 1, "the late result is kept")
    device_works(lab, small_model)


def test_a_result_finished_while_the_orchestrator_was_away_is_delivered(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    [job_id] = lab.submit(small_model, seconds=1)
    lab.wait_for_step(job_id, "timing")
    lab.orchestrator.kill()
    lab.orchestrator.wait()
    spool = lab.folder / "a1" / "spool"
    lab.wait_until(lambda: any(spool.iterdir()), "the result is spooled")
    lab.start_orchestrator()
    job = lab.end_of(job_id)
    assert job.state == SUCCEEDED
    assert len(job.attempts) == 1
    assert lab.client.get_artifact(job.result.latency.raw_samples.digest)
    lab.wait_until(lambda: not any(spool.iterdir()), "the spool is empty")


# ---------------------------------------------------------------------------------------------------- the orchestrator


def test_an_orchestrator_killed_under_load_loses_and_doubles_nothing(lab: Lab, small_model: bytes) -> None:
    for name in ("a1", "a2"):
        lab.start_agent(name)
    ids = lab.submit(small_model, count=24, seconds=0.1)  # the ledger: what was acknowledged
    assert len(set(ids)) == 24
    for _ in range(3):
        time.sleep(1.0)  # let some be measured
        lab.orchestrator.kill()
        lab.orchestrator.wait()
        lab.start_orchestrator()
    jobs = [lab.end_of(job_id) for job_id in ids]
    assert [job.state for job in jobs] == [SUCCEEDED] * 24
    assert all(job.result.latency.median_s.estimate.value > 0 for job in jobs)
    assert sum(lab.client.status().jobs_by_state.values()) == 24


# ---------------------------------------------------------------------------------------------------- clients


def test_a_killed_client_holds_no_device(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    (lab.folder / "m.tflite").write_bytes(small_model)
    command = [sys.executable, "-m", "gauntlet", "bench", "m.tflite", "--lab", lab.address, "--seconds", "2"]
    client = subprocess.Popen(command, cwd=lab.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lab.wait_until(lambda: lab.device("a1").state == device_pb2.DEVICE_STATE_BUSY, "the job runs")
    client.kill()
    client.wait()
    device_works(lab, small_model)
    assert all(job.state in FINAL for job in lab.client.jobs())


def test_a_killed_gauntlet_leaves_no_orphan(tmp_path: Path, small_model: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(small_model)
    command = [
        sys.executable,
        "-m",
        "gauntlet",
        "bench",
        "m.tflite",
        "--lab-dir",
        str(tmp_path / "lab"),
        "--seconds",
        "30",
    ]
    face = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (below := descendants(face.pid)) or not any("device_agent.worker" in p.cmdline() for p in below):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    face.kill()
    face.wait()
    _, alive = psutil.wait_procs(below, timeout=15)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_a_class_that_nobody_has_is_refused_at_once(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    ref = lab.client.put_bytes(small_model, "model/tflite", "m.tflite")
    began = time.monotonic()
    with pytest.raises(Refused, match="a1 "):
        lab.client.submit([job_spec(measurement_spec(ref), device_class="pixel6")])
    assert time.monotonic() - began < 5
    assert lab.client.jobs() == []


# ---------------------------------------------------------------------------------------------------- the disk


def test_a_full_disk_on_the_agent_is_a_typed_failure_and_passes(lab: Lab, small_model: bytes) -> None:
    state = lab.folder / "small-disk"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", state]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("may not mount a small file system here")
    try:
        lab.start_agent("a1", state_dir=state)
        ballast = state / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        [job_id] = lab.submit(small_model)
        job = lab.end_of(job_id)
        assert job.state == FAILED
        assert job.failure.kind == failure_pb2.FAILURE_KIND_DISK_FULL
        assert len(job.attempts) == 3  # the device's fault: tried again, here for want of another device
        ballast.unlink()
        device_works(lab, small_model)
    finally:
        lab.close()
        subprocess.run(["umount", "-l", state], check=False)


def test_a_corrupt_file_in_the_cache_is_fetched_again(lab: Lab, small_model: bytes) -> None:
    lab.start_agent()
    device_works(lab, small_model)
    [cached] = (lab.folder / "a1" / "cache").iterdir()
    cached.write_bytes(b"rotten" + small_model[6:])
    device_works(lab, small_model)
    assert cached.read_bytes() == small_model


def _with_input_of(model: bytes, side: int) -> bytes:
    """The model with an input of side × side pixels, as its file says."""
    parsed = read_model(model)
    [graph] = parsed.subgraphs
    for index in graph.inputs:
        graph.tensors[index].shape = np.array([1, side, side, 1], np.int32)
    return write_model(parsed)
