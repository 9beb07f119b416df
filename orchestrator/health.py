"""When a device is put out of service, and how it comes back: rules without I/O; times are monotonic seconds.

    crash loop: its agent came back as a new process 5 times within 10 min, without having said goodbye
    failures:   3 jobs in a row failed by the device's fault, or 5 within 10 min
    drift:      2 fitness checks in a row were shifted (a new baseline or a good check settles it)

    quarantined ──30 s, 1, 2, 4 … 30 min──▶ a check is asked for ──good, baseline──▶ back
                        ▲                        │ └─ cannot be made ─▶ one job at a time ──succeeds──▶ back
                        └────────shifted─────────┘

A job that fails by the fault of two devices is to blame itself (a model that brings every host down): it counts against
none of them any more, so that one model cannot quarantine the fleet.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from dataclasses import dataclass, field

from protos.gauntlet.v1 import fitness_pb2

_SHIFTED, _UNAVAILABLE = fitness_pb2.FITNESS_VERDICT_SHIFTED, fitness_pb2.FITNESS_VERDICT_UNAVAILABLE

#: Failed jobs that are remembered.
_MAX_JOBS = 10_000


class Cause(enum.Enum):
    """Why the orchestrator quarantines."""

    CRASH_LOOP = "crash loop"
    FAILURES = "failures"
    DRIFT = "drift"


@dataclass(frozen=True)
class Limits:
    """How much is too much."""

    restarts: int = 5
    failures_in_a_row: int = 3
    failures: int = 5
    within_s: float = 600.0
    shifts: int = 2


@dataclass(frozen=True)
class Finding:
    """A device is to be quarantined; the reason is for people."""

    cause: Cause
    reason: str


@dataclass
class _Record:
    """What speaks against a device, the oldest first."""

    restarts: list[float] = field(default_factory=list)
    #: (when, job, what happened) of one failure for each job.
    failures: list[tuple[float, str, str]] = field(default_factory=list)
    #: Those of `failures` since it last succeeded.
    row: set[str] = field(default_factory=set)
    shifts: int = 0


class Health:
    """What speaks against each device. A finding wipes its slate; so does `forget`, when it comes back.

    In memory: after a restart of the orchestrator the counts begin anew; quarantines themselves are stored.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records: dict[str, _Record] = defaultdict(_Record)
        #: Where a job failed first, of the last jobs that failed by a device's fault.
        self._first: dict[str, str] = {}

    def restarted(self, device_id: str, now: float) -> Finding | None:
        """Its agent is a new process, and the last one said no goodbye."""
        restarts = self._records[device_id].restarts
        restarts.append(now)
        restarts[:] = [at for at in restarts if at > now - self._limits.within_s]
        if len(restarts) < self._limits.restarts:
            return None
        minutes = self._limits.within_s / 60
        return self._find(
            device_id, Cause.CRASH_LOOP, f"its agent started anew {len(restarts)} times within {minutes:g} min"
        )

    def failed(self, device_id: str, job_id: str, what: str, now: float) -> Finding | None:
        """A job failed by the device's fault; `what` happened, in a few words."""
        first = self._first.setdefault(job_id, device_id)
        if len(self._first) > _MAX_JOBS:
            del self._first[next(iter(self._first))]
        if first != device_id:
            record = self._records[first]
            record.failures = [failure for failure in record.failures if failure[1] != job_id]
            record.row.discard(job_id)
            return None
        record = self._records[device_id]
        kept = max(self._limits.failures, self._limits.failures_in_a_row)
        others = [failure for failure in record.failures if failure[1] != job_id]
        record.failures = [*others, (now, job_id, what)][-kept:]
        record.row.add(job_id)
        lately = sum(failure[0] > now - self._limits.within_s for failure in record.failures)
        kinds = ", ".join(dict.fromkeys(failure[2] for failure in record.failures))
        if len(record.row) >= self._limits.failures_in_a_row:
            reason = f"{len(record.row)} jobs in a row failed by its fault: {kinds}"
        elif lately >= self._limits.failures:
            minutes = self._limits.within_s / 60
            reason = f"{lately} jobs failed by its fault within {minutes:g} min: {kinds}"
        else:
            return None
        return self._find(device_id, Cause.FAILURES, reason)

    def succeeded(self, device_id: str) -> None:
        """A job brought a result."""
        if device_id in self._records:
            self._records[device_id].row.clear()

    def checked(self, check: fitness_pb2.FitnessCheck) -> Finding | None:
        """A device was checked. A check that could not be made says nothing."""
        if check.verdict == _UNAVAILABLE:
            return None
        record = self._records[check.device_id]
        record.shifts = record.shifts + 1 if check.verdict == _SHIFTED else 0
        if record.shifts < self._limits.shifts:
            return None
        said = f": {check.reason}" if check.reason else ""
        return self._find(check.device_id, Cause.DRIFT, f"{record.shifts} fitness checks in a row were shifted{said}")

    def forget(self, device_id: str) -> None:
        """It came back: what was before no longer counts."""
        self._records.pop(device_id, None)

    def _find(self, device_id: str, cause: Cause, reason: str) -> Finding:
        self.forget(device_id)
        return Finding(cause, reason)


class Answer(enum.Enum):
    """What a check that was asked for means."""

    BACK = "back"
    #: Let a job show it.
    PROBATION = "probation"
    STAY = "stay"


def answer(check: fitness_pb2.FitnessCheck, cause: str) -> Answer:
    """What a check that was asked for means to a device in quarantine for `cause`.

    A job says nothing about drift: a device that drifted, and can be checked no more, stays.
    """
    if check.verdict == _SHIFTED:
        return Answer.STAY
    if check.verdict == _UNAVAILABLE:
        return Answer.STAY if cause == Cause.DRIFT.value else Answer.PROBATION
    return Answer.BACK


_LONGEST_WAIT_S = 1800.0


def probe_wait_s(asked: int, first_s: float) -> float:
    """Seconds before the next probe, after so many that were asked for: twice as long each time, 30 min at most."""
    return min(first_s * 2.0 ** min(asked, 30), max(_LONGEST_WAIT_S, first_s))
