"""A lab without processes: answers like the orchestrator's client, from canned messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

from orchestrator.client import NotFound
from protos.gauntlet.v1 import artifact_pb2, fleet_pb2, job_pb2
from tests.gauntlet import canned

Outcome = Callable[[str], job_pb2.Job]


class FakeClient:
    """Has the methods of `SyncClient` that the face uses.

    Attributes:
        outcomes: what becomes of each model, by file name; measured if not named.
        repeated: what becomes of the second measurement of each suspect model, by file name; None: there is none.
        specs: what was submitted.
        cancelled: ids of jobs that were cancelled.
        controlled: what was done to devices.
        interrupt: raise KeyboardInterrupt while the jobs run.
    """

    def __init__(self) -> None:
        self.address = "fake:1"
        self.outcomes: dict[str, job_pb2.Job] = {}
        self.repeated: dict[str, job_pb2.Job | None] = {}
        self.specs: list[job_pb2.JobSpec] = []
        self.cancelled: list[str] = []
        self.controlled: list[fleet_pb2.ControlDeviceRequest] = []
        self.interrupt = False
        self.max_artifact_bytes = 1_000_000
        self.artifacts: dict[str, bytes] = {}
        self.fleet = [canned.device(), canned.lost_device()]
        self.history = [canned.failed(canned.crash()), canned.succeeded()]

    def __call__(self, address: str) -> FakeClient:
        self.address = address
        return self

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def close(self) -> None:
        return None

    def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        return None

    def status(self) -> fleet_pb2.GetStatusResponse:
        return fleet_pb2.GetStatusResponse(
            software_version="0.1.0",
            protocol_version=1,
            connected_agents=2,
            jobs_by_state={"succeeded": 3, "queued": 1},
            artifact_bytes=2_500_000,
            artifact_files=7,
            store_bytes=40_960,
            uptime_s=81.0,
            caller="anna (user)",
            secure=True,
            shares=[
                fleet_pb2.QueueShare(user="ada", campaign_id="campaign-1", queued=12, held=1, device_s=7500.0),
                fleet_pb2.QueueShare(user="bob", device_s=12.0),
            ],
            max_artifact_bytes=self.max_artifact_bytes,
        )

    def control_device(self, request: fleet_pb2.ControlDeviceRequest) -> fleet_pb2.Device:
        self.controlled.append(request)
        return next(device for device in self.fleet if device.description.device_id == request.device_id)

    def devices(self) -> list[fleet_pb2.Device]:
        return self.fleet

    def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        return artifact_pb2.ArtifactRef(
            digest="ab" * 32, size_bytes=path.stat().st_size, media_type=media_type, name=path.name
        )

    def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        self.specs = list(specs)
        return [fleet_pb2.SubmittedJob(job_id=f"{index:032x}", created=True) for index in range(len(specs))]

    def watch(self, job_ids: Collection[str]) -> Iterator[job_pb2.Job]:
        for job_id in job_ids:
            yield self._as(canned.running(), job_id)
        if self.interrupt:
            raise KeyboardInterrupt
        # The last ends first, as on a fleet of several devices.
        for job_id in reversed(list(job_ids)):
            name = self.specs[int(job_id, 16)].measurement.model.name
            yield self._as(self.outcomes.get(name, canned.succeeded()), job_id)

    def measured_again(self, job_ids: Collection[str]) -> Iterator[job_pb2.Job]:
        suspects = [i for i in job_ids if self.specs[int(i, 16)].measurement.model.name in self.repeated]
        for job_id in suspects:
            outcome = self.repeated[self.specs[int(job_id, 16)].measurement.model.name]
            yield canned.suspect(self._as(canned.succeeded(), job_id), f"b{job_id[1:]}" if outcome else "")
        for job_id in suspects:
            outcome = self.repeated[self.specs[int(job_id, 16)].measurement.model.name]
            for job in (canned.running(), outcome) if outcome else ():
                again = self._as(job, job_id)
                again.job_id, again.spec.repeats_job_id = f"b{job_id[1:]}", job_id
                yield again

    def job(self, job_id: str) -> job_pb2.Job:
        if self.specs:
            job = self._as(canned.queued(), job_id)
            if job_id in self.cancelled:
                job.state = job_pb2.JOB_STATE_CANCELLED
            return job
        for job in self.history:
            if job.job_id.startswith(job_id):
                return job
        raise NotFound(f"no job '{job_id}'", "see `gauntlet jobs`")

    def jobs(self, states: Collection[int] = (), campaign_id: str = "", limit: int = 100) -> list[fleet_pb2.JobSummary]:
        chosen = [job for job in self.history if not states or job.state in states]
        return [canned.summary(job) for job in chosen[:limit]]

    def ended(
        self, campaign_id: str = "", since: datetime | None = None, failed: bool = False
    ) -> Iterator[job_pb2.Job]:
        for job in self.history:
            wanted = job.HasField("result") or (failed and job.finished_at)
            if wanted and (not since or datetime.fromisoformat(job.finished_at) >= since):
                yield job

    def get_artifact(self, digest: str) -> bytes:
        if digest not in self.artifacts:
            raise NotFound(f"no artifact {digest[:12]}", "")
        return self.artifacts[digest]

    def cancel(self, job_ids: Sequence[str] = (), campaign_id: str = "") -> list[str]:
        self.cancelled = list(job_ids)
        return [job.job_id for job in self.history if job.job_id in job_ids and not job.finished_at]

    def _as(self, job: job_pb2.Job, job_id: str) -> job_pb2.Job:
        mine = job_pb2.Job()
        mine.CopyFrom(job)
        mine.job_id = job_id
        if self.specs:
            mine.spec.CopyFrom(self.specs[int(job_id, 16)])
        return mine
