"""Migrations lead to what the code says the tables are."""

from infra.postgres.migrate import drift, pending


async def test_a_migrated_database_has_the_tables_of_the_code(database_url: str) -> None:
    assert await pending(database_url) == []
    assert await drift(database_url) == []
