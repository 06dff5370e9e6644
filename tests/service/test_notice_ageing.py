"""What notice keeps ends with its term, and a replaced address is nowhere 30 days later."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import asyncpg
import pytest
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection

from services.local.databases import ServiceDatabase
from services.notice.accounts.accounts import AccountCall
from services.notice.ageing import Ageing, AgeingTerms
from services.notice.mail.mail_queue import MailQueue
from services.runtime.both_clocks import BothClocks
from services.runtime.database import Database
from services.runtime.settings import TelemetrySettings
from services.runtime.telemetry import Telemetry
from tests.mail_parts import ACME, Post, post, relay, told
from tests.set_clock import SetDatabaseClock

DAYS = AgeingTerms(timedelta(days=1096), timedelta(days=30))
SECOND = timedelta(seconds=1)
EVIDENCE = (
    "INSERT INTO notice.delivery_evidence (tenant, version, recipient, state, reply, reply_time)"
    " VALUES ('acme', 2, $1, 2, $2, $3)"
)


class AwayForCustomers:
    """A database that is away whenever rows of Customers are asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self, tenants: Sequence[str] = ()) -> AbstractAsyncContextManager[AsyncConnection]:
        if tenants:
            raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away")
        return self._database.transaction()


@dataclass
class Desk:
    """A mail path with the job that ends what it keeps."""

    part: Post
    ageing: Ageing
    database_clock: SetDatabaseClock
    admin: asyncpg.Connection

    async def later(self, by: timedelta) -> None:
        self.part.clock.time += by
        await self.ageing.run()

    async def count(self, table: str) -> int:
        return int(await self.admin.fetchval(f"SELECT count(*) FROM notice.{table}"))  # noqa: S608  # of this file

    async def sent(self, reply: str = "250 2.0.0 taken") -> None:
        """A mail that has its final state."""
        await self.part.ask()
        async with told({"CONTENT": reply}) as server:
            await self.part.courier(relay(server.address)).empty()

    async def move(self, email: str) -> None:
        """Replaces the Customer's address."""
        await self.part.accounts.update("acme", {"email": email}, AccountCall(uuid.uuid4(), b"update"))


@asynccontextmanager
async def desk(service_database: ServiceDatabase) -> AsyncIterator[Desk]:
    admin = await asyncpg.connect(service_database.admin_dsn)
    telemetry = Telemetry(TelemetrySettings(), service="notice", deployment="test")
    try:
        async with post(service_database) as part:
            await part.register()
            database_clock = SetDatabaseClock(part.clock)
            clocks = BothClocks(part.clock, database_clock)
            yield Desk(part, Ageing(part.database, clocks, telemetry, DAYS), database_clock, admin)
    finally:
        await admin.close()


