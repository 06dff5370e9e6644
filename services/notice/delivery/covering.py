"""What the website covers: Customers whom mail failed to reach for good, once the page shows the version."""

from __future__ import annotations

from typing import Protocol

from idv.notice.v1 import customers_pb2 as pb

from services.notice import store as versions_store
from services.notice.accounts.accounts import TenantTransactions
from services.notice.delivery import gate, store
from services.notice.delivery.store import Change
from services.runtime.clock import Clock
from services.runtime.logs import Log

_AT_ONCE = 1000


class Website(Protocol):
    """What the public pages show."""

    async def shows(self, version: int) -> bool:
        """Whether readers of the website find this version now."""
        ...


class Covering:
    """A periodic job; idempotent, and safe in several replicas at once."""

    def __init__(self, database: TenantTransactions, website: Website, clock: Clock, log: Log) -> None:
        self._database = database
        self._website = website
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Covers who is to be covered, and says which version waits although its instant has come."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            versions = await versions_store.all_versions(connection)
        for version in versions:
            life = version.life
            if not version.material or life.announce_time is None or life.withdraw_time is not None:
                continue
            if await self._website.shows(version.number):
                while await self._cover(version.number):
                    pass
            if life.clear_time is None and life.effective_time is not None and life.effective_time <= now:
                await self._alarm(version.number)

    async def _cover(self, version: int) -> bool:
        """Covers some, in one transaction with the counts; whether any were left."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            counts = await store.audience(connection, version, lock=True)
            if counts is None:
                return False
            if counts.website_time is None:
                await store.set_times(connection, version, website_time=now)
            tenants = await store.failed(connection, version, _AT_ONCE)
            if not tenants:
                return False
            state = pb.DELIVERY_STATE_COVERED_BY_WEBSITE
            covered = [Change(tenant, state) for tenant in tenants]
            await store.change(connection, version, covered, now, only_from=[pb.DELIVERY_STATE_FAILED])
            await gate.look(connection, version, now)
        return True

    async def _alarm(self, version: int) -> None:
        async with self._database.transaction() as connection:
            counts = await store.audience(connection, version)
        if counts is not None and counts.held:
            why = "paused" if counts.pause_time else "mail" if counts.queued else "website"
            self._log.error(
                "a version waits past its instant", version=version, waiting=counts.held, reason=why
            )
