"""Migrations lead to what the code says the tables are."""

import asyncpg

from infra.postgres.migrate import drift, pending


async def test_a_migrated_database_has_the_tables_of_the_code(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await pending(connection) == []
    await connection.close()
    assert await drift(database_url) == []
