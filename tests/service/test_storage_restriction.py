"""Restriction: every purpose but rights and erasure is refused; the data ends when it would have ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from idv.errors import IdvError
from idv.types.v1 import processing_pb2

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from services.runtime.resources import parse_record
from services.storage import reader
from services.storage.access_details import Reading
from tests.storage_parts import PURPOSES, Replica, Servers, reason

ALL_PURPOSES = (*PURPOSES, processing_pb2.PURPOSE_RIGHTS_SUPPORT)
CONTESTED = processing_pb2.RESTRICTION_REASON_ACCURACY_CONTESTED


@pytest_asyncio.fixture
async def servers(service_database: ServiceDatabase, objects: ObjectStore, tmp_path: Path) -> Servers:
    return Servers(service_database, objects, tmp_path)


@pytest_asyncio.fixture
async def storage(servers: Servers) -> AsyncIterator[Replica]:
    async with servers.replica() as replica:
        yield replica


async def for_rights(storage: Replica, name: str) -> bytes:
    return await storage.read(name, "retention", purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT)


async def test_every_purpose_but_rights_and_erasure_is_refused_until_it_is_lifted(storage: Replica) -> None:
    session = await storage.session(purposes=ALL_PURPOSES)
    record, large = await storage.write(session, b"body"), await storage.upload(session, os.urandom(90_000))
    other = await storage.write(await storage.session(subject="somebody else"), b"other")
    answer = await storage.restrict(reason=CONTESTED)
    assert (answer.record_count, answer.expire_time) == (2, record.expire_time)
    for name in (record.name, large.name):
        assert await reason(storage.read(name)) == "RESTRICTED"
    for_trouble = {"purpose": processing_pb2.PURPOSE_TROUBLESHOOTING, "person": "p", "ticket": "T-1"}
    assert await reason(storage.read(record.name, "support", **for_trouble)) == "RESTRICTED"
    assert await for_rights(storage, record.name) == b"body"
    assert await storage.read(other.name) == b"other"
    await storage.restrict(restricted=False)
    assert await storage.read(record.name) == b"body"
    await storage.restrict()
    assert (await storage.erase(subject="subject-1")).record_count == 2


async def test_the_refusal_names_reason_lift_and_end(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    await storage.restrict(reason=CONTESTED)
    with pytest.raises(IdvError) as refused:
        await storage.read(record.name)
    error = refused.value
    ends = f"{record.expire_time.ToDatetime():%Y-%m-%dT%H:%M:%SZ}"
    assert error.metadata == {"restriction": "accuracy_contested", "expire_time": ends}
    assert ends in error.message
    assert "SetRestriction" in (error.remedy or "")


async def test_it_extends_no_term_and_ends_with_the_data(storage: Replica) -> None:
    record = await storage.write(await storage.session(purposes=ALL_PURPOSES))
    await storage.restrict()
    seen = await storage.describe(record.name, "support", purpose=processing_pb2.PURPOSE_RIGHTS_SUPPORT)
    assert seen.expire_time == record.expire_time
    storage.advance(days=30)
    assert await reason(for_rights(storage, record.name)) == "EXPIRED"
    assert (await storage.restrict()).record_count == 0
    storage.advance(days=2)
    await storage.storage.expiry.run()
    assert await reason(storage.describe(record.name)) == "NOT_FOUND"


async def test_sessions_that_are_opened_later_take_it_over_and_pass_it_on(storage: Replica) -> None:
    await storage.write(await storage.session())
    await storage.restrict(reason=CONTESTED)
    for _ in range(3):  # the last one when the day of the request is long gone
        later = await storage.write(await storage.session(), b"later")
        assert await reason(storage.read(later.name)) == "RESTRICTED"
        free = await storage.write(await storage.session(subject="another"), b"free")
        assert await storage.read(free.name) == b"free"
        storage.advance(days=20)
        await storage.storage.expiry.run()
    await storage.restrict(restricted=False)
    assert await storage.read(later.name) == b"later"
    fresh = await storage.write(await storage.session(), b"fresh")
    assert await storage.read(fresh.name) == b"fresh"


async def test_a_subject_without_data_can_be_restricted_ahead(storage: Replica) -> None:
    answer = await storage.restrict("newcomer")
    assert (answer.record_count, answer.HasField("expire_time")) == (0, False)
    record = await storage.write(await storage.session(subject="newcomer"))
    assert await reason(storage.read(record.name)) == "RESTRICTED"


async def test_a_late_repeat_does_not_restrict_again_what_was_lifted(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    request_id = str(uuid4())
    first = await storage.restrict(request_id=request_id)
    await storage.restrict(restricted=False)
    storage.advance(hours=30)
    assert await storage.restrict(request_id=request_id) == first
    assert await storage.read(record.name) == b"canary-body"
    assert await reason(storage.restrict("other", request_id=request_id)) == "REQUEST_ID_REUSED"
    assert (await storage.restrict(request_id=request_id, customer="other")).record_count == 0


async def test_another_customers_subject_of_the_same_name_stays_free(storage: Replica) -> None:
    theirs = await storage.write(await storage.session("other"), b"theirs")
    await storage.restrict()
    assert await storage.read(theirs.name) == b"theirs"


async def test_a_reading_that_runs_stops_at_its_next_look(
    storage: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "RECHECK_SECONDS", 0.0)
    record = await storage.upload(await storage.session(), os.urandom(3_000_000))
    reading = Reading("verification", processing_pb2.PURPOSE_VERIFICATION)
    opened = await storage.storage.parts.reader.open(parse_record(record.name, field="name"), reading)
    await anext(opened.chunks)
    await storage.restrict()
    assert await reason(anext(opened.chunks)) == "RESTRICTED"


async def test_sessions_opened_while_it_is_set_are_restricted_too(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        sessions = []

        async def opened(replica: Replica) -> None:
            sessions.append(await replica.session())

        async with asyncio.TaskGroup() as group:
            for index in range(30):
                group.create_task(opened((one, two)[index % 2]))
                if index == 10:
                    group.create_task(one.restrict())
        for session in sessions:
            record = await two.write(session)
            assert await reason(two.read(record.name)) == "RESTRICTED"


async def test_restricting_and_erasing_at_once_end_erased(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        record = await one.write(await one.session())
        _, erased = await asyncio.gather(one.restrict(), two.erase(subject="subject-1"))
        assert erased.record_count == 1
        assert await reason(one.read(record.name)) == "ERASED"
        assert (await one.restrict()).record_count == 0
