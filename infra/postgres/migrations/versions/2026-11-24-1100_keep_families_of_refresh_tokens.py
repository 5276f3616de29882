"""Sessions know the first of their refresh tokens, so that an old one of any age is recognised.

Adds columns that may be null, as the previous release leaves them, and an index on a small table.
"""

import sqlalchemy as sa
from alembic import op

revision = "202611241100"
down_revision = "202611241000"


def upgrade() -> None:
    """Adds the columns and the index."""
    op.add_column("session", sa.Column("family_digest", sa.LargeBinary(), nullable=True))
    op.add_column("session", sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "session_family_idx",
        "session",
        [sa.text("coalesce(family_digest, refresh_digest)")],
        unique=True,
    )
    op.drop_constraint("session_previous_digest_key", "session", type_="unique")
