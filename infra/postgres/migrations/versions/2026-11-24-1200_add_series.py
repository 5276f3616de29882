"""Series, and the ledger of their slots.

Replicas of the release before write neither of the task's new columns: what they create is no
occurrence. The columns are empty in old rows, so adding them takes the
table's lock for a moment; the index over them has to read the table once to find that it is empty.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "202611241200"
down_revision = "202611241150"


def upgrade() -> None:
    """Creates the tables and the task's columns."""
    op.create_table(
        "series",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("start_day", sa.Date(), nullable=False),
        sa.Column("start_at", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("gap", "overlap", "month_end", "anchor", "catch_up", "open", "summary")
        ),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("category_id", sa.Uuid(), nullable=True),
        sa.Column("tag_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("current", sa.Uuid(), nullable=False),
        sa.Column("done_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("skipped", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.CheckConstraint("(rule IS NULL) <> (cron IS NULL)", name=op.f("series_rule_check")),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspace.id"],
            name=op.f("series_workspace_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("series_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("series_workspace_idx", "series", ["workspace_id"])
    op.create_index(
        "series_next_at_idx",
        "series",
        ["next_at"],
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "series_slot",
        sa.Column("series_id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.Text(collation="C"), nullable=False),
        sa.Column("origin", sa.Uuid(), nullable=False),
        sa.Column("instant", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["series.id"],
            name=op.f("series_slot_series_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("series_id", "slot", "origin", name=op.f("series_slot_pkey")),
    )
    op.create_index("series_slot_instant_idx", "series_slot", ["series_id", "instant"])
    op.create_index(
        "series_slot_withdrawn_idx",
        "series_slot",
        ["series_id"],
        postgresql_where=sa.text("state = 'WITHDRAWN'"),
    )
    op.add_column("task", sa.Column("series_id", sa.Uuid(), nullable=True))
    op.add_column("task", sa.Column("slot", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("task_series_id_fkey"), "task", "series", ["series_id"], ["id"])
    op.create_index(
        "task_occurrence_idx",
        "task",
        ["series_id"],
        postgresql_where=sa.text(
            "series_id IS NOT NULL AND deleted_at IS NULL AND status IN ('OPEN', 'IN_PROGRESS')"
        ),
    )
