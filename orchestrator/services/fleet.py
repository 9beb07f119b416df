"""FleetService: what users and campaigns ask."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import grpc

from orchestrator import jobs
from orchestrator.artifacts import ArtifactStore
from orchestrator.demands import Demand
from orchestrator.hub import Hub
from orchestrator.services import Context, abort, caller
from orchestrator.services.control import control
from orchestrator.store.base import KeyConflictError, NewJob
from orchestrator.store.paging import fitting
from orchestrator.validation import InvalidSpecError, check_job
from protos import artifacts as job_artifacts
from protos import contract
from protos.gauntlet.v1 import admin_pb2, fleet_pb2, fleet_pb2_grpc, job_pb2

_DEFAULT_PAGE, _MAX_PAGE = 100, 1000
_MAX_WATCHED = 10_000
#: In one call.
_MAX_JOBS = 10_000
_JOBS_AT_A_STRETCH = 50
_FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


class FleetService(fleet_pb2_grpc.FleetServiceServicer):
    """A shell around the store and the hub."""

    def __init__(self, hub: Hub, artifacts: ArtifactStore) -> None:
        self._hub = hub
        self._artifacts = artifacts
        self._started = time.monotonic()

    async def SubmitJobs(  # noqa: N802
        self, request: fleet_pb2.SubmitJobsRequest, context: Context
    ) -> fleet_pb2.SubmitJobsResponse:
        """See fleet.proto."""
        if len(request.jobs) > _MAX_JOBS:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"at most {_MAX_JOBS} jobs in one call")
        new = []
        fits: set[Demand] = set()
        for spec in request.jobs:
            new.append(await self._new_job(spec, fits, context))
            if len(new) % _JOBS_AT_A_STRETCH == 0:
                await asyncio.sleep(0)  # agents and other clients have their turn
        try:
            submitted = await self._hub.submit(new)
        except KeyConflictError as error:
            await abort(context, grpc.StatusCode.ALREADY_EXISTS, str(error))
        return fleet_pb2.SubmitJobsResponse(
            jobs=[fleet_pb2.SubmittedJob(job_id=s.job_id, created=s.created) for s in submitted]
        )

    async def GetJob(  # noqa: N802
        self, request: fleet_pb2.GetJobRequest, context: Context
    ) -> fleet_pb2.GetJobResponse:
        """See fleet.proto."""
        return fleet_pb2.GetJobResponse(job=await self._job(request.job_id, context))

    async def ListJobs(  # noqa: N802
        self, request: fleet_pb2.ListJobsRequest, context: Context
    ) -> fleet_pb2.ListJobsResponse:
        """See fleet.proto."""
        try:
            states = [_STATES[state] for state in request.states]
            limit = min(request.page_size or _DEFAULT_PAGE, _MAX_PAGE)
            page = await self._hub.store.list_jobs(states, request.campaign_id, limit, request.page_token)
        except (KeyError, ValueError) as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"unknown state or page token: {error}")
        reasons = {signature: self._hub.waits_for(signature) for signature in set(page.signatures.values())}
        for job in page.rows:
            job.waits_for = reasons.get(page.signatures.get(job.job_id, ""), "")
        return fleet_pb2.ListJobsResponse(jobs=page.rows, next_page_token=page.next_token)

    async def CancelJobs(  # noqa: N802
        self, request: fleet_pb2.CancelJobsRequest, context: Context
    ) -> fleet_pb2.CancelJobsResponse:
        """See fleet.proto."""
        if len(request.job_ids) > _MAX_JOBS:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"at most {_MAX_JOBS} jobs in one call")
        who = caller(context)
        named = [await self._job(job_id, context) for job_id in request.job_ids]
        own = who.name if who.role == admin_pb2.ROLE_USER else ""
        for job in named:
            if own and job.user != own:
                message = (
                    f"job {job.job_id[:12]} was submitted by {job.user}, not by you\nask them, or an administrator"
                )
                await abort(context, grpc.StatusCode.PERMISSION_DENIED, message)
        # Who wants a job no more has no use for its repetition either.
        ids = [i for job in named for i in (job.job_id, job.suspicion.successor_job_id) if i]
        if request.campaign_id:
            ids += await self._hub.store.unfinished(request.campaign_id, own)
        # All in one go: between two of them a device that became free would begin another job of the campaign.
        ids = list(dict.fromkeys(ids))
        ended = await asyncio.gather(*(self._hub.cancel(job_id, "cancelled by a user") for job_id in ids))
        cancelled = [job_id for job_id, did in zip(ids, ended, strict=True) if did]
        return fleet_pb2.CancelJobsResponse(cancelled_job_ids=cancelled)

    async def WatchJobs(  # noqa: N802
        self, request: fleet_pb2.WatchJobsRequest, context: Context
    ) -> AsyncIterator[fleet_pb2.WatchJobsResponse]:
        """See fleet.proto."""
        pending = set(request.job_ids)
        if len(pending) > _MAX_WATCHED:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"at most {_MAX_WATCHED} jobs in one watch")
        with self._hub.watchers.watching(sorted(pending)) as watch:
            known: dict[str, job_pb2.Job] = {}
            while pending:
                for job_id, change in (await watch.take()).items():
                    if job_id not in pending:
                        continue  # a late result came after its end
                    if change.stored:
                        known[job_id] = change.job or await self._job(job_id, context)
                    job = known[job_id]
                    job.step = self._hub.steps.get(job_id, "")
                    if job.state in _FINAL:
                        pending.discard(job_id)
                        del known[job_id]
                    yield fleet_pb2.WatchJobsResponse(job=job)

    async def ListDevices(  # noqa: N802
        self, request: fleet_pb2.ListDevicesRequest, context: Context
    ) -> fleet_pb2.ListDevicesResponse:
        """See fleet.proto."""
        ids = [device_id for device_id in self._hub.device_ids() if device_id > request.page_token]
        page = fitting(map(self._hub.device_view, ids))
        token = ids[len(page) - 1] if len(page) < len(ids) else ""
        return fleet_pb2.ListDevicesResponse(devices=page, next_page_token=token)

    async def ControlDevice(  # noqa: N802
        self, request: fleet_pb2.ControlDeviceRequest, context: Context
    ) -> fleet_pb2.ControlDeviceResponse:
        """See fleet.proto."""
        if self._hub.registry.device(request.device_id) is None:
            message = f"no device is called {request.device_id[:80]!r}\nsee `gauntlet devices` for what there is"
            await abort(context, grpc.StatusCode.NOT_FOUND, message)
        await control(self._hub.custody, request, caller(context), context)
        return fleet_pb2.ControlDeviceResponse(device=self._hub.device_view(request.device_id))

    async def GetStatus(  # noqa: N802
        self, request: fleet_pb2.GetStatusRequest, context: Context
    ) -> fleet_pb2.GetStatusResponse:
        """See fleet.proto."""
        store = self._hub.store
        counts, shares = await asyncio.gather(store.count_by_state(), self._hub.shares())
        return fleet_pb2.GetStatusResponse(
            software_version=contract.software_version(),
            protocol_version=contract.PROTOCOL_VERSION,
            connected_agents=len(self._hub.registry.sessions()),
            jobs_by_state={state.value: counts.get(state, 0) for state in jobs.State},
            artifact_bytes=await self._artifacts.total_bytes(),
            artifact_files=await self._artifacts.total_files(),
            store_bytes=await store.size_bytes(),
            uptime_s=time.monotonic() - self._started,
            max_artifact_bytes=self._hub.config.max_artifact_bytes,
            caller=str(caller(context)),
            secure=self._hub.config.secure,
            shares=shares,
        )

    async def _new_job(self, spec: job_pb2.JobSpec, fits: set[Demand], context: Context) -> NewJob:
        try:
            check_job(spec)
        except InvalidSpecError as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        digests = tuple(ref.digest for ref in job_artifacts.needed(spec.measurement))
        present = {ref.digest for ref in await self._artifacts.stat(digests)}
        for ref in job_artifacts.needed(spec.measurement):
            if ref.digest not in present:
                what = f"artifact {ref.digest[:12] or '(no digest)'} ({ref.name or ref.media_type})"
                await abort(context, grpc.StatusCode.NOT_FOUND, f"{what} was not uploaded\nupload it, then submit")
        demand = Demand.of(spec)
        if demand not in fits:  # many jobs of one call ask for the same, and the fleet may be large
            refusal = demand.refusal(self._hub.registry.descriptions())
            if refusal is not None:
                await abort(context, grpc.StatusCode.FAILED_PRECONDITION, refusal)
            fits.add(demand)
        return NewJob(uuid.uuid4().hex, spec, demand.signature, digests, caller(context).name)

    async def _job(self, job_id: str, context: Context) -> job_pb2.Job:
        try:
            job = await self._hub.store.job(job_id)
        except LookupError as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"{error}\nwrite more of the id")
        if job is None:
            await abort(context, grpc.StatusCode.NOT_FOUND, f"no job {job_id!r}\nsee `gauntlet jobs`")
        job.step = self._hub.steps.get(job.job_id, "")
        if job.state == job_pb2.JOB_STATE_QUEUED:
            job.waits_for = self._hub.waits_for(Demand.of(job.spec).signature)
        return job


_STATES = {
    job_pb2.JOB_STATE_QUEUED: jobs.State.QUEUED,
    job_pb2.JOB_STATE_LEASED: jobs.State.LEASED,
    job_pb2.JOB_STATE_RUNNING: jobs.State.RUNNING,
    job_pb2.JOB_STATE_SUCCEEDED: jobs.State.SUCCEEDED,
    job_pb2.JOB_STATE_FAILED: jobs.State.FAILED,
    job_pb2.JOB_STATE_CANCELLED: jobs.State.CANCELLED,
}
