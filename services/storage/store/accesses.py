"""The access log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import accesses


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One read of a record. Who and why is sealed under the record's epoch and dies with it."""

    day: date
    customer: str
    session: UUID
    record: UUID
    access: UUID
    access_time: datetime
    complete: bool
    commitment: bytes
    details: bytes


_INSERT = (
    "INSERT INTO accesses"
    " (day, customer, session, record, access, access_time, complete, commitment, details)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
)
_COMPLETE = "UPDATE accesses SET complete = true WHERE day = $1 AND customer = $2 AND access = $3"


async def add(driver: Any, row: AccessRow) -> None:
    """Adds a read."""
    await driver.execute(
        *(_INSERT, row.day, row.customer, row.session, row.record, row.access, row.access_time, row.complete),
        *(row.commitment, row.details),
    )


async def complete(driver: Any, row: AccessRow) -> None:
    """Notes that the whole body was sent."""
    await driver.execute(_COMPLETE, row.day, row.customer, row.access)


async def page(
    connection: AsyncConnection,
    customer: str,
    only: tuple[date, UUID, UUID | None] | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[AccessRow]:
    """A Customer's reads, the newest first; only those of a session (day, id) or a record of it."""
    query = select(accesses).where(accesses.c.customer == customer)
    if only is not None:
        day, session, record = only
        query = query.where(accesses.c.day == day, accesses.c.session == session)
        query = query.where(accesses.c.record == record) if record else query
    if before is not None:
        query = query.where(tuple_(accesses.c.access_time, accesses.c.access) < tuple_(*before))
    newest = query.order_by(accesses.c.access_time.desc(), accesses.c.access.desc()).limit(limit)
    return [AccessRow(*row) for row in await connection.execute(newest)]
