"""Apache TVM's RPC as a peer: its own tracker and servers as its users start them, and our clients of it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from benchmarks import _lab, _tvm_peer

#: Names a Python (a virtual environment's) with apache-tvm, tornado, psutil and cloudpickle.
PYTHON = "GAUNTLET_TVM_PYTHON"
MODULE_BYTES = 300_000
_PEER = str(Path(_tvm_peer.__file__).resolve())
_KEY = "bench"
#: For an answer of a client; TVM itself would wait for ever.
_PATIENCE_S = 120.0


class MissingError(Exception):
    """There is no TVM; the message says what to do."""


def python() -> str:
    """The Python that has TVM.

    Raises:
        MissingError: none is named, or it lacks something.
    """
    named = os.environ.get(PYTHON)
    if not named:
        raise MissingError(f"no TVM to compare with: name a Python with apache-tvm 0.27 by {PYTHON}")
    needed = "import tvm, tornado, psutil, cloudpickle"
    try:
        tried = subprocess.run([named, "-c", needed], capture_output=True, text=True, timeout=120)
    except OSError as error:
        raise MissingError(f"{PYTHON}={named} cannot be run: {error.strerror}") from error
    if tried.returncode:
        why = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingError(f"{PYTHON}={named} lacks what the comparison needs: {why}")
    return named


def write_module(folder: Path) -> Path:
    """Compile the module that TVM's servers load: a vector addition, filled up to 300 kB."""
    path = folder / "module.so"
    subprocess.run([python(), _PEER, "module", str(path), str(MODULE_BYTES)], check=True, capture_output=True)
    return path


class Fleet:
    """A tracker, so many servers and as many clients; use as a context manager.

    Args:
        folder: for logs; made.
        module: from `write_module`.
        size: servers, and clients.
        nodelay: give all their TCP sockets TCP_NODELAY, from outside.
    """

    def __init__(self, folder: Path, module: Path, size: int, nodelay: bool) -> None:
        self._folder = folder
        self._module = module
        self._size = size
        self._python = python()
        self._processes: list[subprocess.Popen[str]] = []
        self._clients: list[subprocess.Popen[str]] = []
        folder.mkdir()
        self._environment = {**os.environ, "PYTHONPATH": str(folder)}
        if nodelay:
            (folder / "sitecustomize.py").write_text(_tvm_peer.NODELAY)
            self._environment[_tvm_peer.SWITCH] = "1"

    def __enter__(self) -> Fleet:
        try:
            tracker = _lab.tcp_address()
            self._start("tracker", ["-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", *_port(tracker)])
            for number in range(self._size):
                at = ["--host", "127.0.0.1", *_port(_lab.tcp_address()), "--tracker", tracker, "--key", _KEY]
                self._start(f"server{number}", ["-m", "tvm.exec.rpc_server", *at])
            self._clients = [
                self._start(f"client{number}", [_PEER, "client", tracker, _KEY, str(self._module)])
                for number in range(self._size)
            ]
            for client in self._clients:
                _answer(client)
            self.run(2)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, jobs: int) -> tuple[list[float], float]:
        """So many jobs of each client, one after another; all clients at once.

        Returns:
            Seconds of each job, and of all together.
        """
        begin = time.perf_counter()
        for client in self._clients:
            _stream(client.stdin).write(f"{jobs}\n")
            _stream(client.stdin).flush()
        seconds = [value for client in self._clients for value in json.loads(_answer(client))]
        return seconds, time.perf_counter() - begin

    def close(self) -> None:
        """End every process and its children: each leads a group of its own."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        self._processes.clear()

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
        with (self._folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [self._python, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name.startswith("client") else log,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def _port(address: str) -> list[str]:
    port = int(address.rsplit(":", 1)[1])
    return ["--port", str(port), "--port-end", str(port + 1)]


def _answer(client: subprocess.Popen[str]) -> str:
    answers = _stream(client.stdout)
    if not select.select([answers], [], [], _PATIENCE_S)[0]:
        raise RuntimeError(f"a client of TVM said nothing for {_PATIENCE_S:g} s")
    line = answers.readline()
    if not line:
        raise RuntimeError(f"a client of TVM ended with status {client.wait()}")
    return line


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
