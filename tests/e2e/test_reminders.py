"""`carillon serve` alone rings: in the feed and by mail, on time, once, whatever dies."""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from domain.tasks import instant_text
from tests.api import Person
from tests.live import eventually
from tests.mail_server import Post, post
from tests.processes import Server
from tests.push_service import Answer, Device, padless, push_service

ADD = """
mutation ($task: ID!, $at: DateTime!) {
  reminderAdd(taskId: $task, input: {at: $at, channels: [IN_APP, EMAIL]}) {
    userErrors { message }
  }
}"""
FEED = "{ notifications { nodes { id title createdAt } } }"


@asynccontextmanager
async def served(mail: Post, **settings: str) -> AsyncIterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="carillon-test-"))
    folder.chmod(0o711)
    server = Server(folder, smtp_url=mail.url, **settings)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.close)
        shutil.rmtree(folder)


async def remind(person: Person, title: str, at: datetime) -> None:
    task = await person.create(title)
    data = await person.ask(ADD, task=task["id"], at=instant_text(at))
    assert data["reminderAdd"] == {"userErrors": []}


async def feed(person: Person, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while True:
            nodes: list[dict[str, Any]] = (await person.ask(FEED))["notifications"]["nodes"]
            if len(nodes) >= count:
                return nodes


async def test_reminders_ring_in_the_feed_and_by_mail_at_their_instants() -> None:
    async with (
        post() as mail,
        served(mail, public_url="https://tasks.example") as server,
        httpx.AsyncClient() as http,
    ):
        ada = await Person.sign_up(server.url, http)
        at = datetime.now(UTC) + timedelta(seconds=2)
        await remind(ada, "Käse kaufen 🧀", at)

        await eventually(lambda: mail.received, within_s=10)
        late = datetime.now(UTC) - at
        assert timedelta() <= late < timedelta(seconds=2)
        [arrived] = mail.received
        message = arrived.message
        # Its row commits about when the mail is handed in.
        [shown] = await feed(ada, 1)
        assert message["Subject"] == shown["title"] == "Reminder: Käse kaufen 🧀"
        assert arrived.recipients == [ada.email]
        # Each channel's delivery has an id of its own.
        assert shown["id"] not in message["Message-ID"]
        assert "https://tasks.example/unsubscribe?token=" in message["List-Unsubscribe"]
        assert datetime.fromisoformat(shown["createdAt"]) >= at


SUBSCRIBE = """
mutation ($input: PushSubscriptionAddInput!) {
  pushSubscriptionAdd(input: $input) { pushSubscription { id } userErrors { message } }
}"""
PUSH = """
mutation ($task: ID!, $at: DateTime!) {
  reminderAdd(taskId: $task, input: {at: $at, channels: [PUSH]}) { userErrors { message } }
}"""
SHOWN = "{ notificationPreferences { pushKey pushSubscriptions { id } } }"


async def test_a_browser_gets_what_only_it_can_read_and_one_that_is_gone_is_forgotten() -> None:
    async with (
        post() as mail,
        push_service("127.0.0.1", encrypted=False) as service,
        served(mail, push_loopback="true") as server,
        httpx.AsyncClient() as http,
    ):
        ada = await Person.sign_up(server.url, http)
        key = (await ada.ask(SHOWN))["notificationPreferences"]["pushKey"]
        phone, gone = Device(), Device()
        gone.answers.append(Answer(status=410))
        phone.answers.append(Answer(status=503, headers={"Retry-After": "1"}))
        for device in (phone, gone):
            browser = service.subscribe(device, key)
            given = {
                "endpoint": browser.endpoint,
                "p256dh": padless(browser.p256dh),
                "auth": padless(browser.auth),
            }
            made = (await ada.ask(SUBSCRIBE, input=given))["pushSubscriptionAdd"]
            assert made["userErrors"] == []
        task = await ada.create("Buy milk")
        at = instant_text(datetime.now(UTC) + timedelta(seconds=1))
        await ada.ask(PUSH, task=task["id"], at=at)

        # The service was away for a second.
        await eventually(lambda: phone.received, within_s=30)

        [received] = phone.received
        assert received.message["title"] == "Reminder: Buy milk"
        assert received.headers["topic"] == received.message["id"].replace("-", "")
        assert (phone.refused, gone.received) == ([], [])
        left = (await ada.ask(SHOWN))["notificationPreferences"]["pushSubscriptions"]
        assert len(left) == 1


async def test_what_was_due_while_it_was_killed_rings_once_after_the_restart() -> None:
    async with post() as mail, served(mail) as server, httpx.AsyncClient() as http:
        ada = await Person.sign_up(server.url, http)
        at = datetime.now(UTC) + timedelta(seconds=2)
        for number in range(20):
            await remind(ada, f"Task {number}", at + timedelta(milliseconds=100 * number))
        await eventually(lambda: len(mail.received) > 3, within_s=15)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

        await eventually(lambda: len(mail.received) >= 20, within_s=30)
        await asyncio.sleep(1)

        nodes = await feed(ada, 20)
        assert Counter(node["title"] for node in nodes) == {
            f"Reminder: Task {number}": 1 for number in range(20)
        }
        # A mail can be doubled by a crash in between; its Message-ID tells.
        ids = Counter(one.message["Message-ID"] for one in mail.received)
        assert len(ids) == 20
        assert sum(ids.values()) <= 28
