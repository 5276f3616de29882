"""How people sign up, sign in, stay signed in and sign out."""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from domain import accounts
from domain.access import Viewer
from domain.accounts import Account, Email, Presented, Session
from domain.errors import Problem, Refused, Stale, Unavailable, conflict, invalid, over_limit
from domain.ids import MemberId, SessionId, UserId, WorkspaceId
from domain.ports import Command, Store
from domain.services.sessions import SessionIssuer, SignedIn, digest, family
from domain.services.workspaces import founded
from domain.throttle import Throttle
from domain.workspaces import User, Workspace

# Somebody who mistypes has ten tries; a guesser then has 2,880 a day for one account.
ACCOUNT_TRIES = 10
ACCOUNT_REFILL = timedelta(seconds=30)
# One office or one proxy is one address, so this is wide: it bounds guessing over many accounts.
CLIENT_TRIES = 100
CLIENT_REFILL = timedelta(seconds=2)
# A class or a company's first morning comes from one address; afterwards 2,880 a day.
SIGN_UP_TRIES = 100
SIGN_UP_REFILL = timedelta(seconds=30)
# 100 bytes each: 2 MB at the most.
KEYS_MAX = 20_000
REFRESH_TOKEN_MAX_CHARS = 256
# Who loses a race against another tab finds that tab's token the next time.
REFRESH_TRIES = 3


class Accounts(Protocol):
    """Where accounts and sessions are kept; new accounts come by `Store.flush`."""

    async def by_email(self, key: str) -> Account | None:
        """Returns the account whose address has this key."""
        ...

    async def open(self, session: Session) -> None:
        """Keeps a new session, within a bounded number for each user."""
        ...

    async def by_family(self, digest: bytes) -> Session | None:
        """Returns the open session whose first refresh token has this digest."""
        ...

    async def rotate(self, session: Session, digest: bytes) -> bool:
        """Keeps a session's new tokens, unless it is over or `digest` is not in force any more."""
        ...

    async def revoke(
        self, user: UserId, session: SessionId | None, at: datetime
    ) -> Sequence[SessionId]:
        """Ends a session of the user, or all with None; returns those that were still open."""
        ...


class Passwords(Protocol):
    """Slow hashing, off the event loop."""

    async def hash(self, password: str) -> str:
        """Returns a salted hash that says how it was made.

        Raises:
            Unavailable: too many are waiting to be hashed.
        """
        ...

    async def verify(self, hash: str | None, password: str) -> bool:
        """Tells whether the password has the hash; without a hash takes as long and says no.

        Raises:
            Unavailable: too many are waiting to be hashed.
        """
        ...


