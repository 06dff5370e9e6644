"""Pages of what an erasure of a wide scope removes from one day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.store import records as record_store
from services.storage.store import sessions as session_store
from services.storage.store.erasures import Touched
from services.storage.store.fences import Fence
from services.storage.tables import records, sessions


class Doomed(NamedTuple):
    """A record that is to go."""

    session: UUID
    record: UUID
    receive_time: datetime
    object: str | None


async def page(
    connection: AsyncConnection, day: date, fence: Fence, since: datetime, limit: int
) -> list[Doomed]:
    """The next records within the fence by receipt, from `since` on."""
    query = select(records.c.session, records.c.record, records.c.receive_time, records.c.object).where(
        *_records_within(day, fence), records.c.receive_time >= since, records.c.state == record_store.ACTIVE
    )
    rows = await connection.execute(query.order_by(records.c.receive_time, records.c.record).limit(limit))
    return [Doomed(*row) for row in rows]


async def bury(connection: AsyncConnection, erasure: UUID, day: date, doomed: Sequence[Doomed]) -> int:
    """Turns records into tombstones, their objects being gone; returns how many were not erased before."""
    chosen = tuple_(records.c.session, records.c.record).in_([(one.session, one.record) for one in doomed])
    values = {"state": record_store.ERASED, "erasure": erasure, **dict.fromkeys(_SEALED)}
    active = (records.c.day == day) & (records.c.state == record_store.ACTIVE)
    return (await connection.execute(update(records).where(active, chosen).values(values))).rowcount


async def sessions_page(
    connection: AsyncConnection, day: date, fence: Fence, limit: int, *, whole: bool
) -> list[UUID]:
    """Sessions opened within the fence that are to be closed for good.

    Unless `whole`, those stay that hold a readable record received outside of it.
    """
    query = select(sessions.c.session).where(*_sessions_within(day, fence, whole=whole))
    return list((await connection.execute(query.limit(limit))).scalars())


async def close(connection: AsyncConnection, erasure: UUID, day: date, ids: Sequence[UUID]) -> Touched:
    """Closes sessions for good with what they took since; the transaction holds the day's lock."""
    mark = {"state": session_store.ERASED, "erasure": erasure}
    of_sessions = (sessions.c.day == day) & sessions.c.session.in_(ids)
    closed = await connection.execute(
        update(sessions).where(of_sessions, sessions.c.state == session_store.ACTIVE).values(mark)
    )
    rest = update(records).where(
        *(records.c.day == day, records.c.session.in_(ids), records.c.state == record_store.ACTIVE)
    )
    marked = await connection.execute(rest.values(mark).returning(records.c.object))
    objects = list(marked.scalars())
    return Touched(len(objects), closed.rowcount, len([name for name in objects if name]))


async def newest(connection: AsyncConnection, day: date, fence: Fence) -> datetime | None:
    """When the newest of what lies within was received, whoever erased it."""
    of_records = select(func.max(records.c.receive_time)).where(*_records_within(day, fence))
    found = [await connection.scalar(of_records)]
    if fence.category is None:
        within = (sessions.c.create_time >= fence.start) & (sessions.c.create_time < fence.end)
        own = (sessions.c.day == day) & (sessions.c.customer == fence.customer)
        found.append(await connection.scalar(select(func.max(sessions.c.create_time)).where(own, within)))
    return max((instant for instant in found if instant), default=None)


async def count(
    connection: AsyncConnection, day: date, fence: Fence, now: datetime, *, whole: bool
) -> tuple[int, int]:
    """How many readable records and open sessions lie within."""
    readable = (records.c.state == record_store.ACTIVE) & (records.c.expire_time > now)
    of_records = select(func.count()).where(*_records_within(day, fence), readable)
    counted = int(await connection.scalar(of_records) or 0)
    if fence.category is not None:
        return counted, 0
    of_sessions = select(func.count()).where(*_sessions_within(day, fence, whole=whole))
    return counted, int(await connection.scalar(of_sessions) or 0)


_SEALED = ("request_mac", "commitment", "details", "object", "body")


def _records_within(day: date, fence: Fence) -> list[ColumnElement[bool]]:
    found = [records.c.day == day, records.c.customer == fence.customer]
    if fence.category is not None:
        found.append(records.c.category == fence.category)
    return [*found, records.c.receive_time >= fence.start, records.c.receive_time < fence.end]


def _sessions_within(day: date, fence: Fence, *, whole: bool) -> list[ColumnElement[bool]]:
    found = [
        *(sessions.c.day == day, sessions.c.customer == fence.customer),
        sessions.c.state == session_store.ACTIVE,
        *(sessions.c.create_time >= fence.start, sessions.c.create_time < fence.end),
    ]
    return found if whole else [*found, ~_holds_others(fence)]


def _holds_others(fence: Fence) -> ColumnElement[bool]:
    """Whether a session holds a readable record that does not lie within."""
    outside = (records.c.receive_time < fence.start) | (records.c.receive_time >= fence.end)
    return exists().where(
        *(records.c.day == sessions.c.day, records.c.session == sessions.c.session),
        *(records.c.state == record_store.ACTIVE, outside),
    )
