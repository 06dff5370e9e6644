"""Session days: made ready ahead of time and on demand, each with one term."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Protocol

from idv.errors import IdvError, Reason

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.storage.epochs import Epoch
from services.storage.store import days as day_store
from services.storage.store import partitions


class Buckets(Protocol):
    """Where a day's large bodies go."""

    async def ensure(self, day: date) -> None:
        """Makes the day's bucket unless it exists."""


class Days:
    """Knows which days are ready and for how long each keeps its data."""

    def __init__(
        self,
        database: Database,
        owner: Database,
        buckets: Buckets,
        clock: Clock,
        own_term_days: int,
        ahead: int,
    ) -> None:
        self._database, self._owner, self._buckets, self._clock = database, owner, buckets, clock
        self._own_term, self._ahead = timedelta(days=own_term_days), ahead
        self._ready: set[date] = set()
        self._whole: set[date] = set()
        self._terms: dict[date, timedelta] = {}
        self._making = asyncio.Lock()

    async def prepare(self) -> None:
        """Makes today and the days ahead ready, and older days whole: a new release may bring partitions."""
        await self._complete()
        today = self._clock.now().date()
        for offset in range(self._ahead + 1):
            await self.ready(today + timedelta(days=offset))

    async def ready(self, day: date) -> None:
        """Makes the day's partitions and bucket unless they exist.

        Raises EXPIRED for a day whose bytes are already gone.
        """
        if day in self._ready:
            return
        async with self._making:
            async with self._database.transaction() as connection:
                known = await day_store.find(connection, day)
            if known is None:
                if Epoch.of_day(day).due(self._own_term) <= self._clock.now():
                    raise _ended(day)  # forgotten years after its end, or never begun
                await self._make(day)
            elif known.state != day_store.PREPARED:
                raise _ended(day)
            self._ready.add(day)

    async def fix_term(self, day: date, retention_days: int) -> None:
        """Gives the day its term with its first session; raises WRONG_STATE when it has another."""
        await self.ready(day)
        wanted = timedelta(days=retention_days)
        if day not in self._terms:
            async with self._database.transaction() as connection:
                await day_store.fix_term(connection, day, retention_days)
            await self.term(day)
        if self._terms[day] != wanted:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_STATE,
                f"data of sessions of {day} is kept for {self._terms[day].days} days, not {retention_days}",
                field="retention_days",
                remedy="a changed term counts for sessions that are opened from the next 00:00 UTC on",
            )

    async def term(self, day: date) -> timedelta:
        """For how long the day keeps its data; our own records of a day without sessions have a term of their
        own.
        """
        known = self._terms.get(day)
        if known is not None:
            return known
        async with self._database.transaction() as connection:
            row = await day_store.find(connection, day)
        if row is None or row.retention_days is None:
            return self._own_term
        return self._terms.setdefault(day, timedelta(days=row.retention_days))

    async def listed(self) -> list[day_store.Day]:
        """Every day whose bytes still exist, oldest first."""
        async with self._database.transaction() as connection:
            return await day_store.listed(connection)

    def term_of(self, retention_days: int | None) -> timedelta:
        """The term that a day's stored value stands for."""
        return self._own_term if retention_days is None else timedelta(days=retention_days)

    def forget(self, day: date) -> None:
        """The day's bytes are going: nothing may be written to it any more."""
        self._ready.discard(day)

    async def _complete(self) -> None:
        """Makes what is missing of the days that are not due, once in this process."""
        now = self._clock.now()
        for day in await self.listed():
            whole = (
                day.day in self._whole or Epoch.of_day(day.day).due(self.term_of(day.retention_days)) <= now
            )
            if not whole:
                async with self._owner.transaction() as connection:
                    await partitions.create(connection, day.day)
                self._whole.add(day.day)

    async def _make(self, day: date) -> None:
        async with self._owner.transaction() as connection:
            await partitions.create(connection, day)
        await self._buckets.ensure(day)
        async with self._database.transaction() as connection:
            await day_store.add(connection, day)


def _ended(day: date) -> IdvError:
    return IdvError(Reason.ERROR_REASON_EXPIRED, f"the term of everything received on {day} has ended")
