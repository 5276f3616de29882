"""The notifications worker as its sidecar calls it: ticks, events, and what is asked of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from carillon.database import Database
from carillon.notifications import notifications
from carillon.settings import Settings
from domain.tasks import instant_text
from tests.live import eventually
from tests.worlds import World
from workers.routes import INVOKE_PREFIX, NOTIFICATIONS, READINESS_PATH


@dataclass
class Worker:
    http: httpx.AsyncClient

    async def call(self, name: str, given: object) -> dict[str, Any]:
        answer = await self.http.post(INVOKE_PREFIX + name, json=given)
        # To a sidecar, anything but 200 is a failure.
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
async def worker(database_url: str) -> AsyncIterator[Worker]:
    settings = Settings(database_url=SecretStr(database_url), token_secret=SecretStr("x" * 32))
    found = Database(url=database_url, direct_url=database_url)
    async with notifications(settings, found) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as http:
            yield Worker(http)


async def test_a_tick_is_answered_by_exactly_200(worker: Worker) -> None:
    for path in NOTIFICATIONS.bindings.values():
        assert (await worker.http.options(path)).status_code == 200
        for _ in range(2):
            assert (await worker.http.post(path)).status_code == 200
    assert (await worker.http.get(READINESS_PATH)).status_code == 200


async def test_a_test_reaches_its_person_once_however_often_it_is_asked_for(
    worker: Worker, world: World
) -> None:
    at = instant_text(datetime.now(UTC) + timedelta(seconds=0.2))
    given = {"user": str(world.ada), "channel": "IN_APP", "at": at}

    first = (await worker.call("send-test", given))["result"]
    again = (await worker.call("send-test", given))["result"]
    states: list[str] = []

    async def sent() -> bool:
        found = await worker.call("delivery-state", {"id": first["id"]})
        states.append(found["result"]["state"])
        return states[-1] == "SENT"

    while not await sent():
        assert len(states) < 1_000

    assert first["id"] == again["id"]
    rows = await world.lanes.fetch("SELECT title FROM notification")
    assert [row["title"] for row in rows] == ["A test of Carillon's notifications"]


@pytest.mark.parametrize(
    "call, given, code, field",
    [
        ("delivery-state", {}, "INVALID", ["id"]),
        ("delivery-state", {"id": "one"}, "INVALID", ["id"]),
        ("delivery-state", {"id": str(uuid4())}, "NOT_FOUND", ["id"]),
        ("send-test", [], "INVALID", ["user"]),
        ("send-test", {"user": str(uuid4()), "channel": "FAX", "at": "x"}, "INVALID", []),
        (
            "send-test",
            {"user": str(uuid4()), "channel": "EMAIL", "at": "2027-01-01T00:00:00Z"},
            "NOT_FOUND",
            ["user"],
        ),
    ],
)
async def test_what_is_refused_is_said_in_the_body(
    worker: Worker, call: str, given: object, code: str, field: list[str]
) -> None:
    answer = await worker.call(call, given)

    assert [(one["code"], one["field"]) for one in answer["problems"]] == [(code, field)]


async def test_a_channel_that_is_not_set_up_fails_and_says_so(worker: Worker, world: World) -> None:
    at = instant_text(datetime.now(UTC))
    given = {"user": str(world.ada), "channel": "EMAIL", "at": at}
    made = (await worker.call("send-test", given))["result"]
    found: dict[str, Any] = {}

    async def state() -> str:
        found.update((await worker.call("delivery-state", {"id": made["id"]}))["result"])
        return str(found["state"])

    while await state() in ("PENDING", "CLAIMED"):
        await eventually(lambda: True)

    assert (found["state"], found["reason"]) == ("FAILED", "This channel is not set up.")
