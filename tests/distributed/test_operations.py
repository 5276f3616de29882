"""What operators ask of the real parts: the doctor's links, and dead letters."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from pydantic import SecretStr

from carillon import redrive
from carillon.doctor import doctor
from carillon.settings import Settings
from cluster.broker import Kafka
from cluster.processes import free_ports
from cluster.sidecar import Sidecar
from domain.outbox import Topic
from infra.dapr.dead_letters import DaprDeadLetters
from infra.dapr.sidecar import Sidecar as Way
from infra.kafka.connection import KafkaOptions
from infra.kafka.topics import partitions
from tests.distributed.receiver import Receiver
from workers.routes import APPS, DEAD_LETTERS, NOTIFICATIONS, PUBSUB, App

PARTITIONS = 12


@pytest.fixture
def settings(database_url: str, kafka: Kafka) -> Callable[..., Settings]:
    """What makes settings of a process beside a sidecar."""

    def made(sidecar: Sidecar, **changes: str) -> Settings:
        given: dict[str, object] = {
            "database_url": SecretStr(database_url),
            "kafka_servers": kafka.servers,
            "dapr_url": sidecar.url,
            "dapr_api_token": SecretStr(sidecar.api_token),
        }
        return Settings.model_validate({**given, **changes})

    return made


async def examined(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> tuple[int, Mapping[str, str]]:
    """Returns the exit code, and what is said of each link."""
    code = await doctor(settings)
    lines = capsys.readouterr().out.splitlines()
    return code, {line[4:].partition(": ")[0]: line for line in lines}


async def acknowledged(settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Returns the dead letters of tests that were here before, and forgets them."""
    assert await redrive.dead(settings, acknowledge=True) == 0
    return capsys.readouterr().out.splitlines()


async def test_every_link_of_each_app_is_well(
    sidecar_of: Callable[[App], AbstractAsyncContextManager[Sidecar]],
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for app in APPS:
        async with sidecar_of(app) as sidecar:
            asked = settings(sidecar)
            await acknowledged(asked, capsys)

            code, said = await examined(asked, capsys)

        assert code == 0, said
        assert f"of {app.id} answers" in said["sidecar"]
        for name in (*app.components, *app.bindings):
            assert name in said["components"]
        for topic in (*Topic, *DEAD_LETTERS):
            assert f"{topic} {PARTITIONS}" in said["topics"]
        for topic in Topic:
            assert said[f"consumer {topic.consumer}"].endswith(": had everything")


async def test_a_sidecar_that_is_away_or_strange_is_told_beside_all_that_is_well(
    relay_sidecar: Sidecar,
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    await acknowledged(settings(relay_sidecar), capsys)
    (port,) = free_ports(1)

    away = await examined(settings(relay_sidecar, dapr_url=f"http://127.0.0.1:{port}"), capsys)
    strange = await examined(settings(relay_sidecar, dapr_api_token="guess"), capsys)

    assert (away[0], strange[0]) == (1, 1)
    assert away[1]["sidecar"].startswith("BAD sidecar: The sidecar cannot be reached")
    assert strange[1]["sidecar"] == (
        "BAD sidecar: The sidecar refuses our token."
        " - set CARILLON_DAPR_API_TOKEN as the sidecar has it"
    )
    for _, said in (away, strange):
        assert said["topics"].startswith("ok  ")
        assert said["log"].startswith("ok  ")


async def test_brokers_that_are_away_are_told_in_one_line(
    relay_sidecar: Sidecar,
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (port,) = free_ports(1)

    code, said = await examined(settings(relay_sidecar, kafka_servers=f"127.0.0.1:{port}"), capsys)

    assert code == 1
    assert said["brokers"].startswith("BAD brokers: ")
    assert said["log"].startswith("ok  ")


async def test_a_topic_that_is_not_there_has_no_partitions(kafka: Kafka) -> None:
    found = await partitions(KafkaOptions(servers=kafka.servers), [Topic.REMINDERS, "none-such"])

    assert found == {Topic.REMINDERS: PARTITIONS, "none-such": 0}


async def test_dead_letters_are_shown_until_somebody_has_acknowledged_them(
    notifications_sidecar: Sidecar,
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = settings(notifications_sidecar)
    await acknowledged(asked, capsys)
    assert NOTIFICATIONS.dead_letters is not None
    async with Way(notifications_sidecar.url, api_token=notifications_sidecar.api_token) as way:
        letters = DaprDeadLetters(way, PUBSUB, NOTIFICATIONS.dead_letters)
        await letters.put(b'{"no": "event"}\n\x1b[31m' + b"x" * 2_000_000, "It has no stream.")
        await letters.put(b"\xff\xfe", "It is no JSON.")

    for _ in range(2):
        assert await redrive.dead(asked, acknowledge=False) == 0
        shown = capsys.readouterr().out.splitlines()
        assert len(shown) == 2
        [long] = [line for line in shown if "It has no stream." in line]
        [short] = [line for line in shown if "It is no JSON." in line]
        assert f" {NOTIFICATIONS.dead_letters}/" in long
        assert ' 2,000,021 bytes It has no stream. {"no": "event"}  [31mxxx' in long
        assert " 2 bytes It is no JSON. " in short
        assert len(long) < 250
    code, said = await examined(asked, capsys)
    assert code == 1
    assert said["dead letters"].startswith("BAD dead letters: 2 that nobody has acknowledged")

    assert len(await acknowledged(asked, capsys)) == 2

    assert await acknowledged(asked, capsys) == []
    code, said = await examined(asked, capsys)
    assert (code, said.get("dead letters")) == (0, None)


async def test_what_the_sidecar_gave_up_is_shown_with_the_topic_it_came_from(
    notifications_sidecar: Sidecar,
    relay_sidecar: Sidecar,
    receiver: Receiver,
    settings: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = settings(notifications_sidecar)
    await acknowledged(asked, capsys)
    receiver.refused.add("refused-event")
    event = {"specversion": "1.0", "id": "refused-event", "type": "t", "source": "/s", "data": {}}
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        answer = await client.post(
            f"{relay_sidecar.url}/v1.0/publish/{PUBSUB}/{Topic.TASK_EVENTS}",
            json=event,
            headers={
                "dapr-api-token": relay_sidecar.api_token,
                "content-type": "application/cloudevents+json",
            },
        )
    assert answer.is_success, answer.text

    shown: list[str] = []
    async with asyncio.timeout(60):
        while not shown:
            await redrive.dead(asked, acknowledge=False)
            shown = capsys.readouterr().out.splitlines()

    [line] = shown
    assert f"The sidecar gave up delivering it from {Topic.TASK_EVENTS}." in line
    assert "refused-event" in line
    await acknowledged(asked, capsys)
