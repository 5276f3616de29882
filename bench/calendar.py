"""A calendar of 20,000 tasks into the real server, while graphql-ws follows (needs Node.js)."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from argparse import ArgumentParser
from asyncio.subprocess import Process
from pathlib import Path

import httpx

from carillon import importer
from infra.ical import read
from tests.api import Person
from tests.processes import Server

TASKS = 20_000
CATEGORIES = ("Home", "Garden", "Work", "Errands", "Caf\u00e9")
# What stands in the log before: the workspace and its first member.
BEFORE = 2
FOLLOWER = Path(__file__).parents[1] / "tests" / "clients" / "follow-graphql-ws.mjs"
# All that the import sets.
TASK = """id title description status priority position version parent { id }
  due { date time timeZone instant } category { name } tags { name }"""
PAGE = f"""query($w: ID!, $after: String) {{ tasks(workspaceId: $w, first: 200, after: $after) {{
  nodes {{ {TASK} }} pageInfo {{ hasNextPage endCursor }} }} }}"""


async def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        server = Server(Path(folder))
        await asyncio.to_thread(server.start)
        try:
            async with httpx.AsyncClient(timeout=30) as http:
                await bring(Path(folder), await Person.sign_up(server.url, http))
        finally:
            await asyncio.to_thread(server.close)


async def bring(folder: Path, person: Person) -> None:
    """Imports twice, and compares what was followed with what a query returns."""
    path, key = folder / "calendar.ics", folder / "token"
    path.write_text(calendar(TASKS))
    key.write_text(person.token)
    start = time.perf_counter()
    read(path.read_bytes())
    print(f"reading {TASKS:,} tasks, {path.stat().st_size / 1e6:.1f} MB:", _took(start))
    last = BEFORE + len(CATEGORIES) + TASKS
    follower = await following(person, last)
    for run in ("first", "second"):
        start = time.perf_counter()
        code = await asyncio.to_thread(command, path, key, person.url)
        assert code == 0, code
        took = time.perf_counter() - start
        print(f"{run} run: {took:.1f} s, {TASKS / took:,.0f} tasks/s")
    if follower is None:
        print("nobody followed: there is no Node.js with graphql-ws here")
        return
    out, _ = await follower.communicate()
    changes = [line for line in map(json.loads, out.splitlines()) if line["type"] == "Change"]
    assert [int(change["seq"]) for change in changes] == list(range(1, last + 1))
    # What a client shows that only ever followed: the last state of each task.
    seen = {task["id"]: task for change in changes if (task := change["task"]) is not None}
    assert len(seen) == TASKS
    assert seen == await queried(person)
    print(
        f"graphql-ws saw {last:,} changes, each once and in order, and ends with {len(seen):,}"
        " tasks, each field as a query returns it"
    )


def calendar(tasks: int) -> str:
    """Returns a calendar in which every third task hangs below an earlier one."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Carillon//bench//EN"]
    for n in range(tasks):
        lines += ["BEGIN:VTODO", f"UID:{n}@bench.example", f"SUMMARY:Task number {n}"]
        lines += [f"DESCRIPTION:What is to be done\\, part {n}.\\nAnd then some more of it."]
        lines += [f"PRIORITY:{n % 10}", f"CATEGORIES:{CATEGORIES[n % len(CATEGORIES)]}"]
        lines += [f"DUE;TZID=Europe/Paris:202{n % 10}1124T{n % 24:02}3000"]
        lines += [f"RELATED-TO:{n - n % 3}@bench.example"] if n % 3 else []
        lines += ["STATUS:COMPLETED"] if n % 7 == 0 else []
        lines += ["END:VTODO"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def command(path: Path, key: Path, url: str) -> int:
    """Runs `carillon import`."""
    parser = ArgumentParser()
    importer.configure(parser)
    return importer.run(parser.parse_args(["--url", url, "--token-file", str(key), str(path)]))


async def following(person: Person, last: int) -> Process | None:
    """Returns a real graphql-ws client that prints what it is sent up to `last`."""
    node = shutil.which("node")
    if node is None or not (FOLLOWER.parent / "node_modules").is_dir():
        return None
    return await asyncio.create_subprocess_exec(
        *(node, str(FOLLOWER), f"{person.url}/graphql", person.token, person.workspace),
        *("--after", "0", "--until", str(last), "--task", TASK),
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )


async def queried(person: Person) -> dict[str, object]:
    """Returns all tasks by their ids, page by page."""
    found: dict[str, object] = {}
    after = None
    while True:
        page = (await person.ask(PAGE, w=person.workspace, after=after))["tasks"]
        found |= {node["id"]: node for node in page["nodes"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _took(start: float) -> str:
    return f"{time.perf_counter() - start:.2f} s"
