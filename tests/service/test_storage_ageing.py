"""What storage keeps of a day whose data is gone ends with its term, and numbers go on after it."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
from idv.storage.v1 import storage_pb2 as pb
from sqlalchemy import text

from services.storage.settings import StorageLimits
from tests.storage_parts import START, Replica, Servers, reason

TERM = timedelta(days=StorageLimits().evidence_days)
TABLES = ("destructions", "root_keys", "days")


async def kept(servers: Servers) -> dict[str, int]:
    """How many rows there are of the first day."""
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        count = "SELECT count(*) FROM storage.{} WHERE day = $1"
        return {table: await admin.fetchval(count.format(table), START.date()) for table in TABLES}
    finally:
        await admin.close()


async def two_days(storage: Replica) -> None:
    """Two days of records, both expired and removed on the 35th day."""
    for _ in range(2):
        await storage.write(await storage.session())
        storage.advance(days=1)
    storage.servers.clock.time = START + timedelta(days=35)
    await storage.storage.expiry.run()


async def test_a_day_is_known_for_its_term_after_its_removal_and_then_no_more(storage: Replica) -> None:
    await two_days(storage)
    storage.advance(days=TERM.days, seconds=-1)
    await storage.storage.ageing.run()
    assert all((await kept(storage.servers)).values())
    storage.advance(seconds=1)
    await storage.storage.ageing.run()
    assert await kept(storage.servers) == dict.fromkeys(TABLES, 0)


async def test_a_forgotten_day_does_not_begin_again(storage: Replica) -> None:
    await two_days(storage)
    storage.advance(days=TERM.days)
    await storage.storage.ageing.run()
    storage.storage.days.forget(START.date())
    assert await reason(storage.storage.days.ready(START.date())) == "EXPIRED"
    assert not any((await kept(storage.servers)).values())


async def test_destructions_are_numbered_on_when_all_before_are_past_their_term(storage: Replica) -> None:
    await two_days(storage)
    storage.advance(days=TERM.days)
    await storage.storage.ageing.run()
    before = await storage.storage.servicer.ListDestructions(pb.ListDestructionsRequest(), None)
    last = before.destructions[-1].sequence
    await storage.write(await storage.session())
    storage.advance(days=35)
    await storage.storage.expiry.run()
    after = await storage.storage.servicer.ListDestructions(pb.ListDestructionsRequest(after=last), None)
    assert next(one.sequence for one in after.destructions) == last + 1


async def test_a_clock_that_jumped_forgets_nothing_until_an_operator_confirms(servers: Servers) -> None:
    async with servers.replica() as storage:
        await two_days(storage)
    servers.jumps_are_meant = False
    async with servers.replica() as storage:
        storage.advance(days=TERM.days)
        await storage.storage.ageing.run()
        assert all((await kept(servers)).values())


async def test_totals_of_accesses_end_with_their_term_and_windows_a_day_after(storage: Replica) -> None:
    limits = StorageLimits()
    await storage.read((await storage.write(await storage.session())).name)
    await storage.storage.numbering.run_all()
    storage.advance(days=2)
    await storage.storage.numbering.run_all()
    assert await counted(storage, "access_windows") == 0
    assert await counted(storage, "access_totals") == 1
    storage.advance(days=limits.access_totals_days)
    await storage.storage.numbering.run_all()
    assert await counted(storage, "access_totals") == 0


async def counted(storage: Replica, table: str) -> int:
    """How many rows of the Customer there are in a table."""
    async with storage.around.database.transaction(["acme"]) as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM storage.{table}")))  # noqa: S608  # a name of this file
