"""Recurring tasks of the server as it is shipped: made by itself, and told to who listens."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api import Person
from tests.processes import Server

CREATE = """mutation ($at: ID!, $input: TaskCreateInput!) {
  taskCreate(workspaceId: $at, input: $input) {
    task { id occurrence { slot } series { id nextAt } } userErrors { code message } } }"""
COMPLETE = "mutation ($id: ID!) { taskComplete(id: $id) { userErrors { code message } } }"
REOPEN = "mutation ($id: ID!) { taskReopen(id: $id) { userErrors { code message } } }"
CHANGES = """subscription ($workspaceId: ID!, $after: Sequence) {
  changes(workspaceId: $workspaceId, after: $after) {
    __typename seq
    ... on Change { kind actor { id } task { title occurrence { slot } } series { id } }
  }
}"""
# Far longer than a second's tick; a busy machine is slow.
PATIENCE_S = 30


@pytest.fixture
async def ada(server: Server) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield await Person.sign_up(server.url, http)


async def _create(ada: Person, **recurrence: Any) -> Any:
    given = {"title": "Water", "recurrence": {"timeZone": "UTC", **recurrence}}
    answer = await ada.ask(CREATE, at=ada.workspace, input=given)
    assert answer["taskCreate"]["userErrors"] == []
    return answer["taskCreate"]["task"]


async def _heard(ada: Person, count: int) -> list[tuple[str, str | None]]:
    """Returns the first changes of tasks that the service made by itself: kind and slot."""
    found: list[tuple[str, str | None]] = []
    async with asyncio.timeout(PATIENCE_S), ada.socket() as socket:
        async for message in socket.follow(ada.workspace, "0", CHANGES):
            if message["__typename"] == "Change" and message["actor"] is None:
                found.append((message["kind"], message["task"]["occurrence"]["slot"]))
                if len(found) == count:
                    break
    return found


async def test_what_is_due_is_made_and_told(ada: Person) -> None:
    today = datetime.now(UTC).date()
    await _create(ada, preset="DAILY", start={"date": str(today), "time": "00:00"})

    tomorrow = today + timedelta(days=1)
    assert await _heard(ada, 1) == [("task.created", f"{tomorrow}T00:00")]


async def test_a_completion_leads_to_the_next_and_its_undoing_takes_that_back(ada: Person) -> None:
    task = await _create(ada, rule="FREQ=DAILY;INTERVAL=3", policies={"anchor": "COMPLETION"})
    assert task["series"]["nextAt"] is None

    await ada.ask(COMPLETE, id=task["id"])
    ((kind, slot),) = await _heard(ada, 1)
    assert (kind, slot) == ("task.created", slot)

    await ada.ask(REOPEN, id=task["id"])
    assert await _heard(ada, 2) == [("task.created", slot), ("task.deleted", slot)]

    await ada.ask(COMPLETE, id=task["id"])
    assert (await _heard(ada, 3))[2] == ("task.restored", slot)


async def test_what_was_due_while_nothing_ran_is_made_at_the_start(
    ada: Person, server: Server
) -> None:
    server.kill()
    server.start()
    today = datetime.now(UTC).date()
    await _create(
        ada, preset="DAILY", start={"date": str(today - timedelta(days=2)), "time": "00:00"}
    )

    made = await _heard(ada, 2)

    assert [slot for _, slot in made] == [f"{today}T00:00", f"{today + timedelta(days=1)}T00:00"]
