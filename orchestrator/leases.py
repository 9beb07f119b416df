"""Leases on a local monotonic clock: who holds what, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.store.base import Waiting


@dataclass(frozen=True)
class Lease:
    """A job in the hands of a device."""

    lease_id: str
    job_id: str
    device_id: str
    #: The job as it waited; None for a lease of an earlier life of the orchestrator.
    job: Waiting | None = None


class Leases:
    """All leases that are out.

    A lease travels as a duration, never as a time of day: each end measures it on its own monotonic clock. After a
    restart of the orchestrator each stored lease is granted anew, with its full duration.

    Args:
        duration_s: a lease ends when it was not renewed for this long.
        clock: monotonic seconds.
    """

    def __init__(self, duration_s: float, clock: Callable[[], float]) -> None:
        self.duration_s = duration_s
        self._clock = clock
        self._leases: dict[str, Lease] = {}
        self._deadlines: dict[str, float] = {}
        self._of_job: dict[str, str] = {}

    def __contains__(self, lease_id: object) -> bool:
        return lease_id in self._leases

    def grant(self, lease: Lease) -> None:
        """Put a lease out, or give it its full duration again."""
        self._leases[lease.lease_id] = lease
        self._of_job[lease.job_id] = lease.lease_id
        self._deadlines[lease.lease_id] = self._clock() + self.duration_s

    def renew(self, lease_ids: Iterable[str]) -> list[str]:
        """Renew these; returns those that are not out."""
        unknown = []
        for lease_id in lease_ids:
            if lease_id in self._leases:
                self.grant(self._leases[lease_id])
            else:
                unknown.append(lease_id)
        return unknown

    def end(self, lease_id: str) -> Lease | None:
        """Take a lease in; None when it was not out."""
        self._deadlines.pop(lease_id, None)
        lease = self._leases.pop(lease_id, None)
        if lease is not None and self._of_job.get(lease.job_id) == lease_id:
            del self._of_job[lease.job_id]
        return lease

    def get(self, lease_id: str) -> Lease | None:
        """The lease, if it is out."""
        return self._leases.get(lease_id)

    def of_job(self, job_id: str) -> Lease | None:
        """The lease on this job, if one is out."""
        return self._leases.get(self._of_job.get(job_id, ""))

    def expired(self) -> list[Lease]:
        """Leases whose time is over; they stay out until `end`."""
        now = self._clock()
        return [self._leases[lease_id] for lease_id, deadline in self._deadlines.items() if deadline <= now]
