"""A worker's answers mean to its sidecar what they shall: taken, again, or not yours to ask."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from domain.errors import Unavailable, invalid
from domain.events import Delivered, Malformed
from workers.app import PROBES_ENOUGH, TOKEN_HEADER, Worker, WorkerApplication
from workers.deliveries import deliveries

TOKEN = {TOKEN_HEADER: "secret"}


class Calls:
    """What reached the worker, and what it shall answer."""

    def __init__(self) -> None:
        self.bodies: list[object] = []
        self.failure: Exception | None = None
        self.why: str | None = None

    async def take(self, body: bytes) -> None:
        self._note(body)

    async def tick(self) -> None:
        self._note("tick")

    async def call(self, given: Any) -> object:
        self._note(given)
        return {"echo": given}

    async def ready(self) -> str | None:
        return self.why

    def _note(self, what: object) -> None:
        self.bodies.append(what)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def application(calls: Calls) -> WorkerApplication:
    return WorkerApplication(
        Worker(
            events={"/events/task-events": calls.take},
            ticks={"/checker": calls.tick},
            calls={"preview": calls.call},
            ready=calls.ready,
            metrics=lambda: (b"up 1\n", "text/plain"),
            token="secret",
        )
    )


@pytest.fixture
async def http(application: WorkerApplication) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker") as http:
        yield http


async def test_an_event_is_taken_or_delivered_again_and_never_dropped(
    http: httpx.AsyncClient, calls: Calls
) -> None:
    taken = await http.post("/events/task-events", content=b"{}", headers=TOKEN)
    assert (taken.status_code, taken.json(), calls.bodies) == (200, {"status": "SUCCESS"}, [b"{}"])

    for failure in (Unavailable("away"), OSError("away"), RuntimeError("a bug")):
        calls.failure = failure
        again = await http.post("/events/task-events", content=b"{}", headers=TOKEN)
        assert again.status_code == 500
        assert "bug" not in again.text


@pytest.mark.parametrize(
    "failure, traced",
    [(Unavailable("away"), False), (TimeoutError("late"), False)]
    + [(failure, True) for failure in (RuntimeError("a bug"), FileNotFoundError("a file"))],
)
async def test_an_event_that_is_not_taken_is_told_with_its_trace_where_it_is_a_bug(
    http: httpx.AsyncClient,
    calls: Calls,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    traced: bool,
) -> None:
    calls.failure = failure

    await http.post("/events/task-events", content=b"{}", headers=TOKEN)

    [record] = [one for one in caplog.records if one.message == "event.not_taken"]
    assert bool(record.exc_info) is traced
    assert vars(record)["said"] == str(failure)


async def test_a_tick_runs_and_one_that_fails_is_told(
    http: httpx.AsyncClient, calls: Calls
) -> None:
    assert (await http.options("/checker")).status_code == 200
    assert calls.bodies == []
    assert (await http.post("/checker", headers=TOKEN)).status_code == 200
    assert calls.bodies == ["tick"]

    calls.failure = RuntimeError("a bug")
    assert (await http.post("/checker", headers=TOKEN)).status_code == 500


async def test_a_call_answers_json_and_its_refusals_are_typed(
    http: httpx.AsyncClient, calls: Calls
) -> None:
    answer = await http.post("/invoke/preview", json={"a": 1}, headers=TOKEN)
    assert (answer.status_code, answer.json()) == (200, {"result": {"echo": {"a": 1}}})

    calls.failure = invalid("Write a rule.", "rule")
    refused = await http.post("/invoke/preview", json={}, headers=TOKEN)
    assert refused.status_code == 200
    assert refused.json()["problems"] == [
        {"code": "INVALID", "field": ["rule"], "message": "Write a rule."}
    ]

    calls.failure = Unavailable("away")
    assert (await http.post("/invoke/preview", json={}, headers=TOKEN)).status_code == 503
    malformed = await http.post("/invoke/preview", content=b"{", headers=TOKEN)
    assert malformed.json()["problems"][0]["message"] == "The body is not JSON."


@pytest.mark.parametrize("path", ["/events/task-events", "/checker", "/invoke/preview"])
@pytest.mark.parametrize("headers", [{}, {TOKEN_HEADER: "wrong"}, {TOKEN_HEADER: ""}])
async def test_nobody_but_the_sidecar_may(
    http: httpx.AsyncClient, calls: Calls, path: str, headers: dict[str, str]
) -> None:
    answer = await http.post(path, json={}, headers=headers)

    assert answer.status_code == 403
    assert calls.bodies == []


async def test_health_readiness_and_metrics_need_no_token(
    http: httpx.AsyncClient, calls: Calls
) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    assert (await http.get("/metrics")).text == "up 1\n"
    assert (await http.get("/dapr/subscribe")).json() == []

    calls.why = "The sidecar is not ready."
    waiting = await http.get("/readyz")
    assert (waiting.status_code, waiting.text) == (503, "The sidecar is not ready.\n")
    assert (await http.get("/healthz")).status_code == 200


async def test_who_stops_says_no_to_everybody_until_the_sidecar_knows(
    http: httpx.AsyncClient, calls: Calls, application: WorkerApplication
) -> None:
    stopping = asyncio.create_task(application.stop())
    await asyncio.sleep(0)

    assert (await http.get("/readyz")).text == "stopping\n"
    for path in ("/events/task-events", "/checker"):
        assert (await http.post(path, headers=TOKEN)).status_code == 500
    assert calls.bodies == []
    for _ in range(PROBES_ENOUGH):
        assert not stopping.done()
        assert (await http.get("/healthz")).status_code == 503
    await stopping


async def test_who_stops_beside_a_sidecar_that_does_not_ask_waits_no_longer_than_it_may(
    application: WorkerApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.app.DRAIN_MAX_S", 0.01)

    async with asyncio.timeout(5):
        await application.stop()


async def test_without_a_token_everybody_may_and_a_warning_says_so(
    caplog: pytest.LogCaptureFixture, calls: Calls
) -> None:
    worker = Worker(ready=calls.ready, metrics=lambda: (b"", ""), token=None)

    WorkerApplication(worker)
    assert [record.message for record in caplog.records] == ["worker.open_to_all"]

    caplog.clear()
    WorkerApplication(replace(worker, token="secret"))
    assert caplog.records == []


async def test_what_cannot_be_read_becomes_a_dead_letter_with_the_reason() -> None:
    letters: list[tuple[bytes, str]] = []
    taken: list[Delivered] = []

    class Letters:
        down = False

        async def put(self, body: bytes, reason: str) -> None:
            if self.down:
                raise ConnectionError
            letters.append((body, reason))

    class Taker:
        name = "work"

        async def take(self, delivered: Delivered) -> None:
            if delivered.seq > 1:
                raise Malformed("The log ends at 1.")
            taken.append(delivered)

    def read(body: bytes) -> Delivered:
        if body == b"junk":
            raise Malformed("It is junk.")
        return Delivered(stream=UUID(int=1), seq=len(body), version=1, change=None)

    dead = Letters()
    take = deliveries(Taker(), dead, read)

    await take(b"1")
    await take(b"12")
    await take(b"junk")
    dead.down = True
    with pytest.raises(ConnectionError):
        await take(b"junk")

    assert [one.seq for one in taken] == [1]
    assert letters == [(b"12", "The log ends at 1."), (b"junk", "It is junk.")]
