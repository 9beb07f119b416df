"""Workers, spawned ahead of need: a crash, a hang or an out-of-memory costs a job, never the agent.

idle:  [used or fresh] [fresh]        the second one is for peak memory, which wants a process without a past
│ MEASURE       │ MEMORY  PROFILE       further processes of a latency or a comparison want such ones, too
▼               ▼         ▼
clean: back     clean: back  killed     failure, cancel, growth: killed with its whole group
and after the job the places are filled again, outside of anybody's timed window
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

import psutil

from device_agent.comparing import compare
from device_agent.host import Neighbours
from device_agent.hostlock import DEFAULT_WAIT_S, HostLock
from device_agent.measure.profile import no_profile
from device_agent.replicates import add_provenance, latency_alone, repeat_latency
from device_agent.tuning.tuner import Tuner
from device_agent.workerprocess import WORKER_COMMAND, Budget, SpawnError, WorkerProcess
from protos import artifacts
from protos.gauntlet.v1 import failure_pb2, measurement_pb2, worker_pb2
from protos.gauntlet.v1.failure_pb2 import Failure

_LOG = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 600.0
_WAIT_GRACE_S = 30.0
_LOCK_POLL_S = 0.05
_SPAWN_PAUSE_S = 0.2
#: With fewer cores than this a starting process disturbs a measurement.
_CORES_TO_SPARE = 3
_MEASURED_PARTS = ("output_check", "latency", "accuracy", "energy", "fault_plan", "multi_stream", "offline")
_FRESH_TASKS = (
    worker_pb2.WORKER_TASK_MEMORY,
    worker_pb2.WORKER_TASK_PROFILE,
    worker_pb2.WORKER_TASK_COMPARE,
    worker_pb2.WORKER_TASK_LATENCY,
)
#: What a profiler may die of without taking the other figures along.
_PROFILER_FAILURES = (
    failure_pb2.FAILURE_KIND_CRASHED,
    failure_pb2.FAILURE_KIND_TIMED_OUT,
    failure_pb2.FAILURE_KIND_OUT_OF_MEMORY,
    failure_pb2.FAILURE_KIND_INTERNAL,
)


def default_memory_limit() -> int:
    """Address space for a worker: most of the memory of the machine or container, and room for what is never used."""
    total = psutil.virtual_memory().total
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(name).read_text()))
    # An idle worker reserves 140 MB and touches a third of it.
    return int(0.8 * total) + 256 * 1024**2


@dataclass(frozen=True)
class PoolSettings:
    """How workers are run.

    Attributes:
        folder: theirs; each worker and each job gets a folder in it.
        command: starts a worker.
        memory_limit_bytes: of address space; 0: none.
        spawn_timeout_s: for a worker to become ready.
        spawn_attempts: in a row before a job is given up.
        growth_limit_bytes: a worker that holds this much more than at its start is replaced.
        spare: keep a second, fresh worker for peak memory.
        tuner: undoes what a worker that died had set up.
    """

    folder: Path
    command: Sequence[str] = WORKER_COMMAND
    memory_limit_bytes: int = field(default_factory=default_memory_limit)
    spawn_timeout_s: float = 30.0
    spawn_attempts: int = 3
    growth_limit_bytes: int = 256 * 1024**2
    spare: bool = True
    tuner: Optional[Tuner] = None


@dataclass
class Outcome:
    """How a job ended: exactly one of result and failure.

    Attributes:
        result: figures and provenance; device, agent and fetch time are the session's to fill in.
        failure: why there is none.
        folder: holds the files; `discard` removes it.
        files: by digest, those that the result names.
    """

    result: Optional[measurement_pb2.MeasurementResult] = None
    failure: Optional[Failure] = None
    folder: Optional[Path] = None
    files: Dict[str, Path] = field(default_factory=dict)

    def discard(self) -> None:
        """Remove the files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class WorkerPool:
    """The workers of one device. One job at a time; more wait their turn.

    Belongs to one event loop, whose thread must live as long as the workers (they die with it).
    """

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._idle: List[WorkerProcess] = []
        self._turn = asyncio.Lock()
        self._spawning = asyncio.Lock()
        self._refilling: Optional[asyncio.Task[None]] = None
        self._neighbours = Neighbours()
        self._closed = False

    async def start(self) -> None:
        """Make the folder and start workers in the background; never fails for a worker that does not come up."""
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        self._refill_later()

    async def close(self) -> None:
        """Kill every worker."""
        self._closed = True
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.gather(self._refilling, return_exceptions=True)
        idle, self._idle = self._idle, []
        for worker in idle:
            await worker.end()

    async def measure(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = lambda name: None,
        *,
        fresh: bool = False,
    ) -> Outcome:
        """Carry out a specification.

        Cancelling the task kills the worker at once.

        Args:
            spec: what to measure.
            paths: where each artifact lies, by digest.
            on_step: told what the worker begins to do.
            fresh: in a process that has measured nothing before.

        Returns:
            A result with its files, or a failure; nothing that a model does raises here.
        """
        async with self._turn:
            folder: Optional[Path] = None
            finished = False
            try:
                folder = Path(tempfile.mkdtemp(prefix="job-", dir=self._settings.folder))
                outcome = await self._carry_out(spec, paths, folder, on_step, fresh)
                finished = outcome.result is not None
                return outcome
            except SpawnError as error:
                return Outcome(failure=error.failure)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                kind = failure_pb2.FAILURE_KIND_DISK_FULL if full else failure_pb2.FAILURE_KIND_INTERNAL
                return Outcome(failure=Failure(kind=kind, message=str(error)))
            finally:
                if folder is not None and not finished:
                    shutil.rmtree(folder, ignore_errors=True)
                self._refill_later()

    async def _carry_out(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        folder: Path,
        on_step: Callable[[str], None],
        fresh: bool,
    ) -> Outcome:
        total_s = spec.timeout_s if spec.timeout_s > 0 else DEFAULT_TIMEOUT_S
        wait_s = max(DEFAULT_WAIT_S, spec.throttle.cool_max_s) + _WAIT_GRACE_S
        budget = Budget(work_s=total_s, total_s=total_s, wait_s=wait_s)
        if spec.HasField("comparison"):
            response = await self._compare(spec, paths, folder, budget, on_step)
            return Outcome(failure=response.failure) if response.HasField("failure") else self._done(response, folder)
        tasks = []
        apart = {
            worker_pb2.WORKER_TASK_MEMORY: spec.HasField("memory"),
            worker_pb2.WORKER_TASK_PROFILE: spec.HasField("profile"),
        }
        if any(spec.HasField(part) for part in _MEASURED_PARTS) or not any(apart.values()):
            tasks.append(worker_pb2.WORKER_TASK_MEASURE)
        tasks += [task for task, asked in apart.items() if asked]
        result: Optional[measurement_pb2.MeasurementResult] = None
        for task in tasks:
            if task == worker_pb2.WORKER_TASK_MEASURE and spec.latency.processes > 1:
                response = await self._repeat_latency(spec, paths, folder, budget, on_step)
            else:
                response = await self._request(_request_for(task, spec, paths, folder), budget, on_step, fresh)
            if response.HasField("failure"):
                if result is None or not _only_profiler(task, response.failure):
                    return Outcome(failure=response.failure)
                result.profile.CopyFrom(no_profile(f"the profiler failed: {response.failure.message}"))
            elif result is None:
                result = response.result
            else:
                _merge(result, response.result)
        assert result is not None
        return self._done(worker_pb2.WorkerResponse(result=result), folder)

    async def _compare(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        folder: Path,
        budget: Budget,
        on_step: Callable[[str], None],
    ) -> worker_pb2.WorkerResponse:
        async def one(process: int, of: int) -> worker_pb2.WorkerResponse:
            request = _request_for(worker_pb2.WORKER_TASK_COMPARE, spec, paths, folder, process)
            return await self._request(request, budget, lambda name: on_step(f"process {process + 1} of {of}: {name}"))

        return await compare(spec, one)

    async def _repeat_latency(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        folder: Path,
        budget: Budget,
        on_step: Callable[[str], None],
    ) -> worker_pb2.WorkerResponse:
        alone = latency_alone(spec)

        async def one(process: int, of: int) -> worker_pb2.WorkerResponse:
            if process == 0:
                request = _request_for(worker_pb2.WORKER_TASK_MEASURE, spec, paths, folder)
            else:
                request = _request_for(worker_pb2.WORKER_TASK_LATENCY, alone, paths, folder, process)
            return await self._request(
                request, budget, lambda name: on_step(f"process {process + 1} of {of}: {name}"), fresh=True
            )

        return await repeat_latency(spec, one)

    def _done(self, response: worker_pb2.WorkerResponse, folder: Path) -> Outcome:
        result = response.result
        result.provenance.host_shared = self._neighbours.any()
        files = {ref.digest: folder / ref.digest for ref in artifacts.made(result)}
        return Outcome(result=result, folder=folder, files=files)

    async def _request(
        self,
        request: worker_pb2.WorkerRequest,
        budget: Budget,
        on_step: Callable[[str], None],
        fresh: bool = False,
    ) -> worker_pb2.WorkerResponse:
        fresh = fresh or request.task in _FRESH_TASKS
        worker = await self._take(fresh)
        response = await self._use(worker, request, budget, on_step)
        died_idle = response.failure.kind == failure_pb2.FAILURE_KIND_CRASHED and not worker.last_step
        if died_idle:
            # It never began, so the model cannot have been the cause; a second time it is.
            response = await self._use(await self._take(fresh), request, budget, on_step)
        return response

    async def _use(
        self,
        worker: WorkerProcess,
        request: worker_pb2.WorkerRequest,
        budget: Budget,
        on_step: Callable[[str], None],
    ) -> worker_pb2.WorkerResponse:
        reusable = False
        # A worker that takes windows again must know what its predecessors have left of the job's time.
        request.spec.timeout_s = budget.work_s
        try:
            response = await worker.work(request, budget, on_step)
            reusable = (
                response.HasField("result")
                and request.task != worker_pb2.WORKER_TASK_PROFILE
                and worker.alive
                and worker.grown_bytes() <= self._settings.growth_limit_bytes
                and all(other.fresh for other in self._idle)
            )
            return response
        finally:
            if reusable and not self._closed:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.end())
                if request.spec.HasField("setup"):
                    await asyncio.shield(self._undo_setup())

    async def _undo_setup(self) -> None:
        if self._settings.tuner is not None:
            for problem in await asyncio.to_thread(self._settings.tuner.restore):
                _LOG.error("a set-up of this device is not undone: %s", problem)

    async def _take(self, fresh: bool) -> WorkerProcess:
        """An idle worker, or a new one.

        Raises:
            SpawnError: none came up, after several attempts.
        """
        ready = self._idle_one(fresh)
        if ready is not None:
            return ready  # without waiting for a spare one that is starting up
        async with self._spawning:
            await self._bury_the_dead()
            ready = self._idle_one(fresh)
            if ready is not None:
                return ready
            for attempt in range(1, self._settings.spawn_attempts + 1):
                try:
                    return await self._spawn()
                except SpawnError as error:
                    _LOG.warning("worker did not start (attempt %d): %s", attempt, error)
                    if attempt == self._settings.spawn_attempts:
                        raise
                await asyncio.sleep(_SPAWN_PAUSE_S * attempt)
            raise AssertionError("unreachable: the last attempt returns or raises")

    def _idle_one(self, fresh: bool) -> Optional[WorkerProcess]:
        """Used ones first: the fresh one is for peak memory."""
        for worker in sorted(self._idle, key=lambda w: w.fresh):
            if worker.alive and (worker.fresh or not fresh):
                self._idle.remove(worker)
                return worker
        return None

    async def _spawn(self) -> WorkerProcess:
        settings = self._settings
        async with _outside_timed_windows():
            return await WorkerProcess.spawn(
                settings.command, settings.folder, settings.memory_limit_bytes, settings.spawn_timeout_s
            )

    def _refill_later(self) -> None:
        if not self._closed and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.ensure_future(self._refill())

    async def _refill(self) -> None:
        try:
            async with self._spawning:
                await self._bury_the_dead()
                self._neighbours.any()
                while not self._closed and self._wanting():
                    self._idle.append(await self._spawn())
        except (SpawnError, OSError) as error:
            # The next job tries again and reports it.
            _LOG.warning("worker did not start: %s", error)

    def _wanting(self) -> bool:
        spare = self._settings.spare
        if spare and not any(worker.fresh for worker in self._idle):
            return True
        # A job that runs gives its worker back.
        return not self._turn.locked() and len(self._idle) < (2 if spare else 1)

    async def _bury_the_dead(self) -> None:
        for worker in [w for w in self._idle if not w.alive]:
            self._idle.remove(worker)
            await worker.end()


