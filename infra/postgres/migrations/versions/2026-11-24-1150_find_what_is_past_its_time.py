"""What the daily clean-up needs: a way to purge the trash, and to find sessions that have ended.

Adds functions, which the previous release does not know, and an index on a small table. The trigger
takes the lock of `task` for a moment; it refuses only what the previous release never does, for it
purges nothing.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "202611241150"
down_revision = "202611241100"


def upgrade() -> None:
    """Creates the index, the functions and the trigger."""
    op.create_index("session_ended_idx", "session", [sa.text("least(revoked_at, expires_at)")])
    for name in ("purge_1", "refuse_purged_1"):
        op.execute(Path(__file__).with_name(f"{name}.sql").read_text())
    op.execute(
        "CREATE TRIGGER task_refuse_purged AFTER INSERT ON task REFERENCING NEW TABLE AS created"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_purged_1()"
    )
