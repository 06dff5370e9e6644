"""Positions, totals and windows of a Customer's accesses; who gives positions holds the Customer's head."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Date, bindparam, delete, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.access_flags import Total, Window
from services.storage.store.accesses import COLUMNS, AccessRow
from services.storage.tables import access_heads, access_totals, access_windows, accesses


class Numbered(NamedTuple):
    """An access with the position and the flags that it gets."""

    row: AccessRow
    position: int
    flags: int


class TotalRow(NamedTuple):
    """One row of the totals."""

    day: date
    service: str
    purpose: int
    access_count: int
    record_count: int
    bulk_count: int
    first_purpose: bool


_TOTALS = [access_totals.c[name] for name in TotalRow._fields]
_NUMBER = text(
    "UPDATE accesses SET position = :position, flags = :flags"
    " WHERE day = :day AND customer = :customer AND access = :access"
)


async def waiting(connection: AsyncConnection) -> list[str]:
    """Which of the transaction's tenants have accesses without a position."""
    query = select(accesses.c.customer).where(accesses.c.position.is_(None)).distinct()
    return list((await connection.execute(query)).scalars())


async def unnumbered(connection: AsyncConnection, customer: str, limit: int) -> list[AccessRow]:
    """A Customer's accesses without a position, the oldest first."""
    query = select(*COLUMNS).where(accesses.c.customer == customer, accesses.c.position.is_(None))
    oldest = query.order_by(accesses.c.access_time, accesses.c.access).limit(limit)
    return [AccessRow(*row) for row in await connection.execute(oldest)]


async def head(connection: AsyncConnection, customer: str) -> int:
    """The last position given; 0 when none was."""
    query = select(access_heads.c.position).where(access_heads.c.customer == customer)
    return int(await connection.scalar(query) or 0)


async def take_head(connection: AsyncConnection, customer: str) -> int:
    """As `head`; until the transaction ends, nobody else gives positions."""
    first = insert(access_heads).values(customer=customer, position=0)
    await connection.execute(first.on_conflict_do_nothing())
    query = select(access_heads.c.position).where(access_heads.c.customer == customer)
    return int((await connection.execute(query.with_for_update())).scalar_one())


async def still_unnumbered(connection: AsyncConnection, rows: Sequence[AccessRow]) -> list[AccessRow]:
    """Which of the rows, of one Customer, have no position yet."""
    keys = [(row.day, row.access) for row in rows]
    query = select(accesses.c.access).where(
        accesses.c.customer == rows[0].customer,
        accesses.c.position.is_(None),
        tuple_(accesses.c.day, accesses.c.access).in_(keys),
    )
    left = set((await connection.execute(query)).scalars())
    return [row for row in rows if row.access in left]


async def number(connection: AsyncConnection, customer: str, numbered: Sequence[Numbered]) -> None:
    """Gives positions and flags; the last one is the new head."""
    values = [
        {
            "position": one.position,
            "flags": one.flags,
            "day": one.row.day,
            "customer": customer,
            "access": one.row.access,
        }
        for one in numbered
    ]
    await connection.execute(_NUMBER.bindparams(bindparam("day", type_=Date)), values)
    mine = access_heads.c.customer == customer
    await connection.execute(update(access_heads).where(mine).values(position=numbered[-1].position))


async def known_purposes(connection: AsyncConnection, customer: str) -> set[tuple[str, int]]:
    """Every pair of service and purpose that the totals remember."""
    query = select(access_totals.c.service, access_totals.c.purpose).distinct()
    rows = await connection.execute(query.where(access_totals.c.customer == customer))
    return {(row.service, row.purpose) for row in rows}


async def windows(
    connection: AsyncConnection, customer: str, starts: Collection[datetime]
) -> dict[Window, int]:
    """How many records each service saw within the windows that begin then."""
    query = select(access_windows.c.service, access_windows.c.start_time, access_windows.c.record_count)
    found = query.where(access_windows.c.customer == customer, access_windows.c.start_time.in_(starts))
    return {(row.service, row.start_time): row.record_count for row in await connection.execute(found)}


async def add_windows(connection: AsyncConnection, customer: str, added: Mapping[Window, int]) -> None:
    """Adds to the counts of windows."""
    statement = insert(access_windows)
    statement = statement.on_conflict_do_update(
        index_elements=[access_windows.c.customer, access_windows.c.service, access_windows.c.start_time],
        set_={"record_count": access_windows.c.record_count + statement.excluded.record_count},
    )
    values = [
        {"customer": customer, "service": service, "start_time": start, "record_count": count}
        for (service, start), count in added.items()
    ]
    await connection.execute(statement, values)


async def add_totals(
    connection: AsyncConnection, customer: str, totals: Mapping[tuple[date, str, int], Total]
) -> None:
    """Adds to the totals."""
    statement = insert(access_totals)
    new, old = statement.excluded, access_totals.c
    statement = statement.on_conflict_do_update(
        index_elements=[old.customer, old.day, old.service, old.purpose],
        set_={
            "access_count": old.access_count + new.access_count,
            "record_count": old.record_count + new.record_count,
            "bulk_count": old.bulk_count + new.bulk_count,
            "first_purpose": old.first_purpose | new.first_purpose,
        },
    )
    values = [
        {
            "customer": customer,
            "day": day,
            "service": service,
            "purpose": purpose,
            "access_count": one.access_count,
            "record_count": one.record_count,
            "bulk_count": one.bulk_count,
            "first_purpose": one.first_purpose,
        }
        for (day, service, purpose), one in totals.items()
    ]
    await connection.execute(statement, values)


async def totals_page(
    connection: AsyncConnection, customer: str, before: tuple[date, str, int] | None, limit: int
) -> list[TotalRow]:
    """A Customer's totals, the newest day first."""
    query = select(*_TOTALS).where(access_totals.c.customer == customer)
    order = (access_totals.c.day, access_totals.c.service, access_totals.c.purpose)
    if before is not None:
        query = query.where(tuple_(*order) < tuple_(*before))
    newest = query.order_by(*(column.desc() for column in order)).limit(limit)
    return [TotalRow(*row) for row in await connection.execute(newest)]


async def forget(connection: AsyncConnection, now: datetime, window: timedelta, term: timedelta) -> None:
    """Removes the tenants' windows that are over, a day later, and their totals past their term."""
    over = now - window - timedelta(days=1)
    await connection.execute(delete(access_windows).where(access_windows.c.start_time < over))
    past = (now - term).date()
    await connection.execute(delete(access_totals).where(access_totals.c.day < past))
