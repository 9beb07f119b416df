"""Carries out the leases of one device, one after another, and reports each as finished, whatever happens."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from pathlib import Path
from typing import AsyncIterator, Callable, Dict, List, Mapping, NamedTuple, Optional, Protocol

import grpc

from device_agent.cache import ArtifactCache, Download
from device_agent.errors import MeasurementError
from device_agent.fitness.care import Care
from device_agent.fitness.history import Floor
from device_agent.workers import Outcome
from protos import artifacts, contract, logs
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, measurement_pb2

log = logging.getLogger(__name__)

#: How long a fetch is tried again while the orchestrator does not answer.
_FETCH_PATIENCE_S = 60.0
_FETCH_PAUSE_S = 0.5
_PROGRESS_EVERY_S = 0.1


class Events(Protocol):
    """Who is told."""

    def started(self, lease_id: str) -> None:
        """It is being worked on."""

    def progress(self, lease_id: str, step: str) -> None:
        """It reached a step."""

    def finished(self, finished: agent_pb2.JobFinished, files: Optional[Path]) -> None:
        """It has a result or a failure."""


class Pool(Protocol):
    """What carries measurements out: the workers of this machine, or of a phone on its USB ports."""

    async def measure(
        self,
        spec: measurement_pb2.MeasurementSpec,
        paths: Mapping[str, Path],
        on_step: Callable[[str], None] = ...,
    ) -> Outcome:
        """See `WorkerPool.measure`: cancelling the task stops the work, and nothing that a model does raises."""
        ...


class _Progress:
    """Tells that a job runs, and its steps, but no more than ten a second: a watcher cannot read faster, and a job that
    takes milliseconds must not drown in messages about itself. The last step is always told.
    """

    def __init__(self, events: Events, lease_id: str) -> None:
        self._events = events
        self._lease_id = lease_id
        self._latest = ""
        self._started = False
        self._timer: Optional[asyncio.TimerHandle] = None

    def step(self, name: str) -> None:
        """It reached a step."""
        self._latest = name
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PROGRESS_EVERY_S, self._tell)

    def close(self) -> None:
        """The job is over; nothing more to say."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        if not self._started:
            self._started = True
            self._events.started(self._lease_id)
        self._events.progress(self._lease_id, self._latest)


class _Fetched(NamedTuple):
    outcome: Outcome
    fetch_s: float