class _outside_timed_windows:  # noqa: N801  # used like a function
    """On a machine with few cores: shares the host's lock with other spawners, and keeps timed windows out."""

    def __init__(self) -> None:
        self._lock = HostLock()

    async def __aenter__(self) -> None:
        if (os.cpu_count() or 1) >= _CORES_TO_SPARE:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + DEFAULT_WAIT_S
        try:
            while not self._lock.try_acquire(shared=True) and loop.time() < end:  # noqa: ASYNC110  # another process
                await asyncio.sleep(_LOCK_POLL_S)  # another process holds it
        except OSError:
            # A lock that cannot be opened is reported by the job that needs it.
            return

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


def _request_for(
    task: worker_pb2.WorkerTask,
    spec: measurement_pb2.MeasurementSpec,
    paths: Mapping[str, Path],
    folder: Path,
    process: int = 0,
) -> worker_pb2.WorkerRequest:
    return worker_pb2.WorkerRequest(
        task=task,
        spec=spec,
        paths={digest: str(path.resolve()) for digest, path in paths.items()},
        output_dir=str(folder.resolve()),
        process=process,
    )


def _only_profiler(task: int, failure: Failure) -> bool:
    """Did the profiler fail, and not the model?"""
    return task == worker_pb2.WORKER_TASK_PROFILE and failure.kind in _PROFILER_FAILURES


def _merge(result: measurement_pb2.MeasurementResult, other: measurement_pb2.MeasurementResult) -> None:
    if other.HasField("memory"):
        result.memory.CopyFrom(other.memory)
    if other.HasField("profile"):
        result.profile.CopyFrom(other.profile)
    add_provenance(result.provenance, other.provenance)
