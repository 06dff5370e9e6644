"""Relayed requests on a real database, mailed by the real notice service to a real mail server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest
import structlog
from idv.aio_channel import AioChannel
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2
from idv.retention.v1 import rights_pb2 as pb
from sqlalchemy import func, select

from services.local.databases import DatabaseFactory
from services.local.mail import MailSink
from services.local.ports import free_port
from services.retention import relay_store
from services.retention.relay_store import Relay
from services.retention.relaying import Relaying
from services.retention.relays import Relays, RelayTerms, state
from services.retention.tables import METADATA
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.mail_parts import STALL, told
from tests.notice_process import Process, running
from tests.retention_parts import together
from tests.set_clock import SetClock
from tests.waiting import until

TERMS = RelayTerms(due=timedelta(days=30), remind=timedelta(days=7))
KIND = pb.REQUEST_KIND_DELETE


@dataclass
class Desk:
    """One replica of what relays, beside a notice service."""

    database: Database
    clock: SetClock
    relays: Relays
    relaying: Relaying

    async def enter(self, request_id: UUID | None = None) -> IdvError:
        return await self.relays.enter("acme", request_id or uuid4(), KIND)

    async def only(self) -> Relay:
        (relay,) = await self.relays.page("acme", 10, None)
        return relay

    async def followed(self, wanted: pb.RelayState.ValueType) -> Relay:
        """Runs the job until the relay is as wanted: mail takes its real time."""

        async def look() -> Relay | None:
            self.clock.advance(seconds=31)
            await self.relaying.run()
            relay = await self.only()
            return relay if state(relay) == wanted else None

        return await until("the relay gets that far", look)


@asynccontextmanager
async def desk(database: Database, notice: AioChannel) -> AsyncIterator[Desk]:
    clock = SetClock()
    relaying = Relaying(database, notice, together(clock), structlog.get_logger(), TERMS)
    yield Desk(database, clock, Relays(database, clock, TERMS), relaying)


@pytest.fixture
async def database(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    made = await database_factory("retention")
    async with Database.open(DatabaseSettings(dsn=made.dsn)) as opened:
        yield opened


async def register(process: Process, language: str = "en") -> None:
    customer = customers_pb2.Customer(
        name="customers/acme", display_name="Acme", email="privacy@acme.example", language=language
    )
    request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=str(uuid4()))
    await process.customers().CreateCustomer(request)


async def test_a_request_is_refused_with_its_case_and_a_repeat_gets_the_same(database: Database) -> None:
    async with desk(database, _nowhere()) as part:
        request_id = uuid4()
        refusals = await asyncio.gather(*(part.enter(request_id) for _ in range(5)))
        relay = await part.only()
        for refused in refusals:
            assert refused.reason == Reason.ERROR_REASON_END_USER_REQUEST_REFUSED
            assert refused.metadata == {
                "ask": "customers/acme",
                "case_number": relay.case_number,
                "receive_time": "2026-11-24T10:00:00Z",
                "due_time": "2026-12-24T10:00:00Z",
            }
            assert relay.case_number in (refused.remedy or "")
        with pytest.raises(IdvError) as caught:
            await part.relays.enter("acme", request_id, pb.REQUEST_KIND_KNOW)
        assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED


async def test_it_is_mailed_followed_and_reminded_once(
    database: Database, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    notices = await database_factory("notice")
    (tmp_path / "mail").mkdir()
    async with (
        MailSink(tmp_path / "mail") as sink,
        running(tmp_path, notices, sink.address) as process,
        desk(database, process.service("retention")) as part,
    ):
        await register(process, language="zh-CN")
        refused = await part.enter()
        relay = await part.followed(pb.RELAY_STATE_MAILED)
        (mail,) = sink.messages()
        assert mail["X-Envelope-To"] == "privacy@acme.example"
        assert mail["Content-Language"] == "zh-Hans"
        assert refused.metadata["case_number"] in mail["Subject"]
        part.clock.time = relay.due_time - TERMS.remind - timedelta(seconds=1)
        await part.relaying.run()
        assert (await part.only()).remind_time is None
        part.clock.advance(seconds=1)
        for _ in range(3):
            await part.relaying.run()
        assert (await part.only()).remind_time == part.clock.now()
        await until("the reminder arrives", lambda: len(sink.messages()) == 2)
        part.clock.time = relay.due_time
        await part.relaying.run()
        assert await _left(database, part.clock.now()) == 0
        assert len(sink.messages()) == 2


async def test_what_the_customer_answered_is_not_reminded_of(database: Database) -> None:
    async with desk(database, _nowhere()) as part:
        await part.enter()
        relay = await part.only()
        resolved = await part.relays.resolve("acme", relay.relay)
        part.clock.advance(days=1)
        again = await part.relays.resolve("acme", relay.relay)
        assert again == resolved, "the first answer counts"
        assert state(resolved) == pb.RELAY_STATE_RESOLVED
        part.clock.time = relay.due_time
        await part.relaying.run()  # would fail to reach notice
        assert await _left(database, part.clock.now()) == 0
        with pytest.raises(IdvError) as caught:
            await part.relays.resolve("globex", relay.relay)
        assert caught.value.reason == Reason.ERROR_REASON_NOT_FOUND


async def test_with_notice_away_or_the_customer_unknown_it_waits_and_arrives_once_it_can(
    database: Database, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    notices = await database_factory("notice")
    (tmp_path / "mail").mkdir()
    async with desk(database, _nowhere()) as part:
        await part.enter()
        await part.relaying.run()
        assert state(await part.only()) == pb.RELAY_STATE_ENTERED
    async with (
        MailSink(tmp_path / "mail") as sink,
        running(tmp_path, notices, sink.address) as process,
        desk(database, process.service("retention")) as part,
    ):
        part.clock.advance(minutes=1)
        await part.relaying.run()
        assert state(await part.only()) == pb.RELAY_STATE_ENTERED, "no such Customer is registered yet"
        await register(process)
        part.clock.advance(minutes=1)
        await part.followed(pb.RELAY_STATE_MAILED)
        assert len(sink.messages()) == 1


async def test_a_crash_at_any_step_mails_it_once(
    database: Database, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    notices = await database_factory("notice")
    (tmp_path / "mail").mkdir()
    async with (
        MailSink(tmp_path / "mail") as sink,
        running(tmp_path, notices, sink.address) as process,
        desk(database, process.service("retention")) as part,
    ):
        await register(process)
        await part.enter()
        async with database.transaction() as connection:  # taken by a process that died before it mailed
            taken = part.clock.now() + timedelta(minutes=2)
            assert await relay_store.take(connection, part.clock.now(), taken)
        await part.relaying.run()
        assert state(await part.only()) == pb.RELAY_STATE_ENTERED
        part.clock.advance(minutes=2)
        relay = await part.followed(pb.RELAY_STATE_MAILED)
        async with database.transaction(["acme"]) as connection:  # and one that died before it stored that
            await relay_store.change(connection, "acme", relay.relay, mail_state=0)
            await relay_store.postpone(connection, relay.relay, part.clock.now(), part.clock.now(), 0)
        await part.followed(pb.RELAY_STATE_MAILED)
        assert len(sink.messages()) == 1


async def test_a_process_that_ends_while_it_asks_leaves_the_relay_to_the_next_at_once(
    database: Database,
) -> None:
    async with told({"CONNECT": STALL}) as silent:
        notice = AioChannel(lambda: grpc.aio.insecure_channel(silent.address), timeout=20)
        async with desk(database, notice) as part:
            await part.enter()
            running = asyncio.ensure_future(part.relaying.run())

            async def taken() -> bool:
                return await _left(database, part.clock.now()) == 0

            await until("the relay is taken", taken)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await _left(database, part.clock.now() + timedelta(seconds=2)) == 1
        await notice.close()


async def test_a_mail_that_failed_for_good_shows(
    database: Database, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    notices = await database_factory("notice")
    async with (
        told({"RCPT": "550 5.1.1 gone"}) as server,
        running(tmp_path, notices, server.address) as process,
        desk(database, process.service("retention")) as part,
    ):
        await register(process)
        await part.enter()
        await part.followed(pb.RELAY_STATE_UNDELIVERABLE)


async def test_several_replicas_and_many_relays_are_each_mailed_once(
    database: Database, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    notices = await database_factory("notice")
    (tmp_path / "mail").mkdir()
    async with (
        MailSink(tmp_path / "mail") as sink,
        running(tmp_path, notices, sink.address) as process,
        desk(database, process.service("retention")) as part,
    ):
        await register(process)
        cases = {(await part.enter()).metadata["case_number"] for _ in range(20)}
        await asyncio.gather(*(part.relaying.run() for _ in range(3)))
        await until("all arrive", lambda: len(sink.messages()) >= len(cases))
        assert len(sink.messages()) == len(cases)


def test_nothing_is_kept_but_kind_customer_case_and_times() -> None:
    assert set(METADATA.tables["retention.relays"].c.keys()) == {
        *("tenant", "relay", "request_id", "kind", "case_number", "receive_time", "due_time"),
        *("mail_state", "remind_time", "resolve_time"),
    }


async def test_row_level_security_alone_keeps_relays_from_other_customers(database: Database) -> None:
    async with desk(database, _nowhere()) as part:
        await part.enter()
        for tenants, rows in ((["acme"], 1), (["globex"], 0), ([], 0)):
            async with database.transaction(tenants) as connection:
                found = await connection.exec_driver_sql("SELECT count(*) FROM retention.relays")
                assert found.scalar_one() == rows


def _nowhere() -> AioChannel:
    """A channel to a port on which nobody listens."""
    return AioChannel(lambda: grpc.aio.insecure_channel(f"127.0.0.1:{free_port()}"), timeout=2)


async def _left(database: Database, now: datetime) -> int:
    """How many relays there is something left to do about until they are removed."""
    async with database.transaction() as connection:
        query = select(func.count()).where(METADATA.tables["retention.relay_work"].c.due_time <= now)
        counted = await connection.execute(query)
        return int(counted.scalar_one())
