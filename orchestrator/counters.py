"""What the orchestrator counts as it goes: jobs, failures, sessions, messages. Read by `orchestrator.metrics`.

Counted since this process started, as Prometheus expects it: its `rate` and `increase` see a restart by themselves.
Nothing carries the id of a job, a model or a campaign, and no histogram that of a device: the series of one are dozens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from orchestrator import jobs
from orchestrator.store import overview
from orchestrator.store.base import Applied, NewJob, StoredDevice, Submitted, SuspectJob
from orchestrator.store.sql import SqlStore
from orchestrator.store.writer import Written
from protos.blame import blame, kind_name
from protos.gauntlet.v1 import agent_pb2, device_pb2, failure_pb2, measurement_pb2

_LEASE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_WORK_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_WAIT_BUCKETS_S = (*_WORK_BUCKETS_S, 6 * 3600, 24 * 3600)
#: Of measurements, each for every class of devices.
_MEASUREMENT_BUCKETS_S = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 900)
#: Classes of devices that have series of their own; agents name them, and may make up more than a lab ever has.
MOST_CLASSES = 64
OTHER_CLASSES = "other"
_OUTCOMES = tuple(state.value for state in jobs.State if state.is_final)


class Counters:
    """Counters and histograms, with their registry.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        #: Since when a job waits, or is held. A job of an earlier life of the orchestrator is not here until it is
        #: leased or goes back to the queue: what is not known is not observed.
        self._since: dict[str, float] = {}
        #: Since when a job is measured, likewise.
        self._measured_since: dict[str, float] = {}
        self._class_of: dict[str, str] = {}
        #: As they got series.
        self._classes: set[str] = set()
        own: Any = {"registry": self.registry}
        self._submitted = Counter("gauntlet_jobs_submitted", "Jobs taken into the queue.", **own)
        self._ended = Counter("gauntlet_jobs_ended", "Jobs that ended, by how.", ["outcome"], **own)
        self._failures = Counter(
            "gauntlet_failures",
            "Attempts that failed, by kind and by whose fault it was; final: the job ended with it.",
            ["kind", "blame", "final"],
            **own,
        )
        self._superseded = Counter(
            "gauntlet_results_superseded", "Results and failures that came under a lease that had ended.", **own
        )
        self._wait = Histogram(
            "gauntlet_job_wait_seconds", "From the queue to a lease.", buckets=_WAIT_BUCKETS_S, **own
        )
        self._held = Histogram(
            "gauntlet_job_held_seconds",
            "From a lease to its end: the way there, the measurement, the way back.",
            ["outcome"],
            buckets=_WORK_BUCKETS_S,
            **own,
        )
        self._measurement = Histogram(
            "gauntlet_measurement_seconds",
            "Measurements that devices began and ended, well or not, from begin to end.",
            ["device_class"],
            buckets=_MEASUREMENT_BUCKETS_S,
            **own,
        )
        self._leasing = Histogram(
            "gauntlet_dispatch_seconds",
            "From the choice of a device to the lease in the store.",
            buckets=_LEASE_BUCKETS_S,
            **own,
        )
        self._sessions = Counter(
            "gauntlet_sessions", "Connections of agents, by what became of them.", ["event"], **own
        )
        self._messages = Counter("gauntlet_messages_received", "Messages of agents, by kind.", ["kind"], **own)
        # A series that appears with its first event hides that event from `rate`.
        for outcome in _OUTCOMES:
            self._ended.labels(outcome)
        for name in failure_pb2.FailureKind.keys():  # noqa: SIM118  # no mapping
            failure = failure_pb2.Failure(kind=name)
            for final in ("false", "true"):
                self._failures.labels(kind_label(failure.kind), blame(failure).value, final)
        for event in ("opened", "closed", "refused"):
            self._sessions.labels(event)
        for field in agent_pb2.SessionRequest.DESCRIPTOR.fields:
            if field.name != "hello":  # that is the session
                self._messages.labels(field.name)

    # ------------------------------------------------------------------------------------------------ sessions

    def session(self, event: str) -> None:
        """A session was "opened", "closed" or "refused"."""
        self._sessions.labels(event).inc()

    def message(self, request: agent_pb2.SessionRequest) -> None:
        """An agent said something."""
        if kind := request.WhichOneof("event"):
            self._messages.labels(kind).inc()

    def know(self, descriptions: Iterable[device_pb2.DeviceDescription]) -> None:
        """These devices are, or were once, in the lab."""
        self._class_of.update((device.device_id, device.device_class) for device in descriptions)

    # ------------------------------------------------------------------------------------------------ jobs

    def submitting(self, new: Sequence[NewJob]) -> None:
        """Jobs are on their way to the store; they wait from now on."""
        now = self._clock()
        self._since.update((job.job_id, now) for job in new)

    def submitted(self, new: Sequence[NewJob], answers: Sequence[Submitted]) -> None:
        """What became of them; no answers: nothing was taken."""
        created = {answer.job_id for answer in answers if answer.created}
        self._submitted.inc(len(created))
        for job in new:
            if job.job_id not in created:
                self._since.pop(job.job_id, None)

    def repeated(self, suspect: Sequence[SuspectJob]) -> None:
        """Results turned out to be suspect; for most a second job was queued."""
        queued = [job.successor_job_id for job in suspect if job.successor_job_id]
        self._submitted.inc(len(queued))
        self._since.update((job_id, self._clock()) for job_id in queued)

    def applied(self, event: jobs.Event, applied: Applied, took_s: float) -> None:
        """A job went through an event; the store took `took_s` over it."""
        if applied.verdict == "superseded" and isinstance(event, jobs.Succeeded | jobs.Failed):
            self._superseded.inc()
        if applied.verdict != "applied":
            return
        job, now = applied.after, self._clock()
        since = self._since.get(job.job_id)
        if isinstance(event, jobs.Leased):
            self._leasing.observe(took_s)
            if since is not None:
                self._wait.observe(max(0.0, now - took_s - since))
        elif applied.before.state.is_held and not job.state.is_held and since is not None:
            self._held.labels(job.state.value if job.state.is_final else "again").observe(now - since)
        if isinstance(event, jobs.Started):
            self._measured_since[job.job_id] = now
        elif (began := self._measured_since.pop(job.job_id, None)) is not None and _came_from_device(event):
            self._measurement.labels(self._class_label(applied.before.device_id)).observe(now - began)
        if job.state is not applied.before.state and job.state is not jobs.State.RUNNING:
            self._since[job.job_id] = now
        if job.state.is_final:
            self._since.pop(job.job_id, None)
            self._ended.labels(job.state.value).inc()
        self._failed(event, job)

    def _class_label(self, device_id: str | None) -> str:
        name = self._class_of.get(device_id or "", OTHER_CLASSES)
        if name not in self._classes and len(self._classes) >= MOST_CLASSES:
            return OTHER_CLASSES
        self._classes.add(name)
        return name

    def _failed(self, event: jobs.Event, job: jobs.Job) -> None:
        failure = event.failure if isinstance(event, jobs.Failed) else job.failure
        if failure is None:
            return
        final = "true" if job.state.is_final else "false"
        self._failures.labels(kind_label(failure.kind), blame(failure).value, final).inc()


