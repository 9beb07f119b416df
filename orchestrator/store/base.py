"""What the orchestrator asks of a store. Implementations share one contract test.

Every method is awaited on the event loop and does its I/O elsewhere. A method that writes returns only when the write
is on disk; a lease or a start may outlast the process only, and not a power failure: the job is then found queued. The
store decides, by the pure state machine in `orchestrator.jobs`, inside one transaction: that is the compare-and-set
which makes each job end exactly once, however many replicas share the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from orchestrator import jobs
from orchestrator.holds import Hold, Kind
from protos.gauntlet.v1 import agent_pb2, campaign_pb2, device_pb2, fitness_pb2, fleet_pb2, job_pb2, measurement_pb2

#: Events of a device that clients see.
SHOWN_EVENTS = 20


class StoreError(Exception):
    """The store cannot be used; the message says what to do."""


class KeyConflictError(Exception):
    """An idempotency key is known with another specification."""

    def __init__(self, idempotency_key: str, job_id: str) -> None:
        super().__init__(f"idempotency key {idempotency_key!r} belongs to job {job_id} with another specification")


@dataclass(frozen=True)
class NewJob:
    """A job to be queued.

    Attributes:
        signature: canonical text of what a device must be and be able to do; equal texts mean equal demands.
        artifacts: digests that the job needs.
        user: who submits it, as 1-64 letters, digits, '.', '_', '-'; "local" in a lab without TLS.
    """

    job_id: str
    spec: job_pb2.JobSpec
    signature: str
    artifacts: tuple[str, ...]
    user: str = "local"


@dataclass(frozen=True)
class Submitted:
    """Answer to a submission. `created` is False when the idempotency key was known: then it is that job's id."""

    job_id: str
    created: bool


class Share(NamedTuple):
    """Whose a job is: users get equal shares of the devices, their campaigns equal shares of theirs."""

    user: str
    campaign_id: str


LOCAL = Share("local", "")


@dataclass(frozen=True)
class Waiting:
    """A queued job, as the scheduler sees it."""

    job_id: str
    signature: str
    priority: int
    #: Order of submission.
    sequence: int
    #: Devices that failed it by their own fault.
    avoid: frozenset[str]
    share: Share = LOCAL


@dataclass(frozen=True)
class Held:
    """A lease that is out."""

    job_id: str
    lease_id: str
    device_id: str
    share: Share = LOCAL


@dataclass(frozen=True)
class Queued:
    """How many unfinished jobs a share has."""

    waiting: int
    held: int


@dataclass(frozen=True)
class Applied:
    """What an event did to a stored job. `before` and `after` are equal unless the verdict is "applied".

    Attributes:
        job: the job whole, after an event that was applied, if it was asked for.
    """

    before: jobs.Job
    after: jobs.Job
    verdict: jobs.Verdict
    job: job_pb2.Job | None = None


@dataclass(frozen=True)
class SuspectJob:
    """A job whose result was marked. `successor_job_id` measures it again; None when that has been done before."""

    job_id: str
    successor_job_id: str | None


@dataclass(frozen=True)
class StoredDevice:
    """A device that once enrolled.

    Attributes:
        checks: its last fitness checks, newest first.
        noise_floor: as measured last; None when it never was.
        holds: what keeps it from taking jobs.
        windows: of maintenance.
        events: the last things that happened to it, newest first.
    """

    description: device_pb2.DeviceDescription
    agent_id: str
    last_seen_at: str
    checks: Sequence[fitness_pb2.FitnessCheck] = ()
    noise_floor: fitness_pb2.NoiseFloor | None = None
    holds: Sequence[Hold] = ()
    windows: Sequence[fleet_pb2.MaintenanceWindow] = ()
    events: Sequence[fleet_pb2.DeviceEvent] = ()


@dataclass(frozen=True)
class DeviceChange:
    """What changes about a device, together or not at all.

    Attributes:
        hold: a new one, in place of one of its kind.
        freed: kinds of holds that are over.
        windows: of maintenance, in place of all that it had; None: they stay.
        event: for its history.
    """

    hold: Hold | None = None
    freed: tuple[Kind, ...] = ()
    windows: Sequence[fleet_pb2.MaintenanceWindow] | None = None
    event: fleet_pb2.DeviceEvent | None = None


