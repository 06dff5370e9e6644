"""Group commit: every write has its own outcome, is acknowledged after its commit, and spoils no other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import asyncpg
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb

from services.storage.settings import StorageLimits
from services.storage.store import locks
from services.storage.store.records import RecordRow
from services.storage.writer import Writer
from tests.storage_parts import START, Replica, Servers, reason


async def rows(storage: Replica, count: int, customer: str = "acme") -> list[RecordRow]:
    session = await storage.session(customer)
    writes = [pb.RecordWrite(header=storage.header(session), body=b"body") for _ in range(count)]
    return [await storage.storage.parts.sealer.small(write) for write in writes]


async def stored(storage: Replica) -> set[object]:
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        return {row["record"] for row in await admin.fetch("SELECT record FROM storage.records")}
    finally:
        await admin.close()


async def test_what_arrives_during_a_commit_shares_the_next_one(storage: Replica) -> None:
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        batch = [row for customer in ("one", "two") for row in await rows(storage, 25, customer)]
        await asyncio.gather(*(storage.storage.writer.write(row) for row in batch))
        assert len(await stored(storage)) == 50
        query = "SELECT count(DISTINCT xmin::text) FROM storage.records"
        assert await admin.fetchval(query) <= 2
    finally:
        await admin.close()


async def test_one_refused_write_refuses_no_other(storage: Replica) -> None:
    good, bad = await rows(storage, 20), await rows(storage, 1, "other")
    bad[0] = replace(bad[0], session=uuid4())
    spoiled = await rows(storage, 1, "third")
    spoiled[0] = replace(spoiled[0], category="\0")  # no text for PostgreSQL: it fails the whole statement
    writes = [storage.storage.writer.write(row) for row in (*good, *bad, *spoiled)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert outcomes[:20] == good
    refusals = [outcome.reason_name for outcome in outcomes[20:] if isinstance(outcome, IdvError)]
    assert refusals == ["NOT_FOUND", "INTERNAL"]
    assert await stored(storage) == {row.record for row in good}


async def test_repeats_in_one_batch_give_one_record(storage: Replica) -> None:
    first, second = await rows(storage, 2)
    second = replace(second, session=first.session, request_id=first.request_id)
    outcomes = await asyncio.gather(*(storage.storage.writer.write(row) for row in (first, second)))
    assert len({outcome.record for outcome in outcomes}) == 1
    assert len(await stored(storage)) == 1


async def test_batches_of_two_replicas_in_opposite_order_do_not_deadlock(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        batch = await rows(one, 60)
        again = [replace(row, record=uuid4()) for row in reversed(batch)]
        outcomes = await asyncio.gather(
            *(one.storage.writer.write(row) for row in batch),
            *(two.storage.writer.write(row) for row in again),
        )
        assert len({outcome.record for outcome in outcomes}) == 60
        assert len(await stored(one)) == 60


async def test_a_cancelled_write_is_left_out_of_the_next_batch(storage: Replica) -> None:
    first, cancelled, last = await rows(storage, 3)
    day = START.date()
    async with storage.around.database.transaction(["acme"]) as connection:
        await locks.day_for_erasing(connection, day)  # the first commit waits here
        running = asyncio.ensure_future(storage.storage.writer.write(first))
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(storage.storage.writer.write(row)) for row in (cancelled, last)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    assert await running == first
    assert await waiting[1] == last
    assert await stored(storage) == {first.record, last.record}


async def test_a_full_queue_tells_writers_to_come_back(servers: Servers) -> None:
    limits = StorageLimits(days_ahead=1, queue_bytes=1 << 20)
    async with servers.replica(limits) as storage:
        session = await storage.session()
        write = pb.RecordWrite(header=storage.header(session), body=bytes(600_000))
        large = await storage.storage.parts.sealer.small(write)
        async with storage.around.database.transaction(["acme"]) as connection:
            await locks.day_for_erasing(connection, START.date())
            running = asyncio.ensure_future(storage.storage.writer.write(large))
            await asyncio.sleep(0)
            assert await reason(storage.storage.writer.write(replace(large, record=uuid4()))) == "OVERLOADED"
        assert await running == large
        assert await storage.write(session)


async def test_closing_commits_what_still_waits(storage: Replica) -> None:
    batch = await rows(storage, 10)
    async with Writer(
        storage.around.database, batch_items=3, batch_bytes=1 << 20, queue_bytes=1 << 20
    ) as writer:
        writing = [asyncio.ensure_future(writer.write(row)) for row in batch]
        await asyncio.sleep(0)
    assert await asyncio.gather(*writing) == batch
    assert len(await stored(storage)) == 10
