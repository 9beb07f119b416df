"""A recorded table behind the interface of a lab: jobs are answered at once, with what the table holds.

    put_bytes("3-3p-s3s", "model/recorded")  ─▶  run(jobs for raspi4, edgetpu)  ─▶  a result, a failure

A campaign cannot tell it from a lab but by the origin of the figures, which is "replayed", and by the devices, whose
classes and labels say so. A job takes no time; the device seconds that a row took when it was recorded are in the
provenance of its first job in each submission. Nothing outlives the process: jobs and their ids are functions of the
specifications, so that a resumed campaign finds the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from google.protobuf.json_format import ParseDict, ParseError

from orchestrator.client import NotFound, Refused
from protos import contract
from protos.gauntlet.v1 import (
    artifact_pb2,
    campaign_pb2,
    device_pb2,
    failure_pb2,
    figure_pb2,
    fleet_pb2,
    job_pb2,
    measurement_pb2,
)
from search.conditions import canonical_condition
from search.evaluations import Failure
from search.fleet import Fleet
from search.replay.table import MODEL_FAILURES, Table
from search.spaces.base import Architecture, SpaceError

#: Media type of a model that is a name in a table: the canonical text of an architecture, in UTF-8.
RECORDED = "model/recorded"
#: The device of a table whose figures belong to none.
NO_DEVICE = "recorded"


class ReplayFleet(Fleet):
    """The devices of a table.

    Attributes:
        table: what is replayed.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._devices = {name: _device(table, name) for name in table.devices or (NO_DEVICE,)}
        self._architectures: dict[str, Architecture] = {}
        self._jobs: dict[str, job_pb2.Job] = {}
        self._campaigns: dict[str, campaign_pb2.Campaign] = {}
        self._records: dict[str, dict[tuple[str | None, str], campaign_pb2.CampaignRecord]] = {}

    async def __aenter__(self) -> Self:
        """See `Fleet`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `Fleet`."""

    async def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        """See `Fleet`.

        Raises:
            Refused: the table has fewer.
        """
        if devices > len(self._devices):
            raise Refused(f"the table has {len(self._devices)} devices, not {devices}", self._known())

    async def devices(self) -> list[fleet_pb2.Device]:
        """One for each that was recorded."""
        return list(self._devices.values())

    # ------------------------------------------------------------------------------------------------ artifacts

    async def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        """See `Fleet`."""
        return await self.put_bytes(path.read_bytes(), media_type, path.name)

    async def put_bytes(self, data: bytes, media_type: str, name: str) -> artifact_pb2.ArtifactRef:
        """An architecture's text becomes a model; of anything else only the digest is kept.

        Raises:
            Refused: of the type `RECORDED`, and no architecture of the table's space.
        """
        digest = contract.digest_of_bytes(data)
        if media_type == RECORDED:
            try:
                self._architectures[digest] = self.table.space.parse(data.decode())
            except (UnicodeDecodeError, SpaceError) as error:
                raise Refused(f"{name} names no architecture of the table's space: {error}", "give its text") from error
        return artifact_pb2.ArtifactRef(digest=digest, size_bytes=len(data), media_type=media_type, name=name)

    # ------------------------------------------------------------------------------------------------ jobs

    async def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        """Carry them out.

        Raises:
            Refused: a device that the table does not have, a model of another type, or a known key with another
                specification.
            NotFound: an architecture that was not uploaded.
        """
        fresh: dict[str, job_pb2.Job] = {}
        charged: set[Architecture] = set()
        answer = []
        for spec in specs:
            job_id = hashlib.sha256(spec.idempotency_key.encode()).hexdigest()[:32]
            known = self._jobs.get(job_id) or fresh.get(job_id)
            if known is None:
                architecture = self._architecture(spec.measurement.model)
                spent_s = 0.0 if architecture in charged else self.table.spent_s(architecture)
                charged.add(architecture)
                fresh[job_id] = self._carry_out(job_id, spec, architecture, spent_s)
            elif known.spec != spec:
                raise Refused(f"the key {spec.idempotency_key!r} is that of another job", "give each job its own")
            answer.append(fleet_pb2.SubmittedJob(job_id=job_id, created=known is None))
        self._jobs |= fresh
        return answer

    async def run(self, specs: Sequence[job_pb2.JobSpec]) -> list[job_pb2.Job]:
        """See `Fleet`, and `submit` for what it raises."""
        return [self._jobs[job.job_id] for job in await self.submit(specs)]

    async def settled(self, jobs: Sequence[job_pb2.Job]) -> list[job_pb2.Job]:
        """These: nothing that was recorded turns suspect."""
        return list(jobs)

    async def job(self, job_id: str) -> job_pb2.Job:
        """See `Fleet`.

        Raises:
            NotFound: no such job.
        """
        if job_id not in self._jobs:
            raise NotFound(f"there is no job {job_id!r}", "")
        return self._jobs[job_id]

    async def jobs(
        self, states: Collection[int] = (), campaign_id: str = "", limit: int = 100
    ) -> list[fleet_pb2.JobSummary]:
        """See `Fleet`."""
        wanted = (
            job
            for job in reversed(self._jobs.values())
            if (not states or job.state in states) and campaign_id in ("", job.spec.campaign_id)
        )
        return [_summary(job) for job, _ in zip(wanted, range(limit), strict=False)]

    # ------------------------------------------------------------------------------------------------ campaigns

    async def publish_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """Kept as long as this object."""
        self._campaigns[campaign.campaign_id] = campaign

    async def publish_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> None:
        """Kept as long as this object."""
        self._records.setdefault(campaign_id, {}).update(
            {(record.WhichOneof("kind"), record.key): record for record in records}
        )

    async def campaigns(self) -> list[campaign_pb2.Campaign]:
        """See `Fleet`."""
        return list(reversed(self._campaigns.values()))

    async def records(self, campaign_id: str) -> list[campaign_pb2.CampaignRecord]:
        """See `Fleet`."""
        return list(self._records.get(campaign_id, {}).values())

    # ------------------------------------------------------------------------------------------------ answers

    def _architecture(self, model: artifact_pb2.ArtifactRef) -> Architecture:
        if model.digest in self._architectures:
            return self._architectures[model.digest]
        if model.media_type != RECORDED:
            raise Refused(
                f"{model.name} is of the type {model.media_type}: nothing is measured here", f"use {RECORDED}"
            )
        raise NotFound(f"{model.name} was not uploaded", "upload it first")

    def _device_for(self, wanted: job_pb2.DeviceSelector) -> fleet_pb2.Device:
        for name, device in self._devices.items():
            if wanted.device_id in ("", name) and wanted.device_class in ("", device.description.device_class):
                return device
        raise Refused(f"the table has no device {wanted.device_id or wanted.device_class!r}", self._known())

    def _known(self) -> str:
        return f"there are {', '.join(self._devices)}"

    def _carry_out(self, job_id: str, spec: job_pb2.JobSpec, architecture: Architecture, spent_s: float) -> job_pb2.Job:
        device = self._device_for(spec.device).description
        now = datetime.now(UTC).isoformat()
        attempt = job_pb2.Attempt(number=1, device_id=device.device_id, started_at=now, ended_at=now)
        job = job_pb2.Job(job_id=job_id, spec=spec, attempts=[attempt], submitted_at=now, finished_at=now)
        found, ran = self._result(spec.measurement, architecture, device.device_id)
        failure = self._failure(architecture, device.device_id)
        # A row says that the architecture failed there, and not in which job: in one that found nothing out.
        if failure is not None and not ran:
            job.state = job_pb2.JOB_STATE_FAILED
            job.failure.CopyFrom(failure)
            job.attempts[0].failure.CopyFrom(failure)
            return job
        told = found.provenance
        told.device_id, told.device_class, told.agent_id = device.device_id, device.device_class, "replay"
        told.model_digest, told.started_at, told.worker_s = spec.measurement.model.digest, now, spent_s
        told.runtime, told.runtime_version, told.delegate = "recorded", self.table.about.title, "as recorded"
        told.remarks.append(f"replayed from the table {self.table.about.title!r}: nothing was measured now")
        job.state = job_pb2.JOB_STATE_SUCCEEDED
        job.result.CopyFrom(found)
        return job

    def _failure(self, architecture: Architecture, device: str) -> failure_pb2.Failure | None:
        failure = self.table.failure(architecture) or self.table.failure(architecture, device)
        return None if failure is None else _as_message(failure)

    def _result(
        self, asked: measurement_pb2.MeasurementSpec, architecture: Architecture, device: str
    ) -> tuple[measurement_pb2.MeasurementResult, bool]:
        """What the table has of what is asked, and whether any of it comes from the very device."""
        result = measurement_pb2.MeasurementResult()
        ran = False

        def give(figure: figure_pb2.Figure, own: str, else_: str = "") -> None:
            nonlocal ran
            value = self.table.figure(architecture, own)
            ran |= value.value is not None
            if own not in self.table.columns and else_:
                value = self.table.figure(architecture, else_)
            figure.CopyFrom(value.to_figure())

        if asked.HasField("latency"):
            give(result.latency.median_s, f"latency_s@{device}")
        if asked.HasField("memory"):
            give(result.memory.peak_bytes, f"peak_memory_bytes@{device}")
        if asked.HasField("energy"):
            give(result.energy.energy_j, f"energy_j@{device}")
            result.energy.source = "recorded"
        # An accuracy that belongs to no device in particular is that on any of them.
        if asked.HasField("fault_plan"):
            condition = canonical_condition(asked.fault_plan.fault_model)
            give(result.faults.accuracy, f"accuracy@{device}@{condition}", f"accuracy@{condition}")
        elif asked.HasField("accuracy"):
            give(result.accuracy.top1, f"accuracy@{device}", "accuracy")
        return result, ran


