"""The daily statement: once a UTC day, by any replica, told what was missed, and verified as a receipt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from idv import receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import log_pb2
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import receipt_pb2
from structlog.testing import capture_logs

from services.local.databases import ServiceDatabase
from services.retention.log_api import TransparencyLogApi
from services.retention.statements import Statements
from services.retention.storage_gateway import StorageGateway
from tests.retention_parts import SIGNER, HeldStorage, Retention, replica, stamp, unavailable
from tests.service.test_retention_log import NOWHERE, append, entries
from tests.service.test_retention_witnesses import asking
from tests.set_clock import START, SetClock


class CountingStorage(HeldStorage):
    """Answers with figures that a test sets, and notes since when new ones were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.figures = pb.InspectTermsResponse(day_count=3, readable_count=17, past_term_tried=5)
        self.since: list[Timestamp | None] = []
        self.away = False

    async def InspectTerms(self, request: pb.InspectTermsRequest, context: object) -> pb.InspectTermsResponse:
        self.since.append(request.since_time if request.HasField("since_time") else None)
        if self.away:
            raise unavailable()
        return self.figures


class Direct(StorageGateway):
    """The gateway without its channel."""

    def __init__(self, storage: CountingStorage, clock: SetClock) -> None:
        self._storage, self._clock = storage, clock

    async def inspect_terms(self, since: object) -> pb.InspectTermsResponse:
        request = pb.InspectTermsRequest()
        if since is not None:
            request.since_time.FromDatetime(since)  # type: ignore[arg-type]
        self._storage.figures.inspect_time.CopyFrom(stamp(self._clock.time))
        return await self._storage.InspectTerms(request, None)


def statements(part: Retention, storage: CountingStorage) -> Statements:
    gateway = Direct(storage, part.clock)
    return Statements(part.database, part.log, gateway, part.clock, structlog.get_logger())


async def test_each_day_has_one_however_often_and_wherever_the_job_runs(
    service_database: ServiceDatabase,
) -> None:
    storage, clock = CountingStorage(), SetClock()
    async with (
        replica(service_database, NOWHERE, clock) as one,
        replica(service_database, NOWHERE, clock) as two,
    ):
        jobs = [statements(part, storage) for part in (one, two)]
        for day in range(3):
            await asyncio.gather(*(job.run() for job in jobs for _ in range(4)))
            for _ in range(3):
                clock.advance(hours=4)
                await jobs[day % 2].run()
            clock.time = START + timedelta(days=day + 1)
        listed = await jobs[0].list(10)
        assert [statement.day for statement in listed] == [
            date(2026, 11, 26),
            date(2026, 11, 25),
            date(2026, 11, 24),
        ]
        rows, size = await one.log.leaves(0, 10)
        assert size == 3
        assert {row.kind for row in rows} == {receipt_pb2.ENTRY_KIND_STATEMENT}
        assert all(row.entry is not None for row in rows), "a statement is public"


async def test_its_document_verifies_offline_and_holds_what_storage_counted(
    service_database: ServiceDatabase,
) -> None:
    storage = CountingStorage()
    storage.figures.oldest_readable_time.CopyFrom(stamp(START - timedelta(days=29)))
    async with replica(service_database, NOWHERE) as one:
        kind = receipt_pb2.ENTRY_KIND_DELETION
        await append(one.log, one.database, [replace(made, kind=kind) for made in entries("deleted", 2)])
        await statements(one, storage).run()
        made = await statements(one, storage).get()
        proven = receipts.verify(made.document, SIGNER.keys[0])
        assert proven.kind == "statement"
        told = dict(proven.entry)
        assert told["nothing_past_term_readable"] == "yes"
        assert (told["day"], told["day_count"], told["readable_count"]) == ("2026-11-24", 3, 17)
        assert told["oldest_readable_time"] == "2026-10-26T10:00:00.000000Z"
        assert (told["deletion_count"], told["new_deletion_count"], told["tree_size"]) == (2, 2, 2)
        assert told["missed_day_count"] == 0
        assert set(pb.InspectTermsResponse.DESCRIPTOR.fields_by_name) <= told.keys()


