"""The agent's handle on one worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

import psutil

import device_agent
from device_agent.waiting import within
from device_agent.worker import protocol
from protos.gauntlet.v1 import failure_pb2, worker_pb2
from protos.gauntlet.v1.failure_pb2 import Failure

STDERR_TAIL_BYTES = 8 * 1024
WORKER_COMMAND = (sys.executable, "-m", "device_agent.worker")

_REAP_S = 5.0
# When a deadline is missed by this much, it was the agent that slept (SIGSTOP, suspend), not the worker.
_AGENT_SLEPT_S = 1.0
_GRACE_S = 2.0
_ALLOCATION_FAILED = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")


class SpawnError(Exception):
    """A worker did not come up.

    Attributes:
        failure: as a job may report it.
    """

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


@dataclass
class Budget:
    """Seconds of work that are left; waiting for the host's lock and for a device to cool down does not count.

    Attributes:
        work_s: left.
        total_s: at first, for messages.
        wait_s: longest wait at a stretch.
    """

    work_s: float
    total_s: float
    wait_s: float


class WorkerProcess:
    """One worker, from spawn to end. Made by `spawn` only."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._stderr = bytearray()
        self._stderr_task = asyncio.ensure_future(self._collect_stderr())
        self._responses = asyncio.StreamReader()
        self._transports: List[asyncio.BaseTransport] = []
        self._requests: Optional[asyncio.WriteTransport] = None
        self._base_rss = 0
        self.last_step = ""
        self.fresh = True

    @classmethod
    async def spawn(
        cls, command: Sequence[str], folder: Path, memory_limit_bytes: int, timeout_s: float
    ) -> WorkerProcess:
        """Start a worker and wait until it is ready.

        Args:
            command: without the options that tell it its pipes.
            folder: its private folder is made in here.
            memory_limit_bytes: of address space; 0: none.
            timeout_s: to become ready.

        Raises:
            SpawnError: it did not.
        """
        private = Path(tempfile.mkdtemp(prefix="worker-", dir=folder))
        request_read, request_write = os.pipe()
        response_read, response_write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                f"--request-fd={request_read}",
                f"--response-fd={response_write}",
                f"--parent-pid={os.getpid()}",
                f"--memory-limit={memory_limit_bytes}",
                cwd=private,
                env=_environment(),
                pass_fds=(request_read, response_write),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except BaseException as error:
            os.close(request_write)
            os.close(response_read)
            shutil.rmtree(private, ignore_errors=True)
            if isinstance(error, OSError):
                raise SpawnError(_unfit(f"cannot start a worker: {error}")) from error
            raise
        finally:
            os.close(request_read)
            os.close(response_write)
        worker = cls(process, private)
        try:
            await worker._connect(request_write, response_read)
            await worker._await_ready(timeout_s)
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def alive(self) -> bool:
        """Does the process still run, as far as is known?"""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of the process, which leads its group."""
        return self._process.pid

    def grown_bytes(self) -> int:
        """Resident memory beyond what it held when it was ready."""
        return max(0, self._rss() - self._base_rss)

    async def work(
        self, request: worker_pb2.WorkerRequest, budget: Budget, on_step: Callable[[str], None]
    ) -> worker_pb2.WorkerResponse:
        """Have one request done. A worker that fails is not to be used again.

        Returns:
            A response with a result or a failure; crash and timeout are failures like any other.
        """
        self.fresh = False
        self.last_step = ""
        self._stderr.clear()
        assert self._requests is not None
        self._requests.write(protocol.frame(request))
        try:
            response = await self._outcome(budget, on_step)
        except asyncio.TimeoutError:
            self._kill()
            return self._failed(
                failure_pb2.FAILURE_KIND_TIMED_OUT, f"still busy after {budget.total_s:g} s and was killed"
            )
        except asyncio.IncompleteReadError:
            return worker_pb2.WorkerResponse(failure=await self._crash())
        except protocol.ProtocolError as error:
            self._kill()
            return self._failed(failure_pb2.FAILURE_KIND_INTERNAL, f"the worker broke the protocol: {error}")
        if response.HasField("failure"):
            response.failure.last_step = self.last_step
            if response.failure.kind == failure_pb2.FAILURE_KIND_INTERNAL:
                response.failure.stderr_tail = self.stderr_tail()
        return response

    async def end(self) -> None:
        """Kill the whole group, reap it, and remove its folder."""
        self._kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._process.wait(), _REAP_S)
        self._stderr_task.cancel()
        for transport in self._transports:
            transport.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stderr_tail(self) -> str:
        """The last that it wrote to its standard error."""
        return self._stderr.decode("utf-8", errors="replace")

    async def _connect(self, request_write: int, response_read: int) -> None:
        loop = asyncio.get_running_loop()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._responses), os.fdopen(response_read, "rb", buffering=0)
        )
        self._transports.append(reading)
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(request_write, "wb", buffering=0))
        self._transports.append(writing)
        self._requests = writing

    async def _await_ready(self, timeout_s: float) -> None:
        try:
            response = await within(self._receive(), timeout_s)
        except asyncio.TimeoutError as error:
            failure = _unfit(f"a worker was not ready within {timeout_s:g} s")
            failure.stderr_tail = self.stderr_tail()
            raise SpawnError(failure) from error
        except asyncio.IncompleteReadError as error:
            crash = await self._crash()
            crash.kind = failure_pb2.FAILURE_KIND_DEVICE_UNFIT
            crash.message = f"a worker ended before it was ready: {crash.message}"
            crash.remedy = "run gauntlet-agent doctor on the device"
            raise SpawnError(crash) from error
        except protocol.ProtocolError as error:
            raise SpawnError(_unfit(f"a worker broke the protocol before it was ready: {error}")) from error
        if not response.HasField("ready"):
            raise SpawnError(_unfit("a worker spoke before it was ready"))
        self._base_rss = self._rss()

    async def _outcome(self, budget: Budget, on_step: Callable[[str], None]) -> worker_pb2.WorkerResponse:
        waiting = False
        while True:
            begin = time.monotonic()
            limit_s = budget.wait_s if waiting else budget.work_s
            receiving = asyncio.ensure_future(self._receive())
            try:
                done, _ = await asyncio.wait({receiving}, timeout=max(0.0, limit_s))
                if not done and time.monotonic() - begin > limit_s + _AGENT_SLEPT_S:
                    done, _ = await asyncio.wait({receiving}, timeout=_GRACE_S)
                if not done:
                    raise asyncio.TimeoutError
                response = receiving.result()
            finally:
                receiving.cancel()
            if not waiting:
                budget.work_s -= time.monotonic() - begin
            if response.HasField("step"):
                waiting = response.step.waiting
                self.last_step = response.step.name
                on_step(response.step.name)
            elif response.HasField("result") or response.HasField("failure"):
                return response
            else:
                raise protocol.ProtocolError("neither step, result nor failure came")

    async def _receive(self) -> worker_pb2.WorkerResponse:
        header = await self._responses.readexactly(protocol.HEADER_BYTES)
        body = await self._responses.readexactly(protocol.body_length(header))
        return protocol.parse(worker_pb2.WorkerResponse, body)

    async def _crash(self) -> Failure:
        """What a worker died of that closed its pipe without an answer."""
        try:
            code = await within(self._process.wait(), _REAP_S)
        except asyncio.TimeoutError:
            self._kill()
            return self._failed(failure_pb2.FAILURE_KIND_CRASHED, "the worker closed its pipe and went on").failure
        # Its last words may still be in the pipe.
        await asyncio.wait({self._stderr_task}, timeout=1.0)
        if code >= 0:
            return self._failed(failure_pb2.FAILURE_KIND_CRASHED, f"the worker ended with status {code}").failure
        number = -code
        tail = self.stderr_tail()
        if number == signal.SIGABRT and any(words in tail for words in _ALLOCATION_FAILED):
            failure = self._failed(failure_pb2.FAILURE_KIND_OUT_OF_MEMORY, "native code ran out of memory").failure
        else:
            failure = self._failed(
                failure_pb2.FAILURE_KIND_CRASHED, f"the worker was ended by {_signal_name(number)}"
            ).failure
        if number == signal.SIGKILL:
            failure.remedy = "if nobody killed it, the system was short of memory: see the kernel's log"
        failure.signal = number
        return failure

    def _failed(self, kind: failure_pb2.FailureKind, message: str) -> worker_pb2.WorkerResponse:
        failure = Failure(kind=kind, message=message, last_step=self.last_step, stderr_tail=self.stderr_tail())
        return worker_pb2.WorkerResponse(failure=failure)

    async def _collect_stderr(self) -> None:
        assert self._process.stdout is not None
        while True:
            part = await self._process.stdout.read(STDERR_TAIL_BYTES)
            if not part:
                return
            self._stderr += part
            del self._stderr[:-STDERR_TAIL_BYTES]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _rss(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0


def _environment() -> Dict[str, str]:
    """The agent's, but a worker finds the agent's own packages and nothing in the folder where it runs."""
    environment = dict(os.environ)
    home = str(Path(device_agent.__file__).resolve().parent.parent)
    inherited = [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(p) and p != home]
    environment["PYTHONPATH"] = os.pathsep.join([home, *inherited])
    # Python 3.11 and later; before, its own empty folder stands first.
    environment["PYTHONSAFEPATH"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    # NumPy starts a thread for each core at import, which no measurement needs.
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    return environment


def _unfit(message: str) -> Failure:
    return Failure(
        kind=failure_pb2.FAILURE_KIND_DEVICE_UNFIT, message=message, remedy="run gauntlet-agent doctor on the device"
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
