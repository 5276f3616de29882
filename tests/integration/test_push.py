"""Push messages to a service that decrypts them, verifies who sends, and fails in every way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.channels import (
    Browser,
    Category,
    Content,
    Message,
    Outcome,
    Permanent,
    Scope,
    Sent,
    Temporary,
)
from domain.ids import DeliveryId
from infra import outbound as outbound_module
from infra.clock import SystemClock
from infra.outbound import Outbound
from infra.push import REASON_MAX_CHARS, WebPush
from infra.vapid import Vapid, VapidKey, new_key
from tests import tls
from tests.push_service import Answer, Device, PushService, push_service

HOST = "push.example"
KEY = VapidKey(new_key())
MESSAGE = Message(
    id=DeliveryId(UUID("0190a6e4-5f3c-7a91-8c55-1b2d3e4f5a6b")),
    category=Category.REMINDER,
    content=Content(title="Reminder: Buy milk \N{BELL}", lines=("Due today.",), url=None),
    at=SystemClock().now(),
)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service(HOST) as service:
        yield service


async def here(_host: str, _port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
async def push() -> AsyncIterator[WebPush]:
    clock = SystemClock()
    vapid = Vapid(KEY, "mailto:ops@carillon.example", clock)
    async with Outbound(resolve=here, loopback=True, tls=tls.client()) as outbound:
        yield WebPush(outbound, vapid, clock)


async def test_a_browser_reads_what_was_sent_and_its_service_knows_who_sent_it(
    service: PushService, push: WebPush
) -> None:
    device = Device()
    to = service.subscribe(device, KEY.public)

    assert await push.send(MESSAGE, to) == Sent()

    [received] = device.received
    assert received.message == {
        "id": str(MESSAGE.id),
        "category": "REMINDER",
        "title": "Reminder: Buy milk \N{BELL}",
        "body": "Due today.",
        "url": None,
        "at": int(MESSAGE.at.timestamp() * 1_000),
    }
    assert received.headers["topic"] == MESSAGE.id.hex
    assert received.headers["ttl"] == "86400"
    assert received.headers["urgency"] == "high"
    assert received.claims["sub"] == "mailto:ops@carillon.example"
    assert push.provider(to) == service.origin


@pytest.mark.parametrize("category", Category)
async def test_every_category_has_its_urgency_and_keeping_time(
    category: Category, service: PushService, push: WebPush
) -> None:
    device = Device()

    assert (
        await push.send(replace(MESSAGE, category=category), service.subscribe(device, KEY.public))
        == Sent()
    )

    assert device.refused == []


RETRY = {"Retry-After": "120"}


@pytest.mark.parametrize(
    "answer,expected",
    [
        (Answer(404, text="who?"), Permanent(reason="404 who?", gone=True)),
        (Answer(410), Permanent(reason="410", gone=True)),
        (Answer(400, text="bad"), Permanent(reason="400 bad")),
        (Answer(403, text="another key"), Permanent(reason="403 another key")),
        (Answer(413, text="too\r\nlarge\0"), Permanent(reason="413 too large")),
        (Answer(307, {"Location": "https://127.0.0.1/"}), Permanent(reason="307")),
        (
            Answer(429, RETRY),
            Temporary(reason="429", scope=Scope.RECIPIENT, retry_after=timedelta(minutes=2)),
        ),
        (
            Answer(503, RETRY),
            Temporary(reason="503", scope=Scope.PROVIDER, retry_after=timedelta(minutes=2)),
        ),
        (Answer(500), Temporary(reason="500", scope=Scope.PROVIDER)),
        (Answer(502, {"Retry-After": "soon"}), Temporary(reason="502", scope=Scope.PROVIDER)),
        (
            Answer(500, text="x" * 100_000),
            Temporary(reason=f"500 {'x' * (REASON_MAX_CHARS - 4)}", scope=Scope.PROVIDER),
        ),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else "",
)
async def test_each_answer_says_whether_to_try_again(
    answer: Answer, expected: Outcome, service: PushService, push: WebPush
) -> None:
    device = Device()
    device.answers = [answer]
    to = service.subscribe(device, KEY.public)

    assert await push.send(MESSAGE, to) == expected

    assert device.received == []
    assert await push.send(MESSAGE, to) == Sent()


async def test_a_subscription_that_nobody_knows_is_gone(
    service: PushService, push: WebPush
) -> None:
    to = service.subscribe(Device(), KEY.public)
    service.devices.clear()

    assert await push.send(MESSAGE, to) == Permanent(reason="404 no such subscription", gone=True)


async def test_a_subscription_for_another_key_is_refused_by_its_service(
    service: PushService, push: WebPush
) -> None:
    device = Device()
    to = service.subscribe(device, VapidKey(new_key()).public)

    outcome = await push.send(MESSAGE, to)

    assert isinstance(outcome, Permanent)
    assert not outcome.gone
    assert "another key" in outcome.reason
    assert device.received == []


async def test_a_service_that_hangs_may_have_taken_it(
    service: PushService, push: WebPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter, or the suite waits for it.
    monkeypatch.setattr(outbound_module, "TOTAL_WAIT_S", 0.3)
    device = Device()
    device.answers = [Answer(status=None)]
    to = service.subscribe(device, KEY.public)

    assert await push.send(MESSAGE, to) == Temporary(
        reason=f"{HOST} did not answer in time.", scope=Scope.PROVIDER, is_unsure=True
    )


async def test_a_service_that_is_not_there_has_not_taken_it(push: WebPush) -> None:
    async with push_service(HOST) as service:
        to = service.subscribe(Device(), KEY.public)

    outcome = await push.send(MESSAGE, to)

    assert isinstance(outcome, Temporary)
    assert (outcome.scope, outcome.is_unsure) == (Scope.PROVIDER, False)


@pytest.mark.parametrize(
    "_case,endpoint", [("inside", "https://10.0.0.1/push"), ("malformed", "push.example")]
)
async def test_an_endpoint_that_may_not_be_called_fails_and_stays(
    _case: str, endpoint: str, push: WebPush
) -> None:
    device = Device()
    to = Browser(id=device.id, endpoint=endpoint, p256dh=device.point, auth=device.auth)

    outcome = await push.send(MESSAGE, to)

    assert isinstance(outcome, Permanent)
    assert not outcome.gone


async def test_a_key_that_is_no_point_can_never_be_used(
    service: PushService, push: WebPush
) -> None:
    device = Device()
    to = replace(service.subscribe(device, KEY.public), p256dh=b"\x04" + b"\x01" * 64)

    outcome = await push.send(MESSAGE, to)

    assert isinstance(outcome, Permanent)
    assert outcome.gone
    assert (device.received, device.refused) == ([], [])


async def test_many_messages_share_a_few_connections_and_each_arrives(
    service: PushService, push: WebPush
) -> None:
    device = Device()
    to = service.subscribe(device, KEY.public)
    messages = [replace(MESSAGE, id=DeliveryId(uuid4())) for _ in range(100)]

    outcomes = await asyncio.gather(*(push.send(one, to) for one in messages))

    assert outcomes == [Sent()] * 100
    assert {one.message["id"] for one in device.received} == {str(one.id) for one in messages}
