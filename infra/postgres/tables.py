"""The tables, once: migrations, statements and plans refer to these."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

INSTANT = DateTime(timezone=True)
# Code-point order, the same in memory and in an index, whatever the database's locale.
CODE_POINTS = Text(collation="C")

account = Table(
    "account",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    # What an address is compared by: case-folded, the domain in its ASCII form.
    Column("email_key", CODE_POINTS, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    # When its owner followed the link that was mailed there.
    Column("email_verified_at", INSTANT),
)

session = Table(
    "session",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("revoked_at", INSTANT),
    # SHA-256 of refresh tokens: of the one in force, of the one before it, and, once there were
    # two, of the first, by which the session of any of them is found.
    Column("refresh_digest", LargeBinary, nullable=False, unique=True),
    Column("previous_digest", LargeBinary),
    Column("family_digest", LargeBinary),
    Column("rotated_at", INSTANT),
)
Index(
    "session_family_idx",
    func.coalesce(session.c.family_digest, session.c.refresh_digest),
    unique=True,
)
Index(None, session.c.user_id)
# Revoked or expired, whichever came first: what the clean-up asks for.
Index("session_ended_idx", func.least(session.c.revoked_at, session.c.expires_at))
Index(
    "session_revoked_at_idx", session.c.revoked_at, postgresql_where=text("revoked_at IS NOT NULL")
)

workspace = Table(
    "workspace",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    # The stream's last seq and hash: this row is the lock that every mutation takes first.
    Column("head", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    # What lies at or below `floor` was pruned; `floor_hash` is the hash of the change there.
    Column("floor", BigInteger, nullable=False, server_default="0"),
    Column("floor_hash", LargeBinary, nullable=False),
    # Counters of what decisions read besides their own rows; a flush checks those it relied on.
    Column("roles_rev", BigInteger, nullable=False, server_default="0"),
    Column("labels_rev", BigInteger, nullable=False, server_default="0"),
    Column("tree_rev", BigInteger, nullable=False, server_default="0"),
)

member = Table(
    "member",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("role", SmallInteger, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    UniqueConstraint("workspace_id", "user_id"),
)
Index(None, member.c.user_id)


def _label(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", Uuid, primary_key=True),
        Column(
            "workspace_id", Uuid, ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False
        ),
        Column("name", Text, nullable=False),
        Column("name_key", CODE_POINTS, nullable=False),
        Column("colour", Text, nullable=False),
        UniqueConstraint("workspace_id", "name_key"),
    )


category = _label("category")
tag = _label("tag")

# What repeats. The template's words and references are columns, so that a look can read what it
# shows of them as it does for tasks.
series = Table(
    "series",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
    Column("rule", Text),
    Column("cron", Text),
    Column("start_day", Date, nullable=False),
    Column("start_at", Text),
    Column("zone", Text, nullable=False),
    Column("gap", Text, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("month_end", Text, nullable=False),
    Column("anchor", Text, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("open", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("category_id", Uuid),
    Column("tag_ids", ARRAY(Uuid), nullable=False),
    Column("assignee_id", Uuid),
    Column("parent_id", Uuid),
    # The latest occurrence; no foreign key, since that refers to the series.
    Column("current", Uuid, nullable=False),
    Column("done_until", INSTANT, nullable=False),
    Column("next_at", INSTANT),
    # Who works on it has it until then, by the database's clock.
    Column("claimed_until", INSTANT),
    Column("made", Integer, nullable=False),
    Column("skipped", ARRAY(Text), nullable=False),
    Column("is_paused", Boolean, nullable=False),
    Column("ended_at", INSTANT),
    Column("version", Integer, nullable=False),
    Column("rev", Integer, nullable=False),
    CheckConstraint("(rule IS NULL) <> (cron IS NULL)", name="rule"),
    # A claim changes nothing that is indexed: its row stays in its page.
    postgresql_with={"fillfactor": 70},
)
Index("series_workspace_idx", series.c.workspace_id)
# What is due is a range of this, however many series there are.
Index("series_next_at_idx", series.c.next_at, postgresql_where=text("next_at IS NOT NULL"))

task = Table(
    "task",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspace.id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("title_key", CODE_POINTS, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("due_day", Date),
    Column("due_at", Text),
    Column("due_zone", Text),
    Column("due_fold", Boolean),
    Column("due_instant", INSTANT),
    Column("category_id", Uuid, ForeignKey("category.id")),
    # An array, not a link table: a task stays one row to read, lock and write; deleting a tag
    # takes it out of all of them in the same statement.
    Column("tag_ids", ARRAY(Uuid), nullable=False),
    Column("assignee_id", Uuid, ForeignKey("account.id")),
    Column("parent_id", Uuid, ForeignKey("task.id")),
    Column("position", CODE_POINTS, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    Column("completed_at", INSTANT),
    Column("deleted_at", INSTANT),
    Column("series_id", Uuid, ForeignKey("series.id")),
    Column("slot", Text),
    # Written from texts folded in Python, so that a query folded there finds them.
    Column("search", TSVECTOR, nullable=False),
    CheckConstraint("status IN ('OPEN', 'IN_PROGRESS', 'DONE', 'CANCELLED')", name="status"),
    CheckConstraint("priority BETWEEN 0 AND 3", name="priority"),
    CheckConstraint("(due_day IS NULL) = (due_instant IS NULL)", name="due"),
)
_LIVE = text("deleted_at IS NULL")
# One index an order of the live tasks; nulls are a range of their own. Backwards, keys with few
# equals need only an incremental sort by id; priorities have many, hence the second index.
Index("task_due_idx", task.c.workspace_id, task.c.due_instant, task.c.id, postgresql_where=_LIVE)
Index("task_priority_idx", task.c.workspace_id, task.c.priority, task.c.id, postgresql_where=_LIVE)
Index(
    "task_priority_desc_idx",
    task.c.workspace_id,
    task.c.priority.desc(),
    task.c.id,
    postgresql_where=_LIVE,
)
Index("task_created_idx", task.c.workspace_id, task.c.created_at, task.c.id, postgresql_where=_LIVE)
Index("task_updated_idx", task.c.workspace_id, task.c.updated_at, task.c.id, postgresql_where=_LIVE)
Index("task_title_idx", task.c.workspace_id, task.c.title_key, task.c.id, postgresql_where=_LIVE)
Index("task_position_idx", task.c.workspace_id, task.c.position, task.c.id, postgresql_where=_LIVE)
Index(
    "task_parent_idx",
    task.c.parent_id,
    task.c.position,
    postgresql_where=text("parent_id IS NOT NULL"),
)
Index("task_category_idx", task.c.category_id, postgresql_where=text("category_id IS NOT NULL"))
Index("task_assignee_idx", task.c.assignee_id, postgresql_where=text("assignee_id IS NOT NULL"))
Index("task_tags_idx", task.c.tag_ids, postgresql_using="gin")
Index("task_search_idx", task.c.search, postgresql_using="gin")
Index(
    "task_deleted_idx",
    task.c.workspace_id,
    task.c.deleted_at,
    postgresql_where=text("deleted_at IS NOT NULL"),
)
# Over all workspaces: what becomes overdue by the clock alone.
Index(
    "task_overdue_idx",
    task.c.due_instant,
    postgresql_where=text(
        "due_instant IS NOT NULL AND deleted_at IS NULL AND status IN ('OPEN', 'IN_PROGRESS')"
    ),
)

Index(
    "task_occurrence_idx",
    task.c.series_id,
    postgresql_where=text(
        "series_id IS NOT NULL AND deleted_at IS NULL AND status IN ('OPEN', 'IN_PROGRESS')"
    ),
)

# What became of each slot of a series. The key is what holds a slot to one occurrence, whoever
# makes them, and however often.
series_slot = Table(
    "series_slot",
    metadata,
    Column("series_id", Uuid, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("slot", CODE_POINTS, primary_key=True),
    Column("origin", Uuid, primary_key=True),
    Column("instant", INSTANT, nullable=False),
    Column("state", Text, nullable=False),
    Column("task_id", Uuid),
)
Index("series_slot_instant_idx", series_slot.c.series_id, series_slot.c.instant)
Index(
    "series_slot_withdrawn_idx",
    series_slot.c.series_id,
    postgresql_where=text("state = 'WITHDRAWN'"),
)

# The log: outbox, replay, audit and undo in one.
change = Table(
    "change",
    metadata,
    Column("stream", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    # Text: the chain hashes these very characters.
    Column("at", Text, nullable=False),
    Column("actor", Uuid),
    Column("actor_name", Text),
    Column("subject", Uuid, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("key", Text),
    Column("trace", Text),
    # Text, not jsonb, which would reorder keys and change numbers: the chain hashes it.
    Column("before", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # How to read payload and before: `domain.events.VERSION` of whoever wrote them. Not hashed.
    Column("version", SmallInteger, nullable=False, server_default=text("1")),
)
Index("change_subject_idx", change.c.subject, change.c.seq)

# What a mutation with an idempotency key did: a repeat answers with the subject's state then.
# The log has it, but for a mutation that changed nothing: its answer is in `state`.
idempotency = Table(
    "idempotency",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("field", Text, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Column("stream", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("subject", Uuid, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("state", Text),
)
Index(None, idempotency.c.at)

# A user's own stream of reminders and notifications; made by its first change.
user_stream = Table(
    "user_stream",
    metadata,
    Column("id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("floor", BigInteger, nullable=False, server_default="0"),
    Column("floor_hash", LargeBinary, nullable=False),
)

# How far each consumer of the log is in each stream: topics that are published, and workers.
# Rows change all the time and nothing but their key is indexed: they move within their page.
position = Table(
    "position",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 50},
)

# Changes that a consumer could not apply and went past; `carillon redrive` runs them again.
parked = Table(
    "parked",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", INSTANT, nullable=False),
)

# Work that one process does at a time, by the database's clock.
lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Uuid, nullable=False),
    Column("until", INSTANT, nullable=False),
)

# Small values that replicas share and that expire: the state store where there is no sidecar.
state = Table(
    "state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
)
Index(None, state.c.expires_at)

# What shall ring for one person and one task. `at` is when that is by the task's due as it stands;
# each flush that moves the due moves it.
reminder = Table(
    "reminder",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("task_id", Uuid, ForeignKey("task.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("at", INSTANT),
    # One of these for what follows the due; neither for an instant of its own.
    Column("before_due", Text),
    Column("on_day", Text),
    Column("days_before", SmallInteger),
    Column("channels", ARRAY(Text), nullable=False),
    Column("nag_every", Text),
    Column("nag_times", SmallInteger),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    CheckConstraint("(nag_every IS NULL) = (nag_times IS NULL)", name="nag"),
)
Index(None, reminder.c.task_id)
Index(None, reminder.c.user_id)

# The ledger; see domain.deliveries. `token` is the hold of the worker that claimed it, `begun_by`
# the hold under which its last attempt began, `was_*` what was known before that.
delivery = Table(
    "delivery",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("category", Text, nullable=False),
    Column("source", Uuid, nullable=False),
    Column("workspace_id", Uuid, ForeignKey("workspace.id", ondelete="CASCADE")),
    Column("task_id", Uuid, ForeignKey("task.id", ondelete="CASCADE")),
    Column("recipient", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("root_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("fire_at", INSTANT, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("nag", SmallInteger, nullable=False),
    Column("snoozed_from", Uuid),
    Column("collapsed_into", Uuid),
    Column("reason", Text),
    Column("is_late", Boolean, nullable=False),
    Column("is_unsure", Boolean, nullable=False),
    Column("maybe_repeated", Boolean, nullable=False),
    Column("reached", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("worker", Uuid),
    Column("token", Uuid),
    Column("begun_by", Uuid),
    Column("was_unsure", Boolean),
    Column("was_repeated", Boolean),
    CheckConstraint(
        "state IN ('PENDING', 'CLAIMED', 'SENT', 'FAILED', 'CANCELLED', 'COLLAPSED', 'SNOOZED')",
        name="state",
    ),
)
# What is due next, whatever else waits for its time; and the few that somebody holds.
Index("delivery_due_idx", delivery.c.fire_at, postgresql_where=text("state = 'PENDING'"))
Index("delivery_held_idx", delivery.c.fire_at, postgresql_where=text("state = 'CLAIMED'"))
Index(
    "delivery_over_idx",
    delivery.c.fire_at,
    postgresql_where=text("state NOT IN ('PENDING', 'CLAIMED')"),
)
Index(
    "delivery_live_idx",
    delivery.c.recipient,
    delivery.c.fire_at,
    postgresql_where=text("state IN ('PENDING', 'CLAIMED')"),
)
Index("delivery_task_idx", delivery.c.task_id, postgresql_where=text("task_id IS NOT NULL"))
Index(
    "delivery_sum_idx",
    delivery.c.collapsed_into,
    postgresql_where=text("collapsed_into IS NOT NULL"),
)

# The feed. `seq` is that of its last change in the person's stream.
notification = Table(
    "notification",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("category", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("workspace_id", Uuid),
    Column("task_id", Uuid),
    Column("created_at", INSTANT, nullable=False),
    Column("read_at", INSTANT),
    Column("archived_at", INSTANT),
    Column("seq", BigInteger, nullable=False, server_default="0"),
)
Index("notification_feed_idx", notification.c.user_id, notification.c.seq)
Index(
    "notification_unread_idx",
    notification.c.user_id,
    postgresql_where=text("read_at IS NULL"),
)
Index(
    "notification_over_idx",
    notification.c.created_at,
    postgresql_where=text("read_at IS NOT NULL OR archived_at IS NOT NULL"),
)

# What a person has chosen; without a row, the defaults. The texts are JSON of ours.
preference = Table(
    "preference",
    metadata,
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("chosen", Text, nullable=False),
    Column("quiet", Text, nullable=False),
    Column("quiet_policy", Text, nullable=False),
    Column("late", Text, nullable=False),
    Column("late_keep_s", Integer, nullable=False),
    Column("digest_at", Text, nullable=False),
    Column("defaults", Text, nullable=False),
    # Told by `chosen`: by it those who want a digest are found.
    Column("wants_digest", Boolean, nullable=False),
)
Index(
    "preference_digest_idx",
    preference.c.user_id,
    postgresql_where=text("wants_digest"),
)

# Browsers that take push messages.
push_subscription = Table(
    "push_subscription",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("endpoint", Text, nullable=False, unique=True),
    Column("p256dh", LargeBinary, nullable=False),
    Column("auth", LargeBinary, nullable=False),
    Column("created_at", INSTANT, nullable=False),
)
Index(None, push_subscription.c.user_id)
