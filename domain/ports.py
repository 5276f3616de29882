"""What the domain needs from the world; adapters live in `infra`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from domain.accounts import Account, Session
from domain.changes import Change, Fact, State
from domain.errors import Problem
from domain.ids import CategoryId, SeriesId, TagId, TaskId, UserId, WorkspaceId
from domain.labels import Kind, Label
from domain.personal import NOTHING, LedgerSeen, LedgerWrites
from domain.series import LedgerSlot, Series
from domain.tasks import Task
from domain.workspaces import Member, Role, User, Workspace


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Returns the present instant, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Who asks for what: the part that every mutation shares.

    `key` is the idempotency key; `arguments` the SHA-256 of the canonical arguments, by which a
    repeat is told from a reuse; `field` the mutation's public name. `problems` are what is wrong
    with the arguments already: told together with what the decision finds. Without an actor it is
    the service's own: no membership is asked for.
    """

    actor: UserId | None
    field: str
    key: str | None
    arguments: bytes
    trace: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a decision has to read; the workspace comes from the first of the ids that is given.

    `after` and `before` name the neighbour of a wanted position; `end` asks for the last position
    of the workspace. `subtree` asks for the tasks below the task that are live as it is, or went
    to the trash together with it; `height` for how many levels lie below it. `name` asks for the
    label of that kind with that sort key, and how many of the kind there are, `owners` how many
    the workspace has. `leaving` says that the actor will be no member any more, `leaving_of` asks
    what would still ring there for who leaves. `task_of` names what stands for its task: a
    reminder, or a delivery, whose whole lineage is read then. `wishes` are those whose
    preferences are read. `series` asks for what the next turn of these needs, `its_series` for that
    of the task's own; `occurrences` for all of theirs that are open, and those that follow the
    task; `untouched` for which of these nobody has worked on.
    """

    workspace: WorkspaceId | None = None
    task: TaskId | None = None
    label: tuple[Kind, UUID] | None = None
    tasks: tuple[TaskId, ...] = ()
    subtree: bool = False
    height: bool = False
    ancestors_of: TaskId | None = None
    category: CategoryId | None = None
    tags: tuple[TagId, ...] = ()
    users: tuple[UserId, ...] = ()
    email_key: str | None = None
    after: TaskId | None = None
    before: TaskId | None = None
    end: bool = False
    name: tuple[Kind, str] | None = None
    owners: bool = False
    leaving: bool = False
    leaving_of: UserId | None = None
    wishes: tuple[UserId, ...] = ()
    task_of: tuple[Literal["reminder", "delivery"], UUID] | None = None
    series: tuple[SeriesId, ...] = ()
    its_series: bool = False
    occurrences: bool = False
    untouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenParent:
    """The task below which a series makes its occurrences; one at the top has depth 1."""

    version: int
    depth: int
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The occurrence that the latest one followed, its slot's instant, and the latter's origin."""

    task: TaskId
    instant: datetime
    origin: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSeries:
    """What a look found of one series.

    `current` is its latest occurrence; `followed` is there where the one before that had to be
    closed first. `open` are other occurrences that are open, where they were asked for, or are
    about to be replaced. `withdrawn` are occurrences that may come again, by their slot and
    origin, each with its subtasks, or empty where it is gone. `below` are the subtasks of all
    these, each after its parent. `parent` is None where the template has none, or it is purged.
    `cancelled_at` is when the latest was cancelled, where it is and the series counts from that.
    `untouched` are those of all these tasks that the service made and nobody changed, where that
    was asked for. `later` are the occurrences whose slots come no sooner than that of the task,
    which is at `since`.
    """

    series: Series
    current: Task | None
    below: Mapping[TaskId, tuple[Task, ...]]
    followed: Followed | None
    open: tuple[Task, ...]
    withdrawn: Mapping[tuple[str, UUID], tuple[Task, ...]]
    parent: SeenParent | None
    cancelled_at: datetime | None
    untouched: frozenset[TaskId]
    later: frozenset[TaskId]
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a mutation with this key did before: `state` is its subject's state then.

    `visible` tells whether the actor is still a member of the workspace it was done in.
    """

    field: str
    arguments: bytes
    visible: bool
    seq: int
    subject: UUID
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One consistent look at the database: what `Needs` asked for, as far as it is there.

    `workspace` is None where it is absent or the actor is no member: the two look the same.
    `descendants` is None where they are more than one commit takes along; `crowded` holds those
    in the trash whose position a live task has by now, each with the next position above it.
    `labels` holds the asked and all that the tasks show, by id; `users` likewise, members only
    in `members`. `founded_count` are the actor's workspaces where none was asked for,
    `joined_count` those of others that the invitee is in. `actor` is None for the service itself.
    `series` holds those that were asked for; it is None where their subtasks are more than one
    commit takes. `ledger` is what rings for the tasks.
    """

    workspace: Workspace | None
    role: Role
    actor: User | None
    actor_zone: str
    head: int
    roles_rev: int
    labels_rev: int
    tree_rev: int
    recorded: Recorded | None
    label: Label | None
    task: Task | None
    tasks: Mapping[TaskId, Task]
    descendants: tuple[Task, ...] | None
    crowded: Mapping[TaskId, str | None]
    ancestors: tuple[TaskId, ...]
    height: int
    labels: Mapping[UUID, Label]
    users: Mapping[UserId, User]
    members: Mapping[UserId, Member]
    invitee: User | None
    low: str | None
    high: str | None
    name_taken: UUID | None
    label_count: int
    owner_count: int
    founded_count: int
    joined_count: int
    ledger: LedgerSeen
    series: Mapping[SeriesId, SeenSeries] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A position that a task takes: at commit no other live task may have it.

    Nor may any lie between it and `beside`, its neighbour's position on either side.
    """

    task: TaskId
    position: str
    beside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What one flush writes, and what it checks first.

    The `*_rev` are the counters the decision relied on, None where it read nothing of the kind;
    `*_moved` say which counters this change moves. `seen` are versions of tasks to be unchanged,
    `series_seen` the `rev` of series. `slots_moved` are those of the first series from an instant
    on, which become those of the second.
    `subject` is what the idempotency record points to: the thing that the mutation answers. Its
    state is in the log, or `unchanged` holds it: what a mutation without facts answers. `own` says
    whose stream the answer's seq is of, where it is not the workspace's.
    """

    workspace: WorkspaceId
    subject: UUID
    at: datetime
    actor: User | None
    facts: tuple[Fact, ...] = ()
    unchanged: State | None = None
    roles_rev: int | None = None
    labels_rev: int | None = None
    tree_rev: int | None = None
    roles_moved: bool = False
    labels_moved: bool = False
    tree_moved: bool = False
    seen: Mapping[TaskId, int] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    create: Workspace | None = None
    accounts: tuple[Account, ...] = ()
    sessions: tuple[Session, ...] = ()
    members: tuple[Member, ...] = ()
    members_gone: tuple[Member, ...] = ()
    labels_new: tuple[Label, ...] = ()
    labels: tuple[Label, ...] = ()
    label_gone: Label | None = None
    tasks_new: tuple[Task, ...] = ()
    tasks: tuple[Task, ...] = ()
    series_seen: Mapping[SeriesId, int] = field(default_factory=dict)
    series_new: tuple[Series, ...] = ()
    series: tuple[Series, ...] = ()
    slots_moved: tuple[SeriesId, SeriesId, datetime] | None = None
    slots_new: tuple[LedgerSlot, ...] = ()
    slots: tuple[LedgerSlot, ...] = ()
    ledger: LedgerWrites = NOTHING
    own: UserId | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing changes."""
        return not self.facts and not self.ledger


class Store(Protocol):
    """Loads what a decision needs, and flushes what it decided: one round trip each."""

    async def load(self, command: Command, needs: Needs) -> Seen:
        """Returns one consistent look at what is needed."""
        ...

    async def flush(self, command: Command, writes: Writes) -> int:
        """Writes everything or nothing, and returns the new head of the stream that is answered.

        Where nothing changes it only keeps the command's key, so that a repeat is no change either.

        Raises:
            Stale: something that the decision read has moved, or the key was used meanwhile.
            Refused: CONFLICT; an id (by anything at all) or a name is taken.
            Unavailable: the workspace's lock was not free in time.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a stream stands: its last seq, and the seq up to which it was pruned."""

    head: int
    floor: int


