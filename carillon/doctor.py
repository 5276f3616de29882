"""`carillon doctor`: checks each link, one line each, with what to do where it is broken."""

import sys
from collections.abc import Collection
from datetime import timedelta

import asyncpg

from carillon.brokers import brokers_of
from carillon.database import database
from carillon.secrets import sidecar_of, soon_with_secrets
from carillon.settings import NotConfigured, Settings
from domain.outbox import Topic
from domain.ports import Clock
from infra.clock import SystemClock
from infra.dapr.metadata import Metadata, metadata
from infra.kafka.connection import KafkaOptions
from infra.kafka.dead_letters import dead_letters
from infra.kafka.topics import partitions
from infra.postgres.connecting import connect
from infra.postgres.doctor import Standing, findings, skew, standings
from infra.postgres.fitness import CONNECT_WAIT_S, Unfit
from infra.postgres.migrate import pending
from infra.postgres.series_doctor import series_findings
from workers.routes import APPS, DEAD_LETTERS

# Between replicas it becomes the order of things that people see.
SKEW_MAX = timedelta(seconds=1)
# Behind a broker that restarts nothing waits so long; what does is stuck.
LATE = timedelta(minutes=1)


async def doctor(settings: Settings, clock: Clock | None = None) -> int:
    """Prints what it finds; returns 1 where something is wrong."""
    page = _Page()
    clock = clock or SystemClock()
    if settings.dapr_url is not None:
        await _sidecar(page, settings)
    if settings.kafka_servers is not None:
        await _brokers(page, brokers_of(settings), (*Topic, *DEAD_LETTERS))
    try:
        settings = await soon_with_secrets(settings)
    except TimeoutError as error:
        page.bad("secrets", str(error), "see that the component is loaded and its secret is there")
        return page.code
    except NotConfigured as error:
        page.bad("secrets", str(error), "write the secret anew")
        return page.code
    try:
        async with database(settings, attach=True) as found:
            connection = await connect(found.direct_url or found.url, timeout=CONNECT_WAIT_S)
            try:
                await _database(page, settings, connection, clock)
            finally:
                await connection.close()
    except NotConfigured as error:
        page.bad("database", str(error), "set it, as the other processes have it")
    except Unfit as unfit:
        page.bad("database", unfit.finding.what, unfit.finding.remedy)
    return page.code


class _Page:
    """What was found so far; `code` is the command's exit code."""

    def __init__(self) -> None:
        self.code = 0

    def ok(self, link: str, what: str) -> None:
        sys.stdout.write(f"ok  {link}: {what}\n")

    def bad(self, link: str, what: str, remedy: str) -> None:
        self.code = 1
        sys.stdout.write(f"BAD {link}: {what} - {remedy}\n")


async def _sidecar(page: _Page, settings: Settings) -> None:
    async with sidecar_of(settings) as sidecar:
        try:
            said = await metadata(sidecar)
            ready = await sidecar.is_ready()
        except PermissionError as error:
            page.bad("sidecar", str(error), "set CARILLON_DAPR_API_TOKEN as the sidecar has it")
            return
        except OSError as error:
            page.bad("sidecar", str(error), "see that daprd runs at CARILLON_DAPR_URL")
            return
    facts = f"daprd {said.version} of {said.app_id}"
    if not ready:
        page.bad("sidecar", f"{facts} does not reach all its components", "see its log")
    else:
        page.ok("sidecar", f"{facts} answers")
    if missing := _missing(said):
        page.bad(
            "components",
            f"{', '.join(sorted(missing))} not loaded for {said.app_id}",
            "see the sidecar's log, and kustomize/components/dapr",
        )
    else:
        page.ok("components", ", ".join(sorted(said.components)))


def _missing(said: Metadata) -> Collection[str]:
    needed = {app.id: {*app.components, *app.bindings} for app in APPS}
    return needed.get(said.app_id, set()) - said.components


async def _brokers(page: _Page, options: KafkaOptions, topics: Collection[str]) -> None:
    try:
        found = await partitions(options, topics)
        async with dead_letters(options, DEAD_LETTERS) as letters:
            waiting = letters.count
    except OSError as error:
        page.bad("brokers", str(error), "see that CARILLON_KAFKA_SERVERS answer, and let us in")
        return
    if missing := sorted(topic for topic in topics if not found.get(topic)):
        remedy = "make them: kustomize/components/kafka-strimzi/topics.yaml"
        page.bad("topics", f"{', '.join(missing)} missing", remedy)
    if there := [f"{topic} {count}" for topic, count in sorted(found.items()) if count]:
        page.ok("topics", f"partitions of {', '.join(there)}")
    if waiting:
        remedy = "read them: `carillon redrive --dead-letters`"
        page.bad("dead letters", f"{waiting} that nobody has acknowledged", remedy)


async def _database(
    page: _Page, settings: Settings, connection: asyncpg.Connection, clock: Clock
) -> None:
    page.ok("database", f"PostgreSQL {connection.get_server_version().major} answers, in UTF-8")
    _clocks(page, await skew(connection, clock))
    if missing := await pending(connection):
        page.bad("migrations", f"{len(missing)} are missing", "run `carillon migrate`")
        return
    page.ok("migrations", "all are there")
    # Without a sidecar nothing is published, and nothing is behind.
    topics = {} if settings.dapr_url is None else {one.consumer: one.streams for one in Topic}
    for standing in await standings(connection, topics):
        _consumer(page, standing, clock)
    is_sound = True
    async for finding in findings(connection):
        is_sound = False
        page.bad("log", finding.what, finding.remedy)
    if is_sound:
        page.ok("log", "every stream is gap-free and its chain verifies")
    await _series(page, connection)


async def _series(page: _Page, connection: asyncpg.Connection) -> None:
    found = [finding async for finding in series_findings(connection)]
    for finding in found:
        page.bad("series", finding.what, finding.remedy)
    if not found:
        page.ok("series", "each is on time, and its ledger tells of the tasks that are there")


def _clocks(page: _Page, ahead: timedelta) -> None:
    seconds = ahead.total_seconds()
    if abs(ahead) > SKEW_MAX:
        where = "ahead of" if seconds > 0 else "behind"
        what = f"this machine's is {abs(seconds):.1f} s {where} the database's"
        page.bad("clocks", what, "let NTP set both")
    else:
        page.ok("clocks", "this machine's and the database's agree")


def _consumer(page: _Page, standing: Standing, clock: Clock) -> None:
    link, lag = f"consumer {standing.consumer}", standing.lag
    if standing.parked:
        what = f"{standing.parked} change(s) parked, the first for: {standing.reason}"
        page.bad(link, what, "mend that, then run `carillon redrive`")
    waits = timedelta(0) if lag.oldest_at is None else clock.now() - lag.oldest_at
    if waits > LATE:
        what = f"{lag.changes:,} change(s) behind, since {waits.total_seconds():,.0f} s"
        page.bad(link, what, "see that its process runs and is ready, and what its log says")
    else:
        page.ok(link, f"{lag.changes:,} change(s) behind" if lag.changes else "had everything")
