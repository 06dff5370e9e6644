"""Customers who are to be told of the shipped second version, on a database of their own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services import notice
from services.local.databases import DatabaseFactory
from services.local.stack import LocalStack
from services.notice.catalogue import catalogue
from services.notice.folder import read_folder
from services.notice.versions import Call, Versions
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings

SHIPPED = Path(str(notice.__file__)).with_name("versions")
IDS = "INSERT INTO notice.customer_ids SELECT 'bench-' || n FROM generate_series(1, $1::int) n"
_ACCOUNTS = (
    "INSERT INTO notice.customers (tenant, display_name, email, language, region, time_zone, optional_items,"
    " webhook_uri, state, create_time, state_time)"
    " SELECT tenant, 'Bench ' || tenant, 'privacy@' || tenant || '.example', 'en', 'EU', 'UTC', '{}', '', 1,"
    " to_timestamp(0), to_timestamp(0) FROM notice.customer_ids"
)


class ToldCustomers:
    """A database of the notice service with Customers and version 1 in force."""

    def __init__(self, database: Database, admin: Any) -> None:
        self.database = database
        self.admin = admin
        """A connection of the superuser."""
        self.versions = Versions(database, SystemClock(), catalogue())

    async def register(self, count: int) -> None:
        """Accounts of so many Customers."""
        await self.admin.execute(IDS, count)
        await self.admin.execute(_ACCOUNTS)
        await self.admin.execute("ANALYZE notice.customer_ids, notice.customers")

    async def announce(self, number: int) -> int:
        """Drafts a shipped version and announces it; the number that it got."""
        drafted, _ = await self.versions.draft(read_folder(SHIPPED / str(number)), _call())
        effective = None if number == 1 else SystemClock().now() + timedelta(days=40)
        await self.versions.announce(drafted.number, effective, _call())
        return drafted.number


@asynccontextmanager
async def told_customers(stack: LocalStack) -> AsyncIterator[ToldCustomers]:
    """On the stack's PostgreSQL, beside its own databases."""
    factory = DatabaseFactory(stack.postgres.admin_dsn)
    made = await factory("notice")
    admin = await asyncpg.connect(made.admin_dsn)
    try:
        async with Database.open(DatabaseSettings.model_validate({"dsn": made.dsn})) as database:
            part = ToldCustomers(database, admin)
            await part.announce(1)
            yield part
    finally:
        await admin.close()
        await factory.drop_all()


def _call() -> Call:
    return Call("bench", uuid.uuid4(), b"bench")
