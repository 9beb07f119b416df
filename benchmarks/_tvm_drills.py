"""The five drills that Apache TVM's RPC can be put through, beside `tests/drills/faults.py`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks import _lab

#: So long a client waits for the device after the fault.
PATIENCE_S = 20.0
_START_S = 60.0
_KEY = "bench"
# Asks the tracker for a device, says so, and keeps it.
_CLIENT = """
import sys, time
from tvm import rpc
host, port = sys.argv[1].rsplit(":", 1)
tracker = rpc.connect_tracker(host, int(port))
print("asking", flush=True)
session = tracker.request(sys.argv[2], session_timeout=float(sys.argv[3]))
print("has it", flush=True)
time.sleep(600)
"""


class Fleet:
    """A tracker, a server, and clients as they come; each process leads a group of its own."""

    def __init__(self, folder: Path, python: str) -> None:
        folder.mkdir()
        self._log = (folder / "tvm.log").open("w")
        self._python = python
        self._started: list[subprocess.Popen[str]] = []
        self.tracker = _lab.tcp_address()
        self.start(["-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", *_port(self.tracker)])
        at = ["--host", "127.0.0.1", *_port(_lab.tcp_address()), "--tracker", self.tracker, "--key", _KEY]
        self.server = psutil.Process(self.start(["-m", "tvm.exec.rpc_server", *at]).pid)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """A process of TVM's Python."""
        process = subprocess.Popen(
            [self._python, *arguments], stdout=subprocess.PIPE, stderr=self._log, text=True, start_new_session=True
        )
        self._started.append(process)
        return process

    def client(self, key: str = _KEY, timeout_s: float = 0.0) -> subprocess.Popen[str]:
        """A client that asks for a device now."""
        client = self.start(["-c", _CLIENT, self.tracker, key, str(timeout_s)])
        _hear(client, "asking", _START_S)
        return client

    def holder(self, timeout_s: float = 0.0) -> subprocess.Popen[str]:
        """A client that has the device."""
        client = self.client(timeout_s=timeout_s)
        if not _hear(client, "has it", _START_S):
            raise RuntimeError("TVM's server gave no session to the first client")
        return client

    def session(self) -> psutil.Process:
        """The process that serves the session that was opened last."""
        return max(self.server.children(recursive=True), key=lambda process: process.create_time())

    def close(self) -> None:
        """End all of them."""
        for process in self._started:
            for below in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    below.kill()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._log.close()


def run(folder: Path, python: str) -> dict[str, str]:
    """What became of each drill, in words, by the name of ours."""
    folder.mkdir()
    told = {}
    for name, drill in _DRILLS.items():
        with _fleet(folder / name, python) as fleet:
            told[name] = drill(fleet)
    return told


def _worker_killed(fleet: Fleet) -> str:
    fleet.holder()
    fleet.session().kill()
    return _given_again(fleet)


def _worker_crashes(fleet: Fleet) -> str:
    fleet.holder()
    fleet.session().send_signal(signal.SIGSEGV)
    return _given_again(fleet)


def _worker_hangs(fleet: Fleet) -> str:
    fleet.holder(timeout_s=4.0)
    fleet.session().suspend()
    return _given_again(fleet)


def _client_killed(fleet: Fleet) -> str:
    fleet.holder().kill()
    return _given_again(fleet)


def _agent_stopped(fleet: Fleet) -> str:
    for process in [fleet.server, *fleet.server.children(recursive=True)]:
        process.suspend()
    return _given_again(fleet)


def _class_that_nobody_has(fleet: Fleet) -> str:
    asking = fleet.client("pixel6")
    return "answered" if _hear(asking, "has it", PATIENCE_S) else f"blocked at {PATIENCE_S:g} s"


_DRILLS = {
    "worker_killed": _worker_killed,
    "worker_crashes": _worker_crashes,
    "worker_hangs": _worker_hangs,
    "client_killed": _client_killed,
    "agent_stopped": _agent_stopped,
    "class_that_nobody_has": _class_that_nobody_has,
}


def _given_again(fleet: Fleet) -> str:
    begin = time.monotonic()
    client = fleet.client()
    if _hear(client, "has it", PATIENCE_S):
        return f"{time.monotonic() - begin:.1f} s"
    return f"blocked at {PATIENCE_S:g} s"


def _hear(client: subprocess.Popen[str], word: str, within_s: float) -> bool:
    assert client.stdout is not None
    return bool(select.select([client.stdout], [], [], within_s)[0]) and client.stdout.readline().strip() == word


@contextlib.contextmanager
def _fleet(folder: Path, python: str) -> Iterator[Fleet]:
    with contextlib.closing(Fleet(folder, python)) as fleet:
        time.sleep(2.0)  # TVM's server says nowhere when it has joined the tracker
        yield fleet


def _port(address: str) -> list[str]:
    port = int(address.rsplit(":", 1)[1])
    return ["--port", str(port), "--port-end", str(port + 1)]
