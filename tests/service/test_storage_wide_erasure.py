"""Erasure by category, time or Customer: unreadable at once, then page by page to the last byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from services.storage.epochs import Epoch
from services.storage.settings import StorageLimits
from services.storage.store.erasures import Step
from tests.storage_parts import Replica, Servers, reason
from tests.waiting import until

PAGED = StorageLimits(days_ahead=1, erasure_page=3)
STEP_BY_STEP = StorageLimits(days_ahead=1, erasure_page=3, erasure_seconds=0)


@pytest_asyncio.fixture
async def servers(service_database: ServiceDatabase, objects: ObjectStore, tmp_path: Path) -> Servers:
    return Servers(service_database, objects, tmp_path)


@pytest_asyncio.fixture
async def storage(servers: Servers) -> AsyncIterator[Replica]:
    async with servers.replica(PAGED) as replica:
        yield replica


_SEALED = """
    SELECT (SELECT count(*) FROM storage.records WHERE state = 2
            AND num_nonnulls(body, details, commitment, request_mac, object) > 0)
         + (SELECT count(*) FROM storage.sessions WHERE state = 2
            AND num_nonnulls(details, commitment, request_mac, subject_digest) > 0)
"""


async def sealed_left(servers: Servers) -> int:
    """Erased rows that hold anything but a tombstone."""
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        return int(await admin.fetchval(_SEALED))
    finally:
        await admin.close()


async def objects_left(storage: Replica) -> list[str]:
    day = storage.servers.clock.now().date()
    return [found.name async for found in storage.around.objects.listed(day)]


async def test_a_category_is_erased_on_every_day_and_its_sessions_go_on(storage: Replica) -> None:
    faces, others = [], []
    for _ in range(2):
        session = await storage.session()
        faces += [(await storage.upload(session, os.urandom(90_000))).name for _ in range(4)]
        others += [(await storage.write(session, b"kept")).name for _ in range(4)]
        storage.advance(days=1)
    foreign = await storage.session("other")
    others.append((await storage.write(foreign, b"kept", category="face_image")).name)
    assert await storage.preview(category="face_image") == (8, 0)
    answer = await storage.erase(category="face_image")
    assert (answer.record_count, answer.session_count, answer.object_count) == (8, 0, 8)
    assert not answer.running
    for name in faces:
        assert await reason(storage.read(name)) == "ERASED"
    assert [await storage.read(name) for name in others] == [b"kept"] * 9
    storage.advance(seconds=1)
    again = await storage.session()
    assert await storage.read((await storage.write(again, b"new", category="face_image")).name) == b"new"
    assert await storage.preview(category="face_image") == (1, 0)
    assert await sealed_left(storage.servers) == 0


async def test_everything_of_a_customer_goes_with_its_sessions_and_nobody_elses(storage: Replica) -> None:
    sessions = [await storage.session(subject=f"subject-{number}") for number in range(5)]
    names = [(await storage.write(session)).name for session in sessions for _ in range(2)]
    names.append((await storage.upload(sessions[0], os.urandom(90_000))).name)
    foreign = (await storage.write(await storage.session("other"), b"theirs")).name
    assert await storage.preview(everything=True) == (11, 5)
    storage.advance(seconds=1)
    answer = await storage.erase(everything=True)
    assert (answer.record_count, answer.session_count, answer.object_count) == (11, 5, 1)
    assert answer.days_done == answer.days_total > 0
    for name in names:
        assert await reason(storage.read(name)) == "ERASED"
    for session in sessions:
        assert await reason(storage.get_session(session.name)) == "ERASED"
        assert await reason(storage.write(session)) == "ERASED"
    assert await storage.read(foreign) == b"theirs"
    assert await sealed_left(storage.servers) == 0
    assert await objects_left(storage) == []
    storage.advance(seconds=1)
    assert await storage.read((await storage.write(await storage.session(), b"new")).name) == b"new"


async def test_a_range_takes_what_was_received_within_and_sessions_that_hold_nothing_else(
    storage: Replica,
) -> None:
    both = await storage.session(subject="both")
    before = await storage.write(both, b"before")
    storage.advance(minutes=10)
    start = storage.now()
    within = await storage.write(both, b"within")
    only = await storage.session(subject="only")
    alone = await storage.write(only, b"alone")
    storage.advance(minutes=10)
    end = storage.now()
    after = await storage.write(both, b"after")
    span = pb.TimeRange(start_time=start, end_time=end)
    assert await storage.preview(received=span) == (2, 1)
    answer = await storage.erase(received=span)
    assert (answer.record_count, answer.session_count) == (2, 1)
    for record in (within, alone):
        assert await reason(storage.read(record.name)) == "ERASED"
    assert await storage.read(before.name) == b"before"
    assert await storage.read(after.name) == b"after"
    assert await reason(storage.get_session(only.name)) == "ERASED"
    assert (await storage.get_session(both.name)).name == both.name


async def test_a_range_that_reaches_into_the_future_takes_nothing_that_comes_later(storage: Replica) -> None:
    session = await storage.session()
    doomed = await storage.write(session)
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(storage.servers.clock.now())
    storage.advance(minutes=1)
    end.FromDatetime(storage.servers.clock.now() + timedelta(days=2))
    await storage.erase(received=pb.TimeRange(start_time=start, end_time=end))
    assert await reason(storage.read(doomed.name)) == "ERASED"
    storage.advance(seconds=1)
    later = await storage.write(await storage.session(), b"later")
    assert await storage.read(later.name) == b"later"


async def test_a_scope_that_cannot_be_is_refused_by_field(storage: Replica) -> None:
    now = storage.now()
    with pytest.raises(IdvError) as refused:
        await storage.erase(category="imei")
    assert (refused.value.reason_name, refused.value.field) == ("INVALID_ARGUMENT", "target.category")
    assert (
        await reason(storage.erase(received=pb.TimeRange(start_time=now, end_time=now))) == "INVALID_ARGUMENT"
    )
    assert await storage.preview(everything=True) == (0, 0)
    assert (await storage.erase(everything=True)).record_count == 0


async def test_the_final_time_is_that_of_the_newest_key_however_often_it_is_erased(storage: Replica) -> None:
    session = await storage.session()
    storage.advance(minutes=40)
    await storage.write(session)
    day, received = session.create_time.ToDatetime().date(), storage.servers.clock.now()
    storage.advance(hours=2)
    due = Timestamp()
    due.FromDatetime(Epoch.of(day, received).due(timedelta(days=30)))
    for _ in range(2):
        assert (await storage.erase(everything=True)).final_time == due


async def test_unreadable_when_first_answered_and_done_by_repeats_with_one_result(servers: Servers) -> None:
    async with servers.replica(STEP_BY_STEP) as storage:
        session = await storage.session()
        records = [await storage.write(session) for _ in range(10)]
        storage.advance(seconds=1)
        request_id = str(uuid4())
        answer = await storage.erase(request_id, everything=True)
        assert answer.running
        assert answer.record_count == 0
        for record in records:
            assert await reason(storage.read(record.name)) == "ERASED"
            assert await reason(storage.describe(record.name)) == "ERASED"
        assert not (await storage.list_records(subject="subject-1")).records
        seen = []
        while answer.running:
            answer = await storage.erase(request_id, everything=True)
            seen.append((answer.days_done, answer.record_count))
        assert seen == sorted(seen), "progress only grows"
        assert (answer.record_count, answer.session_count) == (10, 1)
        storage.advance(hours=3)
        assert await storage.erase(request_id, everything=True) == answer
        assert await reason(storage.erase(request_id, category="log")) == "REQUEST_ID_REUSED"


async def test_a_kill_after_any_step_is_carried_on_by_another_replica(servers: Servers) -> None:
    """Each step is done by a replica of its own, and once more by one that saw the state before it."""
    async with servers.replica(PAGED) as first:
        sessions = [await first.session(subject=f"subject-{number}") for number in range(4)]
        records = [await first.write(session) for session in sessions for _ in range(2)]
        records += [await first.upload(sessions[0], os.urandom(80_000)) for _ in range(2)]
        first.advance(seconds=1)
        row = await first.storage.erasure.intend("acme", uuid4(), pb.ErasureTarget(everything=True))
    steps = 0
    while row.step < Step.DONE:
        async with servers.replica(PAGED) as one:
            before, row = row, await one.storage.erasure.advance(row)
            assert await one.storage.erasure.advance(before) == row, "a step that was done is not done again"
        steps += 1
    assert steps > 8
    async with servers.replica(PAGED) as last:
        answer = await last.erase(str(row.erasure), everything=True)
        assert (answer.record_count, answer.session_count, answer.object_count) == (10, 4, 2)
        for record in records:
            assert await reason(last.read(record.name)) == "ERASED"
        assert await objects_left(last) == []
    assert await sealed_left(servers) == 0


async def test_the_job_finishes_what_nobody_repeats(servers: Servers) -> None:
    async with servers.replica(STEP_BY_STEP) as storage:
        session = await storage.session()
        for _ in range(7):
            await storage.write(session)
        storage.advance(seconds=1)
        request_id = str(uuid4())
        assert (await storage.erase(request_id, category="device.hardware")).running
        await storage.storage.erasure.resume()
        answer = await storage.erase(request_id, category="device.hardware")
        assert (answer.running, answer.record_count) == (False, 7)


async def test_what_was_received_before_and_comes_to_its_commit_later_is_refused(storage: Replica) -> None:
    session, early = await storage.session(), storage.now()
    request_id = str(uuid4())
    await storage.write(session, b"once", request_id=request_id, category="log")
    storage.advance(seconds=2)
    await storage.erase(category="log")
    assert await reason(storage.write(session, category="log", receive_time=early)) == "ERASED"
    assert await reason(storage.upload(session, b"late", category="log", receive_time=early)) == "ERASED"
    assert await reason(storage.write(session, b"once", request_id=request_id, category="log")) == "ERASED"
    assert await storage.read((await storage.write(session, b"new", category="log")).name) == b"new"
    await storage.erase(everything=True)
    assert await reason(storage.session(receive_time=early)) == "ERASED"


async def test_erasing_everything_while_a_hundred_writes_run_leaves_nothing_received_before(
    servers: Servers,
) -> None:
    async with servers.replica(PAGED) as one, servers.replica(PAGED) as two:
        sessions = [await one.session(subject=f"raced-{number}") for number in range(10)]
        acknowledged: list[processing_pb2.Record] = []
        refused: list[str] = []

        async def write(index: int, session: processing_pb2.Session) -> None:
            try:
                acknowledged.append(await (one, two)[index % 2].write(session, receive_time=stamp))
            except IdvError as error:
                refused.append(error.reason_name)

        stamp = one.now()
        servers.clock.time += timedelta(seconds=1)
        async with asyncio.TaskGroup() as group:
            for index in range(10):
                for session in sessions:
                    group.create_task(write(index, session))
            await until("some are acknowledged", lambda: len(acknowledged) >= 10)
            answer = await two.erase(everything=True)
        assert set(refused) <= {"ERASED"}
        assert len(refused) + len(acknowledged) == 100
        assert answer.record_count == len(acknowledged)
        for record in acknowledged:
            assert await reason(one.read(record.name)) == "ERASED"
    assert await sealed_left(servers) == 0


async def test_two_replicas_may_carry_out_one_wide_erasure_together(servers: Servers) -> None:
    async with servers.replica(PAGED) as one, servers.replica(PAGED) as two:
        session = await one.session()
        for _ in range(8):
            await one.write(session)
        one.advance(seconds=1)
        request_id = str(uuid4())
        answers = await asyncio.gather(
            *(each.erase(request_id, everything=True) for each in (one, two, one)),
            *(each.storage.erasure.resume() for each in (one, two)),
        )
    assert all(answer == answers[0] for answer in answers[:3])
    assert answers[0] is not None
    assert (answers[0].record_count, answers[0].session_count) == (8, 1)


async def test_a_day_that_expires_meanwhile_is_left_to_expiry(servers: Servers) -> None:
    async with servers.replica(STEP_BY_STEP) as storage:
        old = await storage.session()
        await storage.write(old)
        storage.advance(days=29)
        young = await storage.session()
        await storage.write(young)
        storage.advance(seconds=1)
        request_id = str(uuid4())
        answer = await storage.erase(request_id, everything=True)
        assert answer.days_total >= 2
        storage.advance(days=3)
        await storage.storage.expiry.run()
        while answer.running:
            answer = await storage.erase(request_id, everything=True)
        assert (answer.record_count, answer.session_count) == (1, 1)


async def test_days_of_the_release_before_get_the_partitions_of_this_one(servers: Servers) -> None:
    async with servers.replica(PAGED) as storage:
        await storage.write(await storage.session())
        day = storage.servers.clock.now().date()
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        for table in ("fences", "restrictions", "changes"):
            await admin.execute(f"DROP TABLE storage.{table}_{day:%Y%m%d}")
    finally:
        await admin.close()
    async with servers.replica(PAGED) as storage:
        await storage.storage.days.prepare()
        storage.advance(seconds=1)
        assert (await storage.erase(everything=True)).record_count == 1
