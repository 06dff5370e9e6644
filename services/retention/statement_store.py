"""SQL of the daily statements, and of what they count here. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from idv.retention.v1 import deletions_pb2 as pb
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.tables import deletion_work, deletions, statements


class Statement(NamedTuple):
    """The statement of a UTC day, as it is stored."""

    day: date
    leaf_index: int
    make_time: datetime
    document: str


async def find(connection: AsyncConnection, day: date | None = None) -> Statement | None:
    """The statement of a day; without one, the newest."""
    query = select(statements).order_by(statements.c.day.desc()).limit(1)
    if day is not None:
        query = query.where(statements.c.day == day)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Statement(*row)


async def listed(connection: AsyncConnection, limit: int, before: date | None) -> list[Statement]:
    """Statements, the newest first, from the one before `before` on."""
    query = select(statements)
    if before is not None:
        query = query.where(statements.c.day < before)
    rows = await connection.execute(query.order_by(statements.c.day.desc()).limit(limit))
    return [Statement(*row) for row in rows]


async def add(connection: AsyncConnection, new: Statement) -> None:
    """Stores the statement of a day; one of that day that is there already fails the transaction."""
    await connection.execute(insert(statements).values(new._asdict()))


async def tenants_at_work(connection: AsyncConnection) -> list[str]:
    """The Customers who have a deletion with something left to do."""
    query = select(deletion_work.c.tenant).distinct().order_by(deletion_work.c.tenant)
    return list((await connection.execute(query)).scalars())


async def count_pending(connection: AsyncConnection, tenants: Sequence[str]) -> int:
    """How many deletions of these Customers, whom the transaction names, are not at their end yet."""
    going_on = (pb.DELETION_STATE_PENDING, pb.DELETION_STATE_RUNNING)
    query = select(func.count()).where(deletions.c.tenant.in_(tenants), deletions.c.state.in_(going_on))
    return int(await connection.scalar(query) or 0)