class DeviceRunner:
    """One device: a queue of leases and the task that works on it.

    Args:
        agent_id: for the provenance.
        description: the device.
        pool: carries its measurements out.
        cache: artifacts of all devices of the agent.
        download: fetches an artifact.
        events: told of each step.
        care: sees to it that the device is fit.
    """

    def __init__(
        self,
        agent_id: str,
        description: device_pb2.DeviceDescription,
        pool: Pool,
        cache: ArtifactCache,
        download: Download,
        events: Events,
        care: Care,
    ) -> None:
        self.description = description
        self.care = care
        self._agent_id = agent_id
        self._pool = pool
        self._cache = cache
        self._download = download
        self._events = events
        self._tasks: Dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._lost_because = ""

    def start(self) -> None:
        """Begin, in the loop in which it runs."""
        self.care.rest()

    def held(self) -> List[str]:
        """Leases accepted and not finished."""
        return list(self._tasks)

    def accept(self, lease: agent_pb2.Lease) -> None:
        """Work on a lease when the device is free; a lease that is known already changes nothing."""
        if lease.lease_id not in self._tasks:
            with logs.known(job_id=lease.job_id, device_id=lease.device_id):
                task = asyncio.ensure_future(self._carry_out(lease))
            self._tasks[lease.lease_id] = task
            task.add_done_callback(lambda _: self._done(lease.lease_id))

    def cancel(self, lease_id: str) -> None:
        """Stop working on a lease; nobody waits for its result."""
        task = self._tasks.get(lease_id)
        if task is not None:
            task.cancel()

    def check(self) -> Optional[agent_pb2.FitnessReport]:
        """Check the device as soon as it holds no lease; a report, if it will never be checked."""
        return self.care.ask(self.description.device_id, idle=not self._tasks)

    async def lose(self, reason: str) -> None:
        """The device is gone: what it works on fails, what it has not begun is dropped.

        May be called by the pool that found it out: then what it works on fails as the pool says.

        Args:
            reason: what became of it.
        """
        self._lost_because = reason
        await self.close()

    async def close(self) -> None:
        """Stop everything."""
        await self.care.close()
        tasks = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, lease_id: str) -> None:
        self._tasks.pop(lease_id, None)
        if not self._tasks:
            self.care.rest()

    async def _carry_out(self, lease: agent_pb2.Lease) -> None:
        finished = agent_pb2.JobFinished(lease_id=lease.lease_id, job_id=lease.job_id, device_id=lease.device_id)
        files: Optional[Path] = None
        async with self._turn:
            try:
                fetched = await self._measure(lease)
                files = fetched.outcome.folder
                if fetched.outcome.result is not None:
                    finished.result.CopyFrom(self._attributed(fetched.outcome.result, fetched.fetch_s))
                    self.care.after(lease.measurement, lease.lease_id)
                else:
                    finished.failure.CopyFrom(fetched.outcome.failure or failure_pb2.Failure())
            except MeasurementError as error:
                finished.failure.CopyFrom(error.to_message())
            except asyncio.CancelledError:
                if not self._lost_because:
                    raise
                finished.failure.CopyFrom(gone(self.description.device_id, self._lost_because))
            except Exception as error:  # an agent outlives every job, its own bugs included
                log.exception("job %s", lease.job_id)
                finished.failure.kind = failure_pb2.FAILURE_KIND_INTERNAL
                finished.failure.message = f"the agent failed: {error!r}"[:500]
                finished.failure.remedy = "see the agent's log"
            self._events.finished(finished, files)

    async def _measure(self, lease: agent_pb2.Lease) -> _Fetched:
        progress = _Progress(self._events, lease.lease_id)
        try:
            await self.care.before(lease.measurement, progress.step)
            progress.step("fetch")
            began = time.monotonic()
            async with self._cache.hold(artifacts.needed(lease.measurement), self._source(lease)) as paths:
                fetch_s = time.monotonic() - began
                return _Fetched(await self._measure_known(lease.measurement, paths, progress.step), fetch_s)
        finally:
            progress.close()

    async def _measure_known(
        self, spec: measurement_pb2.MeasurementSpec, paths: Mapping[str, Path], on_step: Callable[[str], None]
    ) -> Outcome:
        """Measure, with what is known of the device: the noise floor of a comparison that was given none."""
        floor = self.care.floor() if _lacks_floor(spec) else None
        if floor is None:
            return await self._pool.measure(spec, paths, on_step)
        known = measurement_pb2.MeasurementSpec()
        known.CopyFrom(spec)
        known.comparison.noise_floor = floor.share
        outcome = await self._pool.measure(known, paths, on_step)
        if outcome.result is not None:
            outcome.result.provenance.remarks.append(_origin(floor))
        return outcome

    def _source(self, lease: agent_pb2.Lease) -> Download:
        """Where files come from that are not in the cache: out of the lease, or fetched. The cache checks them."""
        attached = {file.ref.digest: file.content for file in lease.files}

        async def source(digest: str) -> AsyncIterator[bytes]:
            if digest in attached:
                yield attached[digest]
                return
            async for chunk in self._patient_download(digest):
                yield chunk

        return source

    async def _patient_download(self, digest: str) -> AsyncIterator[bytes]:
        """Download, from the start again if the orchestrator goes away before the first byte."""
        give_up = time.monotonic() + _FETCH_PATIENCE_S
        while True:
            begun = False
            try:
                async for chunk in self._download(digest):
                    begun = True
                    yield chunk
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise MeasurementError(
                        failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT,
                        f"the orchestrator does not hold artifact {digest[:12]}",
                        "upload it again",
                    ) from error
                if begun or time.monotonic() > give_up:
                    raise MeasurementError(
                        failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT,
                        f"artifact {digest[:12]} could not be fetched: {error.details()}",
                    ) from error
                await asyncio.sleep(_FETCH_PAUSE_S)

    def _attributed(
        self, result: measurement_pb2.MeasurementResult, fetch_s: float
    ) -> measurement_pb2.MeasurementResult:
        result.provenance.agent_id = self._agent_id
        result.provenance.device_id = self.description.device_id
        result.provenance.device_class = self.description.device_class
        result.provenance.software_version = contract.software_version()
        result.provenance.fetch_s = fetch_s
        return result


def gone(device_id: str, reason: str) -> failure_pb2.Failure:
    """The failure of a job whose device is not there."""
    return failure_pb2.Failure(
        kind=failure_pb2.FAILURE_KIND_DEVICE_LOST, message=f"device {device_id} is gone: {reason}"
    )


def _lacks_floor(spec: measurement_pb2.MeasurementSpec) -> bool:
    """Is it a comparison of two models to which nobody gave a noise floor?"""
    compared = spec.comparison
    return (
        spec.HasField("comparison")
        and not compared.HasField("noise_floor")
        and compared.model.digest != spec.model.digest
    )


def _origin(floor: Floor) -> str:
    at = datetime.datetime.fromisoformat(floor.measured_at)
    return f"the noise floor was not given: measured on this device on {at:%Y-%m-%d %H:%M} UTC, by its reference model"
