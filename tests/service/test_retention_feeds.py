"""What storage destroyed and notice announced is logged exactly once, whatever crashes or races."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from idv import receipts
from idv.aio_channel import AioChannel
from idv.notice.v1 import notice_pb2, notice_pb2_grpc
from idv.storage.v1 import storage_pb2
from idv.types.v1 import receipt_pb2

from services.local.databases import ServiceDatabase
from services.retention.announcements import Announcements
from services.retention.expiries import LEAF_KINDS
from services.retention.store import move_cursor
from tests.retention_parts import HeldStorage, Retention, replica, serving, stamp
from tests.set_clock import START


async def sources(part: Retention) -> list[str]:
    rows, _ = await part.log.leaves(0, 5000)
    return [row.source for row in rows]


async def test_each_destruction_becomes_one_leaf_with_a_published_opening(
    service_database: ServiceDatabase,
) -> None:
    storage = HeldStorage()
    storage.destroy(1, 2, 3)
    async with serving(storage) as address, replica(service_database, address) as part:
        await part.expiries.run()
        await part.expiries.run()
        storage.destroy(4)
        await part.expiries.run()
        rows, _ = await part.log.leaves(0, 10)
    assert [row.source for row in rows] == [f"destruction/{number}" for number in (1, 2, 3, 4)]
    key, day = receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION, receipt_pb2.ENTRY_KIND_DAY_REMOVAL
    assert [row.kind for row in rows] == [key, key, day, key]
    for row in rows:
        assert receipts.Opening(row.salt, row.entry).leaf() == row.leaf_data
    assert json.loads(rows[0].entry) == {
        "kind": "key_destruction",
        "sequence": 1,
        "day": "2026-10-25",
        "slot": 1,
        "due_time": "2026-11-24T10:00:00.000000Z",
        "destroy_time": "2026-11-24T10:00:01.000000Z",  # a delay stands beside what was due
        "record_count": 100,
    }
    assert json.loads(rows[2].entry)["kind"] == "day_removal"
    assert "slot" not in json.loads(rows[2].entry)


async def test_a_destruction_that_is_not_yet_to_be_seen_is_waited_for(
    service_database: ServiceDatabase,
) -> None:
    storage = HeldStorage()
    storage.destroy(1, 3, 4)
    async with serving(storage) as address, replica(service_database, address) as part:
        await part.expiries.run()
        assert await sources(part) == ["destruction/1"]
        storage.destroy(2)
        await part.expiries.run()
        assert await sources(part) == [f"destruction/{number}" for number in (1, 2, 3, 4)]


async def test_replicas_that_log_at_once_log_each_destruction_once(service_database: ServiceDatabase) -> None:
    storage = HeldStorage()
    storage.destroy(*range(1, 1201))
    async with (
        serving(storage) as address,
        replica(service_database, address) as one,
        replica(service_database, address) as two,
    ):
        await asyncio.gather(*(part.expiries.run() for part in (one, two, one, two)))
        assert await sources(one) == [f"destruction/{number}" for number in range(1, 1201)]


async def test_a_crash_between_fetching_and_logging_repeats_and_loses_nothing(
    service_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = HeldStorage()
    storage.destroy(1, 2)
    async with serving(storage) as address, replica(service_database, address) as part:

        async def cut(connection: Any, name: str, position: int) -> None:
            await move_cursor(connection, name, position)
            backend = await connection.exec_driver_sql("SELECT pg_backend_pid()")
            admin = await asyncpg.connect(service_database.admin_dsn)
            try:
                await admin.execute(f"SELECT pg_terminate_backend({backend.scalar_one()})")
            finally:
                await admin.close()

        with monkeypatch.context() as patch:
            patch.setattr("services.retention.expiries.store.move_cursor", cut)
            with pytest.raises(Exception, match="away or busy"):
                await part.expiries.run()
        assert await sources(part) == []
        await part.expiries.run()
        assert await sources(part) == ["destruction/1", "destruction/2"]


async def test_a_cursor_set_back_logs_nothing_twice(service_database: ServiceDatabase) -> None:
    storage = HeldStorage()
    storage.destroy(1, 2)
    async with serving(storage) as address, replica(service_database, address) as part:
        await part.expiries.run()
        async with part.database.transaction() as connection:
            await move_cursor(connection, "destructions", 0)
        await part.expiries.run()
        assert await sources(part) == ["destruction/1", "destruction/2"]


TOLD = notice_pb2.AudienceTold(audience_count=3, accepted_count=2, covered_count=1)


class Notices:
    """Lists changes of versions by their numbers, as the notice service does."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, notice_pb2.NoticeChangeKind.ValueType]] = []

    async def ListNoticeChanges(
        self, request: notice_pb2.ListNoticeChangesRequest, context: Any
    ) -> notice_pb2.ListNoticeChangesResponse:
        numbered = [
            notice_pb2.NoticeChange(
                sequence=sequence,
                version=version,
                kind=kind,
                change_time=stamp(START),
                effective_time=stamp(START + timedelta(days=1)),
                digest=bytes([version]) * 32,
                told=TOLD if kind == notice_pb2.NOTICE_CHANGE_KIND_CLEARED else None,
            )
            for sequence, (version, kind) in enumerate(self.changes, start=1)
        ]
        return notice_pb2.ListNoticeChangesResponse(
            changes=numbered[request.after_sequence :][: request.page_size]
        )


