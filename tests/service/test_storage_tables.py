"""The schema: what stands in the clear, who is walled, and that the migration makes what the code expects."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import LargeBinary
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from services.local.databases import ServiceDatabase
from services.storage.tables import METADATA, PARTITIONED

SEALED_OR_KEYED = {"request_mac", "subject_digest", "commitment", "details", "body", "sealed"}
IN_THE_CLEAR = {
    "sessions": {
        *("day", "customer", "session", "request_id", "notice_version", "purposes"),
        *("create_time", "close_time", "state", "erasure", "restriction", "opt_out"),
    },
    "records": {
        *("day", "customer", "session", "record", "request_id", "category", "notice_version"),
        *("receive_time", "expire_time", "size_class", "state", "erasure", "object"),
    },
    "accesses": {
        *("day", "customer", "session", "record", "access", "access_time", "complete"),
        *("kind", "position", "flags"),
    },
    "access_heads": {"customer", "position"},
    "access_totals": {
        *("customer", "day", "service", "purpose", "access_count", "record_count", "bulk_count"),
        "first_purpose",
    },
    "access_windows": {"customer", "service", "start_time", "record_count"},
    "erasures": {
        *("day", "customer", "erasure", "request_time", "step", "record_count", "session_count"),
        *("object_count", "erase_time", "final_time"),
        *("days_total", "days_done", "swept_day", "swept_time"),
    },
    "fences": {"day", "customer", "erasure", "category", "start_time", "end_time"},
    "restrictions": {"day", "customer", "reason", "restricted"},
    "changes": {"day", "customer", "request_id", "record_count", "answer_time"},
    "customer_keys": {"customer", "version"},
    "closed_customers": {"customer", "close_time"},
    "opt_outs": {"customer", "items", "opt_out_time"},
}
OUTLIVES_DAYS = {
    *("customer_keys", "opt_outs", "closed_customers"),
    *("access_heads", "access_totals", "access_windows"),
}


def test_nothing_else_stands_in_the_clear() -> None:
    assert set(IN_THE_CLEAR) == {*PARTITIONED, *OUTLIVES_DAYS}
    for name, clear in IN_THE_CLEAR.items():
        columns = METADATA.tables[f"storage.{name}"].columns
        binary = {column.name for column in columns if isinstance(column.type, LargeBinary)}
        assert binary <= SEALED_OR_KEYED
        assert {column.name for column in columns} - binary == clear


@pytest.mark.parametrize("service_database", ["storage"], indirect=True)
async def test_the_migration_makes_the_tables_of_the_code(service_database: ServiceDatabase) -> None:
    admin = await asyncpg.connect(service_database.admin_dsn)
    try:
        for table in METADATA.tables.values():
            found = await admin.fetch(
                "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute"
                " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                str(table),
            )
            await admin.execute("CREATE SCHEMA expected")
            statement = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # the library leaves it untyped
            await admin.execute(statement.replace("storage.", "expected."))
            expected = await admin.fetch(
                "SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute"
                " WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                str(table).replace("storage.", "expected."),
            )
            await admin.execute("DROP SCHEMA expected CASCADE")
            assert [tuple(row) for row in found] == [tuple(row) for row in expected], table.name
    finally:
        await admin.close()


@pytest.mark.parametrize("service_database", ["storage"], indirect=True)
async def test_every_table_with_a_customers_rows_is_walled_for_its_owner_too(
    service_database: ServiceDatabase,
) -> None:
    admin = await asyncpg.connect(service_database.admin_dsn)
    try:
        rows = await admin.fetch(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS walled,"
            " EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) AS policy"
            " FROM pg_class c WHERE relnamespace = 'storage'::regnamespace AND relkind IN ('r', 'p')"
        )
        state = {row["relname"]: (row["walled"], row["policy"]) for row in rows}
        with_customers = {
            table.name
            for table in METADATA.tables.values()
            if "customer" in table.c and table.name != "tenants"
        }
        assert with_customers == {*PARTITIONED, *OUTLIVES_DAYS}
        assert all(state[name] == (True, True) for name in with_customers)
        storage = await admin.fetchval(
            "SELECT attstorage FROM pg_attribute"
            " WHERE attrelid = 'storage.records'::regclass AND attname = 'body'"
        )
        assert storage == b"e"
    finally:
        await admin.close()
