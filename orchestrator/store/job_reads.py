"""What is asked about jobs, on a reader's connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import bindparam, func, or_, select, text, union_all
from sqlalchemy.engine import Connection, RowMapping

from orchestrator import jobs as machine
from orchestrator.store.base import Held, Page, Queued, Share, Waiting
from orchestrator.store.paging import fitting
from orchestrator.store.prepared import Prepared
from orchestrator.store.tables import attempts, jobs, outcomes, superseded, suspicions
from orchestrator.times import rfc3339
from protos.gauntlet.v1 import failure_pb2, fleet_pb2, job_pb2, measurement_pb2

_HELD = [state.value for state in machine.State if state.is_held]
_UNFINISHED = [state.value for state in machine.State if not state.is_final]

# A jump from each signature to the next: the cost is that of the signatures, not of the queued jobs.
_SIGNATURES = Prepared(
    text("""
    WITH RECURSIVE found(signature) AS (
        SELECT min(queued_signature) FROM jobs WHERE queued_signature >= ''
        UNION ALL
        SELECT (SELECT min(queued_signature) FROM jobs WHERE queued_signature > found.signature)
        FROM found WHERE found.signature IS NOT NULL
    )
    SELECT signature FROM found WHERE signature IS NOT NULL
    """)
)
# The same jump from group to group of one signature, and of each the first jobs.
_WAITING = Prepared(
    text("""
    WITH RECURSIVE found(name) AS (
        SELECT min(queued_group) FROM jobs WHERE queued_signature = :signature
        UNION ALL
        SELECT (
            SELECT min(queued_group) FROM jobs WHERE queued_signature = :signature AND queued_group > found.name
        )
        FROM found WHERE found.name IS NOT NULL
    )
    SELECT jobs.id, jobs.priority, jobs.sequence, jobs.queued_group
    FROM found JOIN jobs ON jobs.sequence IN (
        SELECT first.sequence FROM jobs AS first
        WHERE first.queued_signature = :signature AND first.queued_group = found.name
        ORDER BY first.priority DESC, first.sequence
        LIMIT :limit
    )
    WHERE found.name IS NOT NULL
    ORDER BY jobs.priority DESC, jobs.sequence
    """)
)
_OVERDUE = select(jobs.c.id).where(jobs.c.queue_deadline <= bindparam("now")).order_by(jobs.c.queue_deadline)
_LATE = select(jobs.c.id).where(jobs.c.deadline <= bindparam("now")).order_by(jobs.c.deadline)
_LEASES = (
    select(jobs.c.id, attempts.c.lease_id, attempts.c.device_id, jobs.c.user_name, jobs.c.campaign_id)
    .join(attempts, (attempts.c.job_id == jobs.c.id) & (attempts.c.number == jobs.c.attempts))
    .where(jobs.c.state.in_(_HELD))
    .order_by(attempts.c.started_at, jobs.c.sequence)
)
_QUEUED_GROUPS = (
    select(jobs.c.queued_group, func.count()).where(jobs.c.queued_signature.is_not(None)).group_by(jobs.c.queued_group)
)
_HELD_SHARES = (
    select(jobs.c.user_name, jobs.c.campaign_id, func.count())
    .where(jobs.c.state.in_(_HELD))
    .group_by(jobs.c.user_name, jobs.c.campaign_id)
)
_OF_CAMPAIGN = (
    select(jobs.c.id)
    .where(
        jobs.c.campaign_id == bindparam("campaign_id"),
        jobs.c.state.in_(_UNFINISHED),
        or_(bindparam("user") == "", jobs.c.user_name == bindparam("user")),
    )
    .order_by(jobs.c.sequence)
)
_COUNTS = select(jobs.c.state, func.count()).group_by(jobs.c.state)
_NEEDED = union_all(
    select(jobs.c.artifacts).where(jobs.c.state.in_(_UNFINISHED)).distinct(),
    select(jobs.c.artifacts).where(jobs.c.finished_at >= bindparam("since")).distinct(),
)
_SUSPICION = suspicions.c.job_id == jobs.c.id
_ONE = Prepared(
    select(
        jobs,
        outcomes.c.result,
        outcomes.c.failure,
        suspicions.c.reason,
        suspicions.c.successor_job_id,
        suspicions.c.marked_at,
    )
    .outerjoin(outcomes)
    .outerjoin(suspicions, _SUSPICION)
    .where(jobs.c.id == bindparam("job_id"))
)
_BY_PREFIX = (
    select(jobs.c.id).where(jobs.c.id >= bindparam("low"), jobs.c.id < bindparam("high")).order_by(jobs.c.id).limit(2)
)
_TRIED = Prepared(select(attempts).where(attempts.c.job_id == bindparam("job_id")).order_by(attempts.c.number))
_SUPERSEDED = Prepared(select(superseded.c.lease_id).where(superseded.c.job_id == bindparam("job_id")))
# All that a summary shows, and neither specification nor result.
_SUMMARY = select(
    jobs.c.sequence,
    jobs.c.id,
    jobs.c.state,
    jobs.c.model_name,
    jobs.c.model_digest,
    jobs.c.device_id,
    jobs.c.submitted_at,
    jobs.c.finished_at,
    jobs.c.attempts,
    jobs.c.failure_kind,
    jobs.c.failure_message,
    jobs.c.campaign_id,
    jobs.c.user_name,
    jobs.c.queued_signature,
    suspicions.c.reason,
).outerjoin(suspicions, _SUSPICION)


def parse_token(token: str, kind: str) -> int | None:
    """The row number in a page token; None for the first page.

    Raises:
        ValueError: no token of this store.
    """
    if not token:
        return None
    if not (token.isascii() and token.isdecimal() and len(token) < 19):
        raise ValueError(f"{token[:40]!r} is no page token of a listing of {kind}")
    return int(token)


def waiting(connection: Connection, wanted: Callable[[str], bool], limit: int) -> list[Waiting]:
    """Of each wanted signature and group: highest priority first, then oldest."""
    found = []
    for signature in filter(wanted, [signature for (signature,) in _SIGNATURES.rows(connection, {})]):
        for job_id, priority, sequence, group in _WAITING.rows(connection, {"signature": signature, "limit": limit}):
            user, campaign_id, avoid = group.split(" ", 2)
            share = Share(user, campaign_id)
            found.append(Waiting(job_id, signature, priority, sequence, frozenset(avoid.split()), share))
    return found


def overdue(connection: Connection, now: float) -> list[str]:
    """Queued jobs that have waited for too long."""
    return list(connection.execute(_OVERDUE, {"now": now}).scalars())


def late(connection: Connection, now: float) -> list[str]:
    """Unfinished jobs past their deadline."""
    return list(connection.execute(_LATE, {"now": now}).scalars())


def held(connection: Connection) -> list[Held]:
    """All leases that are out."""
    return [
        Held(row.id, row.lease_id, row.device_id, Share(row.user_name, row.campaign_id))
        for row in connection.execute(_LEASES)
    ]


def shares(connection: Connection) -> dict[Share, Queued]:
    """Of all unfinished jobs."""
    waiting: Counter[Share] = Counter()
    for group, count in connection.execute(_QUEUED_GROUPS):
        user, campaign_id, _ = group.split(" ", 2)
        waiting[Share(user, campaign_id)] += count
    held = {Share(user, campaign_id): count for user, campaign_id, count in connection.execute(_HELD_SHARES)}
    return {share: Queued(waiting[share], held.get(share, 0)) for share in sorted({*waiting, *held})}


def unfinished(connection: Connection, campaign_id: str, user: str) -> list[str]:
    """Of a campaign, and of a user unless it is empty."""
    return list(connection.execute(_OF_CAMPAIGN, {"campaign_id": campaign_id, "user": user}).scalars())


def count_by_state(connection: Connection) -> dict[machine.State, int]:
    """Every state, also those that no job is in."""
    counts = dict.fromkeys(machine.State, 0)
    for state, count in connection.execute(_COUNTS):
        counts[machine.State(state)] = count
    return counts


def needed_artifacts(connection: Connection, finished_since: float) -> set[str]:
    """Digests that unfinished or recent jobs need or produced."""
    found: set[str] = set()
    for digests in connection.execute(_NEEDED, {"since": finished_since}).scalars():
        found.update(digests.split())
    return found


def job(connection: Connection, job_id: str) -> job_pb2.Job | None:
    """A job whole, by its id or a prefix of one.

    Raises:
        LookupError: the prefix fits several.
    """
    row = _ONE.first(connection, {"job_id": job_id})
    if row is None:
        # The last code point: behind everything that goes on after the prefix.
        fitting = connection.execute(_BY_PREFIX, {"low": job_id, "high": job_id + "\U0010ffff"}).scalars().all()
        if len(fitting) > 1:
            raise LookupError(
                f"{job_id!r} fits several jobs, {fitting[0]} and {fitting[1]} among them: give more of it"
            )
        if not fitting:
            return None
        row = _ONE.first(connection, {"job_id": fitting[0]})
        assert row is not None  # one transaction sees one state
    message = job_pb2.Job(
        job_id=row.id,
        spec=job_pb2.JobSpec.FromString(row.spec),
        state=_wire_state(row.state),
        submitted_at=rfc3339(row.submitted_at),
        finished_at=rfc3339(row.finished_at),
        user=row.user_name,
        superseded_results=len(_SUPERSEDED.rows(connection, {"job_id": row.id})),
    )
    for attempt in _TRIED.rows(connection, {"job_id": row.id}):
        tried = message.attempts.add(
            number=attempt.number,
            lease_id=attempt.lease_id,
            device_id=attempt.device_id,
            started_at=rfc3339(attempt.started_at),
            ended_at=rfc3339(attempt.ended_at),
        )
        if attempt.failure is not None:
            tried.failure.CopyFrom(failure_pb2.Failure.FromString(attempt.failure))
    if row.result is not None:
        message.result.CopyFrom(measurement_pb2.MeasurementResult.FromString(row.result))
    if row.failure is not None:
        message.failure.CopyFrom(failure_pb2.Failure.FromString(row.failure))
    if row.reason is not None:
        message.suspicion.reason = row.reason
        message.suspicion.successor_job_id = row.successor_job_id or ""
        message.suspicion.marked_at = rfc3339(row.marked_at)
    return message


def list_jobs(
    connection: Connection, states: Collection[machine.State], campaign_id: str, limit: int, token: str
) -> Page:
    """Newest first.

    Raises:
        ValueError: `token` is none.
    """
    before = parse_token(token, "jobs")
    conditions = [] if before is None else [jobs.c.sequence < before]
    if campaign_id:
        conditions.append(jobs.c.campaign_id == campaign_id)
    newest = jobs.c.sequence.desc()
    if not states and not campaign_id:
        statement = _SUMMARY.where(*conditions).order_by(newest).limit(limit + 1)
        rows = list(connection.execute(statement).mappings())
    else:
        # Each state has its newest rows next to each other in an index: the newest of these few are the page. One
        # query over several states would read all of their rows to sort them.
        parts = [
            _SUMMARY.where(jobs.c.state == state.value, *conditions).order_by(newest).limit(limit + 1)
            for state in states or machine.State
        ]
        rows = [row for part in parts for row in connection.execute(part).mappings()]
        rows.sort(key=lambda row: -row["sequence"])
    return _page(rows, limit)


def _page(rows: Sequence[RowMapping], limit: int) -> Page:
    summaries = fitting(
        fleet_pb2.JobSummary(
            job_id=row["id"],
            state=_wire_state(row["state"]),
            model_name=row["model_name"],
            model_digest=row["model_digest"],
            device_id=row["device_id"],
            submitted_at=rfc3339(row["submitted_at"]),
            finished_at=rfc3339(row["finished_at"]),
            attempts=row["attempts"],
            failure_kind=row["failure_kind"],
            failure_message=row["failure_message"],
            campaign_id=row["campaign_id"],
            user=row["user_name"],
            suspect_because=row["reason"],
        )
        for row in rows[:limit]
    )
    shown = rows[: len(summaries)]
    signatures = {row["id"]: row["queued_signature"] for row in shown if row["queued_signature"] is not None}
    return Page(summaries, str(shown[-1]["sequence"]) if len(rows) > len(shown) else "", signatures)


def _wire_state(state: str) -> str:
    return f"JOB_STATE_{state.upper()}"
