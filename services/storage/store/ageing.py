"""SQL of days whose own records are past their term. Nothing here commits."""

from __future__ import annotations

from datetime import date, datetime

from idv.storage.v1 import storage_pb2
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.store.days import REMOVED
from services.storage.tables import days, destructions, root_keys


async def past_term(connection: AsyncConnection, until: datetime, limit: int) -> list[date]:
    """Days whose removal was noted by `until`, the oldest first.

    Never the days of the last destruction and of the newest root key: the next ones are numbered after them.
    """
    last = select(destructions.c.day).order_by(destructions.c.sequence.desc()).limit(1)
    newest = select(root_keys.c.day).order_by(root_keys.c.version.desc()).limit(1)
    query = (
        select(days.c.day)
        .join(destructions, destructions.c.day == days.c.day)
        .where(
            *(days.c.state == REMOVED, destructions.c.kind == storage_pb2.DESTRUCTION_KIND_DAY),
            destructions.c.destroy_time <= until,
            days.c.day != func.coalesce(last.scalar_subquery(), date.max),
            days.c.day != func.coalesce(newest.scalar_subquery(), date.max),
        )
        .order_by(days.c.day)
        .limit(limit)
    )
    return list((await connection.execute(query)).scalars())


async def forget(connection: AsyncConnection, ended: list[date]) -> int:
    """Removes what is kept of these days, and returns how many rows that were."""
    removed = 0
    for table in (destructions, root_keys, days):
        removed += (await connection.execute(delete(table).where(table.c.day.in_(ended)))).rowcount
    return removed
