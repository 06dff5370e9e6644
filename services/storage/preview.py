"""What an erasure would concern, counted without changing anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

from idv.storage.v1 import storage_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import parse_customer
from services.storage.days import Days
from services.storage.scopes import scope_of
from services.storage.store import sweeps
from services.storage.targets import Targets


class Preview:
    """Counts day by day, each in a transaction of its own."""

    def __init__(self, database: Database, days: Days, targets: Targets, clock: Clock) -> None:
        self._database, self._days, self._targets, self._clock = database, days, targets, clock

    async def count(self, request: storage_pb2.PreviewErasureRequest) -> storage_pb2.PreviewErasureResponse:
        """The counts at this moment; raises as an erasure of the target would."""
        customer = parse_customer(request.parent, field="parent")
        self._targets.check(customer, request.target)
        async with self._database.transaction([customer]) as connection:
            await self._targets.require(connection, request.target)
        counts = [count async for count in self._by_day(customer, request.target)]
        return storage_pb2.PreviewErasureResponse(
            record_count=sum(records for records, _ in counts),
            session_count=sum(sessions for _, sessions in counts),
        )

    async def _by_day(
        self, customer: str, target: storage_pb2.ErasureTarget
    ) -> AsyncIterator[tuple[int, int]]:
        now = self._clock.now()
        scope = scope_of(customer, target, now)
        if scope is None:
            for chosen in await self._targets.days(customer, target):
                async with self._database.transaction([customer]) as connection:
                    yield await self._targets.count(connection, customer, chosen, now)
            return
        for day in await self._days.listed():
            if scope.touches(day.day):
                async with self._database.transaction([customer]) as connection:
                    yield await sweeps.count(connection, day.day, scope.widest, now, whole=scope.whole)
