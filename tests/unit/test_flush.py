"""What a flush sends: the words of a task only where they changed, and each new id once."""

from typing import Any
from uuid import UUID

import orjson
import pytest

from domain.ids import UserId
from domain.ports import Command, Writes
from domain.tasks import Display, Status, changed, created
from domain.workspaces import User
from infra.postgres.flush import argument
from tests.task_rows import NOW, WORKSPACE, task

ADA = User(id=UserId(UUID(int=7)), name="Ada")
COMMAND = Command(actor=ADA.id, field="test", key=None, arguments=b"")
NOTHING = Display(category=None, tags=(), assignee=None)
WORDS = {"title", "title_key", "description", "search_a", "search_b"}


def sent(**writes: Any) -> dict[str, Any]:
    made = Writes(workspace=WORKSPACE, subject=UUID(int=1), at=NOW, actor=ADA, **writes)
    argued: dict[str, Any] = orjson.loads(argument(COMMAND, made, lambda: UUID(int=9)))
    return argued


@pytest.mark.parametrize(
    "_case, change, words",
    [
        ("a status", {"status": Status.DONE}, set()),
        ("a title", {"title": "Buy oats"}, WORDS),
        ("a description", {"description": "Two of them."}, WORDS),
    ],
)
def test_words_are_sent_where_they_changed(
    _case: str, change: dict[str, Any], words: set[str]
) -> None:
    found = changed("task.updated", task(1), NOTHING, task(1, **change), NOTHING)
    assert found is not None
    grown, fact = found

    [row] = sent(tasks=(grown,), facts=(fact,))["tasks"]

    assert row.keys() & WORDS == words
    assert row["version"] == 2


def test_a_new_task_is_sent_whole_with_its_id_to_be_claimed() -> None:
    fact = created(task(1), NOTHING)

    argued = sent(tasks_new=(task(1),), facts=(fact,))

    assert argued["tasks_new"][0].keys() >= WORDS
    assert argued["new_ids"] == [str(UUID(int=1))]
