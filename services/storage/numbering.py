"""Gives accesses their positions and flags, after they were written: a read waits for none of it.

One at a time for each Customer, across all replicas: so whoever has seen everything up to a position has
missed nothing, and no two accesses are judged against the same counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.logs import Log
from services.runtime.telemetry import Telemetry
from services.storage.access_details import AccessDetails
from services.storage.access_flags import BulkRule, Judgement, Seen, named
from services.storage.store import access_order as store
from services.storage.store.access_order import Numbered
from services.storage.store.accesses import AccessRow
from services.storage.tenants import tenant_groups
from services.storage.thorough import for_each

_AT_ONCE = 500


class Numbering:
    """Numbers accesses: those of this process soon, those that another process left from time to time."""

    def __init__(
        self,
        database: Database,
        details: AccessDetails,
        rule: BulkRule,
        totals_term: timedelta,
        clock: Clock,
        log: Log,
        telemetry: Telemetry,
    ) -> None:
        self._database, self._details, self._rule, self._clock = database, details, rule, clock
        self._totals_term, self._log = totals_term, log
        self._waiting: set[str] = set()
        self._flagged = telemetry.meter.create_counter(
            "idv.access.flagged", description="Accesses that were flagged, by flag."
        )

    def note(self, customer: str) -> None:
        """An access of the Customer was committed by this process."""
        self._waiting.add(customer)

    async def run(self) -> None:
        """Numbers what this process has written."""
        waiting, self._waiting = self._waiting, set()
        await for_each(sorted(waiting), self.number)

    async def run_all(self) -> None:
        """Numbers what any process has left, and forgets counts that are past their term."""
        await for_each(await tenant_groups(self._database), self._number_group)

    async def _number_group(self, customers: list[str]) -> None:
        async with self._database.transaction(customers) as connection:
            waiting = await store.waiting(connection)
            await store.forget(connection, self._clock.now(), self._rule.window, self._totals_term)
        await for_each(waiting, self.number)

    async def number(self, customer: str) -> None:
        """Numbers all of a Customer's accesses that were committed before."""
        while True:
            async with self._database.transaction([customer]) as connection:
                rows = await store.unnumbered(connection, customer, _AT_ONCE)
            if not rows:
                return
            # Opened before the lock is taken: nothing waits for a second connection while it holds one.
            seen = {row.access: _seen(row, await self._details.open(row)) for row in rows}
            for flag, count in (await self._number(customer, rows, seen)).items():
                name = processing_pb2.AccessFlag.Name(flag).removeprefix("ACCESS_FLAG_").lower()
                self._flagged.add(count, {"flag": name})
                self._log.warning("accesses were flagged", item=name, count=count)
            if len(rows) < _AT_ONCE:
                return

    async def _number(
        self, customer: str, rows: list[AccessRow], seen: dict[UUID, Seen | None]
    ) -> dict[processing_pb2.AccessFlag.ValueType, int]:
        flagged: dict[processing_pb2.AccessFlag.ValueType, int] = {}
        async with self._database.transaction([customer]) as connection:
            position = await store.take_head(connection, customer)
            rows = await store.still_unnumbered(connection, rows)
            if not rows:
                return flagged
            starts = {self._rule.start(row.access_time) for row in rows}
            known = await store.known_purposes(connection, customer)
            before = await store.windows(connection, customer, starts)
            judgement = Judgement(self._rule, known, before)
            numbered = []
            for place, row in enumerate(rows, start=position + 1):
                one = seen[row.access]
                flags = judgement.flags(one) if one else 0
                numbered.append(Numbered(row, place, flags))
                for flag in named(flags):
                    flagged[flag] = flagged.get(flag, 0) + 1
            await store.number(connection, customer, numbered)
            if judgement.totals:
                await store.add_windows(connection, customer, judgement.added)
                await store.add_totals(connection, customer, judgement.totals)
        return flagged


def _seen(row: AccessRow, access: processing_pb2.Access | None) -> Seen | None:
    """What the rule sees; None of an access whose details died before it was numbered."""
    if access is None:
        return None
    when: datetime = row.access_time.astimezone(UTC)
    return Seen(access.service, access.purpose, when, access.record_count)