class AccountService:
    """Signs people up, in and out."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        passwords: Passwords,
        issuer: SessionIssuer,
        revoked: Callable[[SessionId], None],
    ) -> None:
        """Takes the parts; `revoked` learns at once of every session that is signed out here."""
        self._store = store
        self._accounts = accounts
        self._passwords = passwords
        self._issuer = issuer
        self._clock = issuer.clock
        self._revoked = revoked
        self._by_account = Throttle(burst=ACCOUNT_TRIES, refill=ACCOUNT_REFILL, keys_max=KEYS_MAX)
        self._by_client = Throttle(burst=CLIENT_TRIES, refill=CLIENT_REFILL, keys_max=KEYS_MAX)
        self._sign_ups = Throttle(burst=SIGN_UP_TRIES, refill=SIGN_UP_REFILL, keys_max=KEYS_MAX)

    async def sign_up(
        self, *, email: str, password: str, name: str, zone: ZoneInfo | None, client: str
    ) -> SignedIn:
        """Opens an account, its personal workspace and a first session, all or nothing.

        Args:
            email: the address; its owner is not asked.
            password: the password as typed.
            name: what others see.
            zone: where the person lives; UTC where unknown.
            client: the network address of who asks, by which sign-ups are counted.

        Raises:
            Refused: INVALID, all bad fields at once; CONFLICT, the address has an account;
                LIMIT_EXCEEDED, too many came from that network.
            Unavailable: too many are signing up.
        """
        address, prepared, person = _application(email, password, name)
        # Counted whatever comes of it: the answer for a taken address tells who has an account.
        if not self._sign_ups.take(_network(client), self._clock.now()):
            raise over_limit("Too many have signed up from here: try again in a minute.", "input")
        if await self._accounts.by_email(address.key) is not None:
            raise conflict("This address has an account: sign in.", "input", "email")
        hashed = await self._passwords.hash(prepared)
        at = self._clock.now()
        user = User(id=UserId(self._issuer.new_id()), name=person)
        account = Account(
            id=user.id,
            email=address.text,
            email_key=address.key,
            name=person,
            time_zone="UTC" if zone is None else zone.key,
            password_hash=hashed,
            created_at=at,
        )
        workspace = Workspace(
            id=WorkspaceId(self._issuer.new_id()),
            name=accounts.personal_workspace_name(person),
            created_at=at,
        )
        session, secret = self._issuer.session(user.id, at)
        writes = replace(
            founded(workspace, user, MemberId(self._issuer.new_id())),
            subject=user.id,
            accounts=(account,),
            sessions=(session,),
        )
        command = Command(actor=user.id, field="signUp", key=None, arguments=b"")
        try:
            await self._store.flush(command, writes)
        except Stale as error:
            # Everything in it is new, so nothing it read can have moved.
            raise Unavailable("Signing up failed; try again.") from error
        return self._issuer.signed_in(session, secret, at)

    async def sign_in(self, *, email: str, password: str, client: str) -> SignedIn:
        """Opens a session; an unknown address and a wrong password look and cost the same.

        Args:
            email: the address, in any form that has the same key.
            password: the password as typed.
            client: the network address of who asks, by which failures are counted.

        Raises:
            Refused: INVALID, or LIMIT_EXCEEDED after too many failures.
            Unavailable: too many are signing in.
        """
        address = accounts.email(email, "input", "email")
        with self._counted(address, client, self._clock.now()):
            account = await self._accounts.by_email(address.key)
            prepared = accounts.password(password)
            known = None if account is None or prepared is None else account.password_hash
            matches = await self._passwords.verify(known, prepared or "")
            if account is None or not matches:
                raise accounts.wrong_credentials()
        at = self._clock.now()
        session, secret = self._issuer.session(account.id, at)
        await self._accounts.open(session)
        return self._issuer.signed_in(session, secret, at)

    async def refresh(self, token: str) -> SignedIn:
        """Changes a refresh token for new tokens, and prolongs the session.

        Within `REFRESH_GRACE` a used token gets the one that followed it. Later it was copied,
        by whoever sent it first or second, so the session ends with all its tokens.

        Raises:
            Refused: INVALID; the token is unknown, used, or of a session that is over.
            Unavailable: others refresh all the time.
        """
        if not token.isascii() or len(token) > REFRESH_TOKEN_MAX_CHARS:
            raise _over()
        for _ in range(REFRESH_TRIES):
            at = self._clock.now()
            session = await self._accounts.by_family(digest(family(token)))
            if session is None or session.expires_at <= at:
                raise _over()
            match accounts.presented(session, digest(token), at):
                case Presented.REPLAYED:
                    await self._end(session.user_id, session.id, at)
                    raise _over()
                case Presented.RECENT:
                    in_force = digest(token) == session.refresh_digest
                    secret = token if in_force else self._issuer.following(token)
                    return self._issuer.signed_in(session, secret, at)
                case Presented.CURRENT:
                    if signed_in := await self._rotated(session, token, at):
                        return signed_in
        raise Unavailable("The session is being refreshed; try again.")

    async def _rotated(self, session: Session, token: str, at: datetime) -> SignedIn | None:
        """Puts the next token in force; None where somebody else was faster."""
        secret = self._issuer.following(token)
        expires_at = at + self._issuer.lifetimes.session
        new = accounts.rotated(session, digest(secret), at=at, expires_at=expires_at)
        if not await self._accounts.rotate(new, session.refresh_digest):
            return None
        return self._issuer.signed_in(new, secret, at)

    async def sign_out(self, viewer: Viewer, *, everywhere: bool) -> None:
        """Ends the viewer's session, or all of that user's; open sockets of theirs close.

        Ending what is over already is no error: clients repeat lost requests.
        """
        session = None if everywhere else viewer.session
        await self._end(viewer.user, session, self._clock.now())

    async def _end(self, user: UserId, session: SessionId | None, at: datetime) -> None:
        for ended in await self._accounts.revoke(user, session, at):
            self._revoked(ended)

    @contextmanager
    def _counted(self, address: Email, client: str, at: datetime) -> Iterator[None]:
        """Counts what happens inside as a failed try where it refuses.

        The try is taken before and given back after, or many at once would all be let in.
        """
        buckets = ((self._by_client, _network(client)), (self._by_account, address.key))
        taken: list[tuple[Throttle, str]] = []
        for throttle, key in buckets:
            if not throttle.take(key, at):
                for other, its_key in taken:
                    other.give_back(its_key)
                raise over_limit(
                    "Too many failed attempts: wait a minute, then try again.", "input"
                )
            taken.append((throttle, key))
        failed = False
        try:
            yield
        except Refused:
            failed = True
            raise
        finally:
            if not failed:
                for throttle, key in taken:
                    throttle.give_back(key)


def _over() -> Refused:
    return invalid("This session is over: sign in again.", "input", "refreshToken")


def _application(email: str, password: str, name: str) -> tuple[Email, str, str]:
    """Returns the checked fields of a sign-up; refuses with all that is wrong at once."""
    problems: list[Problem] = []
    with _collecting(problems):
        address = accounts.email(email, "input", "email")
    with _collecting(problems):
        prepared = accounts.new_password(password, "input", "password")
    with _collecting(problems):
        person = accounts.person_name(name, "input", "name")
    if problems:
        raise Refused(*problems)
    return address, prepared, person


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        problems.extend(refused.problems)


def _network(client: str) -> str:
    """Returns what one subscriber controls: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address) or address.ipv4_mapped:
        return client
    return str(ipaddress.ip_network((address, 64), strict=False))
