"""A flush that guards new ids, places and answers, and writes only words that changed.

`flush_1` stays for replicas of the release before. The new column is empty in old rows, so adding
it takes the table's lock for a moment only; the previous release names the columns it writes.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "202611241000"
down_revision = "202611240900"


def upgrade() -> None:
    """Adds the column and creates the functions."""
    op.add_column("idempotency", sa.Column("state", sa.Text(), nullable=True))
    for name in ("append_1", "flush_2"):
        op.execute(Path(__file__).with_name(f"{name}.sql").read_text())
