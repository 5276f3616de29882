"""Reminders, the ledger of deliveries, the feed, preferences, browsers; a flush that writes them.

Creates, and adds a column that may be null: the previous release does not know them, and `flush_1`
stays for it. The index on tasks keeps writers waiting while it is built: a second for a million.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "202611241300"
down_revision = "202611241200"


def upgrade() -> None:
    """Creates the tables and the functions."""
    op.create_table(
        "notification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["account.id"], name=op.f("notification_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("notification_pkey")),
    )
    op.create_index("notification_feed_idx", "notification", ["user_id", "seq"], unique=False)
    op.create_index(
        "notification_unread_idx",
        "notification",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_index(
        "notification_over_idx",
        "notification",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("read_at IS NOT NULL OR archived_at IS NOT NULL"),
    )
    op.create_table(
        "preference",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("quiet", sa.Text(), nullable=False),
        sa.Column("quiet_policy", sa.Text(), nullable=False),
        sa.Column("late", sa.Text(), nullable=False),
        sa.Column("late_keep_s", sa.Integer(), nullable=False),
        sa.Column("digest_at", sa.Text(), nullable=False),
        sa.Column("defaults", sa.Text(), nullable=False),
        sa.Column("wants_digest", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["account.id"], name=op.f("preference_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("preference_pkey")),
    )
    op.create_index(
        "preference_digest_idx",
        "preference",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("wants_digest"),
    )
    op.create_table(
        "push_subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("p256dh", sa.LargeBinary(), nullable=False),
        sa.Column("auth", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["account.id"],
            name=op.f("push_subscription_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("push_subscription_pkey")),
        sa.UniqueConstraint("endpoint", name=op.f("push_subscription_endpoint_key")),
    )
    op.create_index(
        op.f("push_subscription_user_id_idx"), "push_subscription", ["user_id"], unique=False
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=True),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("recipient", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("root_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fire_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("nag", sa.SmallInteger(), nullable=False),
        sa.Column("snoozed_from", sa.Uuid(), nullable=True),
        sa.Column("collapsed_into", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("is_late", sa.Boolean(), nullable=False),
        sa.Column("is_unsure", sa.Boolean(), nullable=False),
        sa.Column("maybe_repeated", sa.Boolean(), nullable=False),
        sa.Column("reached", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("worker", sa.Uuid(), nullable=True),
        sa.Column("token", sa.Uuid(), nullable=True),
        sa.Column("begun_by", sa.Uuid(), nullable=True),
        sa.Column("was_unsure", sa.Boolean(), nullable=True),
        sa.Column("was_repeated", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "state IN ('PENDING', 'CLAIMED', 'SENT', 'FAILED', 'CANCELLED', 'COLLAPSED',"
            " 'SNOOZED')",
            name=op.f("delivery_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["recipient"], ["account.id"], name=op.f("delivery_recipient_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name=op.f("delivery_task_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspace.id"],
            name=op.f("delivery_workspace_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("delivery_pkey")),
    )
    op.create_index(
        "delivery_due_idx",
        "delivery",
        ["fire_at"],
        unique=False,
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_index(
        "delivery_held_idx",
        "delivery",
        ["fire_at"],
        unique=False,
        postgresql_where=sa.text("state = 'CLAIMED'"),
    )
    op.create_index(
        "delivery_over_idx",
        "delivery",
        ["fire_at"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('PENDING', 'CLAIMED')"),
    )
    op.create_index(
        "delivery_live_idx",
        "delivery",
        ["recipient", "fire_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('PENDING', 'CLAIMED')"),
    )
    op.create_index(
        "delivery_sum_idx",
        "delivery",
        ["collapsed_into"],
        unique=False,
        postgresql_where=sa.text("collapsed_into IS NOT NULL"),
    )
    op.create_index(
        "delivery_task_idx",
        "delivery",
        ["task_id"],
        unique=False,
        postgresql_where=sa.text("task_id IS NOT NULL"),
    )
    op.create_table(
        "reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("before_due", sa.Text(), nullable=True),
        sa.Column("on_day", sa.Text(), nullable=True),
        sa.Column("days_before", sa.SmallInteger(), nullable=True),
        sa.Column("channels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("nag_every", sa.Text(), nullable=True),
        sa.Column("nag_times", sa.SmallInteger(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(nag_every IS NULL) = (nag_times IS NULL)", name=op.f("reminder_nag_check")
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name=op.f("reminder_task_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["account.id"], name=op.f("reminder_user_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("reminder_pkey")),
    )
    op.create_index(op.f("reminder_task_id_idx"), "reminder", ["task_id"], unique=False)
    op.create_index(op.f("reminder_user_id_idx"), "reminder", ["user_id"], unique=False)
    op.add_column(
        "account", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index(
        "task_overdue_idx",
        "task",
        ["due_instant"],
        unique=False,
        postgresql_where=sa.text(
            "due_instant IS NOT NULL AND deleted_at IS NULL AND status IN ('OPEN', 'IN_PROGRESS')"
        ),
    )
    for name in ("hold_streams_1", "persons_1", "take_1", "flush_2"):
        op.execute(Path(__file__).with_name(f"{name}.sql").read_text())
