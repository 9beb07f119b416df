"""What is done to jobs inside a transaction of the writer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from orchestrator import failpoints
from orchestrator import jobs as machine
from orchestrator.store import job_reads
from orchestrator.store.base import Applied, KeyConflictError, NewJob, Submitted
from orchestrator.store.prepared import Prepared, Row
from orchestrator.store.tables import attempts, jobs, outcomes, superseded
from protos import artifacts
from protos.gauntlet.v1 import failure_pb2, measurement_pb2

_BEFORE_COMMIT = {
    machine.Leased: "lease.before_commit",
    machine.Succeeded: "result.before_commit",
    machine.Failed: "result.before_commit",
}

_KNOWN_KEY = Prepared(select(jobs.c.id, jobs.c.spec).where(jobs.c.idempotency_key == bindparam("key")))
_NEW_JOB = Prepared(
    insert(jobs),
    [
        "id",
        "idempotency_key",
        "state",
        "signature",
        "priority",
        "campaign_id",
        "user_name",
        "model_name",
        "model_digest",
        "max_attempts",
        "queue_timeout_s",
        "queued_signature",
        "queued_group",
        "queue_deadline",
        "deadline",
        "submitted_at",
        "device_id",
        "attempts",
        "avoid",
        "artifacts",
        "failure_kind",
        "failure_message",
        "spec",
    ],
)
# The lock is for databases whose transactions write side by side; SQLite has a single writer and does not render it.
_JOB = Prepared(
    select(
        jobs.c.sequence,
        jobs.c.state,
        jobs.c.signature,
        jobs.c.max_attempts,
        jobs.c.queue_timeout_s,
        jobs.c.deadline,
        jobs.c.user_name,
        jobs.c.campaign_id,
        jobs.c.artifacts,
    )
    .where(jobs.c.id == bindparam("job_id"))
    .with_for_update()
)
_ATTEMPTS = Prepared(
    select(attempts.c.lease_id, attempts.c.device_id, attempts.c.failure)
    .where(attempts.c.job_id == bindparam("job_id"))
    .order_by(attempts.c.number)
)
_FAILURE = Prepared(select(outcomes.c.failure).where(outcomes.c.job_id == bindparam("job_id")))
_NEW_ATTEMPT = Prepared(insert(attempts), ["lease_id", "job_id", "number", "device_id", "started_at"])
_END_ATTEMPT = Prepared(
    update(attempts)
    .where(attempts.c.lease_id == bindparam("ended_lease_id"))
    .values(ended_at=bindparam("ended_at"), failure=bindparam("failure"))
)
_REMOVE_ATTEMPT = Prepared(delete(attempts).where(attempts.c.lease_id == bindparam("removed_lease_id")))
_OUTCOME = Prepared(insert(outcomes), ["job_id", "result", "failure"])
_KNOWN_SUPERSEDED = Prepared(select(superseded.c.lease_id).where(superseded.c.lease_id == bindparam("lease_id")))
_SUPERSEDED = Prepared(insert(superseded), ["lease_id", "job_id", "came_at", "result", "failure"])
_UPDATE_JOB = Prepared(
    update(jobs)
    .where(jobs.c.sequence == bindparam("job_sequence"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "queued_signature",
                "queued_group",
                "queue_deadline",
                "deadline",
                "finished_at",
                "device_id",
                "attempts",
                "avoid",
                "artifacts",
                "failure_kind",
                "failure_message",
            )
        }
    )
)


def submit(connection: Connection, new: Sequence[NewJob], now: float, steady: float) -> list[Submitted]:
    """Queue what is new, attach what is known.

    Args:
        connection: of the writer.
        new: the jobs.
        now: Unix time, to be shown.
        steady: the same for deadlines, see `orchestrator.clocks`.

    Raises:
        KeyConflictError: a key is known with another specification.
    """
    specs = [job.spec.SerializeToString(deterministic=True) for job in new]
    added: dict[str, tuple[str, bytes]] = {}
    rows = []
    answers = []
    for job, spec in zip(new, specs, strict=True):
        key = job.spec.idempotency_key
        known = added.get(key) or _KNOWN_KEY.first(connection, {"key": key})
        if known is not None:
            job_id, known_spec = known
            if known_spec != spec:
                raise KeyConflictError(key, job_id)
            answers.append(Submitted(job_id, created=False))
            continue
        added[key] = (job.job_id, spec)
        rows.append(_row(job, spec, now, steady))
        answers.append(Submitted(job.job_id, created=True))
    _NEW_JOB.run_all(connection, rows)
    failpoints.reach("submit.before_commit")
    return answers


def _row(job: NewJob, spec: bytes, now: float, steady: float) -> dict[str, object]:
    timeout_s = job.spec.queue_timeout_s or None
    return {
        "id": job.job_id,
        "idempotency_key": job.spec.idempotency_key,
        "state": machine.State.QUEUED.value,
        "signature": job.signature,
        "priority": job.spec.priority,
        "campaign_id": job.spec.campaign_id,
        "user_name": job.user,
        "model_name": job.spec.measurement.model.name,
        "model_digest": job.spec.measurement.model.digest,
        "max_attempts": job.spec.max_attempts or machine.DEFAULT_MAX_ATTEMPTS,
        "queue_timeout_s": timeout_s,
        "queued_signature": job.signature,
        "queued_group": _group(job.user, job.spec.campaign_id, ""),
        "queue_deadline": None if timeout_s is None else steady + timeout_s,
        "deadline": steady + job.spec.deadline_s if job.spec.deadline_s else None,
        "submitted_at": now,
        "device_id": "",
        "attempts": 0,
        "avoid": "",
        "artifacts": " ".join(job.artifacts),
        "failure_kind": 0,
        "failure_message": "",
        "spec": spec,
    }


def _group(user: str, campaign_id: str, avoid: str) -> str:
    # Names have no blanks in them.
    return f"{user} {campaign_id} {avoid}"


def apply(
    connection: Connection,
    job_id: str,
    event: machine.Event,
    result: measurement_pb2.MeasurementResult | None,
    now: float,
    steady: float,
    whole: bool,
) -> Applied | None:
    """Take the job through `event` and write down what that changed; None when there is no such job.

    For `now` and `steady` see `submit`.
    """
    row = _JOB.first(connection, {"job_id": job_id})
    if row is None:
        return None
    before = _load(connection, job_id, row)
    step = machine.step(before, event)
    if step.verdict == "applied":
        _save_attempts(connection, before, step.job, now)
        _save_outcome(connection, step.job, result)
        _save_job(connection, row, step.job, result, now, steady)
        failpoints.reach(_BEFORE_COMMIT.get(type(event), ""))
    elif step.verdict == "superseded" and isinstance(event, machine.Succeeded | machine.Failed):
        _keep(connection, before, event, result, now)
    message = job_reads.job(connection, job_id) if whole and step.verdict == "applied" else None
    return Applied(before, step.job, step.verdict, message)


def _load(connection: Connection, job_id: str, row: Row) -> machine.Job:
    state = machine.State(row.state)
    failure = None
    if state in (machine.State.FAILED, machine.State.CANCELLED):
        ended = _FAILURE.first(connection, {"job_id": job_id})
        failure = parse_failure(ended.failure if ended else None)
    tried = tuple(
        machine.Attempt(attempt.lease_id, attempt.device_id, parse_failure(attempt.failure))
        for attempt in _ATTEMPTS.rows(connection, {"job_id": job_id})
    )
    return machine.Job(job_id, row.max_attempts, state, tried, failure)


def _save_attempts(connection: Connection, before: machine.Job, after: machine.Job, now: float) -> None:
    old, new = before.attempts, after.attempts
    if len(new) > len(old):
        _NEW_ATTEMPT.run(
            connection,
            {
                "lease_id": new[-1].lease_id,
                "job_id": after.job_id,
                "number": len(new),
                "device_id": new[-1].device_id,
                "started_at": now,
            },
        )
    elif len(new) < len(old):
        _REMOVE_ATTEMPT.run(connection, {"removed_lease_id": old[-1].lease_id})
    elif before.state.is_held and not after.state.is_held:
        failure = new[-1].failure
        _END_ATTEMPT.run(
            connection,
            {
                "ended_lease_id": new[-1].lease_id,
                "ended_at": now,
                "failure": None if failure is None else failure.SerializeToString(),
            },
        )


def _save_outcome(connection: Connection, after: machine.Job, result: measurement_pb2.MeasurementResult | None) -> None:
    if not after.state.is_final:
        return
    succeeded = after.state is machine.State.SUCCEEDED
    _OUTCOME.run(
        connection,
        {
            "job_id": after.job_id,
            "result": result.SerializeToString() if succeeded and result is not None else None,
            "failure": None if after.failure is None else after.failure.SerializeToString(),
        },
    )


def _save_job(
    connection: Connection,
    row: Row,
    after: machine.Job,
    result: measurement_pb2.MeasurementResult | None,
    now: float,
    steady: float,
) -> None:
    queued = after.state is machine.State.QUEUED
    deadline = None
    if queued and row.queue_timeout_s is not None:
        # Time spent on a device that let the job down was no waiting.
        deadline = steady + row.queue_timeout_s
    avoid = " ".join(sorted(after.avoid))
    _UPDATE_JOB.run(
        connection,
        {
            "job_sequence": row.sequence,
            "state": after.state.value,
            "queued_signature": row.signature if queued else None,
            "queued_group": _group(row.user_name, row.campaign_id, avoid) if queued else None,
            "queue_deadline": deadline,
            "deadline": None if after.state.is_final else row.deadline,
            "finished_at": now if after.state.is_final else None,
            "device_id": "" if queued or not after.attempts else after.attempts[-1].device_id,
            "attempts": len(after.attempts),
            "avoid": avoid,
            "artifacts": _with_produced(row.artifacts, result if after.state is machine.State.SUCCEEDED else None),
            "failure_kind": 0 if after.failure is None else after.failure.kind,
            "failure_message": "" if after.failure is None else after.failure.message,
        },
    )


def _with_produced(needed: str, result: measurement_pb2.MeasurementResult | None) -> str:
    if result is None:
        return needed
    return " ".join(dict.fromkeys([*needed.split(), *(ref.digest for ref in artifacts.made(result))]))


def _keep(
    connection: Connection,
    job: machine.Job,
    event: machine.Succeeded | machine.Failed,
    result: measurement_pb2.MeasurementResult | None,
    now: float,
) -> None:
    if _KNOWN_SUPERSEDED.first(connection, {"lease_id": event.lease_id}):
        return
    failure = event.failure.SerializeToString() if isinstance(event, machine.Failed) else None
    _SUPERSEDED.run(
        connection,
        {
            "lease_id": event.lease_id,
            "job_id": job.job_id,
            "came_at": now,
            "result": None if result is None else result.SerializeToString(),
            "failure": failure,
        },
    )


def parse_failure(data: bytes | None) -> failure_pb2.Failure | None:
    """A stored failure."""
    return None if data is None else failure_pb2.Failure.FromString(data)
