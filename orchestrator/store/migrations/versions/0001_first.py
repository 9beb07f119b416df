"""The first tables: jobs with their attempts and outcomes, devices, campaigns with their records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("sequence", _Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("campaign_id", sa.String(64), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("queue_timeout_s", sa.Float()),
        sa.Column("queued_signature", sa.Text()),
        sa.Column("queue_deadline", sa.Float()),
        sa.Column("submitted_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("avoid", sa.Text(), nullable=False),
        sa.Column("artifacts", sa.Text(), nullable=False),
        sa.Column("failure_kind", sa.Integer(), nullable=False),
        sa.Column("failure_message", sa.Text(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_jobs_idempotency_key")),
        sqlite_autoincrement=True,
    )
    queued = sa.text("queued_signature IS NOT NULL")
    op.create_index(
        "ix_jobs_queue",
        "jobs",
        ["queued_signature", sa.text("priority DESC"), "sequence"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    limited = sa.text("queue_deadline IS NOT NULL")
    op.create_index(
        "ix_jobs_queue_deadline", "jobs", ["queue_deadline"], sqlite_where=limited, postgresql_where=limited
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "sequence"])
    op.create_index("ix_jobs_campaign", "jobs", ["campaign_id", "state", "sequence"])
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"])

    op.create_table(
        "outcomes",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("result", sa.LargeBinary()),
        sa.Column("failure", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_outcomes_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_outcomes")),
    )
    op.create_table(
        "attempts",
        sa.Column("lease_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("failure", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.PrimaryKeyConstraint("lease_id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_attempts_job_id_number")),
    )
    op.create_table(
        "superseded",
        sa.Column("lease_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("came_at", sa.Float(), nullable=False),
        sa.Column("result", sa.LargeBinary()),
        sa.Column("failure", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_superseded_job_id")),
        sa.PrimaryKeyConstraint("lease_id", name=op.f("pk_superseded")),
    )
    op.create_index("ix_superseded_job_id", "superseded", ["job_id"])

    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("description", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
    )
    op.create_table(
        "campaigns",
        sa.Column("sequence", _Sequence, autoincrement=True, nullable=False),
        sa.Column("campaign_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("campaign_id", name=op.f("uq_campaigns_campaign_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "records",
        sa.Column("sequence", _Sequence, autoincrement=True, nullable=False),
        sa.Column("campaign_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name=op.f("fk_records_campaign_id")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_records")),
        sa.UniqueConstraint("campaign_id", "kind", "key", name=op.f("uq_records_campaign_id_kind_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_records_campaign", "records", ["campaign_id", "sequence"])
