"""A flush that keeps ids unique over all types and writes only words that changed: `flush_2`.

Creates only: `flush_1` stays for replicas of the release before.
"""

from pathlib import Path

from alembic import op

revision = "202611241000"
down_revision = "202611240900"


def upgrade() -> None:
    """Creates the functions."""
    for name in ("append_1", "flush_2"):
        op.execute(Path(__file__).with_name(f"{name}.sql").read_text())
