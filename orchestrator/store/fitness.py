"""Fitness checks as rows, and what a shifted one does to the results that it makes suspect."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from orchestrator import fitness
from orchestrator import jobs as machine
from orchestrator.store import job_writes
from orchestrator.store.base import KeyConflictError, NewJob, SuspectJob
from orchestrator.store.tables import attempts, checks, jobs, noise_floors, suspicions
from protos.gauntlet.v1 import agent_pb2, fitness_pb2, job_pb2

#: Checks kept of each device.
HISTORY = 1_000
#: Leases looked up in one statement: databases limit the number of parameters.
_LOOKUP = 500

_KNOWN = select(checks.c.sequence).where(
    checks.c.device_id == bindparam("device_id"), checks.c.check_id == bindparam("check_id")
)
_OLDEST_KEPT = (
    select(checks.c.sequence)
    .where(checks.c.device_id == bindparam("device_id"))
    .order_by(checks.c.sequence.desc())
    .offset(HISTORY - 1)
    .limit(1)
)
_FORGET = delete(checks).where(checks.c.device_id == bindparam("of_device"), checks.c.sequence < bindparam("oldest"))
_LAST = (
    select(checks.c.message)
    .where(checks.c.device_id == bindparam("device_id"))
    .order_by(checks.c.sequence.desc())
    .limit(fitness.SHOWN_CHECKS)
)
_FLOOR = select(noise_floors.c.message).where(noise_floors.c.device_id == bindparam("device_id"))
# Those that succeeded under exactly this lease on exactly this device, and are not marked yet.
_TAINTED = (
    select(jobs.c.id, jobs.c.spec, jobs.c.user_name)
    .join(attempts, (attempts.c.job_id == jobs.c.id) & (attempts.c.number == jobs.c.attempts))
    .outerjoin(suspicions, suspicions.c.job_id == jobs.c.id)
    .where(
        attempts.c.lease_id.in_(bindparam("leases", expanding=True)),
        attempts.c.device_id == bindparam("device_id"),
        jobs.c.state == machine.State.SUCCEEDED.value,
        suspicions.c.job_id.is_(None),
    )
    .order_by(jobs.c.sequence)
)


def record(connection: Connection, report: agent_pb2.FitnessReport, now: float, steady: float) -> list[SuspectJob]:
    """Keep a check and mark what it makes suspect; the same check again changes nothing."""
    check = report.check
    names = {"device_id": check.device_id, "check_id": check.check_id}
    if connection.execute(_KNOWN, names).first() is not None:
        return []
    connection.execute(insert(checks), {**names, "message": fitness.kept(check).SerializeToString()})
    oldest = connection.execute(_OLDEST_KEPT, names).scalar()
    if oldest is not None:
        connection.execute(_FORGET, {"of_device": check.device_id, "oldest": oldest})
    if report.HasField("noise_floor"):
        _save_floor(connection, report.noise_floor)
    return list(_mark(connection, check, now, steady))


def last_checks(connection: Connection, device_id: str) -> list[fitness_pb2.FitnessCheck]:
    """The newest first."""
    rows = connection.execute(_LAST, {"device_id": device_id}).scalars()
    return [fitness_pb2.FitnessCheck.FromString(message) for message in rows]


def noise_floor(connection: Connection, device_id: str) -> fitness_pb2.NoiseFloor | None:
    """As measured last."""
    message = connection.execute(_FLOOR, {"device_id": device_id}).scalar()
    return None if message is None else fitness_pb2.NoiseFloor.FromString(message)


def _save_floor(connection: Connection, floor: fitness_pb2.NoiseFloor) -> None:
    of_device = noise_floors.c.device_id == floor.device_id
    message = floor.SerializeToString()
    if not connection.execute(update(noise_floors).where(of_device).values(message=message)).rowcount:
        connection.execute(insert(noise_floors), {"device_id": floor.device_id, "message": message})


def _mark(connection: Connection, check: fitness_pb2.FitnessCheck, now: float, steady: float) -> Iterator[SuspectJob]:
    leases = fitness.suspect_leases(check)
    for start in range(0, len(leases), _LOOKUP):
        some = {"leases": leases[start : start + _LOOKUP], "device_id": check.device_id}
        for row in connection.execute(_TAINTED, some).all():
            successor = fitness.successor(row.id, job_pb2.JobSpec.FromString(row.spec), row.user_name)
            again = _queue(connection, successor, now, steady)
            marked = {"job_id": row.id, "check_id": check.check_id, "reason": fitness.reason(check), "marked_at": now}
            connection.execute(insert(suspicions), {**marked, "successor_job_id": again})
            yield SuspectJob(row.id, again)


def _queue(connection: Connection, again: NewJob | None, now: float, steady: float) -> str | None:
    if again is None:
        return None
    try:
        return job_writes.submit(connection, [again], now, steady)[0].job_id
    except KeyConflictError:
        # Somebody took the key for a job of his own. The mark stays, and the fleet goes on.
        return None
