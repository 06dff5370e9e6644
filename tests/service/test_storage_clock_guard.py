"""A wrong clock destroys nothing early and opens nothing late; an operator lets a jump go on."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.runtime.clock_guard import set_mark
from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.store import keys as key_store
from services.storage.tables import clock_marks
from tests.storage_parts import START, Replica, Servers, reason

TERM = timedelta(days=30)
HOUR = timedelta(hours=1)


async def alive(storage: Replica, name: str) -> bool:
    """Whether the root key of a record still exists, after a run of expiry."""
    await storage.storage.expiry.run()
    epoch = ids.record_epoch(UUID(parse_record(name, field="name").record))
    async with storage.around.database.transaction() as connection:
        found = await key_store.find_root(connection, epoch)
    return found is not None and found.sealed is not None


async def confirm(storage: Replica, until: datetime) -> None:
    """What `idv clock --confirm` does."""
    async with storage.around.database.transaction() as connection:
        await set_mark(connection, clock_marks, until)


async def written(storage: Replica) -> tuple[str, datetime]:
    """A record, and when its key is due, once expiry has run in peace."""
    name = (await storage.write(await storage.session())).name
    await storage.storage.expiry.run()
    epoch = ids.record_epoch(UUID(parse_record(name, field="name").record))
    return name, epoch.due(TERM)


async def test_both_clocks_ahead_destroy_nothing_until_an_operator_confirms(servers: Servers) -> None:
    servers.jumps_are_meant = False
    async with servers.replica() as storage:
        name, due = await written(storage)
        servers.clock.time = due + HOUR
        assert await alive(storage, name)
        assert await alive(storage, name)
        await confirm(storage, due + HOUR)
        assert not await alive(storage, name)


@pytest.mark.parametrize("apart", [-HOUR, HOUR, timedelta(days=-31)])
async def test_clocks_that_disagree_destroy_nothing(servers: Servers, apart: timedelta) -> None:
    async with servers.replica() as storage:  # even where a jump of both is meant
        name, due = await written(storage)
        servers.clock.time = due + HOUR
        storage.database_clock.apart = apart
        assert await alive(storage, name)
        storage.database_clock.apart = timedelta()
        assert not await alive(storage, name)


async def test_a_clock_set_back_destroys_nothing_and_opens_nothing(servers: Servers) -> None:
    async with servers.replica() as storage:
        name, due = await written(storage)
        servers.clock.time = START + TERM
        await storage.storage.drop_due_keys()
        assert await reason(storage.read(name)) == "EXPIRED"
        servers.clock.time = START + TERM - HOUR
        storage.database_clock.apart = HOUR  # the database kept the right time
        assert await reason(storage.read(name)) == "EXPIRED"
        assert await reason(storage.describe(name)) == "EXPIRED"
        assert await alive(storage, name)
        servers.clock.time, storage.database_clock.apart = due, timedelta()
        assert not await alive(storage, name)


async def test_a_short_absence_is_caught_up_without_an_operator(servers: Servers) -> None:
    servers.jumps_are_meant = False
    async with servers.replica() as storage:
        name, due = await written(storage)
        await confirm(storage, due - timedelta(minutes=14))
        servers.clock.time = due
        assert await alive(storage, name)  # real time has not passed for it yet
        await confirm(storage, due)
        assert not await alive(storage, name)