class Log(Protocol):
    """The log, as readers see it."""

    async def heads(self, streams: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, Head]:
        """Returns where each of the streams stands; absent ones are left out."""
        ...

    async def read(self, stream: UUID, after: int, limit: int) -> Sequence[Change]:
        """Returns the changes that follow `after`, in order, at most `limit`."""
        ...


class Access(Protocol):
    """Who may see what, read fresh; the live path asks at its start and at delivery."""

    async def role(self, user: UserId, workspace: WorkspaceId) -> Role | None:
        """Returns the user's role there, None for a stranger or where there is no such place."""
        ...


class Invoker(Protocol):
    """Calls what another process offers."""

    async def call(self, app: str, name: str, given: object, *, timeout_s: float) -> Any:
        """Returns what the app answers to the call; both are JSON's types.

        Raises:
            Refused: what the app refuses, with its problems.
            Unavailable: the app did not answer in time, or cannot be reached.
        """
        ...


class StateStore(Protocol):
    """Small texts that replicas share and that expire; losing one costs time, never truth."""

    async def get(self, key: str) -> str | None:
        """Returns the value, None where there is none or it has expired.

        Raises:
            Unavailable: the store did not answer.
        """
        ...

    async def put(self, key: str, value: str, keep: timedelta) -> None:
        """Keeps the value for so long.

        Raises:
            Unavailable: the store did not answer.
        """
        ...
