"""Who submitted a job, the group of its equals in the queue, and its deadline."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A lab of that time was one without TLS.
    op.add_column("jobs", sa.Column("user_name", sa.String(64), nullable=False, server_default="local"))
    op.add_column("jobs", sa.Column("queued_group", sa.Text()))
    op.add_column("jobs", sa.Column("deadline", sa.Float()))
    op.execute(
        "UPDATE jobs SET queued_group = user_name || ' ' || campaign_id || ' ' || avoid"
        " WHERE queued_signature IS NOT NULL"
    )
    op.drop_index("ix_jobs_queue", "jobs")
    queued = sa.text("queued_signature IS NOT NULL")
    op.create_index(
        "ix_jobs_queue",
        "jobs",
        ["queued_signature", "queued_group", sa.text("priority DESC"), "sequence"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    limited = sa.text("deadline IS NOT NULL")
    op.create_index("ix_jobs_deadline", "jobs", ["deadline"], sqlite_where=limited, postgresql_where=limited)