@dataclass(frozen=True)
class Page:
    """Rows and where to go on; an empty token ends the listing.

    Attributes:
        signatures: of those that are queued, by job id.
    """

    rows: list[fleet_pb2.JobSummary] = field(default_factory=list)
    next_token: str = ""
    signatures: dict[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Durable jobs, results, devices and campaigns."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of the files."""

    async def size_bytes(self) -> int:
        """Of the database on disk."""

    # Jobs.
    async def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """Queue all or none, in order; known idempotency keys attach to their jobs.

        Raises:
            KeyConflictError: a key is known with another specification.
        """

    async def apply(
        self,
        job_id: str,
        event: jobs.Event,
        result: measurement_pb2.MeasurementResult | None = None,
        *,
        whole: bool = False,
    ) -> Applied | None:
        """Take the job through `event`; None when there is no such job.

        `result` goes with `Succeeded`. When the verdict on a `Succeeded` or `Failed` is "superseded", what came is kept
        beside the job: once per lease, however often it comes, and not when it is what ended that lease, sent again.

        Args:
            job_id: the job.
            event: what happened to it.
            result: goes with `Succeeded`.
            whole: answer with the whole job, read in the same transaction: cheaper than asking for it afterwards.
        """

    async def waiting(self, wanted: Callable[[str], bool], limit: int) -> list[Waiting]:
        """Of each signature in the queue that is `wanted`, each share and each set of devices to avoid, the first
        `limit` jobs: highest priority, then oldest.

        So nobody's jobs are hidden behind a hundred thousand of somebody else. Costs a look at each signature and, of
        those wanted, at each share; never at the rest of the jobs. `wanted` is called in another thread.
        """

    async def overdue(self, now: float) -> list[str]:
        """Queued jobs whose queue_timeout_s has passed at `now` (Unix time)."""

    async def late(self, now: float) -> list[str]:
        """Unfinished jobs whose deadline_s has passed at `now` (Unix time)."""

    async def held(self) -> list[Held]:
        """All leases that are out, for an orchestrator that starts, in the order in which they were given."""

    async def shares(self) -> dict[Share, Queued]:
        """Who has unfinished jobs, and how many."""

    async def job(self, job_id: str) -> job_pb2.Job | None:
        """One job whole, by its id or by a prefix that fits one only.

        Raises:
            LookupError: the prefix fits several.
        """

    async def list_jobs(self, states: Collection[jobs.State], campaign_id: str, limit: int, token: str) -> Page:
        """Newest first; no states: all. A token that is none raises ValueError."""

    async def unfinished(self, campaign_id: str, user: str = "") -> list[str]:
        """Ids of the campaign's jobs that have not ended; of this user, unless it is empty."""

    async def count_by_state(self) -> dict[jobs.State, int]:
        """Number of jobs in each state."""

    async def needed_artifacts(self, finished_since: float) -> set[str]:
        """Digests that unfinished jobs, or jobs finished after that Unix time, need or produced."""

    # Devices.
    async def save_devices(self, agent_id: str, devices: Sequence[device_pb2.DeviceDescription]) -> None:
        """Enrol or refresh devices of an agent, seen now."""

    async def devices(self) -> list[StoredDevice]:
        """All that ever enrolled, by id."""

    async def change_device(self, device_id: str, change: DeviceChange) -> None:
        """Keep what changes about a device; of its events the last 200 are kept."""

    async def record_fitness(self, report: agent_pb2.FitnessReport) -> list[SuspectJob]:
        """Keep a device's fitness check, and mark the results that it makes suspect.

        Every job that succeeded on that device under one of the leases that a shifted check names is marked, once, and
        queued again unless it repeats another one itself. The same check again changes nothing. The report has been
        checked, and its device is the sender's.
        """

    # Campaigns: stored and handed out uninterpreted.
    async def save_campaign(self, campaign: campaign_pb2.Campaign) -> None:
        """Create the campaign or replace its description; the store sets both times.

        Raises:
            StoreError: there are too many campaigns.
        """

    async def save_records(self, campaign_id: str, records: Sequence[campaign_pb2.CampaignRecord]) -> bool:
        """Append, or replace those whose (kind, key) is known; False when there is no such campaign.

        Raises:
            StoreError: the campaign has too many records.
        """

    async def campaigns(self) -> list[campaign_pb2.Campaign]:
        """Newest first, as many as fit into a message."""

    async def records(self, campaign_id: str, limit: int, token: str) -> tuple[list[campaign_pb2.CampaignRecord], str]:
        """In order of first publication, as many as fit into a message, and the next token."""
