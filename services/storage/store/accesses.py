"""The access log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import accesses


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One access. Who and why is sealed under the record's epoch and dies with it.

    `record` is the one that was seen; of a list, the last one received. `position` and `flags` are set when
    the access is numbered.
    """

    day: date
    customer: str
    session: UUID
    record: UUID
    access: UUID
    access_time: datetime
    complete: bool
    commitment: bytes
    details: bytes
    kind: int | None
    position: int | None = None
    flags: int | None = None


Place = tuple[date, UUID, UUID | None]
"""A session by day and id, or with a third id a record of it."""
LIST = 3
"""idv.types.v1.AccessKind."""
COLUMNS = [accesses.c[one.name] for one in fields(AccessRow)]

_INSERT = (
    "INSERT INTO accesses"
    " (day, customer, session, record, access, access_time, complete, commitment, details, kind)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
_COMPLETE = "UPDATE accesses SET complete = true WHERE day = $1 AND customer = $2 AND access = $3"


async def add(driver: Any, row: AccessRow) -> None:
    """Adds an access."""
    await driver.execute(_INSERT, *_values(row))


async def add_all(driver: Any, rows: Sequence[AccessRow]) -> None:
    """Adds accesses."""
    await driver.executemany(_INSERT, [_values(row) for row in rows])


async def complete(driver: Any, row: AccessRow) -> None:
    """Notes that the whole body was sent."""
    await driver.execute(_COMPLETE, row.day, row.customer, row.access)


async def page(
    connection: AsyncConnection,
    customer: str,
    only: Place | None,
    flag: int,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[AccessRow]:
    """A Customer's accesses, the newest first; only those of a place, and with a flag (a bit; 0: all)."""
    query = _of(customer, only, flag)
    if before is not None:
        query = query.where(tuple_(accesses.c.access_time, accesses.c.access) < tuple_(*before))
    newest = query.order_by(accesses.c.access_time.desc(), accesses.c.access.desc()).limit(limit)
    return [AccessRow(*row) for row in await connection.execute(newest)]


async def following(
    connection: AsyncConnection,
    customer: str,
    only: Place | None,
    flag: int,
    after: int,
    limit: int,
    *,
    until: int,
) -> Sequence[AccessRow]:
    """As `page`, but those after a position up to another, in order."""
    query = _of(customer, only, flag).where(accesses.c.position > after, accesses.c.position <= until)
    rows = await connection.execute(query.order_by(accesses.c.position).limit(limit))
    return [AccessRow(*row) for row in rows]


def _of(customer: str, only: Place | None, flag: int) -> Select[Any]:
    query = select(*COLUMNS).where(accesses.c.customer == customer)
    if only is not None:
        day, session, record = only
        query = query.where(accesses.c.day == day, accesses.c.session == session)
        if record is not None:
            query = query.where((accesses.c.record == record) | (accesses.c.kind == LIST))
    return query.where(accesses.c.flags.op("&")(flag) != 0) if flag else query


def _values(row: AccessRow) -> tuple[Any, ...]:
    return (
        *(row.day, row.customer, row.session, row.record, row.access, row.access_time, row.complete),
        *(row.commitment, row.details, row.kind),
    )
