"""The life of a job as a pure state machine: events go in, a new record comes out, no I/O and no clock inside.

    queued ──lease──▶ leased ──start──▶ running ──result──▶ succeeded
      ▲                  │                 │
      │                  └────failure──────┴──▶ failed       the model's or the user's fault, or attempts used up
      └──── device's or fleet's fault, attempts left ──┘
    queued | leased | running ──cancel──▶ cancelled
    queued | leased | running ──deadline──▶ failed

A result or failure counts only under the lease that the job holds now; anything else is superseded: the caller keeps
it beside the job, and the job stays as it is.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Literal

from protos.blame import Blame, blame
from protos.gauntlet.v1 import failure_pb2

DEFAULT_MAX_ATTEMPTS = 3


class State(enum.Enum):
    """Where a job stands."""

    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing changes a job in this state."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)

    @property
    def is_held(self) -> bool:
        """A device holds a lease on the job."""
        return self in (State.LEASED, State.RUNNING)


@dataclass(frozen=True)
class Attempt:
    """One lease of the job."""

    lease_id: str
    device_id: str
    failure: failure_pb2.Failure | None = None


@dataclass(frozen=True)
class Job:
    """What the state machine needs to know of a job."""

    job_id: str
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    state: State = State.QUEUED
    attempts: tuple[Attempt, ...] = ()
    #: Set when failed or cancelled.
    failure: failure_pb2.Failure | None = None

    @property
    def lease_id(self) -> str | None:
        """The lease under which a result counts now."""
        return self.attempts[-1].lease_id if self.state.is_held else None

    @property
    def device_id(self) -> str | None:
        """The device that holds the job now."""
        return self.attempts[-1].device_id if self.state.is_held else None

    @property
    def avoid(self) -> frozenset[str]:
        """Devices that failed it by their own fault: others go first."""
        failed = ((a.device_id, a.failure) for a in self.attempts if a.failure is not None)
        return frozenset(device for device, failure in failed if blame(failure) is Blame.DEVICE)


@dataclass(frozen=True)
class Leased:
    """A scheduler gave the job to a device."""

    lease_id: str
    device_id: str


@dataclass(frozen=True)
class Started:
    """The device's worker has begun."""

    lease_id: str


@dataclass(frozen=True)
class Succeeded:
    """A result came."""

    lease_id: str


@dataclass(frozen=True)
class Failed:
    """The lease ended without a result: the device said so, or it was lost."""

    lease_id: str
    failure: failure_pb2.Failure


@dataclass(frozen=True)
class Returned:
    """The device gave the job back on purpose, untouched: counts as no attempt."""

    lease_id: str


@dataclass(frozen=True)
class Cancelled:
    """A user wants it no more."""

    reason: str


@dataclass(frozen=True)
class Expired:
    """It waited in the queue for longer than it allows."""

    message: str


@dataclass(frozen=True)
class Late:
    """It took longer, from its submission on, than it allows."""

    message: str


Event = Leased | Started | Succeeded | Failed | Returned | Cancelled | Expired | Late

#: "applied": the record changed. "ignored": it fits the record already, or says nothing new (a second cancel, a start
#: of a running job, a result sent again). "superseded": it belongs to a lease that the job no longer holds. "unknown":
#: to one that it never had.
Verdict = Literal["applied", "ignored", "superseded", "unknown"]


@dataclass(frozen=True)
class Step:
    """What an event did."""

    job: Job
    verdict: Verdict


def step(job: Job, event: Event) -> Step:
    """The job after `event`.

    Never raises for what a peer may send in any order: an event that does not fit is ignored or superseded.
    """
    match event:
        case Leased(lease_id, device_id):
            if job.state is not State.QUEUED:
                return Step(job, "superseded")
            attempts = (*job.attempts, Attempt(lease_id, device_id))
            return Step(replace(job, state=State.LEASED, attempts=attempts), "applied")
        case Cancelled(reason):
            if job.state.is_final:
                return Step(job, "ignored")
            failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_CANCELLED, message=reason)
            return Step(_end(job, State.CANCELLED, failure), "applied")
        case Expired(message):
            if job.state is not State.QUEUED:
                return Step(job, "ignored")
            failure = failure_pb2.Failure(
                kind=failure_pb2.FAILURE_KIND_QUEUE_DEADLINE,
                message=message,
                remedy="see `gauntlet devices` for what is busy or lost, or allow a longer queue_timeout_s",
            )
            return Step(_end(job, State.FAILED, failure), "applied")
        case Late(message):
            if job.state.is_final:
                return Step(job, "ignored")
            # In the queue it is the fleet that had no time for it; in the hands of a device the job itself was at it.
            in_hand = job.state.is_held
            failure = failure_pb2.Failure(
                kind=failure_pb2.FAILURE_KIND_TIMED_OUT if in_hand else failure_pb2.FAILURE_KIND_QUEUE_DEADLINE,
                message=f"{message} ({'while a device held it' if in_hand else 'still in the queue'})",
                remedy="allow a longer deadline_s, or see `gauntlet devices` for what is busy or lost",
            )
            return Step(_end(job, State.FAILED, failure), "applied")
    if event.lease_id != job.lease_id:
        return Step(job, _stale(job, event))
    match event:
        case Started():
            if job.state is State.RUNNING:
                return Step(job, "ignored")
            return Step(replace(job, state=State.RUNNING), "applied")
        case Succeeded():
            return Step(replace(job, state=State.SUCCEEDED), "applied")
        case Returned():
            return Step(replace(job, state=State.QUEUED, attempts=job.attempts[:-1]), "applied")
        case Failed(_, failure):
            return Step(_after_failure(job, failure), "applied")


def _stale(job: Job, event: Started | Succeeded | Failed | Returned) -> Verdict:
    """What to make of an event under a lease that the job does not hold now."""
    attempt = next((a for a in job.attempts if a.lease_id == event.lease_id), None)
    if attempt is None:
        return "unknown"
    # What ended the lease, sent again because the acknowledgement was lost.
    if isinstance(event, Succeeded) and job.state is State.SUCCEEDED and attempt is job.attempts[-1]:
        return "ignored"
    if isinstance(event, Failed) and attempt.failure == event.failure:
        return "ignored"
    return "superseded"


def _after_failure(job: Job, failure: failure_pb2.Failure) -> Job:
    attempts = (*job.attempts[:-1], replace(job.attempts[-1], failure=failure))
    if failure.kind == failure_pb2.FAILURE_KIND_CANCELLED:
        return replace(job, state=State.CANCELLED, attempts=attempts, failure=failure)
    retriable = blame(failure) in (Blame.DEVICE, Blame.FLEET)
    if retriable and len(attempts) < job.max_attempts:
        return replace(job, state=State.QUEUED, attempts=attempts)
    return replace(job, state=State.FAILED, attempts=attempts, failure=failure)


def _end(job: Job, state: State, failure: failure_pb2.Failure) -> Job:
    attempts = job.attempts
    if job.state.is_held:
        attempts = (*attempts[:-1], replace(attempts[-1], failure=failure))
    return replace(job, state=state, attempts=attempts, failure=failure)
