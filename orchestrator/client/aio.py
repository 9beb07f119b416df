"""The asynchronous client.

Every call is idempotent (submissions by key, uploads by digest), so a call that finds the orchestrator gone is tried
again until `patience_s` is over: an orchestrator that restarts costs its clients a pause, not an error.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc

from orchestrator.client import credentials
from orchestrator.client.errors import ClientError, Unreachable, from_rpc
from orchestrator.client.settling import FINAL, Ended
from protos import contract
from protos.gauntlet.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    artifact_pb2,
    artifact_pb2_grpc,
    campaign_pb2,
    campaign_pb2_grpc,
    device_pb2,
    fleet_pb2,
    fleet_pb2_grpc,
    job_pb2,
)

T = TypeVar("T")
_USABLE = (device_pb2.DEVICE_STATE_ONLINE, device_pb2.DEVICE_STATE_BUSY)
_UPLOAD_TIMEOUT_S = 600.0
_PAGE, _FETCHED_AT_ONCE = 1000, 32


class Client:
    """A connection to one orchestrator; use as an asynchronous context manager.

    Args:
        address: ``host:port`` or ``unix:/path``.
        timeout_s: deadline of one call.
        patience_s: how long to try again when the orchestrator does not answer.

    Raises:
        ClientError: the lab is elsewhere, and there are no good credentials for it.
    """

    def __init__(self, address: str, timeout_s: float = 10.0, patience_s: float = 60.0) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._channel = credentials.channel(address)
        self._fleet = fleet_pb2_grpc.FleetServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._artifacts = artifact_pb2_grpc.ArtifactServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._campaigns = campaign_pb2_grpc.CampaignServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close(None)

    # ------------------------------------------------------------------------------------------------ the fleet

    async def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        """Return once the orchestrator answers and `devices` devices are online or busy.

        Raises:
            Unreachable: not within `timeout_s`.
        """
        deadline = _now() + timeout_s
        pause = 0.02
        while True:
            problem: Unreachable | None = None
            online, held = 0, ""
            try:
                within_s = max(0.1, min(2.0, deadline - _now()))
                known = await _all_devices(functools.partial(self._fleet.ListDevices, timeout=within_s))
                online = sum(device.state in _USABLE for device in known)
                if online >= devices:
                    return
                held = "; ".join(map(_held, filter(lambda device: device.holds, known)))
            except grpc.aio.AioRpcError as error:
                mapped = from_rpc(error, self.address)
                if not isinstance(mapped, Unreachable):
                    raise mapped from error
                problem = mapped
            if _now() + pause > deadline:
                raise problem or Unreachable(
                    f"{online} of {devices} devices joined within {timeout_s:g} s, and take jobs"
                    + (f" ({held})" if held else ""),
                    "`gauntlet devices resume NAME` or `release NAME`" if held else "see the agents' logs",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    async def status(self) -> fleet_pb2.GetStatusResponse:
        """Version, counts and limits of the orchestrator."""
        response: fleet_pb2.GetStatusResponse = await self._call(self._fleet.GetStatus, fleet_pb2.GetStatusRequest())
        return response

    async def devices(self) -> list[fleet_pb2.Device]:
        """All devices that ever enrolled, with their state."""
        return await _all_devices(functools.partial(self._call, self._fleet.ListDevices))

    async def control_device(self, request: fleet_pb2.ControlDeviceRequest) -> fleet_pb2.Device:
        """Drain, reserve, quarantine or maintain a device, or end that; the device as it is then.

        Raises:
            NotFound: nobody knows the device.
            Refused: it makes no sense, somebody else has reserved it, or only an admin may.
        """
        response: fleet_pb2.ControlDeviceResponse = await self._call(self._fleet.ControlDevice, request)
        return response.device

    # ------------------------------------------------------------------------------------------------ artifacts

    async def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        """Upload a file unless the store holds it; its name is its digest."""
        digest = await asyncio.to_thread(contract.digest_of_file, path)
        ref = artifact_pb2.ArtifactRef(
            digest=digest, size_bytes=path.stat().st_size, media_type=media_type, name=path.name
        )

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(contract.CHUNK_BYTES):
                    yield chunk

        return await self._put(ref, chunks)

    async def put_bytes(self, data: bytes, media_type: str, name: str) -> artifact_pb2.ArtifactRef:
        """Upload bytes unless the store holds them."""
        ref = artifact_pb2.ArtifactRef(
            digest=contract.digest_of_bytes(data), size_bytes=len(data), media_type=media_type, name=name
        )

        def chunks() -> Iterator[bytes]:
            for start in range(0, len(data), contract.CHUNK_BYTES):
                yield data[start : start + contract.CHUNK_BYTES]

        return await self._put(ref, chunks)

    async def get_artifact(self, digest: str) -> bytes:
        """The content of an artifact, checked against its digest.

        Raises:
            NotFound: the store does not hold it.
        """

        async def fetch(timeout: float) -> bytes:
            request = artifact_pb2.DownloadArtifactRequest(digest=digest)
            sha, parts = hashlib.sha256(), []
            async for response in self._artifacts.DownloadArtifact(request, timeout=timeout):
                sha.update(response.chunk)
                parts.append(response.chunk)
            if sha.hexdigest() != digest:
                raise ClientError(
                    f"artifact {digest[:12]} arrived damaged", "try again; if it persists, upload it anew"
                )
            return b"".join(parts)

        return await self._retried(lambda: fetch(_UPLOAD_TIMEOUT_S))

    async def _put(
        self, ref: artifact_pb2.ArtifactRef, chunks: Callable[[], Iterator[bytes]]
    ) -> artifact_pb2.ArtifactRef:
        stat = await self._call(self._artifacts.StatArtifacts, artifact_pb2.StatArtifactsRequest(digests=[ref.digest]))
        if stat.present:
            return ref

        async def requests() -> AsyncIterator[artifact_pb2.UploadArtifactRequest]:
            yield artifact_pb2.UploadArtifactRequest(header=ref)
            for chunk in chunks():
                yield artifact_pb2.UploadArtifactRequest(chunk=chunk)

        async def upload() -> None:
            for last in (False, False, True):
                try:
                    await self._artifacts.UploadArtifact(requests(), timeout=_UPLOAD_TIMEOUT_S)
                    return
                except grpc.aio.AioRpcError as error:
                    # The answer to an upload that is refused while it is still sent may be lost (grpc/grpc#36066).
                    if last or error.code() is not grpc.StatusCode.INTERNAL:
                        raise

        await self._retried(upload)
        return ref

    # ------------------------------------------------------------------------------------------------ jobs

    async def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        """Queue all or none. Known idempotency keys attach to their jobs.

        Raises:
            Refused: no device fits, or a specification is malformed; the message says which and what exists.
            NotFound: an artifact was not uploaded.
        """
        response = await self._call(self._fleet.SubmitJobs, fleet_pb2.SubmitJobsRequest(jobs=specs))
        return list(response.jobs)

    async def job(self, job_id: str) -> job_pb2.Job:
        """One job whole, by its id or an unambiguous prefix."""
        response = await self._call(self._fleet.GetJob, fleet_pb2.GetJobRequest(job_id=job_id))
        job: job_pb2.Job = response.job
        return job

    async def jobs(
        self, states: Collection[int] = (), campaign_id: str = "", limit: int = 100
    ) -> list[fleet_pb2.JobSummary]:
        """The newest `limit` jobs, newest first; no states: all."""
        rows: list[fleet_pb2.JobSummary] = []
        token = ""
        while len(rows) < limit:
            request = fleet_pb2.ListJobsRequest(
                states=states,  # type: ignore[arg-type]  # enum values are integers
                campaign_id=campaign_id,
                page_size=min(1000, limit - len(rows)),
                page_token=token,
            )
            response = await self._call(self._fleet.ListJobs, request)
            rows.extend(response.jobs)
            token = response.next_page_token
            if not token:
                break
        return rows

    async def ended(
        self, campaign_id: str = "", since: datetime | None = None, failed: bool = False
    ) -> AsyncIterator[job_pb2.Job]:
        """Whole jobs with their results, newest first; holds a few at a time, however many there are.

        Args:
            campaign_id: of this campaign only; empty: of any and of none.
            since: finished then or later; with a time zone.
            failed: those that failed or were cancelled, too.
        """
        token = ""
        while True:
            request = fleet_pb2.ListJobsRequest(
                states=FINAL if failed else FINAL[:1], campaign_id=campaign_id, page_size=_PAGE, page_token=token
            )
            page = await self._call(self._fleet.ListJobs, request)
            wanted = [
                summary.job_id
                for summary in page.jobs
                if since is None or datetime.fromisoformat(summary.finished_at) >= since
            ]
            for begin in range(0, len(wanted), _FETCHED_AT_ONCE):
                some = wanted[begin : begin + _FETCHED_AT_ONCE]
                for job in await asyncio.gather(*map(self.job, some)):
                    yield job
            token = page.next_page_token
            if not token:
                return

    async def cancel(self, job_ids: Sequence[str] = (), campaign_id: str = "") -> list[str]:
        """Cancel jobs by id, or all unfinished jobs of a campaign; returns those that this call ended."""
        request = fleet_pb2.CancelJobsRequest(job_ids=job_ids, campaign_id=campaign_id)
        response = await self._call(self._fleet.CancelJobs, request)
        return list(response.cancelled_job_ids)

    async def watch(self, job_ids: Collection[str]) -> AsyncIterator[job_pb2.Job]:
        """Each job as it stands, then at each change, until all have ended; survives an orchestrator's restart.

        Raises:
            Unreachable: the orchestrator stayed away for longer than `patience_s`.
        """
        pending = set(job_ids)
        attempt = _Patience(self._patience_s)
        while pending:
            try:
                async for response in self._fleet.WatchJobs(fleet_pb2.WatchJobsRequest(job_ids=sorted(pending))):
                    attempt.reset()
                    yield response.job
                    if response.job.state in FINAL:
                        pending.discard(response.job.job_id)
                    if not pending:
                        return  # without waiting for the server to end the stream
            except grpc.aio.AioRpcError as error:
                await attempt.pause_or_raise(from_rpc(error, self.address), error)
            else:
                if pending:  # the server ended the stream early, as when it shuts down
                    await attempt.pause_or_raise(Unreachable(f"{self.address} ended the watch"), None)

    async def run(self, specs: Sequence[job_pb2.JobSpec]) -> list[job_pb2.Job]:
        """Submit and wait: the ended jobs, in the order of `specs`."""
        ids = [job.job_id for job in await self.submit(specs)]
        ended = {job.job_id: job async for job in self.watch(ids) if job.state in FINAL}
        return [ended[job_id] for job_id in ids]

    async def measured_again(self, job_ids: Collection[str]) -> AsyncIterator[job_pb2.Job]:
        """One more look at ended jobs: those that are suspect by now, each with its mark, then the jobs that measure
        them again at each change, until these have ended too. Of jobs that are not suspect, nothing.
        """
        look = set(job_ids)
        while look:
            successors = set()
            async for job in self.watch(look):
                if job.HasField("suspicion") or job.spec.repeats_job_id:
                    yield job
                if job.state in FINAL and job.suspicion.successor_job_id:
                    successors.add(job.suspicion.successor_job_id)
            look = successors

    async def settled(self, jobs: Sequence[job_pb2.Job]) -> list[job_pb2.Job]:
        """The jobs that stand for these ended ones: where one is suspect, waits for the job that measures it again.

        Returns:
            In the same order. One that is still marked could not be measured better.
        """
        ended = Ended([job.job_id for job in jobs])
        for job in jobs:
            ended.take(job)
        async for job in self.measured_again([job.job_id for job in jobs]):
            ended.take(job)
        return ended.jobs()

    # ------------------------------------------------------------------------------------------------ campaigns

    async def publish_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """Create a campaign or replace its description."""
        await self._call(self._campaigns.PublishCampaign, campaign_pb2.PublishCampaignRequest(campaign=campaign))

    async def publish_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> None:
        """Append records; a known (kind, key) is replaced, so that publishing again is harmless."""
        request = campaign_pb2.PublishRecordsRequest(campaign_id=campaign_id, records=records)
        await self._call(self._campaigns.PublishRecords, request)

    async def campaigns(self) -> list[campaign_pb2.Campaign]:
        """All campaigns, newest first."""
        response = await self._call(self._campaigns.ListCampaigns, campaign_pb2.ListCampaignsRequest())
        return list(response.campaigns)

    async def records(self, campaign_id: str) -> list[campaign_pb2.CampaignRecord]:
        """All records of a campaign, in order of first publication."""
        records: list[campaign_pb2.CampaignRecord] = []
        token = ""
        while True:
            request = campaign_pb2.ListRecordsRequest(campaign_id=campaign_id, page_token=token)
            response = await self._call(self._campaigns.ListRecords, request)
            records.extend(response.records)
            token = response.next_page_token
            if not token:
                return records

    # ------------------------------------------------------------------------------------------------ administration

    async def create_token(self, request: admin_pb2.CreateTokenRequest) -> admin_pb2.CreateTokenResponse:
        """A new token; its text is told this once. Tried once only: a second try would make a second token."""
        try:
            response: admin_pb2.CreateTokenResponse = await self._admin.CreateToken(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.address) from error
        return response

    async def tokens(self) -> list[admin_pb2.Token]:
        """All tokens that were made, newest first."""
        return list((await self._call(self._admin.ListTokens, admin_pb2.ListTokensRequest())).tokens)

    async def certificates(self) -> list[admin_pb2.Certificate]:
        """All certificates that were issued, newest first."""
        response = await self._call(self._admin.ListCertificates, admin_pb2.ListCertificatesRequest())
        return list(response.certificates)

    async def revoke(self, what: str, reason: str) -> admin_pb2.RevokeResponse:
        """End a token or certificate by its id, or all that an agent or user has."""
        request = admin_pb2.RevokeRequest(what=what, reason=reason)
        response: admin_pb2.RevokeResponse = await self._call(self._admin.Revoke, request)
        return response

    async def audit(self, limit: int = 100) -> list[admin_pb2.AuditEntry]:
        """The last entries of the audit log, newest first."""
        entries: list[admin_pb2.AuditEntry] = []
        token = ""
        while len(entries) < limit:
            request = admin_pb2.ListAuditRequest(page_size=min(limit - len(entries), _PAGE), page_token=token)
            response = await self._call(self._admin.ListAudit, request)
            entries.extend(response.entries)
            token = response.next_page_token
            if not token:
                break
        return entries

    # ------------------------------------------------------------------------------------------------ plumbing

    async def _call(self, method: Any, request: Any) -> Any:
        return await self._retried(lambda: method(request, timeout=self._timeout_s))

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        attempt = _Patience(self._patience_s)
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                await attempt.pause_or_raise(from_rpc(error, self.address), error)


async def _all_devices(
    ask: Callable[[fleet_pb2.ListDevicesRequest], Awaitable[fleet_pb2.ListDevicesResponse]],
) -> list[fleet_pb2.Device]:
    """Page after page."""
    devices: list[fleet_pb2.Device] = []
    token = ""
    while True:
        page = await ask(fleet_pb2.ListDevicesRequest(page_token=token))
        devices.extend(page.devices)
        token = page.next_page_token
        if not token:
            return devices


class _Patience:
    """Jittered, growing pauses between tries, until patience is over."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.reset()

    def reset(self) -> None:
        self._until = _now() + self._patience_s
        self._pause_s = 0.05

    async def pause_or_raise(self, problem: ClientError, cause: Exception | None) -> None:
        """Wait before the next try, or raise: only an absent orchestrator is worth another."""
        if not isinstance(problem, Unreachable) or _now() >= self._until:
            raise problem from cause
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, no secret
        self._pause_s = min(self._pause_s * 2, 2.0)


def _held(device: fleet_pb2.Device) -> str:
    state = device_pb2.DeviceState.Name(device.state).removeprefix("DEVICE_STATE_").lower()
    return f"{device.description.device_id} is {state}: {device.state_reason}"


def _now() -> float:
    return asyncio.get_running_loop().time()
