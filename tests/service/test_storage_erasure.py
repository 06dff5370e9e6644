"""Erasure: unreadable when answered, for good, however often it is repeated, interrupted or raced."""

from __future__ import annotations

import asyncio
import os
from uuid import UUID, uuid4

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from services.runtime.resources import parse_record
from services.storage import ids, reader
from services.storage.access_details import Reading
from services.storage.store.erasures import ErasureRow, Step
from tests.storage_parts import Replica, Servers, reason
from tests.waiting import until

_SEALED = """
    SELECT (SELECT count(*) FROM storage.records
            WHERE num_nonnulls(body, details, commitment, request_mac, object) > 0)
         + (SELECT count(*) FROM storage.sessions
            WHERE num_nonnulls(details, commitment, request_mac, subject_digest) > 0)
"""


async def sealed_left(servers: Servers) -> int:
    """Rows of sessions and records that hold anything but a tombstone."""
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        return int(await admin.fetchval(_SEALED))
    finally:
        await admin.close()


async def objects_left(storage: Replica) -> list[str]:
    day = storage.servers.clock.now().date()
    return [found.name async for found in storage.around.objects.listed(day)]


async def test_a_record_is_erased_alone_and_its_session_goes_on(storage: Replica) -> None:
    session = await storage.session()
    doomed, kept = await storage.write(session, b"one"), await storage.write(session, b"two")
    answer = await storage.erase(record=doomed.name)
    assert (answer.record_count, answer.session_count, answer.object_count) == (1, 0, 0)
    assert await reason(storage.read(doomed.name)) == "ERASED"
    assert await storage.read(kept.name) == b"two"
    assert await storage.read((await storage.write(session, b"three")).name) == b"three"


async def test_a_session_is_erased_with_everything_and_takes_nothing_more(storage: Replica) -> None:
    session = await storage.session()
    names = [(await storage.write(session)).name, (await storage.upload(session, os.urandom(300_000))).name]
    answer = await storage.erase(session=session.name)
    assert (answer.record_count, answer.session_count, answer.object_count) == (2, 1, 1)
    for name in names:
        assert await reason(storage.read(name)) == "ERASED"
        assert await reason(storage.describe(name)) == "ERASED"
    assert await reason(storage.write(session)) == "ERASED"
    assert await reason(storage.upload(session, b"face")) == "ERASED"
    assert await reason(storage.get_session(session.name)) == "ERASED"
    assert await sealed_left(storage.servers) == 0
    assert await objects_left(storage) == []


async def test_a_subject_is_erased_on_every_day_and_nobody_else(storage: Replica) -> None:
    mine, others = [], []
    for _ in range(3):
        mine.append((await storage.write(await storage.session(subject="me"), b"me")).name)
        others.append((await storage.write(await storage.session(subject="you"), b"you")).name)
        others.append((await storage.write(await storage.session("other", "me"), b"other")).name)
        storage.advance(days=1)
    answer = await storage.erase(subject="me")
    assert (answer.record_count, answer.session_count) == (3, 3)
    for name in mine:
        assert await reason(storage.read(name)) == "ERASED"
    assert [await storage.read(name) for name in others] == [b"you", b"other"] * 3
    assert not (await storage.list_records(subject="me")).records


async def test_final_time_is_when_the_last_key_it_touched_is_destroyed(storage: Replica) -> None:
    session = await storage.session()
    storage.advance(minutes=40)
    record = await storage.write(session)
    answer = await storage.erase(session=session.name)
    epoch = ids.record_epoch(UUID(parse_record(record.name, field="name").record))
    due = Timestamp()
    due.FromDatetime(epoch.due(await storage.storage.days.term(epoch.day)))
    assert answer.final_time == due
    assert answer.erase_time == storage.now()
    assert answer.claim
    again = await storage.erase(session=session.name)
    assert (again.record_count, again.final_time) == (0, due)


async def test_a_repeat_returns_the_first_answer_and_another_target_is_refused(storage: Replica) -> None:
    session, request_id = await storage.session(), str(uuid4())
    await storage.write(session)
    first = await storage.erase(request_id, session=session.name)
    storage.advance(hours=30)
    assert await storage.erase(request_id, session=session.name) == first
    assert await reason(storage.erase(request_id, subject="subject-1")) == "REQUEST_ID_REUSED"


async def test_nothing_about_the_target_is_left_once_it_is_erased(storage: Replica) -> None:
    """A subject's reference must not outlive the receipt's `final_time`, not even sealed."""
    await storage.write(await storage.session())
    request_id = str(uuid4())
    first = await storage.erase(request_id, subject="subject-1")
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        assert await admin.fetch("SELECT step, details FROM storage.erasures") == [(Step.DONE, None)]
    finally:
        await admin.close()
    assert await storage.erase(request_id, subject="subject-1") == first
    assert await reason(storage.erase(request_id, subject="subject-2")) == "REQUEST_ID_REUSED"


