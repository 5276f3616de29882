"""One workspace of Ada's and the use cases over a real store, for tests of the write path."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import asyncpg

from domain.accounts import Account
from domain.errors import Code, Refused
from domain.ids import MemberId, TaskId, UserId, WorkspaceId
from domain.labels import Kind
from domain.ports import Command
from domain.services.labels import LabelPatch, LabelService
from domain.services.notifications import NotificationService
from domain.services.occurrences import OccurrenceService
from domain.services.preferences import PreferenceService
from domain.services.reminders import ReminderService
from domain.services.series import SeriesService
from domain.services.task_patch import TaskPatch
from domain.services.tasks import TaskService
from domain.services.verification import VerificationService
from domain.services.workspaces import WorkspaceService, founded
from domain.workspaces import User, Workspace
from infra.postgres.lanes import Lanes
from infra.postgres.store import PostgresStore
from schema.context import UseCases

if TYPE_CHECKING:
    from domain.services.accounts import AccountService

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return AT


@dataclass
class World:
    """One workspace of Ada's, and the use cases over a real store."""

    lanes: Lanes
    store: PostgresStore
    tasks: TaskService
    occurrences: OccurrenceService
    reminders: ReminderService
    series: SeriesService
    labels: LabelService
    workspaces: WorkspaceService
    ada: UserId
    home: WorkspaceId

    def command(self, key: str | None = None, *, actor: UserId | None = None) -> Command:
        return Command(actor=actor or self.ada, field="test", key=key, arguments=b"same")

    @property
    def use_cases(self) -> UseCases:
        """What resolvers call; nobody signs in here."""
        return UseCases(
            accounts=cast("AccountService", None),
            labels=self.labels,
            occurrences=self.occurrences,
            notifications=cast("NotificationService", None),
            preferences=cast("PreferenceService", None),
            reminders=self.reminders,
            series=self.series,
            tasks=self.tasks,
            verification=cast("VerificationService", None),
            workspaces=self.workspaces,
        )

    async def task(self, title: str = "Buy milk", **patch: Any) -> TaskId:
        made = await self.tasks.create(
            self.command(), self.home, None, replace(TaskPatch(title=title), **patch)
        )
        return TaskId(made.subject)

    async def sign_up(self, name: str) -> tuple[UserId, WorkspaceId]:
        user = User(id=UserId(uuid4()), name=name)
        account = Account(
            id=user.id,
            email=f"{user.id}@example.com",
            email_key=f"{user.id}@example.com",
            name=name,
            time_zone="Europe/Paris",
            password_hash="none",
            created_at=AT,
        )
        workspace = Workspace(id=WorkspaceId(uuid4()), name=name, created_at=AT)
        writes = replace(founded(workspace, user, MemberId(uuid4())), accounts=(account,))
        await self.store.flush(self.command(actor=user.id), writes)
        return user.id, workspace.id

    async def log(self, workspace: WorkspaceId | None = None) -> list[asyncpg.Record]:
        return await self.lanes.fetch(
            "SELECT * FROM change WHERE stream = $1 ORDER BY seq", workspace or self.home
        )

    async def head(self) -> int:
        head: int = await self.lanes.fetchval("SELECT head FROM workspace WHERE id = $1", self.home)
        return head


LABEL = LabelPatch(name="Red", colour="#ff0000", given=frozenset(["name", "colour"]))


def label(
    world: World, kind: Kind, name: str
) -> tuple[Command, Kind, WorkspaceId, None, LabelPatch]:
    return world.command(), kind, world.home, None, replace(LABEL, name=name)


async def named(world: World, kind: Kind, name: str) -> UUID:
    return (await world.labels.create(*label(world, kind, name))).subject


async def refused(mutation: object) -> Code | None:
    """Returns the code of the refusal, None where it was carried out."""
    try:
        await mutation  # type: ignore[misc]
    except Refused as refusal:
        return refusal.problems[0].code
    return None