@asynccontextmanager
async def notices_at(notices: Notices) -> AsyncIterator[AioChannel]:
    servicer = notice_pb2_grpc.NoticeServiceServicer()  # type: ignore[abstract]  # the rest is not called
    servicer.ListNoticeChanges = notices.ListNoticeChanges  # type: ignore[method-assign]
    server = grpc.aio.server()
    notice_pb2_grpc.add_NoticeServiceServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with AioChannel(lambda: grpc.aio.insecure_channel(address), timeout=20) as channel:
            yield channel
    finally:
        await server.stop(grace=0)


async def test_every_change_of_a_version_becomes_one_leaf_also_of_one_withdrawn_at_once(
    service_database: ServiceDatabase,
) -> None:
    notices = Notices()
    drafted, announced = notice_pb2.NOTICE_CHANGE_KIND_DRAFTED, notice_pb2.NOTICE_CHANGE_KIND_ANNOUNCED
    async with (
        notices_at(notices) as channel,
        replica(service_database, "127.0.0.1:1") as part,
    ):
        jobs = [Announcements(part.database, part.log, channel) for _ in range(3)]
        await jobs[0].run()
        assert await sources(part) == []
        notices.changes = [(1, drafted), (1, announced)]
        await asyncio.gather(*(job.run() for job in jobs))
        notices.changes += [(2, announced), (2, notice_pb2.NOTICE_CHANGE_KIND_WITHDRAWN)]
        await jobs[0].run()
        await jobs[1].run()
        rows, _ = await part.log.leaves(0, 10)
    assert [row.source for row in rows] == [
        "notice-change/1",
        "announcement/1",
        "announcement/2",
        "notice-change/4",
    ]
    assert json.loads(rows[1].entry) == {
        "kind": "notice_announcement",
        "version": 1,
        "digest": "01" * 32,
        "announce_time": "2026-11-24T10:00:00.000000Z",
        "effective_time": "2026-11-25T10:00:00.000000Z",
    }
    assert json.loads(rows[3].entry) == {
        "kind": "notice_change",
        "change": "withdrawn",
        "version": 2,
        "digest": "02" * 32,
        "change_time": "2026-11-24T10:00:00.000000Z",
    }


async def test_the_clearing_of_a_gate_logs_the_delivery_of_the_version_in_counts_alone(
    service_database: ServiceDatabase,
) -> None:
    notices = Notices()
    notices.changes = [(2, notice_pb2.NOTICE_CHANGE_KIND_CLEARED)]
    async with notices_at(notices) as channel, replica(service_database, "127.0.0.1:1") as part:
        await Announcements(part.database, part.log, channel).run()
        rows, _ = await part.log.leaves(0, 10)
    assert [row.source for row in rows] == ["notice-change/1", "delivery/2"]
    assert rows[1].kind == receipt_pb2.ENTRY_KIND_NOTICE_DELIVERY
    assert json.loads(rows[1].entry) == {
        "kind": "notice_delivery",
        "version": 2,
        "digest": "02" * 32,
        "clear": "cleared",
        "clear_time": "2026-11-24T10:00:00.000000Z",
        "audience_count": 3,
        "accepted_count": 2,
        "covered_count": 1,
        "waiting_count": 0,
    }


def test_every_kind_of_destruction_has_its_kind_of_leaf() -> None:
    assert set(LEAF_KINDS) == set(storage_pb2.DestructionKind.values()) - {
        storage_pb2.DESTRUCTION_KIND_UNSPECIFIED
    }
