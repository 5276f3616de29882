"""Each change says in which version it was written, which only its writer knows.

The default is a constant, so that adding the column rewrites no row and takes the table's lock for
a moment: what is there was written in version 1. `append_1` is replaced in its place. Replicas of
the release before send it no version, and write version 1 as ever.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "202611241400"
down_revision = "202611241300"


def upgrade() -> None:
    """Adds the column, and lets the function fill it."""
    op.add_column(
        "change",
        sa.Column("version", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
    )
    op.execute(Path(__file__).with_name("append_1_with_version.sql").read_text())
