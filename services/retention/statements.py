"""The daily statement: what is held, and that nothing older than its term can be read. Signed as a leaf.

Once each UTC day storage counts, and tries to read what is past its term; the figures become an entry of the
log, and its receipt, under the log's signature, the statement's document. A day on which none could be made
cannot be told afterwards: the next statement says which days are missing.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import receipt_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention import log_store, statement_store
from services.retention.entries import entry
from services.retention.log import TransparencyLog
from services.retention.statement_store import Statement
from services.retention.storage_gateway import StorageGateway
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.logs import Log

_AT_ONCE: Final = 100
"""Customers that one transaction names."""


class Statements:
    """Makes the statement of each day, and finds earlier ones. Safe in any number of replicas at once."""

    def __init__(
        self, database: Database, log: TransparencyLog, storage: StorageGateway, clock: Clock, logger: Log
    ) -> None:
        self._database, self._log, self._storage = database, log, storage
        self._clock, self._logger = clock, logger

    async def run(self) -> None:
        """Makes today's statement, unless there is one, or a later one from a clock that was set back."""
        today = self._clock.now().date()
        async with self._database.transaction() as connection:
            last = await statement_store.find(connection)
        if last is not None and last.day >= today:
            return
        since = _inspected(last) if last else None
        figures = await self._storage.inspect_terms(since)
        pending = await self._pending()
        async with self._database.transaction() as connection:
            head = await self._log.locked_head(connection)
            newest = await statement_store.find(connection)
            if newest != last:
                return  # another replica was first
            facts = {
                "day": today.isoformat(),
                "make_time": self._clock.now(),
                **_missing(last, today),
                **_told(figures),
                **await self._deletions(connection, last),
                "pending_deletion_count": pending,
                "tree_size": head.size,
            }
            kind = receipt_pb2.ENTRY_KIND_STATEMENT
            logged = await self._log.append_once(
                connection, entry(kind, f"statement/{today.isoformat()}", facts, public=True)
            )
            if logged is None:
                return
            index, document = logged
            await statement_store.add(connection, Statement(today, index, facts["make_time"], document))
        self._report(figures)

    async def get(self, day: date | None = None) -> Statement:
        """The statement of a day, by default the newest. Raises NOT_FOUND."""
        async with self._database.transaction() as connection:
            found = await statement_store.find(connection, day)
        if found is None:
            raise IdvError(
                Reason.ERROR_REASON_NOT_FOUND,
                "there is no statement of that day" if day else "no statement was made yet",
                field="day",
                remedy="list the days that have one",
            )
        return found

    async def list(self, limit: int, before: date | None = None) -> list[Statement]:
        """At most `limit` statements, the newest first, from the one before the day `before` on."""
        async with self._database.transaction() as connection:
            return await statement_store.listed(connection, limit, before)

    async def _pending(self) -> int:
        async with self._database.transaction() as connection:
            tenants = await statement_store.tenants_at_work(connection)
        total = 0
        for start in range(0, len(tenants), _AT_ONCE):
            some = tenants[start : start + _AT_ONCE]
            async with self._database.transaction(some) as connection:
                total += await statement_store.count_pending(connection, some)
        return total

    async def _deletions(self, connection: AsyncConnection, last: Statement | None) -> dict[str, int]:
        kind = receipt_pb2.ENTRY_KIND_DELETION
        new = await log_store.count(connection, kind, last.leaf_index if last else 0)
        return {"new_deletion_count": new, "deletion_count": await log_store.count(connection, kind)}

    def _report(self, figures: storage_pb2.InspectTermsResponse) -> None:
        if figures.past_term_readable:
            self._logger.error(
                "the statement had to say that something past its term can be read",
                count=figures.past_term_readable,
            )


def _told(figures: storage_pb2.InspectTermsResponse) -> dict[str, Any]:
    """What storage counted, under the same names; whole numbers, and instants where there are any."""
    facts: dict[str, Any] = {
        "nothing_past_term_readable": "no" if figures.past_term_readable else "yes",
    }
    present = {field.name for field, _ in figures.ListFields()}
    for field in figures.DESCRIPTOR.fields:
        value = getattr(figures, field.name)
        if field.message_type is None:
            facts[field.name] = value
        elif field.name in present:
            facts[field.name] = value.ToDatetime(UTC)
    return facts


def _inspected(last: Statement) -> datetime:
    """When storage counted for the last statement: from there on its figures are new."""
    return datetime.fromisoformat(json.loads(last.document)["opening"]["entry"]["inspect_time"])


def _missing(last: Statement | None, today: date) -> dict[str, Any]:
    """Which days since the last statement have none: an outsider sees a gap, and its owner names it."""
    if last is None:
        return {"missed_day_count": 0}
    missed = (today - last.day).days - 1
    facts: dict[str, Any] = {"previous_day": last.day.isoformat(), "missed_day_count": missed}
    if missed:
        facts["first_missed_day"] = (last.day + timedelta(days=1)).isoformat()
    return facts
