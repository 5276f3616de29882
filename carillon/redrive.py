"""`carillon redrive`: what workers could not do, shown and tried again.

A change that a consumer could not apply is parked, and run again from the log; an event that
nobody could read is a dead letter at the broker, and acknowledged once somebody has looked at it.
"""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

from carillon.brokers import brokers_of
from carillon.database import database
from carillon.recurrence import consumer as recurrence
from carillon.secrets import soon_with_secrets
from carillon.settings import Settings
from domain.inbox import Inbox, Parked
from domain.tasks import instant_text
from infra.ids import uuid7
from infra.kafka.dead_letters import DeadLetter, dead_letters
from infra.postgres.inbox import PostgresInbox
from infra.postgres.lanes import LaneOptions, Lanes
from workers.consumer import Consumer
from workers.routes import DEAD_LETTERS

LANES = 2
# Enough of an event to see whose it is.
BODY_MAX_CHARS = 80

# Makes each consumer of the log, by its name.
Consumers: TypeAlias = Callable[[Inbox], Mapping[str, Consumer]]


def consumers(inbox: Inbox) -> Mapping[str, Consumer]:
    """Returns what applies changes."""
    found = (recurrence(inbox),)
    return {one.name: one for one in found}


async def listed(settings: Settings) -> int:
    """Prints what is parked, one line each."""
    async with _inbox(settings) as inbox:
        for parked in await inbox.parked():
            _say(_line(parked))
    return 0


async def redriven(settings: Settings, consumers: Consumers = consumers) -> int:
    """Runs again what is parked, prints what came of it; returns 1 where something stays so."""
    async with _inbox(settings) as inbox:
        known = consumers(inbox)
        for name in sorted({parked.consumer for parked in await inbox.parked()}):
            if (consumer := known.get(name)) is None:
                _say(f"{name}: unknown to this release, so nothing was run")
                continue
            came = await consumer.redrive()
            gone = f", {came.gone} not there any more" if came.gone else ""
            _say(f"{name}: {came.applied} applied, {came.left} still parked{gone}")
        still = await inbox.parked()
        for parked in still:
            _say(_line(parked))
    return 1 if still else 0


async def dead(settings: Settings, *, acknowledge: bool) -> int:
    """Prints the dead letters that nobody has acknowledged; may acknowledge these."""
    async with dead_letters(brokers_of(settings), DEAD_LETTERS) as letters:
        async for letter in letters.read():
            _say(_letter_line(letter))
        if acknowledge:
            await letters.acknowledge()
    return 0


@asynccontextmanager
async def _inbox(settings: Settings) -> AsyncIterator[PostgresInbox]:
    settings = await soon_with_secrets(settings)
    async with database(settings, attach=True) as found:
        options = LaneOptions(size=LANES, name="carillon redrive", pooler=settings.database_pooler)
        async with Lanes(found.url, options) as lanes:
            # Whoever follows the log finds by polling what is committed here.
            yield PostgresInbox(lanes, new_id=uuid7, committed=lambda _stream, _seq: None)


def _line(parked: Parked) -> str:
    where = f"{parked.consumer} {parked.stream}/{parked.seq}"
    return f"{instant_text(parked.at)} {where} {_shown(parked.reason)}"


def _letter_line(dead: DeadLetter) -> str:
    letter = dead.letter
    head = _shown(letter.body[: 4 * BODY_MAX_CHARS].decode(errors="replace"))[:BODY_MAX_CHARS]
    facts = f"{instant_text(dead.at)} {dead.place} {letter.size:,} bytes"
    return f"{facts} {_shown(letter.reason)} {head}"


def _shown(text: str) -> str:
    """Returns a text on one line, with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
