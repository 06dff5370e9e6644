"""Removing a day's partitions: a replica that is stopped over it ends as told, and another goes on."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from services.storage.store.partitions import remove
from tests.storage_parts import START, Replica
from tests.waiting import until


async def test_a_removal_that_is_stopped_midway_says_so_and_can_be_finished(storage: Replica) -> None:
    await storage.write(await storage.session())
    day = START.date()
    reader = await asyncpg.connect(storage.servers.database.admin_dsn)
    looker = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        await reader.execute("BEGIN")
        await reader.fetch("SELECT count(*) FROM storage.records")
        removal = asyncio.create_task(remove(storage.around.owner, day))
        detaching = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND query LIKE '%DETACH%'"
        )

        async def waits() -> bool:
            return bool(await looker.fetchval(detaching))

        await until("the removal waits for the reader", waits)
        removal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await removal
        await reader.execute("COMMIT")
    finally:
        await reader.close()
        await looker.close()

    async def removed() -> bool:
        return await remove(storage.around.owner, day)

    assert await until("another takes it over", removed)
