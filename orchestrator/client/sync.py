"""The client for code that does not await: the same calls, carried out by an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Coroutine, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from orchestrator.client.aio import Client
from orchestrator.client.errors import ClientError
from protos.gauntlet.v1 import admin_pb2, artifact_pb2, campaign_pb2, fleet_pb2, job_pb2

T = TypeVar("T")
#: Who interrupts a program waits no longer than this for jobs to be cancelled of which no answer came yet.
_WITHDRAWING_S = 2.0


class SyncClient:
    """A façade over `Client`, method by method; use as a context manager."""

    def __init__(self, address: str, timeout_s: float = 10.0, patience_s: float = 60.0) -> None:
        self.address = address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gauntlet-client", daemon=True)
        self._thread.start()
        try:
            self._client = self._do(_make(address, timeout_s, patience_s))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._client.close())
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        """See `Client.wait_ready`."""
        self._do(self._client.wait_ready(timeout_s, devices))

    def status(self) -> fleet_pb2.GetStatusResponse:
        """See `Client.status`."""
        return self._do(self._client.status())

    def devices(self) -> list[fleet_pb2.Device]:
        """See `Client.devices`."""
        return self._do(self._client.devices())

    def control_device(self, request: fleet_pb2.ControlDeviceRequest) -> fleet_pb2.Device:
        """See `Client.control_device`."""
        return self._do(self._client.control_device(request))

    def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        """See `Client.put_file`."""
        return self._do(self._client.put_file(path, media_type))

    def put_bytes(self, data: bytes, media_type: str, name: str) -> artifact_pb2.ArtifactRef:
        """See `Client.put_bytes`."""
        return self._do(self._client.put_bytes(data, media_type, name))

    def get_artifact(self, digest: str) -> bytes:
        """See `Client.get_artifact`."""
        return self._do(self._client.get_artifact(digest))

    def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        """See `Client.submit`. If it is interrupted, what was queued by then is cancelled."""
        try:
            return self._do(self._client.submit(specs))
        except (KeyboardInterrupt, SystemExit):
            with contextlib.suppress(ClientError, TimeoutError):
                self._do(asyncio.wait_for(self._withdraw(specs), _WITHDRAWING_S))
            raise

    async def _withdraw(self, specs: Sequence[job_pb2.JobSpec]) -> None:
        """Cancel jobs whose ids were never heard: submitted again under the same keys, they are found."""
        known = [spec for spec in specs if spec.idempotency_key]
        await self._client.cancel([job.job_id for job in await self._client.submit(known)])

    def job(self, job_id: str) -> job_pb2.Job:
        """See `Client.job`."""
        return self._do(self._client.job(job_id))

    def jobs(self, states: Collection[int] = (), campaign_id: str = "", limit: int = 100) -> list[fleet_pb2.JobSummary]:
        """See `Client.jobs`."""
        return self._do(self._client.jobs(states, campaign_id, limit))

    def ended(
        self, campaign_id: str = "", since: datetime | None = None, failed: bool = False
    ) -> Iterator[job_pb2.Job]:
        """See `Client.ended`."""
        jobs = self._client.ended(campaign_id, since, failed)
        try:
            while (job := self._do(_next(jobs))) is not None:
                yield job
        finally:
            self._do(_close(jobs))

    def cancel(self, job_ids: Sequence[str] = (), campaign_id: str = "") -> list[str]:
        """See `Client.cancel`."""
        return self._do(self._client.cancel(job_ids, campaign_id))

    def watch(self, job_ids: Collection[str]) -> Iterator[job_pb2.Job]:
        """See `Client.watch`."""
        return self._pumped(self._client.watch(job_ids))

    def measured_again(self, job_ids: Collection[str]) -> Iterator[job_pb2.Job]:
        """See `Client.measured_again`."""
        return self._pumped(self._client.measured_again(job_ids))

    def settled(self, jobs: Sequence[job_pb2.Job]) -> list[job_pb2.Job]:
        """See `Client.settled`."""
        return self._do(self._client.settled(jobs))

    def _pumped(self, jobs: AsyncIterator[job_pb2.Job]) -> Iterator[job_pb2.Job]:
        seen: queue.SimpleQueue[job_pb2.Job | BaseException | None] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async for job in jobs:
                    seen.put(job)
                seen.put(None)
            except BaseException as error:
                seen.put(error)
                raise

        pumping = asyncio.run_coroutine_threadsafe(pump(), self._loop)
        try:
            while (item := seen.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            pumping.cancel()  # whoever iterates may stop at any job, or be interrupted while he waits

    def run(self, specs: Sequence[job_pb2.JobSpec]) -> list[job_pb2.Job]:
        """See `Client.run`."""
        return self._do(self._client.run(specs))

    def publish_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """See `Client.publish_campaign`."""
        self._do(self._client.publish_campaign(campaign))

    def publish_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> None:
        """See `Client.publish_records`."""
        self._do(self._client.publish_records(campaign_id, records))

    def campaigns(self) -> list[campaign_pb2.Campaign]:
        """See `Client.campaigns`."""
        return self._do(self._client.campaigns())

    def records(self, campaign_id: str) -> list[campaign_pb2.CampaignRecord]:
        """See `Client.records`."""
        return self._do(self._client.records(campaign_id))

    def create_token(self, request: admin_pb2.CreateTokenRequest) -> admin_pb2.CreateTokenResponse:
        """See `Client.create_token`."""
        return self._do(self._client.create_token(request))

    def tokens(self) -> list[admin_pb2.Token]:
        """See `Client.tokens`."""
        return self._do(self._client.tokens())

    def certificates(self) -> list[admin_pb2.Certificate]:
        """See `Client.certificates`."""
        return self._do(self._client.certificates())

    def revoke(self, what: str, reason: str) -> admin_pb2.RevokeResponse:
        """See `Client.revoke`."""
        return self._do(self._client.revoke(what, reason))

    def audit(self, limit: int = 100) -> list[admin_pb2.AuditEntry]:
        """See `Client.audit`."""
        return self._do(self._client.audit(limit))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C while waiting: the coroutine must not run on
            future.cancel()
            raise


async def _make(address: str, timeout_s: float, patience_s: float) -> Client:
    return Client(address, timeout_s, patience_s)  # a channel belongs to the loop that made it


async def _next(jobs: AsyncIterator[job_pb2.Job]) -> job_pb2.Job | None:
    return await anext(jobs, None)


async def _close(jobs: AsyncIterator[job_pb2.Job]) -> None:
    if isinstance(jobs, AsyncGenerator):
        await jobs.aclose()