def _came_from_device(event: jobs.Event) -> bool:
    """Not so when it was lost: how long that took is how long nobody noticed."""
    if isinstance(event, jobs.Failed):
        return event.failure.kind != failure_pb2.FAILURE_KIND_DEVICE_LOST
    return isinstance(event, jobs.Succeeded)


def kind_label(kind: int) -> str:
    """Of a failure. One that only a newer agent knows is "unknown": what a peer makes up must make no series."""
    return kind_name(kind).replace(" ", "_") if kind in failure_pb2.FailureKind.values() else "unknown"


class CountingStore(SqlStore):
    """A store that counts what happens to jobs: whoever brings it about comes by here."""

    counters: Counters

    @property
    def written(self) -> Written:
        """What its writer has done so far."""
        return self._writer.written

    async def overview(self, now: float) -> tuple[overview.Queue, list[overview.CampaignReading]]:
        """What waits and what is held, and how campaigns stand at that Unix time, in one snapshot."""
        return await self._read(lambda c: (overview.queue(c), overview.recent_campaigns(c, now)))

    async def save_devices(self, agent_id: str, devices: Sequence[device_pb2.DeviceDescription]) -> None:
        """See `SqlStore.save_devices`."""
        self.counters.know(devices)
        await super().save_devices(agent_id, devices)

    async def devices(self) -> list[StoredDevice]:
        """See `SqlStore.devices`."""
        stored = await super().devices()
        self.counters.know(device.description for device in stored)
        return stored

    async def submit(self, new: Sequence[NewJob]) -> list[Submitted]:
        """See `SqlStore.submit`."""
        self.counters.submitting(new)
        answers: list[Submitted] = []
        try:
            answers = await super().submit(new)
        finally:
            self.counters.submitted(new, answers)
        return answers

    async def apply(
        self,
        job_id: str,
        event: jobs.Event,
        result: measurement_pb2.MeasurementResult | None = None,
        *,
        whole: bool = False,
    ) -> Applied | None:
        """See `SqlStore.apply`."""
        began = time.perf_counter()
        applied = await super().apply(job_id, event, result, whole=whole)
        if applied is not None:
            self.counters.applied(event, applied, time.perf_counter() - began)
        return applied

    async def record_fitness(self, report: agent_pb2.FitnessReport) -> list[SuspectJob]:
        """See `SqlStore.record_fitness`."""
        suspect = await super().record_fitness(report)
        self.counters.repeated(suspect)
        return suspect
