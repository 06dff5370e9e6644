"""Parts of telling Customers of a version in a test: real database and workers, mail servers as told."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from idv.notice.v1 import customers_pb2 as pb

from services.local.databases import ServiceDatabase
from services.notice.accounts.accounts import AccountCall, Accounts
from services.notice.accounts.customer import Account
from services.notice.delivery import evidence_store, store
from services.notice.delivery.evidence_store import Delivery
from services.notice.delivery.letter import Letters
from services.notice.delivery.links import Links
from services.notice.delivery.queue import DeliveryQueue, LetterTerms
from services.notice.delivery.store import Audience
from services.notice.folder import Sources
from services.notice.lifecycle import State
from services.notice.mail.courier import Courier, CourierTerms
from services.notice.mail.queue import Queue
from services.notice.mail.smtp import Relay, SmtpSession
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.mail_parts import SENDER, terms
from tests.notice_parts import TERMS, TEXT, Replica, call, sources
from tests.set_clock import SetClock

LINKS = Links(b"k" * 32, "https://privacy.idv.example", "bounces.idv.example")
LETTER_TERMS = LetterTerms(LINKS, "https://privacy.idv.example/", timedelta(days=60))
STATES = {value: name.removeprefix("DELIVERY_STATE_") for name, value in pb.DeliveryState.items()}


def wider() -> Sources:
    """A version that adds an item to the small one: material."""
    return Sources(
        f"{TERMS}  - code: device.hardware.idfv\n    sources: [sdk]\n    optional: true\n", {"en": TEXT}
    )


def longer() -> Sources:
    """A version that keeps data longer than the small one: material."""
    return Sources(TERMS.replace("retention_days: 30", "retention_days: 60"), {"en": TEXT})


def customer(name: str, email: str | None = None, language: str = "en") -> Account:
    return Account(name, name.title(), email or f"privacy@{name}.example", language, "EU", "UTC")


@dataclass
class Telling:
    """One replica that tells Customers, without gRPC."""

    replica: Replica
    accounts: Accounts

    @property
    def clock(self) -> SetClock:
        return self.replica.clock

    @property
    def database(self) -> Database:
        return self.replica.database

    async def register(self, *accounts: Account) -> None:
        for account in accounts:
            await self.accounts.create(account, AccountCall(uuid.uuid4(), account.tenant.encode()))

    async def move(self, tenant: str, email: str) -> None:
        await self.accounts.update(tenant, {"email": email}, AccountCall(uuid.uuid4(), b"move"))

    async def offboard(self, tenant: str) -> None:
        call = AccountCall(uuid.uuid4(), b"offboard")
        await self.accounts.set_state(tenant, pb.CUSTOMER_STATE_OFFBOARDED, call)

    async def announce(self, version: Sources | None = None, days: float = 30) -> int:
        """Announces a material version, to take effect after so many days; its number."""
        return await self.replica.publish(version or wider(), self.clock.now() + timedelta(days=days))

    def courier(self, server: Relay, workers: CourierTerms | None = None) -> Courier:
        return courier(self.database, self.clock, server, workers)

    async def delivery(self, version: int, tenant: str) -> Delivery:
        async with self.database.transaction([tenant]) as connection:
            (found,) = await evidence_store.of_version(connection, version, [tenant])
        return found

    async def state(self, version: int, tenant: str) -> str:
        return STATES[(await self.delivery(version, tenant)).state]

    async def counts(self, version: int) -> Audience:
        async with self.database.transaction() as connection:
            found = await store.audience(connection, version)
        assert found is not None
        return found

    async def life(self, number: int) -> State:
        shelf = await self.replica.versions.shelf()
        return shelf.state(shelf.number(number))


def courier(database: Database, clock: Clock, server: Relay, workers: CourierTerms | None = None) -> Courier:
    """Workers that send deliveries to a mail server."""
    queues: list[Queue] = [DeliveryQueue(database, Letters(SENDER), LETTER_TERMS)]
    return Courier(queues, lambda: SmtpSession(server), clock, structlog.get_logger(), workers or terms())


@asynccontextmanager
async def telling(database: ServiceDatabase, clock: SetClock | None = None) -> AsyncIterator[Telling]:
    """A replica with the small version in force."""
    async with Database.open(DatabaseSettings(dsn=database.dsn)) as opened:
        part = Telling(Replica(opened, clock or SetClock()), Accounts(opened, clock or SetClock(), set()))
        part.accounts = Accounts(opened, part.clock, set())
        if not (await part.replica.versions.shelf()).versions:
            version, _ = await part.replica.versions.draft(sources(), call())
            await part.replica.versions.announce(version.number, None, call())
        yield part
