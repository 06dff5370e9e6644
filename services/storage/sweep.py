"""The orphan sweep: removes blobs that no row names. They are unreadable already; this frees their bytes."""

from __future__ import annotations

from datetime import date, timedelta

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.logs import Log
from services.storage.days import Days
from services.storage.objects import Objects
from services.storage.store import records
from services.storage.tenants import tenant_groups
from services.storage.thorough import for_each

OLD = timedelta(days=1)
"""A writer gives up within the hour: what is older and has no row will never have one."""
_BATCH = 1000


class Sweep:
    """Looks through the buckets of the days that exist.

    `clock` has the real time, as the object store does: a time file moves neither.
    """

    def __init__(self, database: Database, objects: Objects, days: Days, clock: Clock, log: Log) -> None:
        self._database, self._objects, self._days = database, objects, days
        self._clock, self._log = clock, log

    async def run(self) -> None:
        """Sweeps every day."""
        await for_each([day.day for day in await self._days.listed()], self._sweep)

    async def _sweep(self, day: date) -> None:
        before = self._clock.now() - OLD
        old = [found.name async for found in self._objects.listed(day) if found.put_time < before]
        for start in range(0, len(old), _BATCH):
            batch = old[start : start + _BATCH]
            known = await self._known(day, batch)
            orphans = [name for name in batch if name not in known]
            if orphans:
                await self._objects.delete(day, orphans)
                self._log.info("orphaned objects removed", day=day.isoformat(), count=len(orphans))

    async def _known(self, day: date, names: list[str]) -> set[str]:
        known: set[str] = set()
        for group in await tenant_groups(self._database):
            async with self._database.transaction(group) as connection:
                known |= await records.known_objects(connection, day, names)
        return known
