"""Expiry: root keys destroyed when their last record has expired, then the bytes of the day. Late is said,
never hidden.

Reads do not wait for it: they refuse by each record's own instant. Every step is idempotent and safe in
several replicas at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from idv.storage.v1 import storage_pb2

from services.runtime.clock import Clock
from services.runtime.clock_guard import ClockGuard
from services.runtime.database import Database
from services.runtime.logs import Log
from services.runtime.telemetry import Telemetry
from services.storage.days import Days
from services.storage.epochs import DAY_SLOT, SLOT, Epoch
from services.storage.keys import Keyring
from services.storage.objects import Objects
from services.storage.store import days as day_store
from services.storage.store import keys as key_store
from services.storage.store import partitions
from services.storage.store import records as record_store
from services.storage.tenants import tenant_groups
from services.storage.thorough import for_each

KEY_LATE = timedelta(minutes=45)
"""A key dies within the hour after its last record's end; what is later than this after its due time is
logged as late.
"""
BYTES_LATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stores:
    """What expiry takes things out of."""

    database: Database
    owner: Database
    objects: Objects


class Expiry:
    """Destroys what is due."""

    def __init__(
        self,
        stores: Stores,
        keys: Keyring,
        days: Days,
        clock: Clock,
        guard: ClockGuard,
        log: Log,
        telemetry: Telemetry,
    ) -> None:
        self._stores, self._keys, self._days = stores, keys, days
        self._clock, self._guard, self._log = clock, guard, log
        self._lateness = telemetry.meter.create_histogram(
            "idv.expiry.lateness", "s", "Seconds between due and done, by kind."
        )

    async def run(self) -> None:
        """Destroys every root key that is due, then removes every day whose keys are all gone."""
        await self._keys.drop_due()
        await self.destroy_keys()
        await self.remove_days()

    async def destroy_keys(self) -> None:
        """Destroys the root keys that are due, as far as the guard lets it, and notes each destruction."""
        until = await self._guard.until()
        if until is None:
            return
        async with self._stores.database.transaction() as connection:
            live = await key_store.list_live_roots(connection, until.date())
        terms = {epoch: self._days.term_of(retention_days) for epoch, retention_days in live}
        due = [epoch for epoch, term in terms.items() if epoch.due(term) <= until]
        if due:
            await self._keys.destroy(due)
        for epoch in due:
            await self._note(epoch, terms[epoch])

    async def remove_days(self) -> None:
        """Detaches and drops the partitions and the bucket of each day that is due, as far as the guard lets
        it, and notes it.
        """
        until = await self._guard.until()
        if until is None:
            return
        async with self._stores.database.transaction() as connection:
            alive = {root.epoch.day for root in await key_store.list_live_roots(connection, until.date())}
        due = [
            day
            for day in await self._days.listed()
            if day.day not in alive
            and Epoch.of_day(day.day).due(self._days.term_of(day.retention_days)) <= until
        ]
        await for_each(due, self._remove)

    async def _note(self, epoch: Epoch, term: timedelta) -> None:
        done, due = self._clock.now(), epoch.due(term)
        records = 0 if epoch.slot == DAY_SLOT else await self._count(epoch)
        async with self._stores.database.transaction() as connection:
            first = await key_store.mark_destroyed(connection, epoch, done)
            if first and epoch.slot != DAY_SLOT:  # digests are not data: their key goes unlisted
                kind = storage_pb2.DESTRUCTION_KIND_KEY
                await key_store.add_destruction(connection, kind, epoch, due, done, records)
        if first:
            self._report("key", done - due, KEY_LATE, epoch.day)

    async def _remove(self, day: day_store.Day) -> None:
        epoch, term = Epoch.of_day(day.day), self._days.term_of(day.retention_days)
        self._days.forget(day.day)
        if not await partitions.remove(self._stores.owner, day.day):
            return  # another replica is at it
        await self._stores.objects.drop(day.day)
        done, due = self._clock.now(), epoch.due(term)
        async with self._stores.database.transaction() as connection:
            kind = storage_pb2.DESTRUCTION_KIND_DAY
            records = await key_store.count_destroyed(connection, day.day)
            await key_store.add_destruction(connection, kind, epoch, due, done, records)
            await day_store.set_state(connection, day.day, day_store.REMOVED)
        self._report("day", done - due, BYTES_LATE, day.day)

    async def _count(self, epoch: Epoch) -> int:
        """How many records were received in the epoch."""
        start = epoch.end - SLOT
        total = 0
        for tenants in await tenant_groups(self._stores.database):
            async with self._stores.database.transaction(tenants) as connection:
                total += await record_store.count(connection, epoch.day, start, epoch.end)
        return total

    def _report(self, kind: str, late: timedelta, limit: timedelta, day: date) -> None:
        seconds = late.total_seconds()
        self._lateness.record(seconds, {"kind": kind})
        if late > limit:
            self._log.warning("expiry is late", item=kind, day=day.isoformat(), seconds=round(seconds))
