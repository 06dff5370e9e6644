"""Jobs that look at every Customer's rows go group by group: row-level security shows no others."""

from __future__ import annotations

from services.runtime.database import Database
from services.storage.store import days as day_store

_AT_ONCE = 100


async def tenant_groups(database: Database) -> list[list[str]]:
    """Every Customer that may have rows, as many together as one transaction names."""
    async with database.transaction() as connection:
        known = await day_store.list_tenants(connection)
    return [known[start : start + _AT_ONCE] for start in range(0, len(known), _AT_ONCE)]
