"""The command `carillon`: one entry point for everything an operator or developer runs."""

import argparse
import asyncio
import sys
import time
import zoneinfo
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from carillon import settings_page
from carillon.settings import Settings

if TYPE_CHECKING:
    from carillon.serve import Process

# What a command answers when it could not do its work.
FAILED = 1
# What argparse answers for bad arguments, and we for bad settings.
USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    since = time.monotonic()
    # Zone data from the lock's `tzdata`, or the same task would be due at two times on two hosts.
    zoneinfo.reset_tzpath(())
    words = sys.argv[1:] if arguments is None else arguments
    given = _parser(words).parse_args(words)
    run: Callable[[argparse.Namespace, float], int] = given.run
    try:
        return run(given, since)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(["CARILLON", *map(str, problem["loc"])]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        return USAGE


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carillon",
        description="A task service whose every change is live.",
        epilog=settings_page.plain(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    serve = _process(commands, "serve", "Serve the API, with a PostgreSQL of its own", _serve)
    _data_dir(serve)
    worker = _process(commands, "worker", "Do what needs nobody to ask for it", _worker)
    worker.add_argument("worker", choices=["notifications", "recurrence"], help="which one")
    _process(commands, "relay", "Publish the log through the Dapr sidecar", _relay)
    _data_dir(_command(commands, "migrate", "Bring the database to this release", _migrate))
    _data_dir(_command(commands, "doctor", "Check each link, and say what to do", _doctor))
    _data_dir(_command(commands, "cleanup", "Remove what is past its time, now", _cleanup))
    _redriving(_command(commands, "redrive", "Run parked changes again, or show them", _redrive))
    schema = _command(commands, "schema", "Print, write or check the GraphQL schema", _schema)
    _page(schema)
    settings = _command(commands, "settings", "Print, write or check the settings page", _settings)
    _page(settings)
    bring = _command(commands, "import", "Bring in the tasks of iCalendar files", _import)
    if "import" in words:
        from carillon import importer  # noqa: PLC0415 - the other commands start faster

        importer.configure(bring)
    repeat = _command(commands, "recurrence", "Show when recurring tasks recur", _recurrence)
    if "recurrence" in words:
        from carillon import recurrence_preview  # noqa: PLC0415 - see _serve

        recurrence_preview.configure(repeat)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, float], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text}.")
    parser.set_defaults(run=run)
    return parser


def _process(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, float], int],
) -> argparse.ArgumentParser:
    parser = _command(commands, name, text, run)
    parser.epilog = settings_page.plain()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", help="address to listen on (CARILLON_HOST)")
    parser.add_argument("--port", type=int, help="TCP port to listen on (CARILLON_PORT)")
    return parser


def _data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="data folder (CARILLON_DATA_DIR)")


