"""What a campaign needs of a lab: a connection to an orchestrator has it, and so has a recorded table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from protos.gauntlet.v1 import artifact_pb2, campaign_pb2, fleet_pb2, job_pb2

if TYPE_CHECKING:
    from orchestrator.client import Client


class Fleet(Protocol):
    """Devices that carry out jobs. `orchestrator.client.Client` says what each method does and raises."""

    async def __aenter__(self) -> Self:
        """Itself."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection."""
        ...

    async def wait_ready(self, timeout_s: float, devices: int = 0) -> None:
        """Return once so many devices take jobs."""
        ...

    async def devices(self) -> list[fleet_pb2.Device]:
        """All devices, with their state."""
        ...

    async def put_file(self, path: Path, media_type: str) -> artifact_pb2.ArtifactRef:
        """Upload a file."""
        ...

    async def put_bytes(self, data: bytes, media_type: str, name: str) -> artifact_pb2.ArtifactRef:
        """Upload bytes."""
        ...

    async def submit(self, specs: Sequence[job_pb2.JobSpec]) -> list[fleet_pb2.SubmittedJob]:
        """Queue all or none; known idempotency keys attach to their jobs."""
        ...

    async def run(self, specs: Sequence[job_pb2.JobSpec]) -> list[job_pb2.Job]:
        """Submit and wait: the ended jobs, in the order of `specs`."""
        ...

    async def settled(self, jobs: Sequence[job_pb2.Job]) -> list[job_pb2.Job]:
        """The jobs that stand for these ended ones, suspect ones measured again."""
        ...

    async def job(self, job_id: str) -> job_pb2.Job:
        """One job whole."""
        ...

    async def jobs(
        self, states: Collection[int] = (), campaign_id: str = "", limit: int = 100
    ) -> list[fleet_pb2.JobSummary]:
        """The newest jobs, newest first; no states: all."""
        ...

    async def publish_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """Create a campaign or replace its description."""
        ...

    async def publish_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> None:
        """Append records; a known (kind, key) is replaced."""
        ...

    async def campaigns(self) -> list[campaign_pb2.Campaign]:
        """All campaigns, newest first."""
        ...

    async def records(self, campaign_id: str) -> list[campaign_pb2.CampaignRecord]:
        """All records of a campaign, in order of first publication."""
        ...


if TYPE_CHECKING:
    _client_is_one: type[Fleet] = Client
