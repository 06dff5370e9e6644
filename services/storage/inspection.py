"""Figures for the daily statement: what is held, and whether anything past its term can still be read.

Nothing is taken from what should be so: rows are counted, records past their term are tried by the path that
every reading takes, and sealed root keys that are due are tried with the key authority itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from idv.storage.v1 import storage_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import instant, timestamp
from services.runtime.resources import RecordName
from services.storage.days import Days
from services.storage.epochs import midnight
from services.storage.expiry import BYTES_LATE, KEY_LATE
from services.storage.keys import Keyring
from services.storage.reader import Reader
from services.storage.store import figures as store
from services.storage.store import keys as key_store
from services.storage.store.days import Day
from services.storage.tenants import tenant_groups

TRIED = 50
"""Of each day and group of Customers, so many records past their term are tried: the first and the last."""


@dataclass(slots=True)
class _Records:
    readable: int = 0
    oldest: datetime | None = None
    past_term: int = 0
    tried: int = 0
    opened: int = 0


class Inspection:
    """Looks at what storage holds. It changes nothing, and logs no access: no body is read."""

    def __init__(self, database: Database, days: Days, keys: Keyring, reader: Reader, clock: Clock) -> None:
        self._database, self._days, self._keys = database, days, keys
        self._reader, self._clock = reader, clock

    async def inspect(self, request: storage_pb2.InspectTermsRequest) -> storage_pb2.InspectTermsResponse:
        """The figures of this instant; see the contract for each."""
        now = self._clock.now()
        named = request.HasField("since_time")
        since = instant(request.since_time, field="since_time") if named else None
        listed = await self._days.listed()
        found = _Records()
        for tenants in await tenant_groups(self._database):
            for day in listed:
                await self._look(day, tenants, now, found)
        key_count, tried, opened = await self._try_keys(now)
        async with self._database.transaction() as connection:
            done = await store.destroyed(connection, since, key_late=KEY_LATE, day_late=BYTES_LATE)
        answer = storage_pb2.InspectTermsResponse(
            inspect_time=timestamp(now),
            day_count=len(listed),
            readable_count=found.readable,
            past_term_count=found.past_term,
            past_term_tried=found.tried,
            past_term_readable=found.opened,
            key_count=key_count,
            due_key_tried=tried,
            due_key_opened=opened,
            destroyed_key_count=done.keys,
            new_destroyed_key_count=done.new_keys,
            new_late_key_count=done.new_late_keys,
            new_removed_day_count=done.new_days,
            new_late_day_count=done.new_late_days,
            new_worst_lateness_seconds=max(0, round(done.worst.total_seconds())),
        )
        if found.oldest is not None:
            answer.oldest_readable_time.CopyFrom(timestamp(found.oldest))
        return answer

    async def _look(self, day: Day, tenants: list[str], now: datetime, found: _Records) -> None:
        begun = midnight(day.day) + self._days.term_of(day.retention_days) <= now
        async with self._database.transaction(tenants) as connection:
            readable, oldest = await store.readable(connection, day.day, now)
            past, names = 0, list[RecordName]()
            if begun:  # before, nothing of the day can be past its term
                past = await store.past_term(connection, day.day, now)
                names = await store.at_the_ends(connection, day.day, now, TRIED)
        found.readable += readable
        found.oldest = min((one for one in (found.oldest, oldest) if one), default=None)
        found.past_term += past
        found.tried += len(names)
        for name in names:
            found.opened += await self._reader.probe(name)

    async def _try_keys(self, now: datetime) -> tuple[int, int, int]:
        """How many root keys exist, and of those that are due how many were tried and opened."""
        async with self._database.transaction() as connection:
            live = await key_store.list_live_roots(connection, date.max)
        due = [root.epoch for root in live if root.epoch.due(self._days.term_of(root.retention_days)) <= now]
        opened = 0
        for epoch in due:
            opened += await self._keys.opens(epoch)
        return len(live), len(due), opened
