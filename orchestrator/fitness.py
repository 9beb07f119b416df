"""What a fitness check of a device means for the results that came from it: pure rules, no I/O and no clock inside.

    succeeded ──shifted check names its lease──▶ succeeded, suspect ──▶ a successor measures it again
                                                                         └─ suspect as well: marked, left at that

A suspect job stays succeeded, with its figures: whoever wants better ones follows it to its successor.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Collection
from datetime import UTC, datetime

from orchestrator.demands import Demand
from orchestrator.store.base import NewJob
from protos import artifacts, contract
from protos.gauntlet.v1 import agent_pb2, fitness_pb2, job_pb2

#: Leases that one check may make suspect. An agent checks every ten jobs; this bounds one transaction.
MAX_SUSPECT_LEASES = 10_000
#: Checks of a device that clients see.
SHOWN_CHECKS = 20
_MAX_TEXT = 500
#: Of a report. Many are kept of each device, and shown.
_MAX_BYTES = 8 * 1024
_MAX_PRIORITY = 2**31 - 1


class InvalidReportError(ValueError):
    """A report that makes no sense; the message names what is wrong."""


def check_report(report: agent_pb2.FitnessReport, own: Collection[str]) -> None:
    """Check what an agent reports.

    Args:
        report: as it came.
        own: ids of the devices that the agent has attached.

    Raises:
        InvalidReportError: malformed, or about a device that is not the agent's.
    """
    check = report.check
    if not contract.is_id(check.check_id):
        raise InvalidReportError(f"a fitness check needs an id, not {check.check_id[:80]!r}")
    floors = [report.noise_floor] if report.HasField("noise_floor") else []
    for device_id in (check.device_id, *(floor.device_id for floor in floors)):
        if device_id not in own:
            raise InvalidReportError(f"a fitness report of device {device_id[:80]!r}, which is not yours")
    if check.verdict not in fitness_pb2.FitnessVerdict.values()[1:]:
        raise InvalidReportError(f"fitness check {check.check_id}: unknown verdict {check.verdict}")
    if check.HasField("shift") and not math.isfinite(check.shift):
        raise InvalidReportError(f"fitness check {check.check_id}: shift must be a finite number, not {check.shift}")
    if check.verdict == fitness_pb2.FITNESS_VERDICT_SHIFTED and not check.HasField("shift"):
        raise InvalidReportError(f"fitness check {check.check_id}: it shifted, and does not say by how much")
    if kept(check).ByteSize() + sum(floor.ByteSize() for floor in floors) > _MAX_BYTES:
        raise InvalidReportError(f"fitness check {check.check_id}: more than {_MAX_BYTES} bytes without its leases")
    for text in (check.checked_at, *(floor.measured_at for floor in floors)):
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise InvalidReportError(f"fitness check {check.check_id}: {text[:80]!r} is no time of day") from error


def kept(check: fitness_pb2.FitnessCheck) -> fitness_pb2.FitnessCheck:
    """The check as history keeps it: texts bounded, and without the leases, whose jobs carry the mark."""
    copy = fitness_pb2.FitnessCheck()
    copy.CopyFrom(check)
    copy.reason = check.reason[:_MAX_TEXT]
    copy.occasion = check.occasion[:_MAX_TEXT]
    del copy.suspect_lease_ids[:]
    return copy


def suspect_leases(check: fitness_pb2.FitnessCheck) -> list[str]:
    """The leases whose results are suspect, the newest if there are too many."""
    if check.verdict != fitness_pb2.FITNESS_VERDICT_SHIFTED:
        return []
    return list(dict.fromkeys(check.suspect_lease_ids))[-MAX_SUSPECT_LEASES:]


def reason(check: fitness_pb2.FitnessCheck) -> str:
    """Why the results are suspect, in words on one line: those of the agent, which knows what it compared with."""
    when = datetime.fromisoformat(check.checked_at)
    when = when.astimezone(UTC) if when.tzinfo else when
    longer = "longer" if check.shift > 0 else "less"
    change = f"the reference model took {abs(check.shift) * 100:.1f} % {longer} than expected"
    said = " ".join(check.reason.split())[:_MAX_TEXT] or change
    return f"fitness check of {when:%Y-%m-%d %H:%M} UTC: {said}"


def successor(job_id: str, spec: job_pb2.JobSpec, user: str) -> NewJob | None:
    """The job that measures a suspect one again, a little before its peers; None when that has been done before."""
    if spec.repeats_job_id:
        return None
    again = job_pb2.JobSpec()
    again.CopyFrom(spec)
    again.idempotency_key = "again-" + hashlib.sha256(f"{job_id}\0{spec.idempotency_key}".encode()).hexdigest()
    again.priority = min(spec.priority + 1, _MAX_PRIORITY)
    again.repeats_job_id = job_id
    digests = tuple(ref.digest for ref in artifacts.needed(spec.measurement))
    return NewJob(uuid.uuid4().hex, again, Demand.of(again).signature, digests, user)
