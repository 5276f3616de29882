"""What the log and the records of keys say more, and a function that appends to the log.

Each change says in which version it was written, which only its writer knows; what is there was
written in version 1. One new column is empty in old rows, the other has a constant default, so
adding them rewrites no row and takes the tables' locks for a moment only; the previous release
names the columns it writes.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "202611241000"
down_revision = "202611240900"


def upgrade() -> None:
    """Adds the columns and creates the function."""
    op.add_column("idempotency", sa.Column("state", sa.Text(), nullable=True))
    op.add_column(
        "change",
        sa.Column("version", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
    )
    op.execute(Path(__file__).with_name("append_1.sql").read_text())
