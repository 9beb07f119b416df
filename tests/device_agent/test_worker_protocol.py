from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.worker import protocol
from protos.gauntlet.v1 import worker_pb2


def step(name: str) -> worker_pb2.WorkerResponse:
    return worker_pb2.WorkerResponse(step=worker_pb2.WorkerStep(name=name))


@given(st.lists(st.text(max_size=50), max_size=5))
def test_what_is_sent_is_received(names: list[str]) -> None:
    read, write = os.pipe()
    try:
        for name in names:
            protocol.send(write, step(name))
        os.close(write)
        got = [protocol.receive(read, worker_pb2.WorkerResponse) for _ in names]
        assert [message.step.name for message in got if message] == names
        assert protocol.receive(read, worker_pb2.WorkerResponse) is None
    finally:
        os.close(read)


@given(st.binary(min_size=1, max_size=200))
def test_random_bytes_are_an_end_or_a_protocol_error(data: bytes) -> None:
    read, write = os.pipe()
    try:
        os.write(write, data)
        os.close(write)
        with contextlib.suppress(protocol.ProtocolError):
            protocol.receive(read, worker_pb2.WorkerResponse)
    finally:
        os.close(read)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(protocol.ProtocolError, match="at most"):
        protocol.body_length(b"\xff\xff\xff\xff")


def run_worker(parent_pid: int) -> subprocess.Popen[str]:
    """The real worker, with a request pipe that is at its end."""
    request_read, request_write = os.pipe()
    response_read, response_write = os.pipe()
    os.close(request_write)
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "device_agent.worker"),
            *(f"--request-fd={request_read}", f"--response-fd={response_write}", f"--parent-pid={parent_pid}"),
        ],
        pass_fds=(request_read, response_write),
        stderr=subprocess.PIPE,
        text=True,
    )
    for fd in (request_read, response_read, response_write):
        os.close(fd)
    return worker


def test_a_worker_ends_when_its_pipe_ends() -> None:
    with run_worker(os.getpid()) as worker:
        assert worker.wait(30) == 0


def test_a_worker_whose_agent_is_gone_ends_at_once() -> None:
    with run_worker(os.getpid() + 1) as worker:
        _, stderr = worker.communicate(timeout=30)
        assert worker.returncode == 1
        assert stderr == "the agent is gone\n"


def test_wrong_use_is_explained() -> None:
    done = subprocess.run([sys.executable, "-m", "device_agent.worker"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--request-fd" in done.stderr
