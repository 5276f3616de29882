"""Server CPU a request: Carillon's reads against the raw lower bound, in turns in one run."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import httpx

from bench.raw import STATEMENTS
from infra.postgres.embedded import running_url
from tests.api import Person
from tests.processes import Server, free_port

TASKS = 20_000
REQUESTS = 1_500
CLIENTS = 8
ROUNDS = 5
FIELDS = "id title status priority createdAt category { id name } tags { id name }"
QUERIES = {
    "one": f"query ($id: ID!) {{ task(id: $id) {{ {FIELDS} }} }}",
    "page": f"query ($id: ID!) {{ tasks(workspaceId: $id) {{ nodes {{ {FIELDS} }} }} }}",
    "filtered": f"""query ($id: ID!) {{ tasks(workspaceId: $id, orderBy: [{{field: DUE}}],
        filter: {{priority: {{gte: HIGH}}, status: {{in: [OPEN, IN_PROGRESS]}}}})
        {{ nodes {{ {FIELDS} }} totalCount }} }}""",
}
_SEED = """
INSERT INTO task (id, workspace_id, title, title_key, description, status, priority, due_day,
    due_zone, due_fold, due_instant, category_id, tag_ids, position, version, created_at,
    updated_at, search)
SELECT gen_random_uuid(), $1, 'Task ' || n, 'task ' || n, '',
    (ARRAY['OPEN', 'IN_PROGRESS', 'DONE', 'CANCELLED'])[1 + n % 4], n / 4 % 4,
    date '2027-01-01' + n % 300, 'UTC', false,
    timestamptz '2027-01-02' + n % 300 * interval '1 d',
    CASE n % 3 WHEN 0 THEN $2::uuid END, CASE n % 2 WHEN 0 THEN $3::uuid[] ELSE '{}' END,
    to_char(n, 'FM00000000'), 1, now(), now(), to_tsvector('simple', 'task ' || n)
FROM generate_series(1, $4) n"""


async def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: S103 - for PostgreSQL's user, where we are root
        server = Server(Path(folder), access_token_minutes="600")  # noqa: S106 - a number
        await asyncio.to_thread(server.start)
        try:
            async with httpx.AsyncClient(timeout=30) as http:
                await compare(server, await Person.sign_up(server.url, http))
        finally:
            server.close()


async def compare(server: Server, person: Person) -> None:
    """Seeds, starts the raw server on the same database, and prints each query's ratio."""
    url = running_url(server.data_dir / "postgres")
    assert url is not None
    ids = {"one": await seed(url, person), "page": person.workspace, "filtered": person.workspace}
    port = free_port()
    raw = subprocess.Popen(  # noqa: ASYNC220, S603 - our own module, which starts at once
        [sys.executable, "-m", "bench.raw", url, person.user, str(port)]
    )
    try:
        await asyncio.sleep(3)
        token = {"Authorization": f"Bearer {person.token}"}
        for name in STATEMENTS:
            ours = {"query": QUERIES[name], "variables": {"id": ids[name]}}
            plain = {"operation": name, "id": ids[name]}
            same = [
                await answer(server.port, ours, token), await answer(port, plain, {})
            ]  # fmt: skip
            assert same[0]["data"] == same[1]["data"], same
            pairs = [
                (
                    await cpu_ms(server.pid, server.port, ours, token),
                    await cpu_ms(raw.pid, port, plain, {}),
                )
                for _ in range(ROUNDS)
            ]
            mine, bound = (statistics.median(side) for side in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{name}: {mine:.3f} ms, raw bound {bound:.3f} ms, ratio {ratio:.2f}")
    finally:
        raw.kill()
        raw.wait()


async def seed(url: str, person: Person) -> str:
    """Fills the workspace with tasks, a category and tags; returns the id of a task."""
    data = await person.ask(
        """mutation ($w: ID!) {
            c: categoryCreate(workspaceId: $w, input: {name: "Home", colour: "#112233"}) {
                category { id } }
            a: tagCreate(workspaceId: $w, input: {name: "a", colour: "#112233"}) { tag { id } }
            b: tagCreate(workspaceId: $w, input: {name: "b", colour: "#112233"}) { tag { id } }
        }""",
        w=person.workspace,
    )
    tags = [data["a"]["tag"]["id"], data["b"]["tag"]["id"]]
    connection = await asyncpg.connect(url)
    try:
        category = data["c"]["category"]["id"]
        await connection.execute(_SEED, person.workspace, category, tags, TASKS)
        await connection.execute("ANALYZE")
        return str(await connection.fetchval("SELECT id FROM task WHERE title = 'Task 6'"))
    finally:
        await connection.close()


def request(port: int, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    """Returns the bytes of a POST."""
    text = json.dumps(body).encode()
    lines = [
        "POST /graphql HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + text


async def answer(port: int, body: Mapping[str, object], headers: Mapping[str, str]) -> dict:  # type: ignore[type-arg]
    """Returns one answer's JSON."""
    async with httpx.AsyncClient() as http:
        found = await http.post(f"http://127.0.0.1:{port}/graphql", json=body, headers=headers)
        return dict(found.json())


async def cpu_ms(
    pid: int, port: int, body: Mapping[str, object], headers: Mapping[str, str]
) -> float:
    """Returns the server's CPU milliseconds a request."""
    sent = request(port, body, headers)

    async def ask(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    await ask(50)
    before = used_ns(pid)
    await asyncio.gather(*(ask(REQUESTS // CLIENTS) for _ in range(CLIENTS)))
    return (used_ns(pid) - before) / 1_000_000 / (REQUESTS // CLIENTS * CLIENTS)


def used_ns(pid: int) -> int:
    """Returns the CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


if __name__ == "__main__":
    asyncio.run(main())
