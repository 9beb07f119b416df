"""The tables, for SQLite and PostgreSQL alike.

Columns are what queries ask for; messages lie beside them as serialised protobuf. Two rules keep the cost of work
independent of how many jobs have ended: what the scheduler reads is behind columns that are null unless a job is
queued, and what a listing does not show (results, failures in full) lies in a table of its own.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

#: Revision of the newest migration. Kept here so that a store that is up to date opens without importing Alembic.
HEAD = "0005"

metadata = MetaData(
    # Migrations have to name what they change.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only where the type is exactly INTEGER.
_Sequence = BigInteger().with_variant(Integer(), "sqlite")

jobs = Table(
    "jobs",
    metadata,
    # Order of submission, and the place in the queue: kept when a job goes back there.
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("idempotency_key", String(200), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("signature", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("campaign_id", String(64), nullable=False),
    # Who submitted it.
    Column("user_name", String(64), nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("max_attempts", Integer, nullable=False),
    # Seconds that it may wait; null: no limit.
    Column("queue_timeout_s", Float),
    # The next three are null unless the job is queued. Their indexes then hold the queue and nothing else, and a query
    # needs no second condition (on the state) that could make the planner choose a worse index.
    Column("queued_signature", Text),
    # User, campaign and `Job.avoid`, separated by blanks: jobs of one signature and group differ, for the scheduler, by
    # nothing but their priority and age.
    Column("queued_group", Text),
    # Unix time; counted anew whenever the job goes back to the queue.
    Column("queue_deadline", Float),
    # Unix time by which it has to end; null once it has, or for no limit.
    Column("deadline", Float),
    Column("submitted_at", Float, nullable=False),
    Column("finished_at", Float),
    # Where it runs or ran last; empty while queued.
    Column("device_id", String(64), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    # `Job.avoid`, separated by blanks.
    Column("avoid", Text, nullable=False, default=""),
    # Digests that it needs or produced, separated by blanks.
    Column("artifacts", Text, nullable=False, default=""),
    Column("failure_kind", Integer, nullable=False, default=0),
    Column("failure_message", Text, nullable=False, default=""),
    Column("spec", LargeBinary, nullable=False),
    # A sequence is never given twice, even when the last rows were deleted.
    sqlite_autoincrement=True,
)
_queued = jobs.c.queued_signature.is_not(None)
Index(
    "ix_jobs_queue",
    jobs.c.queued_signature,
    jobs.c.queued_group,
    jobs.c.priority.desc(),
    jobs.c.sequence,
    sqlite_where=_queued,
    postgresql_where=_queued,
)
_limited = jobs.c.queue_deadline.is_not(None)
Index("ix_jobs_queue_deadline", jobs.c.queue_deadline, sqlite_where=_limited, postgresql_where=_limited)
_due = jobs.c.deadline.is_not(None)
Index("ix_jobs_deadline", jobs.c.deadline, sqlite_where=_due, postgresql_where=_due)
Index("ix_jobs_state", jobs.c.state, jobs.c.sequence)
Index("ix_jobs_campaign", jobs.c.campaign_id, jobs.c.state, jobs.c.sequence)
Index("ix_jobs_finished_at", jobs.c.finished_at)

#: How a job ended, in full.
outcomes = Table(
    "outcomes",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("result", LargeBinary),
    Column("failure", LargeBinary),
)

attempts = Table(
    "attempts",
    metadata,
    Column("lease_id", String(64), primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    # From 1.
    Column("number", Integer, nullable=False),
    Column("device_id", String(64), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("failure", LargeBinary),
    UniqueConstraint("job_id", "number"),
)

#: What came under a lease that the job no longer held: kept, not counted.
superseded = Table(
    "superseded",
    metadata,
    Column("lease_id", String(64), primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    Column("came_at", Float, nullable=False),
    Column("result", LargeBinary),
    Column("failure", LargeBinary),
    Index("ix_superseded_job_id", "job_id"),
)

#: Results that were committed and then found to come from an unfit device. The job itself stays as it ended.
suspicions = Table(
    "suspicions",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    # The check that found it: its id is unique for the device.
    Column("check_id", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    # The job that measures it again; null when that has been done before.
    Column("successor_job_id", ForeignKey(jobs.c.id)),
    Column("marked_at", Float, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("device_id", String(64), primary_key=True),
    Column("agent_id", String(64), nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("description", LargeBinary, nullable=False),
)

#: Fitness checks: the last ones of each device.
checks = Table(
    "checks",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("device_id", String(64), nullable=False),
    # Made by an agent: nothing keeps two of them from making the same one.
    Column("check_id", String(64), nullable=False),
    Column("message", LargeBinary, nullable=False),
    UniqueConstraint("device_id", "check_id"),
    Index("ix_checks_device", "device_id", "sequence"),
    sqlite_autoincrement=True,
)

noise_floors = Table(
    "noise_floors",
    metadata,
    Column("device_id", String(64), primary_key=True),
    Column("message", LargeBinary, nullable=False),
)

#: What keeps devices from taking jobs.
holds = Table(
    "holds",
    metadata,
    Column("device_id", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since", Float, nullable=False),
    # Empty: the orchestrator.
    Column("made_by", String(64), nullable=False),
    # Unix time; null: until somebody ends it.
    Column("until", Float),
    Column("cause", String(16), nullable=False),
)

#: Maintenance windows of devices that have some.
maintenance = Table(
    "maintenance",
    metadata,
    Column("device_id", String(64), primary_key=True),
    # SetMaintenance.
    Column("message", LargeBinary, nullable=False),
)

#: What happened to devices: the last events of each.
device_events = Table(
    "device_events",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("device_id", String(64), nullable=False),
    Column("message", LargeBinary, nullable=False),
    Index("ix_device_events_device", "device_id", "sequence"),
    sqlite_autoincrement=True,
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("campaign_id", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("message", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

records = Table(
    "records",
    metadata,
    # Order of first publication.
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("campaign_id", ForeignKey(campaigns.c.campaign_id), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("message", LargeBinary, nullable=False),
    UniqueConstraint("campaign_id", "kind", "key"),
    Index("ix_records_campaign", "campaign_id", "sequence"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    # The beginning of the digest.
    Column("token_id", String(12), primary_key=True),
    # SHA-256 of the secret, which is not kept.
    Column("digest", String(64), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("role", Integer, nullable=False),
    Column("name", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    # Of a token that joins: when it was traded for a certificate.
    Column("used_at", Float),
    Column("revoked_at", Float),
)

certificates = Table(
    "certificates",
    metadata,
    # Hexadecimal; at most 20 bytes (RFC 5280, 4.1.2.2).
    Column("serial", String(40), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("role", Integer, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("revoked_because", Text),
    Index("ix_certificates_name", "name"),
)

#: Who did what, and who was refused: the last entries.
audit = Table(
    "audit",
    metadata,
    Column("sequence", _Sequence, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("peer", Text, nullable=False),
    sqlite_autoincrement=True,
)
