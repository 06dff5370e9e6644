"""Expiry: keys die with their last record, bytes go with their day, and each destruction is listed once."""

from __future__ import annotations

import asyncio
import os
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import pytest
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.authority import KeyDestroyedError
from services.storage.epochs import Epoch, midnight
from services.storage.keys import key_name
from services.storage.store import keys as key_store
from services.storage.store.partitions import remove
from services.storage.tables import PARTITIONED
from tests.storage_parts import START, Replica, Servers, reason

TERM = timedelta(days=30)


async def destructions(storage: Replica) -> list[pb.Destruction]:
    answer = await storage.storage.servicer.ListDestructions(pb.ListDestructionsRequest(), None)
    return list(answer.destructions)


async def root(storage: Replica, epoch: Epoch) -> key_store.Root:
    async with storage.around.database.transaction() as connection:
        found = await key_store.find_root(connection, epoch)
    assert found is not None
    return found


async def partitions(servers: Servers, day: date) -> list[str]:
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE $1 ORDER BY 1"
        return [row["relname"] for row in await admin.fetch(query, f"%{day:%Y%m%d}")]
    finally:
        await admin.close()


def epoch_of(name: str) -> Epoch:
    return ids.record_epoch(UUID(parse_record(name, field="name").record))


async def test_a_root_key_dies_at_the_end_of_its_quarter_hour_and_not_before(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    epoch = epoch_of(record.name)
    held = await root(storage, epoch)
    assert held.sealed is not None
    storage.servers.clock.time = epoch.due(TERM) - timedelta(microseconds=1)
    await storage.storage.expiry.run()
    assert await destructions(storage) == []
    await storage.around.authority.open(key_name(epoch), held.version, held.sealed)
    storage.servers.clock.time = epoch.due(TERM)
    await storage.storage.expiry.run()
    with pytest.raises(KeyDestroyedError):
        await storage.around.authority.open(key_name(epoch), held.version, held.sealed)
    assert (await root(storage, epoch)).sealed is None
    (listed,) = await destructions(storage)
    assert listed.kind == pb.DESTRUCTION_KIND_KEY
    assert (listed.sequence, listed.day, listed.slot, listed.record_count) == (1, "2026-11-24", epoch.slot, 1)
    assert listed.due_time == listed.destroy_time == storage.now()


async def test_a_destroyed_epoch_takes_no_new_key(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    storage.servers.clock.time = epoch_of(record.name).due(TERM)
    await storage.storage.expiry.run()
    storage.servers.clock.time = START  # a clock that is set back must not bring it to life again
    assert await reason(storage.write(session_of(record.name))) == "EXPIRED"


def session_of(record: str) -> processing_pb2.Session:
    """The session as it was described, without asking the service."""
    session = processing_pb2.Session(name=record.rpartition("/records/")[0], notice_version=1)
    session.close_time.FromDatetime(START + timedelta(hours=1))
    return session


async def test_a_cached_root_is_forgotten_in_every_replica(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        record = await one.write(await one.session())
        assert await two.read(record.name) == b"canary-body"
        epoch = epoch_of(record.name)
        servers.clock.time = epoch.due(TERM)
        held = two.storage.keys._held[epoch]
        await two.storage.drop_due_keys()
        assert epoch not in two.storage.keys._held
        assert bytes(held) == bytes(32)


async def test_a_day_goes_with_rows_and_objects_after_its_last_slot(storage: Replica) -> None:
    session = await storage.session()
    await storage.write(session)
    await storage.upload(session, os.urandom(200_000))
    day = START.date()
    assert len(await partitions(storage.servers, day)) == len(PARTITIONED)
    storage.servers.clock.time = midnight(day) + timedelta(hours=26) + TERM - timedelta(seconds=1)
    await storage.storage.expiry.run()
    assert len(await partitions(storage.servers, day)) == len(PARTITIONED)
    storage.advance(seconds=1)
    await storage.storage.expiry.run()
    assert await partitions(storage.servers, day) == []
    assert not await storage.around.objects.exists(day, "anything")
    assert await reason(collect(storage, day)) == "NOT_FOUND"
    *keys, removed = await destructions(storage)
    assert removed.kind == pb.DESTRUCTION_KIND_DAY
    assert removed.record_count == sum(key.record_count for key in keys) == 2
    assert [one.sequence for one in (*keys, removed)] == list(range(1, len(keys) + 2))


async def collect(storage: Replica, day: date) -> list[object]:
    return [found async for found in storage.around.objects.listed(day)]


async def test_late_expiry_lists_when_it_was_due_and_when_it_was_done(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    due = epoch_of(record.name).due(TERM)
    storage.servers.clock.time = due + timedelta(hours=3)
    await storage.storage.expiry.run()
    (listed,) = await destructions(storage)
    assert listed.destroy_time.ToDatetime() - listed.due_time.ToDatetime() == timedelta(hours=3)


async def test_replicas_that_expire_together_list_each_destruction_once(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two, servers.replica() as three:
        for number in range(4):
            session = await one.session(f"customer-{number}")
            await one.write(session)
            await two.upload(session, os.urandom(1000))
            one.advance(minutes=15)
        servers.clock.time = START + TERM + timedelta(days=2)
        replicas = (one, two, three)
        await asyncio.gather(*(replica.storage.expiry.run() for replica in replicas))
        await one.storage.expiry.run()
        listed = await destructions(one)
    assert [each.kind for each in listed].count(pb.DESTRUCTION_KIND_KEY) == 4
    assert len({(each.kind, each.day, each.slot) for each in listed}) == len(listed)
    assert [each.sequence for each in listed] == list(range(1, len(listed) + 1))
    assert await partitions(servers, START.date()) == []


async def test_an_interrupted_destruction_is_finished_and_listed(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    epoch = epoch_of(record.name)
    storage.servers.clock.time = epoch.due(TERM)
    await storage.storage.keys.destroy([epoch])  # the process ends here: nothing was noted
    assert await destructions(storage) == []
    await storage.storage.expiry.run()
    (listed,) = await destructions(storage)
    assert listed.slot == epoch.slot


async def test_an_interrupted_removal_of_a_day_is_finished_and_listed(storage: Replica) -> None:
    await storage.upload(await storage.session(), os.urandom(1000))
    storage.servers.clock.time = START + TERM + timedelta(days=2)
    await storage.storage.expiry.destroy_keys()
    await remove(storage.around.owner, START.date())  # the process ends here
    await storage.storage.expiry.run()
    listed = [each for each in await destructions(storage) if each.kind == pb.DESTRUCTION_KIND_DAY]
    assert [each.day for each in listed] == [START.date().isoformat()]
    assert await reason(collect(storage, START.date())) == "NOT_FOUND"


async def test_a_detachment_that_was_cut_short_is_finalized(storage: Replica) -> None:
    await storage.write(await storage.session())
    day = START.date()
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    reader = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        await reader.execute("BEGIN")
        await reader.fetch("SELECT count(*) FROM storage.records")
        await admin.execute("SET statement_timeout = 300")
        detach = f"ALTER TABLE storage.records DETACH PARTITION storage.records_{day:%Y%m%d} CONCURRENTLY"
        with pytest.raises(asyncpg.QueryCanceledError):
            await admin.execute(detach)  # waits for the reader, and is cut short
        await reader.execute("COMMIT")
    finally:
        await admin.close()
        await reader.close()
    assert await remove(storage.around.owner, day)
    assert await partitions(storage.servers, day) == []


async def test_days_are_ready_before_they_begin(storage: Replica) -> None:
    await storage.storage.days.prepare()
    for offset in (0, 1):
        day = START.date() + timedelta(days=offset)
        names = [f"{table}_{day:%Y%m%d}" for table in sorted(PARTITIONED)]
        assert await partitions(storage.servers, day) == names


async def test_a_day_has_one_term(storage: Replica) -> None:
    await storage.session(retention_days=30)
    assert await reason(storage.session(retention_days=31)) == "WRONG_STATE"
    storage.advance(days=1)
    session = await storage.session(retention_days=7)
    record = await storage.write(session, retention_days=7)
    storage.servers.clock.time = epoch_of(record.name).due(timedelta(days=7))
    await storage.storage.expiry.run()
    assert [each.day for each in await destructions(storage)] == ["2026-11-25"]
