"""The notifier is woken by what may ring before the next tick, and by nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import orjson
import pytest

from domain.changes import Change
from domain.events import VERSION, Delivered
from domain.tasks import instant_text
from tests.live import change
from tests.task_rows import NOW
from workers.notifications import HORIZON
from workers.waker import Waker

STREAM = UUID(int=1)
SECOND = timedelta(seconds=1)


class FixedClock:
    def now(self) -> datetime:
        return NOW


def scheduled(after: timedelta) -> Change:
    payload = orjson.dumps({"fire_at": instant_text(NOW + after)}).decode()
    return change(STREAM, 1, kind="delivery.scheduled", payload=payload)


@pytest.mark.parametrize(
    "_case, told, wakes",
    [
        ("due soon", scheduled(HORIZON - SECOND), 1),
        ("due long ago", scheduled(-SECOND), 1),
        ("due later", scheduled(HORIZON + SECOND), 0),
        ("sent", change(STREAM, 1, kind="delivery.sent"), 0),
        ("assigned", replace(change(STREAM, 1), fields=("assignee",), at=NOW), 1),
        ("renamed", replace(change(STREAM, 1), fields=("title",), at=NOW), 0),
        ("a newer release's", None, 0),
    ],
)
async def test_it_wakes(_case: str, told: Change | None, wakes: int) -> None:
    woken: list[None] = []
    waker = Waker("notifications", lambda: woken.append(None), FixedClock())

    await waker.take(Delivered(stream=STREAM, seq=1, version=VERSION, change=told))

    assert len(woken) == wakes
