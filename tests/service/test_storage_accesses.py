"""Accesses in their order: flagged, followed and counted, whatever replica wrote them and whoever died."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from services.runtime.identity import Caller, CallerKind, run_as
from services.storage.access_flags import BulkRule
from tests.storage_parts import Replica, reason

ACME = "customers/acme"
BULK, FIRST = processing_pb2.ACCESS_FLAG_BULK, processing_pb2.ACCESS_FLAG_FIRST_PURPOSE


async def follow(storage: Replica, after: int = 0, **fields: object) -> pb.FollowAccessesResponse:
    request = pb.FollowAccessesRequest(**{"parent": ACME, "after": after, **fields})  # type: ignore[arg-type]
    return await storage.storage.servicer.FollowAccesses(request, None)


async def listed(storage: Replica, **fields: object) -> list[processing_pb2.Access]:
    request = pb.ListAccessesRequest(**{"parent": ACME, **fields})  # type: ignore[arg-type]
    return list((await storage.storage.servicer.ListAccesses(request, None)).accesses)


async def test_descriptions_and_lists_name_a_purpose_and_are_listed(storage: Replica) -> None:
    session = await storage.session()
    records = [await storage.write(session) for _ in range(3)]
    assert await reason(storage.describe(records[0].name, purpose=0)) == "PURPOSE_REQUIRED"
    assert await reason(storage.list_records(session=session.name, purpose=0)) == "PURPOSE_REQUIRED"
    troubleshooting = processing_pb2.PURPOSE_TROUBLESHOOTING
    refused = storage.list_records("support", session=session.name, purpose=troubleshooting)
    assert await reason(refused) == "PURPOSE_REQUIRED"
    assert await listed(storage) == []
    await storage.describe(records[0].name)
    storage.advance(seconds=1)
    await storage.list_records(session=session.name)
    a_list, described = await listed(storage)
    assert (described.kind, described.record) == (processing_pb2.ACCESS_KIND_DESCRIBE, records[0].name)
    assert (a_list.kind, a_list.record, a_list.record_count) == (processing_pb2.ACCESS_KIND_LIST, "", 3)
    assert a_list.session == session.name
    assert await listed(storage, resource=records[0].name) == [a_list, described]


async def test_sessions_are_opened_for_a_purpose_and_each_leaves_an_access(storage: Replica) -> None:
    sessions = [await storage.session() for _ in range(2)]
    record = await storage.write(sessions[0])

    async def opened(service: str = "retention", **fields: object) -> pb.ListSessionsResponse:
        run_as(Caller(CallerKind.SERVICE, service, credential="certificate"))
        request = pb.ListSessionsRequest(**{"parent": ACME, "everything": True, **fields})  # type: ignore[arg-type]
        return await storage.storage.servicer.ListSessions(request, None)

    rights = processing_pb2.PURPOSE_RIGHTS_SUPPORT
    assert await reason(opened()) == "PURPOSE_REQUIRED"
    assert await reason(opened("verification", purpose=rights)) == "PURPOSE_NOT_ALLOWED"
    assert await listed(storage) == []
    assert len((await opened(purpose=rights)).sessions) == 2
    accesses = await listed(storage)
    assert {one.session for one in accesses} == {session.name for session in sessions}
    assert {(one.kind, one.record, one.record_count) for one in accesses} == {
        (processing_pb2.ACCESS_KIND_LIST, "", 0)
    }
    assert {(one.service, one.purpose, one.complete) for one in accesses} == {("retention", rights, True)}
    assert len(await listed(storage, resource=record.name)) == 1
    storage.advance(days=31)
    assert await listed(storage) == []


async def test_bulk_reads_and_new_purposes_are_flagged_and_counted(storage: Replica) -> None:
    storage.storage.numbering._rule = BulkRule(3, timedelta(hours=1))
    record = await storage.write(await storage.session())
    for _ in range(5):
        await storage.read(record.name)
        storage.advance(seconds=1)
    flags = [list(one.flags) for one in await listed(storage)]
    assert flags == [[BULK], [BULK], [], [], [FIRST]]
    assert len(await listed(storage, flag=BULK)) == 2
    assert len(await listed(storage, purpose=processing_pb2.PURPOSE_TROUBLESHOOTING)) == 0
    request = pb.ListAccessTotalsRequest(parent=ACME)
    (total,) = (await storage.storage.servicer.ListAccessTotals(request, None)).totals
    assert (total.access_count, total.bulk_count, total.first_purpose) == (5, 2, True)
    storage.advance(days=32)
    await storage.storage.expiry.run()
    assert await listed(storage) == []
    assert list((await storage.storage.servicer.ListAccessTotals(request, None)).totals) == [total]


async def test_who_follows_misses_nothing_that_several_replicas_write(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    async with storage.servers.replica() as other:
        readers = [replica.read(record.name) for replica in (storage, other) for _ in range(15)]
        reading = asyncio.gather(*readers)
        position, seen = 0, list[processing_pb2.Access]()
        while len(seen) < 30:
            await asyncio.gather(storage.storage.numbering.run(), other.storage.numbering.run_all())
            page = await follow(storage, position, page_size=7)
            assert page.position >= position
            position, seen = page.position, [*seen, *page.accesses]
            await asyncio.sleep(0)
        await reading
    assert position == len(seen) == 30
    assert sum(FIRST in one.flags for one in seen) == 1
    assert not (await follow(storage, position)).accesses


async def test_what_a_killed_replica_wrote_is_numbered_by_another(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    async with storage.servers.replica() as killed:
        await killed.read(record.name)  # its own job never runs
    await storage.storage.numbering.run_all()
    page = await follow(storage, only_position=True)
    assert (page.position, len(page.accesses)) == (1, 0)


@pytest.mark.parametrize("token", ["x", "2026-11-24/a", "2026-11-24/a/-1", "2026-11-24/a/99999999"])
async def test_malformed_positions_are_refused(storage: Replica, token: str) -> None:
    request = pb.ListAccessTotalsRequest(parent=ACME, page_token=token)
    assert await reason(storage.storage.servicer.ListAccessTotals(request, None)) == "INVALID_ARGUMENT"
    assert await reason(listed(storage, page_token=token)) == "INVALID_ARGUMENT"
    assert await reason(follow(storage, 1)) == "INVALID_ARGUMENT"


async def test_another_customer_sees_none_of_it(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    await storage.read(record.name)
    assert await reason(follow(storage, parent="customers/evil", resource=record.name)) == "WRONG_TENANT"
    assert not (await follow(storage, parent="customers/evil")).accesses
