"""Sessions and records: written, read back, repeated and refused, on the real stores."""

from __future__ import annotations

import os
from datetime import timedelta
from uuid import uuid4

from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from tests.storage_parts import Replica, reason


async def test_a_small_record_reads_back_byte_for_byte(storage: Replica) -> None:
    session = await storage.session()
    body = os.urandom(2000)
    record = await storage.write(session, body)
    assert record.name.startswith(f"{session.name}/records/")
    assert record.size_bytes == len(body)
    assert record.expire_time.ToDatetime() - record.receive_time.ToDatetime() == timedelta(days=30)
    assert await storage.read(record.name) == body


async def test_a_large_record_reads_back_byte_for_byte(storage: Replica) -> None:
    session = await storage.session()
    body = os.urandom(1_500_000)
    record = await storage.upload(session, body, description=b"front")
    assert record.category == "face_image"
    assert record.media_type == "image/png"
    assert await storage.read(record.name) == body


async def test_many_records_of_many_customers_share_a_call(storage: Replica) -> None:
    sessions = [await storage.session(f"customer-{number}") for number in range(4)]
    writes = [
        pb.RecordWrite(header=storage.header(session), body=f"{index}".encode())
        for index in range(10)
        for session in sessions
    ]
    records = await storage.write_many(writes)
    for write, record in zip(writes, records, strict=True):
        assert await storage.read(record.name) == write.body


async def test_a_repeat_returns_the_first_record_and_other_content_is_refused(storage: Replica) -> None:
    session, request_id = await storage.session(), str(uuid4())
    first = await storage.write(session, b"one", request_id=request_id)
    assert await storage.write(session, b"one", request_id=request_id) == first
    assert await reason(storage.write(session, b"two", request_id=request_id)) == "REQUEST_ID_REUSED"
    assert await storage.read(first.name) == b"one"


async def test_a_repeated_upload_keeps_the_first_blob_and_no_other(storage: Replica) -> None:
    session, request_id, body = await storage.session(), str(uuid4()), os.urandom(300_000)
    first = await storage.upload(session, body, request_id=request_id)
    assert await storage.upload(session, body, request_id=request_id) == first
    assert await reason(storage.upload(session, body[1:], request_id=request_id)) == "REQUEST_ID_REUSED"
    day = storage.servers.clock.now().date()
    assert len([found async for found in storage.around.objects.listed(day)]) == 1


async def test_a_repeated_session_is_the_first_also_across_midnight(storage: Replica) -> None:
    storage.servers.clock.time += timedelta(hours=13, minutes=39, seconds=59)
    request_id = str(uuid4())
    first = await storage.session(request_id=request_id)
    storage.advance(seconds=2)
    assert storage.servers.clock.now().date() != first.create_time.ToDatetime().date()
    assert await storage.session(request_id=request_id) == first
    again = storage.session(request_id=request_id, subject="another")
    assert await reason(again) == "REQUEST_ID_REUSED"
    assert (await storage.session("other", request_id=request_id)).name != first.name


async def test_what_is_received_after_midnight_belongs_to_the_sessions_day(storage: Replica) -> None:
    storage.servers.clock.time += timedelta(hours=13, minutes=30)
    session = await storage.session()
    storage.advance(minutes=30)
    record = await storage.write(session, b"late")
    assert await storage.read(record.name) == b"late"
    answer = await storage.list_records(session=session.name)
    assert list(answer.records) == [record]


async def test_writes_beyond_the_session_are_refused(storage: Replica) -> None:
    session = await storage.session()
    assert await reason(storage.write(session, category="identity_document")) == "ITEM_NOT_REQUESTED"
    assert await reason(storage.write(session, retention_days=31)) == "WRONG_STATE"
    assert await reason(storage.write(session, session_token="forged")) == "UNAUTHENTICATED"
    storage.advance(hours=1)
    assert await reason(storage.write(session)) == "SESSION_CLOSED"
    assert await reason(storage.upload(session, b"face")) == "SESSION_CLOSED"
    unknown = processing_pb2.Session()
    unknown.CopyFrom(session)
    unknown.name = unknown.name.replace("acme", "evil")
    storage.advance(hours=-1)
    assert await reason(storage.write(unknown)) == "NOT_FOUND"


async def test_receipt_times_that_cannot_be_true_are_refused(storage: Replica) -> None:
    session = await storage.session()
    earlier = storage.now()
    earlier.seconds -= 3700
    later = storage.now()
    later.seconds += 6
    for when in (earlier, later):
        assert await reason(storage.write(session, receive_time=when)) == "TIME_OUT_OF_RANGE"


async def test_an_empty_or_oversize_upload_leaves_nothing(storage: Replica) -> None:
    session = await storage.session()
    assert await reason(storage.upload(session, b"")) == "EMPTY_BODY"
    storage.storage.parts.uploads._object_bytes = 1000  # the smallest setting would take a long body
    assert await reason(storage.upload(session, bytes(1001))) == "TOO_LARGE"
    day = storage.servers.clock.now().date()
    assert [found async for found in storage.around.objects.listed(day)] == []


async def test_lists_go_page_by_page_through_a_subjects_sessions(storage: Replica) -> None:
    names = []
    for _ in range(3):
        session = await storage.session(subject="listed")
        for number in range(3):
            storage.advance(seconds=1)
            names.append((await storage.write(session, f"{number}".encode())).name)
        storage.advance(hours=12)
    await storage.write(await storage.session(subject="someone else"))
    found: list[str] = []
    token = ""
    while True:
        answer = await storage.list_records(subject="listed", page_size=2, page_token=token)
        found += [record.name for record in answer.records]
        token = answer.next_page_token
        if not token:
            break
    assert found == names


async def test_a_session_tells_its_items_and_end(storage: Replica) -> None:
    session = await storage.session()
    request = pb.GetSessionRequest(name=session.name)
    assert (await storage.storage.servicer.GetSession(request, None)).session == session
    assert session.close_time.ToDatetime() - session.create_time.ToDatetime() == timedelta(hours=1)
    assert session.expire_time.ToDatetime() - session.close_time.ToDatetime() == timedelta(days=30)