def _device(table: Table, name: str) -> fleet_pb2.Device:
    """A device as it was described when it was recorded, and that it is replayed."""
    known: Mapping[str, Any] = table.about.devices.get(name, {})
    hardware = device_pb2.Hardware()
    try:
        ParseDict(dict(known.get("hardware", {})), hardware, ignore_unknown_fields=True)
    except (ParseError, TypeError, ValueError):
        hardware.Clear()  # somebody else's words: the line for people is what counts
    hardware.board = str(known.get("description") or hardware.board or name)
    kinds = {column.partition("@")[0] for column in table.columns if column.partition("@")[2] == name}
    return fleet_pb2.Device(
        description=device_pb2.DeviceDescription(
            device_id=name,
            device_class=f"replayed-{name}",
            labels={"origin": "replayed", "table": table.about.title},
            hardware=hardware,
            runtimes=[device_pb2.Runtime(name="recorded", formats=[RECORDED])],
            sensors=[device_pb2.Sensor(quantity=kind, source="recorded") for kind in sorted(kinds)],
            capabilities=["latency", "memory", "accuracy", "energy", "faults"],
        ),
        agent_id="replay",
        state=device_pb2.DEVICE_STATE_ONLINE,
        state_reason=f"replayed from {table.about.title}",
    )


def _as_message(failure: Failure) -> failure_pb2.Failure:
    if failure.kind in MODEL_FAILURES:
        return failure_pb2.Failure(kind=MODEL_FAILURES[failure.kind], message=failure.message)  # type: ignore[arg-type]
    message = f"{failure.kind}: {failure.message}"
    return failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_INVALID_MODEL, message=message)


def _summary(job: job_pb2.Job) -> fleet_pb2.JobSummary:
    return fleet_pb2.JobSummary(
        job_id=job.job_id,
        state=job.state,
        model_name=job.spec.measurement.model.name,
        model_digest=job.spec.measurement.model.digest,
        device_id=job.attempts[0].device_id,
        submitted_at=job.submitted_at,
        finished_at=job.finished_at,
        attempts=1,
        failure_kind=job.failure.kind,
        failure_message=job.failure.message,
        campaign_id=job.spec.campaign_id,
    )
