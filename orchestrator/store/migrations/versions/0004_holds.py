"""What keeps devices from taking jobs, their maintenance windows, and what happened to them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("until", sa.Float()),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "kind", name=op.f("pk_holds")),
    )
    op.create_table(
        "maintenance",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_maintenance")),
    )
    op.create_table(
        "device_events",
        sa.Column("sequence", _Sequence, autoincrement=True, nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_device_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_device_events_device", "device_events", ["device_id", "sequence"])
