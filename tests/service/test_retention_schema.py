"""The migrations of retention make the schema that its tables describe."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.local.databases import ServiceDatabase
from services.retention.tables import METADATA, SCHEMA
from services.runtime.database import sqlalchemy_url


async def test_the_migrated_schema_is_that_of_the_tables(service_database: ServiceDatabase) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            "include_object": lambda _, name, kind, *__: kind != "table" or name != "alembic_version",
            "compare_type": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    engine = create_async_engine(sqlalchemy_url(service_database.admin_dsn))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()