def _redriving(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what is parked, and run nothing")
    what.add_argument("--dead-letters", action="store_true", help="show events nobody could read")
    what.add_argument(
        "--acknowledge", action="store_true", help="show them, and show them no more afterwards"
    )
    _data_dir(parser)


def _page(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="write the file in the repository")
    how.add_argument("--check", action="store_true", help="fail where the file differs")


def _settings_of(given: argparse.Namespace) -> Settings:
    names = ("host", "port", "data_dir")
    return Settings(**{n: v for n in names if (v := getattr(given, n, None)) is not None})


def _serve(given: argparse.Namespace, since: float) -> int:
    from carillon.processes import API  # noqa: PLC0415 - the other commands start faster

    return _served(API, given, since)


def _worker(given: argparse.Namespace, since: float) -> int:
    from carillon.processes import NOTIFICATIONS, RECURRENCE  # noqa: PLC0415 - see _serve

    workers = {"notifications": NOTIFICATIONS, "recurrence": RECURRENCE}
    return _served(workers[given.worker], given, since)


def _relay(given: argparse.Namespace, since: float) -> int:
    from carillon.processes import RELAY  # noqa: PLC0415 - see _serve

    return _served(RELAY, given, since)


def _served(process: "Process", given: argparse.Namespace, since: float) -> int:
    from carillon import serve, telemetry  # noqa: PLC0415 - see _serve

    settings = _settings_of(given)
    telemetry.configure(settings)
    telemetry.measure()
    return _telling(lambda: serve.serve(process, settings, since=since))


def _migrate(given: argparse.Namespace, _since: float) -> int:
    from carillon import database, secrets  # noqa: PLC0415 - see _serve

    async def run() -> int:
        settings = _settings_of(given)
        if settings.database_url is None:
            # Not where it is given: a Job of Kubernetes has no sidecar beside it to ask.
            settings = await secrets.soon_with_secrets(settings)
        async with database.database(settings, attach=True) as found:
            await database.migrated(found)
        return 0

    return _telling(lambda: asyncio.run(run()))


def _doctor(given: argparse.Namespace, _since: float) -> int:
    from carillon import doctor  # noqa: PLC0415 - see _serve

    return _telling(lambda: asyncio.run(doctor.doctor(_settings_of(given))))


def _cleanup(given: argparse.Namespace, _since: float) -> int:
    from carillon import cleanup  # noqa: PLC0415 - see _serve

    return _telling(lambda: asyncio.run(cleanup.command(_settings_of(given))))


def _redrive(given: argparse.Namespace, _since: float) -> int:
    from carillon import redrive  # noqa: PLC0415 - see _serve

    settings = _settings_of(given)
    if given.dead_letters or given.acknowledge:
        return _telling(lambda: asyncio.run(redrive.dead(settings, acknowledge=given.acknowledge)))
    if given.list:
        return _telling(lambda: asyncio.run(redrive.listed(settings)))
    return _telling(lambda: asyncio.run(redrive.redriven(settings)))


def _schema(given: argparse.Namespace, _since: float) -> int:
    from carillon.graphql import sdl  # noqa: PLC0415 - see _serve

    return _kept(Path("schema/schema.graphql"), sdl(), given)


def _settings(given: argparse.Namespace, _since: float) -> int:
    return _kept(settings_page.PAGE, settings_page.markdown(), given)


def _import(given: argparse.Namespace, _since: float) -> int:
    from carillon import importer  # noqa: PLC0415 - see _serve

    return importer.run(given)


def _recurrence(given: argparse.Namespace, _since: float) -> int:
    from carillon import recurrence_preview  # noqa: PLC0415 - see _serve

    return recurrence_preview.run(given)


def _kept(path: Path, text: str, given: argparse.Namespace) -> int:
    if given.write:
        path.write_text(text)
    elif not given.check:
        sys.stdout.write(text)
    elif not path.exists() or path.read_text() != text:
        sys.stderr.write(f"{path} is not what the code says: make schema docs\n")
        return FAILED
    return 0


def _telling(run: Callable[[], int]) -> int:
    """Runs; what an operator can mend is told in one line, not as a traceback."""
    import asyncpg  # noqa: PLC0415 - see _serve

    from carillon.serve import PortTaken  # noqa: PLC0415 - see _serve
    from carillon.settings import NotConfigured  # noqa: PLC0415 - see _serve
    from domain.errors import Unavailable  # noqa: PLC0415 - see _serve
    from infra.postgres.data_folder import EmbeddedError  # noqa: PLC0415 - see _serve
    from infra.postgres.fitness import Unfit  # noqa: PLC0415 - see _serve

    try:
        return run()
    except (EmbeddedError, NotConfigured, PortTaken, Unavailable, Unfit, OSError) as error:
        sys.stderr.write(f"carillon: {error}\n")
    except asyncpg.InsufficientPrivilegeError as error:
        sys.stderr.write(
            f"carillon: The database says: {error}. Give the role of CARILLON_DATABASE_URL the"
            " rights to read and write the tables, or name their owner.\n"
        )
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
