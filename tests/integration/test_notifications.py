"""From a reminder by GraphQL to the live feed: API, ledger and worker on a real database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.tasks import instant_text
from infra.clock import SystemClock
from infra.ids import uuid7
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.ledger import Addresses, PostgresLedger
from tests.api import Person, Served
from workers.notifications import Notifier
from workers.providers import Providers
from workers.sending import Sending, Ways

ADD = """
mutation ($task: ID!, $input: ReminderAddInput!) {
  reminderAdd(taskId: $task, input: $input) {
    reminder { id at beforeDue channels onDay { time daysBefore } nag { every times } }
    seq clientMutationId userErrors { code field message }
  }
}"""
REMOVE = """
mutation ($id: ID!) { reminderRemove(id: $id) { reminderId seq userErrors { code field } } }"""
READ = """
mutation ($id: ID!) {
  notificationRead(id: $id) { notification { id seq readAt } seq userErrors { code field } }
}"""
FEED = """
query ($after: Sequence) {
  notifications(after: $after) {
    nodes { __typename id seq kind title body taskId workspaceId readAt archivedAt }
    hasNextPage head
  }
  viewer { unreadNotificationCount }
}"""
FOLLOW = """
subscription ($after: Sequence) {
  changes: notifications(after: $after) {
    __typename seq ... on Notification { id title readAt archivedAt }
  }
}"""
DUE = {"date": "2027-03-01", "time": "12:00", "timeZone": "Europe/Paris"}


@pytest.fixture
async def worker(database_url: str) -> AsyncIterator[Notifier]:
    clock = SystemClock()
    async with Lanes(database_url, LaneOptions(size=4)) as lanes:
        addresses = Addresses(link=lambda _task: None, unsubscribe=lambda _user, _category: None)
        ledger = PostgresLedger(
            lanes, clock, addresses, new_id=uuid7, committed=lambda _stream, _seq: None
        )
        notifier = Notifier(ledger, Sending(Ways(), Providers(clock), clock), clock)
        running = asyncio.create_task(notifier.run())
        yield notifier
        await notifier.stop()
        running.cancel()


def soon(seconds: float) -> str:
    text = instant_text(datetime.now(UTC) + timedelta(seconds=seconds))
    assert text is not None
    return text


async def add(person: Person, task: str, **given: object) -> dict[str, Any]:
    data = await person.ask(ADD, task=task, input={"channels": ["IN_APP"], **given})
    payload: dict[str, Any] = data["reminderAdd"]
    return payload


async def test_a_reminder_is_added_shown_and_taken_back(api: Served) -> None:
    task = await api.ada.create("Buy milk", due=DUE)
    nag = {"every": "PT90M", "times": 2}
    made = await add(api.ada, task["id"], beforeDue="P1DT30M", nag=nag)
    await add(api.ada, task["id"], onDay={"time": "09:00", "daysBefore": 2})

    query = """query ($id: ID!) { task(id: $id) {
        reminders { id at beforeDue channels onDay { time daysBefore } nag { every times } } } }"""
    [on_day, before] = (await api.ada.ask(query, id=task["id"]))["task"]["reminders"]

    assert made["userErrors"] == []
    assert (
        made["reminder"]
        == before
        == {
            "id": before["id"],
            "at": "2027-02-28T10:30:00+00:00",
            "beforeDue": "P1DT30M",
            "channels": ["IN_APP"],
            "onDay": None,
            "nag": {"every": "PT1H30M", "times": 2},
        }
    )
    assert (on_day["at"], on_day["onDay"]) == (
        "2027-02-27T08:00:00+00:00",
        {"time": "09:00", "daysBefore": 2},
    )
    gone = (await api.ada.ask(REMOVE, id=before["id"]))["reminderRemove"]
    assert gone == {"reminderId": before["id"], "seq": "6", "userErrors": []}
    again = (await api.ada.ask(REMOVE, id=before["id"]))["reminderRemove"]
    assert again["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]


async def test_what_is_wrong_with_a_reminder_is_told(api: Served) -> None:
    task = await api.ada.create("Buy milk", due=DUE)

    for given in ({}, {"at": soon(60), "beforeDue": "PT0S"}, {"at": soon(-60)}):
        payload = await add(api.ada, task["id"], **given)
        assert payload["reminder"] is None
        assert [one["code"] for one in payload["userErrors"]] == ["INVALID"]
    answer = await api.ada.send(ADD, task=task["id"], input={"channels": [], "beforeDue": "P1M"})
    assert "ISO 8601" in answer["errors"][0]["message"]


@pytest.mark.usefixtures("worker")
async def test_it_rings_in_the_feed_at_its_instant_and_is_read(api: Served) -> None:
    task = await api.ada.create("Buy milk")
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    async with api.ada.socket() as socket:
        messages = socket.follow(api.ada.workspace, None, FOLLOW)
        assert (await anext(messages))["__typename"] == "CaughtUp"
        made = await add(api.ada, task["id"], at=instant_text(at))
        async with asyncio.timeout(10):
            rang = await anext(messages)
        assert timedelta() <= datetime.now(UTC) - at < timedelta(seconds=3)

        assert (rang["title"], rang["readAt"]) == ("Reminder: Buy milk", None)
        data = await api.ada.ask(FEED)
        assert data["viewer"] == {"unreadNotificationCount": 1}
        [shown] = data["notifications"]["nodes"]
        assert shown == {
            "__typename": "Notification",
            "id": rang["id"],
            "seq": rang["seq"],
            "kind": "reminder",
            "title": "Reminder: Buy milk",
            "body": "",
            "taskId": task["id"],
            "workspaceId": api.ada.workspace,
            "readAt": None,
            "archivedAt": None,
        }
        read = (await api.ada.ask(READ, id=rang["id"]))["notificationRead"]
        heard = await anext(messages)
        assert heard["id"] == rang["id"]
        assert heard["seq"] == read["seq"] == read["notification"]["seq"]
        assert heard["readAt"] == read["notification"]["readAt"] is not None
        # Reading again changes nothing, and answers the same.
        assert (await api.ada.ask(READ, id=rang["id"]))["notificationRead"] == read
        data = await api.ada.ask(FEED, after=made["seq"])
        assert data["viewer"] == {"unreadNotificationCount": 0}
        assert [node["seq"] for node in data["notifications"]["nodes"]] == [read["seq"]]
        assert data["notifications"]["head"] == read["seq"]


@pytest.mark.usefixtures("worker")
async def test_a_reader_that_comes_back_hears_what_it_missed_and_nothing_twice(api: Served) -> None:
    task = await api.ada.create("Buy milk")
    for _ in range(3):
        await add(api.ada, task["id"], at=soon(0.3))
    async with api.ada.socket() as socket:
        messages = socket.follow(api.ada.workspace, "0", FOLLOW)
        heard: list[Any] = []
        async with asyncio.timeout(10):
            while len(heard) < 3:
                message = await anext(messages)
                heard += [message] if message["__typename"] == "Notification" else []

    async with api.ada.socket() as socket:
        messages = socket.follow(api.ada.workspace, heard[0]["seq"], FOLLOW)
        again = [await anext(messages) for _ in range(3)]

    assert again[:2] == heard[1:]
    assert again[2]["__typename"] == "CaughtUp"
    assert int(again[2]["seq"]) >= int(heard[2]["seq"])


@pytest.mark.usefixtures("worker")
async def test_the_feed_is_read_archived_and_marked_as_a_whole(api: Served) -> None:
    task = await api.ada.create("Buy milk")
    for _ in range(3):
        # Long enough that none is late on a busy machine: late ones are collapsed into one.
        await add(api.ada, task["id"], at=soon(1.0))
    nodes: list[Any] = []
    async with asyncio.timeout(10):
        while len(nodes) < 3:
            nodes = (await api.ada.ask(FEED))["notifications"]["nodes"]
            await asyncio.sleep(0.05)

    put_away = await api.ada.ask(
        """mutation ($id: ID!) {
            notificationArchive(id: $id) { notification { readAt archivedAt } userErrors { code } }
        }""",
        id=nodes[1]["id"],
    )
    await api.ada.ask("mutation { notificationReadAll { seq userErrors { code } } }")

    assert put_away["notificationArchive"]["notification"]["archivedAt"] is not None
    feed = await api.ada.ask(FEED)
    assert feed["viewer"] == {"unreadNotificationCount": 0}
    shown = feed["notifications"]["nodes"]
    assert {node["id"] for node in shown} == {nodes[0]["id"], nodes[2]["id"]}
    assert all(node["readAt"] for node in shown)
    # Who follows by seq hears of the archived one too.
    after = await api.ada.ask(FEED, after="0")
    assert len(after["notifications"]["nodes"]) == 3


@pytest.mark.usefixtures("worker")
async def test_a_snoozed_reminder_comes_back(api: Served) -> None:
    task = await api.ada.create("Buy milk")
    async with api.ada.socket() as socket:
        messages = socket.follow(api.ada.workspace, "0", FOLLOW)
        await add(api.ada, task["id"], at=soon(0.2))
        async with asyncio.timeout(15):
            while (first := await anext(messages))["__typename"] != "Notification":
                pass
            data = await api.ada.ask(
                """mutation ($id: ID!) { notificationSnooze(id: $id, input: {delay: "PT1S"}) {
                    notification { id } userErrors { code message } } }""",
                id=first["id"],
            )
            assert data["notificationSnooze"] == {
                "notification": {"id": first["id"]},
                "userErrors": [],
            }
            second = await anext(messages)
    assert second["id"] != first["id"]
    assert second["title"] == first["title"]


@pytest.mark.usefixtures("worker")
async def test_nobody_sees_or_touches_the_feed_of_another(api: Served) -> None:
    task = await api.ada.create("Buy milk")
    await add(api.ada, task["id"], at=soon(0.2))
    nodes: list[Any] = []
    async with asyncio.timeout(10):
        while not nodes:
            nodes = (await api.ada.ask(FEED))["notifications"]["nodes"]
            await asyncio.sleep(0.05)
    bob = await Person.sign_up(api.url, api.http)

    assert (await bob.ask(FEED))["notifications"] == {
        "nodes": [],
        "hasNextPage": False,
        "head": "0",
    }
    read = (await bob.ask(READ, id=nodes[0]["id"]))["notificationRead"]
    assert read["userErrors"] == [{"code": "NOT_FOUND", "field": ["id"]}]
    assert (await api.ada.ask(FEED))["viewer"] == {"unreadNotificationCount": 1}
    anonymous = await api.http.post(f"{api.url}/graphql", json={"query": FEED})
    codes = [one["extensions"]["code"] for one in anonymous.json()["errors"]]
    assert codes == ["UNAUTHENTICATED"]


async def test_each_viewer_of_a_change_sees_their_own_reminders(api: Served) -> None:
    bob = await Person.sign_up(api.url, api.http)
    await api.ada.ask(
        """mutation ($w: ID!, $email: String!) {
            memberAdd(workspaceId: $w, input: {email: $email, role: MEMBER}) {
                userErrors { code } } }""",
        w=api.ada.workspace,
        email=bob.email,
    )
    task = await api.ada.create("Buy milk", due=DUE)
    mine = await add(api.ada, task["id"], beforeDue="PT0S")
    follow = """subscription ($workspaceId: ID!, $after: Sequence) {
        changes(workspaceId: $workspaceId, after: $after) {
            ... on Change { task { title reminders { id } } } } }"""
    async with api.ada.socket() as ada, bob.socket() as other:
        streams = [
            ada.follow(api.ada.workspace, task["seq"], follow, str(uuid4())),
            other.follow(api.ada.workspace, task["seq"], follow, str(uuid4())),
        ]
        for stream in streams:
            assert await anext(stream) == {}
        await api.ada.ask(
            """mutation ($id: ID!) { taskUpdate(id: $id, input: {title: "Oats"}) { seq } }""",
            id=task["id"],
        )
        heard = [(await anext(stream))["task"]["reminders"] for stream in streams]
    assert heard == [[{"id": mine["reminder"]["id"]}], []]
