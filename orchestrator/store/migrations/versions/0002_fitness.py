"""Fitness of devices: their checks, their noise floors, and the results that a check made suspect."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "suspicions",
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("check_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("successor_job_id", sa.String(64)),
        sa.Column("marked_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_suspicions_job_id")),
        sa.ForeignKeyConstraint(["successor_job_id"], ["jobs.id"], name=op.f("fk_suspicions_successor_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_suspicions")),
    )
    op.create_table(
        "checks",
        sa.Column("sequence", _Sequence, autoincrement=True, nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("check_id", sa.String(64), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_checks")),
        sa.UniqueConstraint("device_id", "check_id", name=op.f("uq_checks_device_id_check_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_checks_device", "checks", ["device_id", "sequence"])
    op.create_table(
        "noise_floors",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_noise_floors")),
    )