async def test_missed_days_are_named_by_the_next_one(service_database: ServiceDatabase) -> None:
    storage, clock = CountingStorage(), SetClock()
    async with replica(service_database, NOWHERE, clock) as one:
        job = statements(one, storage)
        await job.run()
        clock.advance(days=4)
        await job.run()
        entry = receipts.verify((await job.get()).document, SIGNER.keys[0]).entry
        assert entry["day"] == "2026-11-28"
        assert (entry["previous_day"], entry["missed_day_count"]) == ("2026-11-24", 3)
        assert entry["first_missed_day"] == "2026-11-25"
        assert storage.since[0] is None
        assert storage.since[1] == stamp(START), "figures are new since the statement before"


async def test_while_storage_is_away_there_is_none_and_it_comes_the_same_day(
    service_database: ServiceDatabase,
) -> None:
    storage, clock = CountingStorage(), SetClock()
    async with replica(service_database, NOWHERE, clock) as one:
        job = statements(one, storage)
        storage.away = True
        with pytest.raises(IdvError):
            await job.run()
        assert await job.list(10) == []
        storage.away = False
        clock.advance(hours=3)
        await job.run()
        assert (await job.get()).day == date(2026, 11, 24)


async def test_a_clock_set_back_makes_none_for_a_day_before_the_newest(
    service_database: ServiceDatabase,
) -> None:
    storage, clock = CountingStorage(), SetClock()
    async with replica(service_database, NOWHERE, clock) as one:
        job = statements(one, storage)
        await job.run()
        clock.advance(days=-3)
        await job.run()
        assert [statement.day for statement in await job.list(10)] == [date(2026, 11, 24)]


async def test_what_could_be_read_past_its_term_is_said_and_alarms(service_database: ServiceDatabase) -> None:
    storage = CountingStorage()
    storage.figures.past_term_readable = 1
    async with replica(service_database, NOWHERE) as one:
        with capture_logs() as lines:
            await statements(one, storage).run()
        assert [line["log_level"] for line in lines] == ["error"]
        entry = receipts.verify((await statements(one, storage).get()).document, SIGNER.keys[0]).entry
        assert entry["nothing_past_term_readable"] == "no"


async def test_anyone_lists_and_gets_them_page_by_page(service_database: ServiceDatabase) -> None:
    storage, clock = CountingStorage(), SetClock()
    async with replica(service_database, NOWHERE, clock) as one:
        job = statements(one, storage)
        api = TransparencyLogApi(one.log, asking(one), job)
        with pytest.raises(IdvError) as refused:
            await api.GetStatement(log_pb2.GetStatementRequest(), None)
        assert refused.value.reason == Reason.ERROR_REASON_NOT_FOUND
        for _ in range(5):
            await job.run()
            clock.advance(days=1)
        seen: list[str] = []
        token = ""
        while token or not seen:
            page = await api.ListStatements(
                log_pb2.ListStatementsRequest(page_size=2, page_token=token), None
            )
            seen += [statement.day for statement in page.statements]
            token = page.next_page_token
        assert seen == [f"2026-11-{day}" for day in (28, 27, 26, 25, 24)]
        one_day = await api.GetStatement(log_pb2.GetStatementRequest(day="2026-11-25"), None)
        assert receipts.verify(one_day.statement.json, SIGNER.keys[0]).entry["day"] == "2026-11-25"
        for bad in ("2026-02-30", "2026-11-23"):
            with pytest.raises(IdvError) as refused:
                await api.GetStatement(log_pb2.GetStatementRequest(day=bad), None)
            assert refused.value.violations[0].field == "day"
        with pytest.raises(IdvError) as refused:
            await api.ListStatements(log_pb2.ListStatementsRequest(page_token="more"), None)
        assert refused.value.violations[0].field == "page_token"
