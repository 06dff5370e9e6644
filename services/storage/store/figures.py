"""What is counted for the daily statement."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

from idv.storage.v1 import storage_pb2
from sqlalchemy import ColumnElement, Interval, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.resources import RecordName
from services.storage.store import fences
from services.storage.store.records import ACTIVE
from services.storage.tables import destructions, records


class Destroyed(NamedTuple):
    """Destructions: of keys in all; of keys and days since an instant, those of them that were late, and the
    greatest delay among these new ones.
    """

    keys: int
    new_keys: int
    new_late_keys: int
    new_days: int
    new_late_days: int
    worst: timedelta


async def readable(connection: AsyncConnection, day: date, now: datetime) -> tuple[int, datetime | None]:
    """How many records of the day can be read, and when the oldest of them was received."""
    query = select(func.count(), func.min(records.c.receive_time)).where(
        *(records.c.day == day, records.c.state == ACTIVE, records.c.expire_time > now, fences.outside())
    )
    count, oldest = (await connection.execute(query)).one()
    return int(count), oldest


async def past_term(connection: AsyncConnection, day: date, now: datetime) -> int:
    """How many records of the day are past their term and not erased, while their rows still rest."""
    query = select(func.count()).where(*_past(day, now))
    return int(await connection.scalar(query) or 0)


async def at_the_ends(connection: AsyncConnection, day: date, now: datetime, limit: int) -> list[RecordName]:
    """Of these, those whose term ended first and those whose term ended last, `limit` of each."""
    columns = (records.c.customer, records.c.session, records.c.record)
    query = select(*columns).where(*_past(day, now)).limit(limit)
    found: dict[RecordName, None] = {}
    for order in (records.c.expire_time.asc(), records.c.expire_time.desc()):
        for row in await connection.execute(query.order_by(order)):
            found[RecordName(row.customer, str(row.session), str(row.record))] = None
    return list(found)


async def destroyed(
    connection: AsyncConnection, since: datetime | None, *, key_late: timedelta, day_late: timedelta
) -> Destroyed:
    """Counts destructions; late is what was done later than its limit after it was due."""
    key = destructions.c.kind == storage_pb2.DESTRUCTION_KIND_KEY
    day = destructions.c.kind == storage_pb2.DESTRUCTION_KIND_DAY
    delay = cast(destructions.c.destroy_time - destructions.c.due_time, Interval)
    new: ColumnElement[bool] = destructions.c.sequence > 0
    if since is not None:
        new = destructions.c.destroy_time >= since
    counts = (
        func.count().filter(key),
        func.count().filter(key, new),
        func.count().filter(key, new, delay > key_late),
        func.count().filter(day, new),
        func.count().filter(day, new, delay > day_late),
        func.coalesce(func.max(delay).filter(new), timedelta()),
    )
    return Destroyed(*(await connection.execute(select(*counts))).one())


def _past(day: date, now: datetime) -> list[ColumnElement[bool]]:
    return [records.c.day == day, records.c.state == ACTIVE, records.c.expire_time <= now]
