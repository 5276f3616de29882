"""What one record does to a replica: nothing, whatever it holds. At a Kafka: tests/distributed."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import orjson
import pytest

from domain.changes import Change
from domain.outbox import Entry, Topic
from infra.envelope import delivered, event
from infra.kafka.connection import KafkaOptions
from infra.kafka.tail import KafkaTail, Listener
from tests.live import change

BAD, GOOD = uuid4(), uuid4()


def body(stream: UUID) -> bytes:
    made = Entry(change=change(stream, 1), before="{}", hash=b"")
    return orjson.dumps(event(Topic.TASK_EVENTS, made))


def offered(bodies: Sequence[bytes]) -> list[UUID]:
    """Returns whose changes reached a listener that fails at those of BAD."""
    seen: list[UUID] = []

    def offer(changes: Sequence[Change]) -> None:
        if changes[0].stream == BAD:
            raise KeyError("user")
        seen.append(changes[0].stream)

    listener = Listener(offer=offer, placed=lambda _placed: None)
    KafkaTail(KafkaOptions(servers="127.0.0.1:9"), ["t"], listener)._offer(bodies)
    return seen


async def test_a_change_that_the_listener_cannot_take_is_told_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert offered([body(BAD), body(GOOD)]) == [GOOD]

    assert caplog.messages == ["kafka.not_taken"]


async def test_a_record_that_reading_stumbles_over_is_told_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the reader may not have thought of; what it has is in test_envelope."""

    def stumbling(found: bytes) -> object:
        return 1 / 0 if str(BAD).encode() in found else delivered(found)

    monkeypatch.setattr("infra.kafka.tail.delivered", stumbling)

    assert offered([body(BAD), body(GOOD)]) == [GOOD]

    assert caplog.messages == ["kafka.malformed"]
    assert "ZeroDivisionError" in caplog.text