async def test_what_is_not_there_or_anothers_cannot_be_erased(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    session = record.name.rpartition("/records/")[0]
    assert await reason(storage.erase(customer="evil", record=record.name)) == "WRONG_TENANT"
    other = record.name.replace("acme", "evil")
    assert await reason(storage.erase(customer="evil", record=other)) == "NOT_FOUND"
    assert (
        await reason(storage.erase(customer="evil", session=session.replace("acme", "evil"))) == "NOT_FOUND"
    )
    assert await reason(storage.erase(session=f"customers/acme/sessions/{uuid4()}")) == "NOT_FOUND"
    assert await storage.read(record.name) == b"canary-body"


async def test_a_late_repeat_of_a_write_cannot_revive_what_was_erased(storage: Replica) -> None:
    session, request_id = await storage.session(), str(uuid4())
    record = await storage.write(session, b"once", request_id=request_id)
    await storage.erase(record=record.name)
    assert await reason(storage.write(session, b"once", request_id=request_id)) == "ERASED"


async def test_a_late_repeat_of_a_session_cannot_revive_it(storage: Replica) -> None:
    request_id = str(uuid4())
    session = await storage.session(request_id=request_id)
    await storage.erase(session=session.name)
    assert await reason(storage.session(request_id=request_id)) == "ERASED"


STEPS = list(Step)[:-1]


@pytest.mark.parametrize("reached", STEPS, ids=[step.name.lower() for step in STEPS])
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "done_but_not_noted"])
async def test_an_interrupted_erasure_is_finished_by_another_replica(
    servers: Servers, reached: Step, noted: bool
) -> None:
    """A crash after each step; and after the work of the next step, but before it was noted."""
    async with servers.replica() as crashed:
        session = await crashed.session()
        records = [await crashed.write(session), await crashed.upload(session, os.urandom(200_000))]
        erasure = crashed.storage.erasure
        target = pb.ErasureTarget(session=session.name)
        row = await erasure.intend("acme", uuid4(), target)
        while row.step < reached:
            row = await erasure.advance(row)
        if not noted:
            await erasure.advance(row)
            await set_back(servers, row)
    async with servers.replica() as other:
        await other.storage.erasure.resume()
        answer = await other.erase(str(row.erasure), session=session.name)
        assert answer.session_count == 1
        assert answer.record_count == 2
        for record in records:
            assert await reason(other.read(record.name)) == "ERASED"
        assert await objects_left(other) == []
    assert await sealed_left(servers) == 0


async def set_back(servers: Servers, row: ErasureRow) -> None:
    """Makes the erasure look as before its last step was noted."""
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        await admin.execute("UPDATE storage.erasures SET step = $1", int(row.step))
    finally:
        await admin.close()


async def test_two_replicas_may_carry_out_one_erasure_together(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        session = await one.session()
        await one.upload(session, os.urandom(200_000))
        request_id = str(uuid4())
        answers = await asyncio.gather(
            *(each.erase(request_id, session=session.name) for each in (one, two, one, two)),
            *(each.storage.erasure.resume() for each in (one, two)),
        )
    assert all(answer == answers[0] for answer in answers[:4])
    assert answers[0] is not None
    assert answers[0].object_count == 1


async def test_an_erasure_racing_a_hundred_writes_leaves_nothing(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        sessions = [await one.session(subject="raced") for _ in range(10)]
        acknowledged: list[processing_pb2.Record] = []
        refused: list[str] = []

        async def write(index: int, session: processing_pb2.Session) -> None:
            replica = (one, two)[index % 2]
            try:
                if index % 5 == 0:
                    acknowledged.append(await replica.upload(session, os.urandom(100_000)))
                else:
                    acknowledged.append(await replica.write(session))
            except IdvError as error:
                refused.append(error.reason_name)

        async with asyncio.TaskGroup() as group:
            for index in range(10):
                for session in sessions:
                    group.create_task(write(index, session))
            await until("a fifth is acknowledged", lambda: len(acknowledged) >= 20)
            answer = await two.erase(subject="raced")
        assert set(refused) <= {"ERASED"}
        assert len(refused) + len(acknowledged) == 100
        assert answer.record_count == len(acknowledged)
        for record in acknowledged:
            assert await reason(one.read(record.name)) == "ERASED"
        assert await objects_left(one) == []
    assert await sealed_left(servers) == 0


async def test_a_read_that_runs_stops_at_its_next_look(
    storage: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "RECHECK_SECONDS", 0.0)
    session = await storage.session()
    record = await storage.upload(session, os.urandom(3_000_000))
    reading = Reading("verification", processing_pb2.PURPOSE_VERIFICATION)
    opened = await storage.storage.parts.reader.open(parse_record(record.name, field="name"), reading)
    await anext(opened.chunks)
    await storage.erase(session=session.name)
    assert await reason(anext(opened.chunks)) == "ERASED"
