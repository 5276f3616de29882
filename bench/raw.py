"""The lower bound of a Python server: no GraphQL, one prepared statement makes the whole answer.

python -m bench.raw URL PORT     serves POST with a body of {"operation": ..., "id": ...}
"""

import asyncio
import sys
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
import uvloop

_TASK = """json_build_object('id', t.id, 'title', t.title, 'status', t.status, 'priority',
    (ARRAY['LOW', 'MEDIUM', 'HIGH', 'URGENT'])[t.priority + 1], 'createdAt', t.created_at,
    'category', CASE WHEN c.id IS NOT NULL THEN json_build_object('id', c.id, 'name', c.name) END,
    'tags', (SELECT coalesce(json_agg(json_build_object('id', g.id, 'name', g.name)
                                      ORDER BY g.name_key, g.id), '[]'::json)
             FROM tag g WHERE g.id = ANY(t.tag_ids)))"""
_SEEN = "EXISTS (SELECT FROM member m WHERE m.workspace_id = t.workspace_id AND m.user_id = $2)"
STATEMENTS = {
    "one": f"""SELECT json_build_object('task', {_TASK}) FROM task t
        LEFT JOIN category c ON c.id = t.category_id WHERE t.id = $1 AND {_SEEN}""",  # noqa: S608
    "page": f"""SELECT json_build_object('tasks', json_build_object('nodes', json_agg({_TASK}
            ORDER BY t.position, t.id))) FROM (
            SELECT * FROM task t WHERE t.workspace_id = $1 AND t.deleted_at IS NULL AND {_SEEN}
            ORDER BY t.position, t.id LIMIT 50) t
        LEFT JOIN category c ON c.id = t.category_id""",  # noqa: S608
    "filtered": f"""SELECT json_build_object('tasks', json_build_object('nodes', json_agg({_TASK}
            ORDER BY t.due_instant, t.id), 'totalCount', (SELECT count(*) FROM task t
                WHERE t.workspace_id = $1 AND t.deleted_at IS NULL AND t.priority >= 2
                  AND t.status = ANY(ARRAY['OPEN', 'IN_PROGRESS'])))) FROM (
            SELECT * FROM task t WHERE t.workspace_id = $1 AND t.deleted_at IS NULL
              AND t.priority >= 2 AND t.status = ANY(ARRAY['OPEN', 'IN_PROGRESS']) AND {_SEEN}
            ORDER BY t.due_instant, t.id LIMIT 50) t
        LEFT JOIN category c ON c.id = t.category_id""",  # noqa: S608
}


class Raw:
    """Bare ASGI."""

    def __init__(self, url: str, user: UUID) -> None:
        self._url = url
        self._user = user
        self._free: asyncio.LifoQueue[dict[str, Any]] = asyncio.LifoQueue()

    async def open(self) -> None:
        """Opens eight connections with every statement prepared."""
        for _ in range(8):
            connection = await asyncpg.connect(self._url)
            made = {name: await connection.prepare(text) for name, text in STATEMENTS.items()}
            await connection.execute("SELECT 1")
            self._free.put_nowait(made)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        asked = orjson.loads((await receive())["body"])
        statements = await self._free.get()
        try:
            text = await statements[asked["operation"]].fetchval(UUID(asked["id"]), self._user)
        finally:
            self._free.put_nowait(statements)
        body = b'{"data":%b}' % text.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def main(url: str, user: str, port: int) -> None:
    """Serves until it is killed."""
    app = Raw(url, UUID(user))
    await app.open()
    config = uvicorn.Config(
        app, port=port, http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