async def test_a_mail_is_evidence_for_its_term_after_its_final_state(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        await part.sent()
        await part.part.ask()  # has no final state, and stays
        await part.later(DAYS.evidence - SECOND)
        assert await part.count("mails") == 2
        await part.later(SECOND)
        assert await part.count("mails") == await part.count("mail_work") == 1


async def test_a_webhook_is_evidence_for_its_term_after_its_final_state(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        await part.admin.execute(
            "INSERT INTO notice.webhooks (tenant, webhook, request_id, fingerprint, content, state,"
            " state_time, create_time, attempts) VALUES ('acme', $1, $2, '', NULL, 2, $3, $3, 1)",
            *(uuid.uuid4(), uuid.uuid4(), part.part.clock.now()),
        )
        await part.later(DAYS.evidence - SECOND)
        assert await part.count("webhooks") == 1
        await part.later(SECOND)
        assert await part.count("webhooks") == 0


async def test_a_replaced_address_is_nowhere_thirty_days_later_and_the_present_one_stays(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        await part.sent("554 5.7.1 privacy@acme.example is not wanted")
        for address in ("privacy@acme.example", "older@acme.example"):
            reply = f"550 5.1.1 no {address}"
            await part.admin.execute(EVIDENCE, address, reply, part.part.clock.now())
        await part.later(DAYS.former_address)
        assert {row["recipient"] for row in await part.admin.fetch("SELECT recipient FROM notice.mails")} == {
            ACME.email
        }, "its address is the present one"
        await part.move("dpo@acme.example")
        await part.sent()
        await part.admin.execute(EVIDENCE, "dpo@acme.example", "250 2.0.0 taken", part.part.clock.now())
        await part.later(timedelta(hours=1))
        await part.later(DAYS.former_address - SECOND)
        assert await part.count("mails WHERE recipient = 'privacy@acme.example'") == 1
        await part.later(SECOND)
        dump = [
            *await part.admin.fetch("SELECT mails::text AS row FROM notice.mails"),
            *await part.admin.fetch("SELECT delivery_evidence::text AS row FROM notice.delivery_evidence"),
            *await part.admin.fetch("SELECT customers::text AS row FROM notice.customers"),
        ]
        assert not [row for row in dump if "privacy@acme" in row["row"] or "older@acme" in row["row"]]
        kept = await part.admin.fetch("SELECT recipient, reply FROM notice.mails ORDER BY create_time")
        assert [tuple(row) for row in kept] == [
            ("", "554 5.7.1"),
            ("dpo@acme.example", "250 2.0.0 taken"),
        ]
        kept = await part.admin.fetch("SELECT recipient FROM notice.delivery_evidence ORDER BY reply_time")
        assert [row["recipient"] for row in kept] == ["", "dpo@acme.example"]


async def test_a_mail_that_waits_keeps_its_address_until_its_end(service_database: ServiceDatabase) -> None:
    async with desk(service_database) as part:
        await part.part.ask()
        await part.move("dpo@acme.example")
        for _ in range(2):
            await part.later(DAYS.former_address)
        assert await part.count("mails WHERE recipient = 'privacy@acme.example'") == 1


async def test_request_ids_of_accounts_are_known_for_thirty_days(service_database: ServiceDatabase) -> None:
    async with desk(service_database) as part:
        await part.later(SECOND)
        await part.later(DAYS.former_address - SECOND)
        assert await part.count("customer_requests") == 1
        await part.later(SECOND)
        assert await part.count("customer_requests") == 0


async def test_an_offboarded_customer_is_evidence_for_its_term_and_then_only_its_id(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        now = part.part.clock.now()
        await part.admin.execute(EVIDENCE, ACME.email, "250 2.0.0 taken", now)
        await part.admin.execute(
            "INSERT INTO notice.acknowledgements VALUES ('acme', 2, 1, 1, $1)", part.part.clock.now()
        )
        await part.admin.execute(
            "INSERT INTO notice.deliveries (version, tenant, state, audience, held, attempts, create_time,"
            " state_time) VALUES (2, 'acme', 2, true, false, 1, $1, $1)",
            now,
        )
        tables = ("acknowledgements", "deliveries", "delivery_evidence", "customers", "customer_ids")
        await part.later(2 * DAYS.evidence)
        assert [await part.count(table) for table in tables] == [1] * 5, "while it is a Customer"
        call = AccountCall(uuid.uuid4(), b"offboard")
        await part.part.accounts.set_state("acme", pb.CUSTOMER_STATE_OFFBOARDED, call)
        await part.later(DAYS.evidence - SECOND)
        assert [await part.count(table) for table in tables] == [1] * 5
        await part.later(SECOND)
        assert [await part.count(table) for table in tables] == [0, 0, 0, 0, 1]
        with pytest.raises(IdvError) as caught:
            await part.part.register()
        assert caught.value.reason == Reason.ERROR_REASON_ALREADY_EXISTS, "its id is nobody else's, ever"
        await part.part.accounts.create(replace(ACME, tenant="bolt"), AccountCall(uuid.uuid4(), b"bolt"))
        listed = await part.part.accounts.page("", 1)
        assert [one.tenant for one in listed] == ["bolt"], "an id alone fills no page"


async def test_a_single_clock_that_is_ahead_ends_nothing(service_database: ServiceDatabase) -> None:
    async with desk(service_database) as part:
        await part.sent()
        part.database_clock.apart = -DAYS.evidence
        await part.later(DAYS.evidence)
        assert await part.count("mails") == 1


async def test_a_mail_due_under_a_clock_that_was_ahead_goes_out_when_it_is_set_back(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        part.part.clock.advance(days=400)
        await part.part.ask()
        part.part.clock.advance(days=-400)
        async with told() as server:
            await part.part.courier(relay(server.address)).empty()
        assert len(server.contents) == 1


async def test_mails_taken_while_the_database_goes_away_wait_for_no_takeover(
    service_database: ServiceDatabase,
) -> None:
    async with desk(service_database) as part:
        await part.part.ask()
        async with told() as server:
            with pytest.raises(IdvError):
                await MailQueue(AwayForCustomers(part.part.database)).take(
                    part.part.clock.now(), part.part.clock.now() + timedelta(minutes=3), 10
                )
            await part.part.courier(relay(server.address)).empty()
            assert len(server.contents) == 1
