"""The jobs of storage go through everything that is there: one failure does not hold back the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb

from services.storage.stream import BodyRefusedError
from services.storage.sweep import Sweep
from tests.set_clock import SetClock
from tests.storage_parts import START, Replica, Servers, reason


async def sweep(storage: Replica, real_now: datetime) -> None:
    around = storage.around
    days = storage.storage.days
    await Sweep(around.database, around.objects, days, SetClock(real_now), around.log).run()


async def test_orphans_are_swept_after_a_day_and_named_objects_stay(storage: Replica) -> None:
    record = await storage.upload(await storage.session(), b"kept")
    day = START.date()
    orphan = await storage.around.objects.put(day, b"orphan")
    put = min([found.put_time async for found in storage.around.objects.listed(day)])
    await sweep(storage, put + timedelta(hours=23))
    assert await storage.around.objects.exists(day, orphan)
    await sweep(storage, put + timedelta(hours=25))
    assert not await storage.around.objects.exists(day, orphan)
    assert await storage.read(record.name) == b"kept"


async def test_a_moved_clock_lets_no_body_be_swept_before_its_row_is_written(storage: Replica) -> None:
    await storage.session()
    storage.servers.clock.time = datetime.now(UTC) + timedelta(days=20)
    await storage.session()
    day = storage.servers.clock.time.date()
    under_way = await storage.around.objects.put(day, b"its row is written next")
    await storage.storage.sweep.run()
    assert await storage.around.objects.exists(day, under_way)


async def test_a_day_that_cannot_be_swept_does_not_hold_back_the_next(storage: Replica) -> None:
    await storage.session()
    storage.advance(days=1)
    await storage.session()
    await storage.around.objects.drop(START.date())
    day = storage.servers.clock.time.date()
    orphan = await storage.around.objects.put(day, b"orphan")
    with pytest.raises(IdvError):
        await sweep(storage, datetime.now(UTC) + timedelta(days=2))
    assert not await storage.around.objects.exists(day, orphan)


async def test_an_erasure_that_cannot_be_finished_does_not_hold_back_the_others(storage: Replica) -> None:
    erasure = storage.storage.erasure
    hopeless, other = await storage.session(), await storage.session()
    await erasure.intend("acme", uuid4(), pb.ErasureTarget(session=hopeless.name))
    await break_intents(storage.servers)
    await erasure.intend("acme", uuid4(), pb.ErasureTarget(session=other.name))
    with pytest.raises(BodyRefusedError):
        await erasure.resume()
    assert await reason(storage.get_session(other.name)) == "ERASED"


async def break_intents(servers: Servers) -> None:
    """Damages what the erasures so far are of, as a failing disk would."""
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        await admin.execute("UPDATE storage.erasures SET details = '\\x00'")
    finally:
        await admin.close()
