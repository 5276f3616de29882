"""Signing up, in and out on a real PostgreSQL."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from domain.accounts import REFRESH_GRACE
from domain.errors import Code, Refused, Unavailable
from domain.ids import SessionId, WorkspaceId
from domain.services.accounts import (
    ACCOUNT_REFILL,
    ACCOUNT_TRIES,
    CLIENT_TRIES,
    SIGN_UP_REFILL,
    SIGN_UP_TRIES,
    AccountService,
)
from domain.services.sessions import Lifetimes, SessionIssuer, SignedIn
from infra.passwords import NEW_MAX, Argon2Passwords
from infra.postgres.accounts import SESSIONS_MAX, PostgresAccounts
from infra.postgres.lanes import LaneOptions, Lanes
from infra.postgres.store import PostgresStore
from infra.tokens import JwtTokens
from tests.processes import Server

PHRASE = "a bell rings at noon"
HOME = "192.0.2.7"
COUNTS = """
SELECT (SELECT count(*) FROM account) AS accounts, (SELECT count(*) FROM session) AS sessions,
       (SELECT count(*) FROM workspace) AS workspaces, (SELECT count(*) FROM member) AS members,
       (SELECT count(*) FROM change) AS changes"""
TOKENS = JwtTokens(b"0123456789abcdef0123456789abcdef")
LIFETIMES = Lifetimes(access=timedelta(hours=1), session=timedelta(days=30))


@dataclass
class ManualClock:
    at: datetime = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@dataclass
class Desk:
    """The service, and what a test looks at."""

    service: AccountService
    passwords: Argon2Passwords
    clock: ManualClock
    lanes: Lanes
    revoked: list[SessionId]
    heard: list[tuple[WorkspaceId, int]]

    async def ada(self, **changes: Any) -> SignedIn:
        application = {"email": "ada@example.com", "password": PHRASE, "name": "Ada"}
        return await self.service.sign_up(
            **{**application, "zone": None, "client": HOME, **changes}
        )

    async def enter(self, **changes: str) -> SignedIn:
        credentials = {"email": "ada@example.com", "password": PHRASE, "client": HOME}
        return await self.service.sign_in(**{**credentials, **changes})

    async def counts(self) -> dict[str, int]:
        row = await self.lanes.fetchrow(COUNTS)
        return dict(row or {})

    async def is_open(self, signed_in: SignedIn) -> bool:
        return bool(
            await self.lanes.fetchval(
                "SELECT revoked_at IS NULL FROM session WHERE id = $1", signed_in.session
            )
        )


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    clock, passwords = ManualClock(), Argon2Passwords()
    async with (
        Lanes(database_url, LaneOptions(size=2)) as reads,
        Lanes(database_url, LaneOptions(size=4)) as writes,
    ):
        revoked: list[SessionId] = []
        heard: list[tuple[WorkspaceId, int]] = []
        issuer = SessionIssuer(
            tokens=TOKENS,
            clock=clock,
            lifetimes=LIFETIMES,
            new_id=uuid4,
            new_secret=secrets.token_urlsafe,
        )
        store = PostgresStore(reads, writes, new_id=uuid4, committed=lambda *at: heard.append(at))
        service = AccountService(store, PostgresAccounts(writes), passwords, issuer, revoked.append)
        yield Desk(service, passwords, clock, reads, revoked, heard)
    passwords.close()


def _refused(error: pytest.ExceptionInfo[Refused]) -> list[tuple[Code, tuple[str, ...]]]:
    return [(problem.code, problem.path) for problem in error.value.problems]


async def test_signing_up_makes_account_workspace_and_session_at_once(desk: Desk) -> None:
    ada = await desk.ada(email="Ada@Example.COM", zone=ZoneInfo("Europe/Paris"))

    account = await desk.lanes.fetchrow("SELECT * FROM account")
    assert account is not None
    assert (account["id"], account["email"], account["name"]) == (
        ada.user,
        "Ada@Example.COM",
        "Ada",
    )
    assert (account["email_key"], account["time_zone"]) == ("ada@example.com", "Europe/Paris")
    workspace = await desk.lanes.fetchrow("SELECT * FROM workspace")
    assert workspace is not None
    assert (workspace["name"], workspace["head"]) == ("Ada's tasks", 2)
    assert desk.heard == [(workspace["id"], 2)]
    rows = await desk.lanes.fetch("SELECT seq, kind, actor, payload FROM change ORDER BY seq")
    assert [(row["seq"], row["kind"], row["actor"]) for row in rows] == [
        (1, "workspace.created", ada.user),
        (2, "member.added", ada.user),
    ]
    member = json.loads(rows[1]["payload"])
    assert (member["user"]["name"], member["role"]) == ("Ada", "OWNER")
    viewer = TOKENS.read(ada.access.text, desk.clock.at)
    assert (viewer.user, viewer.session) == (ada.user, ada.session)
    assert ada.access.expires_at == desk.clock.at + LIFETIMES.access


async def test_an_address_has_one_account_however_it_is_spelt(desk: Desk) -> None:
    await desk.ada(email="ada@b\u00fccher.example")
    before = await desk.counts()

    with pytest.raises(Refused) as refused:
        await desk.ada(email="ADA@xn--bcher-kva.example")

    assert _refused(refused) == [(Code.CONFLICT, ("input", "email"))]
    assert await desk.counts() == before


async def test_of_many_who_sign_up_with_one_address_at_once_one_succeeds(desk: Desk) -> None:
    outcomes = await asyncio.gather(*(desk.ada() for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(outcome, SignedIn) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 7
    assert await desk.counts() == {
        "accounts": 1,
        "sessions": 1,
        "workspaces": 1,
        "members": 1,
        "changes": 2,
    }


async def test_a_flood_of_sign_ups_stops_its_client_and_no_other(desk: Desk) -> None:
    await desk.ada()
    # Refused, for the address is taken, and counted: or it would tell who has an account.
    for _ in range(1, SIGN_UP_TRIES):
        with pytest.raises(Refused):
            await desk.ada()
    before = await desk.counts()

    with pytest.raises(Refused) as refused:
        await desk.ada(email="bob@example.com")

    assert _refused(refused) == [(Code.LIMIT_EXCEEDED, ("input",))]
    assert await desk.counts() == before
    await desk.enter()
    await desk.ada(email="bob@example.com", client="198.51.100.1")
    desk.clock.at += SIGN_UP_REFILL
    await desk.ada(email="cyd@example.com")


async def test_while_many_sign_up_others_sign_in_and_a_taken_address_is_told_at_once(
    desk: Desk,
) -> None:
    await desk.ada()
    hashing = [asyncio.ensure_future(desk.passwords.hash(PHRASE)) for _ in range(NEW_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await desk.ada(email="bob@example.com")

    await desk.enter()
    with pytest.raises(Refused) as refused:
        await desk.ada()

    assert _refused(refused) == [(Code.CONFLICT, ("input", "email"))]
    for one in hashing:
        one.cancel()
    await asyncio.gather(*hashing, return_exceptions=True)


async def test_all_bad_fields_are_told_at_once_and_nothing_is_kept(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        await desk.ada(email="ada", password="x" * 7, name=" \0")

    assert _refused(refused) == [
        (Code.INVALID, ("input", "email")),
        (Code.INVALID, ("input", "password")),
        (Code.INVALID, ("input", "name")),
    ]
    assert set((await desk.counts()).values()) == {0}


async def test_signing_in_opens_another_session(desk: Desk) -> None:
    first = await desk.ada()

    second = await desk.enter(email=" ADA@example.com ")

    assert second.user == first.user
    assert second.session != first.session
    assert await desk.is_open(first)
    assert await desk.is_open(second)


@pytest.mark.parametrize(
    "_case,changes",
    [
        ("a wrong password", {"password": "a bell rings at one"}),
        ("an unknown address", {"email": "eve@example.com"}),
        ("a password nobody can have", {"password": "\0"}),
        ("a password of a megabyte", {"password": "x" * 1_000_000}),
        ("lone surrogates", {"password": "\ud800" * 9}),
    ],
)
async def test_wrong_credentials_look_the_same(
    desk: Desk, _case: str, changes: dict[str, str]
) -> None:
    await desk.ada()
    before = await desk.counts()

    with pytest.raises(Refused) as refused:
        await desk.enter(**changes)

    assert _refused(refused) == [(Code.INVALID, ("input",))]
    assert str(refused.value) == "The address or the password is wrong."
    assert await desk.counts() == before


async def test_failures_lock_the_account_for_a_while_and_success_costs_nothing(desk: Desk) -> None:
    await desk.ada()
    for _ in range(ACCOUNT_TRIES + 5):
        await desk.enter()
    for number in range(ACCOUNT_TRIES):
        with pytest.raises(Refused):
            await desk.enter(password=f"guess {number}", client=f"198.51.100.{number}")

    with pytest.raises(Refused) as refused:
        await desk.enter()

    assert _refused(refused) == [(Code.LIMIT_EXCEEDED, ("input",))]
    desk.clock.at += ACCOUNT_REFILL
    await desk.enter()


async def test_one_client_cannot_guess_over_many_accounts(desk: Desk) -> None:
    await desk.ada()
    # Another address of the same subscriber's network counts as the same client.
    for number in range(CLIENT_TRIES):
        with pytest.raises(Refused):
            await desk.enter(email=f"v{number}@example.com", client=f"2001:db8::{number + 1:x}")

    with pytest.raises(Refused) as refused:
        await desk.enter(client="2001:db8::ffff")

    assert _refused(refused) == [(Code.LIMIT_EXCEEDED, ("input",))]
    await desk.enter(client="2001:db8:0:1::1")


async def test_a_refresh_token_works_once_and_prolongs_the_session(desk: Desk) -> None:
    first = await desk.ada()
    desk.clock.at += timedelta(days=29)

    second = await desk.service.refresh(first.refresh_token)

    assert (second.user, second.session) == (first.user, first.session)
    assert second.refresh_token != first.refresh_token
    assert second.access.expires_at == desk.clock.at + LIFETIMES.access
    desk.clock.at += timedelta(days=29)
    third = await desk.service.refresh(second.refresh_token)
    assert third.session == first.session


async def test_tabs_that_refresh_at_once_stay_signed_in_with_one_token(desk: Desk) -> None:
    first = await desk.ada()

    tabs = await asyncio.gather(*(desk.service.refresh(first.refresh_token) for _ in range(6)))

    assert {tab.session for tab in tabs} == {first.session}
    [token] = {tab.refresh_token for tab in tabs}
    assert token != first.refresh_token
    for tab in tabs:
        assert TOKENS.read(tab.access.text, desk.clock.at).session == first.session
    desk.clock.at += timedelta(hours=1)
    later = await desk.service.refresh(token)
    assert later.refresh_token not in {token, first.refresh_token}


async def test_a_lost_answer_can_be_asked_for_again_while_others_refresh(desk: Desk) -> None:
    first = await desk.ada()
    second = await desk.service.refresh(first.refresh_token)
    desk.clock.at += REFRESH_GRACE / 2
    # Another tab has the new one already. It stays in force, so that the old one is not yet older.
    assert (await desk.service.refresh(second.refresh_token)).refresh_token == second.refresh_token
    desk.clock.at += REFRESH_GRACE / 2

    again = await desk.service.refresh(first.refresh_token)

    assert again.refresh_token == second.refresh_token
    assert await desk.is_open(first)


@pytest.mark.parametrize("generations", [1, 2, 5])
async def test_a_stolen_token_ends_its_whole_family(desk: Desk, generations: int) -> None:
    stolen = newest = await desk.ada()
    other = await desk.enter()
    for _ in range(generations):
        newest = await desk.service.refresh(newest.refresh_token)
        desk.clock.at += REFRESH_GRACE + timedelta(seconds=1)

    with pytest.raises(Refused) as refused:
        await desk.service.refresh(stolen.refresh_token)

    assert _refused(refused) == [(Code.INVALID, ("input", "refreshToken"))]
    assert not await desk.is_open(newest)
    assert desk.revoked == [newest.session]
    with pytest.raises(Refused):
        await desk.service.refresh(newest.refresh_token)
    assert await desk.is_open(other)


async def test_the_thiefs_own_refresh_is_undone_by_the_owners(desk: Desk) -> None:
    owner = await desk.ada()
    thief = await desk.service.refresh(owner.refresh_token)
    desk.clock.at += timedelta(minutes=5)

    with pytest.raises(Refused):
        await desk.service.refresh(owner.refresh_token)

    assert desk.revoked == [thief.session]
    with pytest.raises(Refused):
        await desk.service.refresh(thief.refresh_token)


@pytest.mark.parametrize(
    "_case,token",
    [
        ("empty", ""),
        ("unknown", "x" * 43),
        ("an unknown family", f"{'x' * 43}.{'y' * 43}"),
        ("long", "x" * 100_000),
        ("not ASCII", "\ud800\0"),
    ],
)
async def test_an_unknown_refresh_token_is_refused(desk: Desk, _case: str, token: str) -> None:
    await desk.ada()

    with pytest.raises(Refused) as refused:
        await desk.service.refresh(token)

    assert _refused(refused) == [(Code.INVALID, ("input", "refreshToken"))]
    assert desk.revoked == []


async def test_a_session_that_nobody_refreshes_is_over_after_its_lifetime(desk: Desk) -> None:
    first = await desk.ada()
    desk.clock.at += LIFETIMES.session

    with pytest.raises(Refused):
        await desk.service.refresh(first.refresh_token)


async def test_signing_out_ends_this_session_and_tells_at_once(desk: Desk) -> None:
    first = await desk.ada()
    second = await desk.enter()
    viewer = TOKENS.read(second.access.text, desk.clock.at)

    await desk.service.sign_out(viewer, everywhere=False)
    await desk.service.sign_out(viewer, everywhere=False)

    assert desk.revoked == [second.session]
    assert await desk.is_open(first)
    assert not await desk.is_open(second)
    with pytest.raises(Refused):
        await desk.service.refresh(second.refresh_token)


async def test_signing_out_everywhere_ends_all_sessions_of_that_user_alone(desk: Desk) -> None:
    bob = await desk.ada(email="bob@example.com", name="Bob")
    first = await desk.ada()
    second = await desk.enter()

    await desk.service.sign_out(TOKENS.read(first.access.text, desk.clock.at), everywhere=True)

    assert set(desk.revoked) == {first.session, second.session}
    assert await desk.is_open(bob)


async def test_an_account_keeps_a_bounded_number_of_sessions(desk: Desk) -> None:
    oldest = await desk.ada()
    for _ in range(SESSIONS_MAX):
        desk.clock.at += timedelta(minutes=1)
        newest = await desk.enter()

    assert not await desk.is_open(oldest)
    assert await desk.is_open(newest)
    open_now = "SELECT count(*) FROM session WHERE revoked_at IS NULL"
    assert await desk.lanes.fetchval(open_now) == SESSIONS_MAX


SESSION = """{ accessToken expiresAt refreshToken userErrors { code field message }
  viewer { name email timeZone workspaces { name viewerRole head } } }"""


def _ask(server: Server, query: str, token: str | None = None, **input: object) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"query": query, "variables": {"input": input}}
    answer = httpx.post(f"{server.url}/graphql", json=body, headers=headers, timeout=30)
    content: dict[str, Any] = answer.json()
    return content


def test_a_person_signs_up_in_and_out_over_http(server: Server) -> None:
    sign_up = f"mutation($input: SignUpInput!) {{ p: signUp(input: $input) {SESSION} }}"
    sign_in = f"mutation($input: SignInInput!) {{ p: signIn(input: $input) {SESSION} }}"
    refresh = (
        f"mutation($input: SessionRefreshInput!) {{ p: sessionRefresh(input: $input) {SESSION} }}"
    )
    sign_out = "mutation { p: signOut { userErrors { message } } }"
    who = "{ viewer { name } }"
    ada = {
        "name": "Ada",
        "email": "Ada@example.com",
        "timeZone": "Europe/Paris",
        "workspaces": [{"name": "Ada's tasks", "viewerRole": "OWNER", "head": "2"}],
    }

    refused = _ask(server, sign_up, email="ada", password="x", name="\0")["data"]["p"]
    first = _ask(
        server, sign_up, email=ada["email"], password=PHRASE, name="Ada", timeZone="Europe/Paris"
    )["data"]["p"]
    taken = _ask(server, sign_up, email="ada@EXAMPLE.com", password=PHRASE, name="Eve")["data"]["p"]
    wrong = _ask(server, sign_in, email="ada@example.com", password="guess")["data"]["p"]
    second = _ask(server, sign_in, email="ada@example.com", password=PHRASE)["data"]["p"]
    third = _ask(server, refresh, refreshToken=second["refreshToken"])["data"]["p"]

    assert [(e["code"], e["field"]) for e in refused["userErrors"]] == [
        ("INVALID", ["input", "email"]),
        ("INVALID", ["input", "password"]),
        ("INVALID", ["input", "name"]),
    ]
    assert (refused["accessToken"], refused["viewer"]) == (None, None)
    assert (first["viewer"], first["userErrors"]) == (ada, [])
    assert [(e["code"], e["field"]) for e in taken["userErrors"]] == [
        ("CONFLICT", ["input", "email"])
    ]
    assert [(e["code"], e["field"]) for e in wrong["userErrors"]] == [("INVALID", ["input"])]
    assert (second["viewer"], third["viewer"]) == (ada, ada)
    assert datetime.fromisoformat(third["expiresAt"]) > datetime.now(UTC)
    assert _ask(server, who, third["accessToken"])["data"] == {"viewer": {"name": "Ada"}}

    out = _ask(server, sign_out, third["accessToken"])

    assert out["data"] == {"p": {"userErrors": []}}
    [error] = _ask(server, who, third["accessToken"])["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    # The session's refresh token is over with it; the other session is not.
    over = _ask(server, refresh, refreshToken=third["refreshToken"])["data"]["p"]
    assert [(e["code"], e["field"]) for e in over["userErrors"]] == [
        ("INVALID", ["input", "refreshToken"])
    ]
    assert _ask(server, who, first["accessToken"])["data"] == {"viewer": {"name": "Ada"}}
    [error] = _ask(server, sign_out)["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
