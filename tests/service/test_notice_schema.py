"""The migrations of notice make the schema that its tables describe, and wall what is a Customer's."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.local.databases import ServiceDatabase
from services.notice.tables import METADATA, SCHEMA
from services.runtime.database import sqlalchemy_url

_WALLED = text(
    "SELECT relname FROM pg_class WHERE relnamespace = 'notice'::regnamespace AND relforcerowsecurity"
)


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
            walled = set((await connection.execute(_WALLED)).scalars())
    finally:
        await engine.dispose()
    with_contents = {
        name for name, table in METADATA.tables.items() if "tenant" in table.c and len(table.c) > 1
    }
    of_ids_only = {f"{SCHEMA}.{name}" for name in ("customer_ids", "mail_work", "webhook_work", "deliveries")}
    assert {f"{SCHEMA}.{name}" for name in walled} == with_contents - of_ids_only
