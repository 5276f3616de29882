"""Consumers of the log: their positions, what they parked, leases; user streams; shared state.

Creates only: new tables take no lock that anybody waits for, and the previous release does not
know them.
"""

import sqlalchemy as sa
from alembic import op

revision = "202611240900"
down_revision = "202611230000"


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "user_stream",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("floor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("floor_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["id"], ["account.id"], name=op.f("user_stream_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("user_stream_pkey")),
    )
    op.create_table(
        "position",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "stream", name=op.f("position_pkey")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "parked",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "stream", "seq", name=op.f("parked_pkey")),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("lease_pkey")),
    )
    op.create_table(
        "state",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("state_pkey")),
    )
    op.create_index(op.f("state_expires_at_idx"), "state", ["expires_at"], unique=False)
