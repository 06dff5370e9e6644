"""What retention keeps of its own ends with its term; nothing waits for a clock that was ahead once."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import asyncpg
import grpc
import pytest
import structlog
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.retention.v1 import rights_pb2

from services.local.databases import ServiceDatabase
from services.retention import export_store
from services.retention.export_plan import Plans
from services.retention.export_store import KEPT, Export
from services.retention.relaying import Relaying
from services.retention.relays import Relays, RelayTerms
from services.retention.sealing import TargetSeal
from services.retention.storage_gateway import StorageGateway
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.retention_parts import REQUEST_KEY, TERMS, HeldStorage, replica, serving, together
from tests.set_clock import START, SetClock

ACME = "acme"
SUBJECT = {"subject": "user-17"}
RELAYS = RelayTerms(due=timedelta(days=30), remind=timedelta(days=7))


async def rows(database: ServiceDatabase, table: str) -> int:
    admin = await asyncpg.connect(database.admin_dsn)
    try:
        return int(await admin.fetchval(f"SELECT count(*) FROM retention.{table}"))  # noqa: S608  # a name of this file
    finally:
        await admin.close()


async def test_a_deletion_is_kept_for_its_term_and_then_only_its_leaf(
    service_database: ServiceDatabase,
) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        await part.deletions.create(ACME, uuid4(), SUBJECT)
        for age in (TERMS.opening, TERMS.evidence - timedelta(seconds=1)):
            part.clock.time = START + age
            await part.resumption.run()
            assert len(await part.deletions.list(ACME, 10, None)) == 1
        part.clock.time = START + TERMS.evidence
        await part.resumption.run()
        assert await part.deletions.list(ACME, 10, None) == []
    assert await rows(service_database, "deletions") == await rows(service_database, "deletion_work") == 0
    assert await rows(service_database, "log_leaves") == 1


async def test_a_single_clock_that_is_ahead_ends_no_evidence(service_database: ServiceDatabase) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        await part.deletions.create(ACME, uuid4(), SUBJECT)
        part.database_clock.apart = -TERMS.evidence
        part.clock.time = START + TERMS.evidence
        await part.resumption.run()
        (kept,) = await part.deletions.list(ACME, 10, None)
        assert kept.receipt is not None
        assert "entry" in kept.receipt, "nor the opening"
        part.database_clock.apart = timedelta()
        part.clock.advance(minutes=10)
        for _ in range(2):
            await part.resumption.run()
        assert await part.deletions.list(ACME, 10, None) == []


async def test_a_deletion_begun_under_a_clock_that_was_ahead_is_carried_on_when_it_is_set_back(
    service_database: ServiceDatabase,
) -> None:
    storage = HeldStorage(refusal=IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away"))
    async with serving(storage) as address, replica(service_database, address) as part:
        part.clock.time = START + timedelta(days=400)
        with pytest.raises(IdvError):
            await part.deletions.create(ACME, uuid4(), SUBJECT)
        storage.refusal = None
        part.clock.time = START
        await part.resumption.run()
        (deletion,) = await part.deletions.list(ACME, 10, None)
        assert deletion.state == pb.DELETION_STATE_DONE


@pytest.fixture
async def relays(service_database: ServiceDatabase) -> tuple[Relays, Relaying, SetClock]:
    database, clock = Database.open(DatabaseSettings(dsn=service_database.dsn)), SetClock()
    nowhere = grpc.aio.insecure_channel("127.0.0.1:9")
    relaying = Relaying(database, nowhere, together(clock), structlog.get_logger(), RELAYS)
    return Relays(database, clock, RELAYS), relaying, clock


async def test_an_answered_relay_is_kept_for_its_term(
    service_database: ServiceDatabase, relays: tuple[Relays, Relaying, SetClock]
) -> None:
    entered, relaying, clock = relays
    await entered.enter(ACME, uuid4(), rights_pb2.REQUEST_KIND_DELETE)
    (relay,) = await entered.page(ACME, 10, None)
    clock.advance(days=2)
    await entered.resolve(ACME, relay.relay)
    clock.advance(days=1096, seconds=-1)
    await relaying.run()
    assert await rows(service_database, "relays") == 1
    clock.advance(seconds=1)
    await relaying.run()
    assert await rows(service_database, "relays") == await rows(service_database, "relay_work") == 0


async def test_a_relay_put_off_under_a_clock_that_was_ahead_is_looked_at_when_it_is_set_back(
    service_database: ServiceDatabase, relays: tuple[Relays, Relaying, SetClock]
) -> None:
    entered, relaying, clock = relays
    clock.advance(days=400)
    await entered.enter(ACME, uuid4(), rights_pb2.REQUEST_KIND_DELETE)
    (relay,) = await entered.page(ACME, 10, None)
    await entered.resolve(ACME, relay.relay)
    clock.time = START
    admin = await asyncpg.connect(service_database.admin_dsn)
    try:
        ahead = await admin.fetchval("SELECT set_time FROM retention.relay_work")
        await relaying.run()
        assert await admin.fetchval("SELECT set_time FROM retention.relay_work") == START < ahead
    finally:
        await admin.close()


async def test_what_an_export_kept_is_forgotten_a_day_later_or_once_the_clock_is_set_back(
    service_database: ServiceDatabase,
) -> None:
    async with Database.open(DatabaseSettings(dsn=service_database.dsn)) as database:
        for begun, forgotten in ((START, START + KEPT), (START + timedelta(days=400), START)):
            export = Export(ACME, uuid4(), b"", begun, 1, planned=True)
            async with database.transaction([ACME]) as connection:
                await export_store.add(connection, export, begun + KEPT)
                await export_store.add_rows(connection, export, export_store.Kind.RECORD, 0, [b"sealed"])
            clock, channel = SetClock(forgotten), grpc.aio.insecure_channel("127.0.0.1:9")
            plans = Plans(database, StorageGateway(channel), TargetSeal(REQUEST_KEY), clock)
            if forgotten > begun:
                clock.advance(seconds=-1)
                await plans.forget_due()
                assert await rows(service_database, "export_rows") == 1
                clock.advance(seconds=1)
            await plans.forget_due()
            for table in ("exports", "export_rows", "export_work"):
                assert await rows(service_database, table) == 0
