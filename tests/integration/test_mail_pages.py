"""Links of mails: what a look shows, what a POST does, and who gets mail at all."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.channels import Category, ChannelName
from domain.ids import UserId
from domain.services.verification import VerificationService
from infra.clock import SystemClock
from infra.mail_links import UnsubscribeLinks, VerificationLinks
from infra.postgres.ledger import Addresses, PostgresLedger
from infra.postgres.trials import PostgresTrials
from tests.api import Served
from tests.worlds import World

KEY = b"x" * 32
ON = """{ notificationPreferences { choices { category channel isOn } }
          viewer { isEmailVerified } }"""


async def is_on(api: Served, category: str) -> bool:
    choices = (await api.ada.ask(ON))["notificationPreferences"]["choices"]
    [found] = [
        one["isOn"] for one in choices if (one["category"], one["channel"]) == (category, "EMAIL")
    ]
    return bool(found)


async def test_mails_of_a_kind_end_by_a_post_and_not_by_a_look(api: Served) -> None:
    link = UnsubscribeLinks(KEY, api.url).link(UserId(UUID(api.ada.user)), Category.REMINDER)

    look = await api.http.get(link)
    assert look.status_code == 200
    assert "<form method=" in look.text
    assert await is_on(api, "REMINDER")

    for _ in range(2):
        done = await api.http.post(link, data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200
    assert not await is_on(api, "REMINDER")
    assert await is_on(api, "ASSIGNMENT")


@pytest.mark.parametrize("path", ["/unsubscribe", "/verify"])
async def test_a_link_that_is_none_of_ours_does_nothing(api: Served, path: str) -> None:
    forged = UnsubscribeLinks(b"y" * 32, api.url).link(
        UserId(UUID(api.ada.user)), Category.REMINDER
    )
    for token in ("", "x" * 5_000, api.ada.token, forged.partition("token=")[2]):
        answer = await api.http.post(f"{api.url}{path}", params={"token": token})
        assert answer.status_code == 400
    stranger = UnsubscribeLinks(KEY, api.url).link(UserId(uuid4()), Category.REMINDER)
    assert (await api.http.post(stranger)).status_code == 400
    assert await is_on(api, "REMINDER")


async def test_an_address_is_verified_by_its_link(api: Served) -> None:
    links = VerificationLinks(KEY, api.url, SystemClock())
    link = links.link(UserId(UUID(api.ada.user)), api.ada.email)

    assert api.ada.email in (await api.http.get(link)).text
    assert not (await api.ada.ask(ON))["viewer"]["isEmailVerified"]
    other = links.link(UserId(UUID(api.ada.user)), "other@example.com")
    assert (await api.http.post(other)).status_code == 400
    assert (await api.http.post(link)).status_code == 200

    assert (await api.ada.ask(ON))["viewer"]["isEmailVerified"]


async def test_the_service_worker_is_served_for_the_whole_site(api: Served) -> None:
    answer = await api.http.get(f"{api.url}/service-worker.js")

    assert answer.headers["content-type"].startswith("text/javascript")
    assert "showNotification" in answer.text


async def test_mail_goes_only_to_verified_addresses_where_the_operator_wants_it(
    world: World,
) -> None:
    trials = PostgresTrials(world.lanes)
    service = VerificationService(trials, SystemClock(), is_on=True)
    addresses = Addresses(
        link=lambda _task: None,
        unsubscribe=lambda _user, _category: None,
        verify=lambda _user, email: f"https://tasks.example/verify?{email}",
        verified_only=True,
    )
    ledger = PostgresLedger(
        world.lanes, SystemClock(), addresses, new_id=uuid4, committed=lambda _s, _n: None
    )
    await service.welcome(world.ada)
    await service.send(world.ada)
    await trials.add(world.ada, ChannelName.EMAIL, datetime.now(UTC))

    claims = await ledger.claim(datetime.now(UTC), 10, ())
    ready = [await ledger.begin(one) for one in claims]

    sent = {one.begun.category: one for one in ready if one is not None}
    assert sent[Category.TEST].to == ()
    [mailbox] = sent[Category.VERIFICATION].to
    assert "/verify?" in (sent[Category.VERIFICATION].content.url or "")

    email = await world.lanes.fetchval("SELECT email FROM account WHERE id = $1", world.ada)
    await service.confirm(world.ada, email)
    [test] = [one for one in claims if one.delivery.category is Category.TEST]
    again = await ledger.begin(test)
    assert again is not None
    assert again.to == (mailbox,)


async def test_the_database_keeps_when_an_address_was_verified(
    world: World, database_url: str
) -> None:
    trials = PostgresTrials(world.lanes)
    email = await world.lanes.fetchval("SELECT email FROM account WHERE id = $1", world.ada)
    first = datetime.now(UTC)
    assert await trials.verified(world.ada, email, first)
    assert await trials.verified(world.ada, email, datetime.now(UTC))

    connection = await asyncpg.connect(database_url)
    kept = await connection.fetchval(
        "SELECT email_verified_at FROM account WHERE id = $1", world.ada
    )
    await connection.close()
    assert kept == first
