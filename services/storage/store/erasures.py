"""Erasures: their intents, what they touched, and the tombstones they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.store import records as record_store
from services.storage.store import sessions as session_store
from services.storage.store.fences import outside
from services.storage.tables import erasures, records, sessions


class Step(IntEnum):
    """The last step that an erasure has done for good."""

    INTENDED = 1
    FENCED = 2  # reads and writes refuse
    UNLINKED = 3  # every object version is gone
    BURIED = 4  # rows are tombstones
    DONE = 5  # every read path was probed


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """An erasure as it rests; its target is sealed, and forgotten when it is done."""

    day: date
    customer: str
    erasure: UUID
    request_mac: bytes
    request_time: datetime
    step: int
    commitment: bytes
    details: bytes | None
    record_count: int = 0
    session_count: int = 0
    object_count: int = 0
    erase_time: datetime | None = None
    final_time: datetime | None = None
    days_total: int | None = None
    days_done: int | None = None
    swept_day: date | None = None
    swept_time: datetime | None = None


class Touched(NamedTuple):
    """What an erasure made unreadable on one day."""

    records: int
    sessions: int
    objects: int


_COLUMNS = tuple(field.name for field in fields(ErasureRow))
_PROGRESS = (
    *("step", "details", "record_count", "session_count", "object_count", "erase_time", "final_time"),
    *("days_total", "days_done", "swept_day", "swept_time"),
)


async def find(connection: AsyncConnection, customer: str, erasure: UUID) -> ErasureRow | None:
    """The erasure of a request."""
    query = select(erasures).where(erasures.c.customer == customer, erasures.c.erasure == erasure)
    row = (await connection.execute(query.order_by(erasures.c.day.desc()).limit(1))).mappings().one_or_none()
    return ErasureRow(**row) if row else None


async def list_unfinished(connection: AsyncConnection) -> list[ErasureRow]:
    """The tenants' erasures that have steps to do."""
    rows = await connection.execute(select(erasures).where(erasures.c.step < Step.DONE))
    return [ErasureRow(**row) for row in rows.mappings()]


async def add(connection: AsyncConnection, row: ErasureRow) -> None:
    """Adds an intent."""
    await connection.execute(insert(erasures).values({name: getattr(row, name) for name in _COLUMNS}))


async def save(connection: AsyncConnection, row: ErasureRow) -> None:
    """Notes how far the erasure is, and its result."""
    same = (
        (erasures.c.day == row.day)
        & (erasures.c.customer == row.customer)
        & (erasures.c.erasure == row.erasure)
    )
    await connection.execute(
        update(erasures).where(same).values({name: getattr(row, name) for name in _PROGRESS})
    )


async def fence_record(
    connection: AsyncConnection, erasure: UUID, day: date, session: UUID, record: UUID
) -> None:
    """Makes one record unreadable."""
    await _fence_records(
        connection, erasure, day, (records.c.session == session) & (records.c.record == record)
    )


async def fence_sessions(connection: AsyncConnection, erasure: UUID, day: date, ids: Sequence[UUID]) -> None:
    """Closes sessions for good and makes their records unreadable."""
    chosen = sessions.c.session.in_(ids) & (sessions.c.state == session_store.ACTIVE)
    state = {"state": session_store.ERASED, "erasure": erasure}
    await connection.execute(update(sessions).where(sessions.c.day == day, chosen).values(state))
    await _fence_records(connection, erasure, day, records.c.session.in_(ids))


async def _fence_records(
    connection: AsyncConnection, erasure: UUID, day: date, chosen: ColumnElement[bool]
) -> None:
    active = (records.c.day == day) & chosen & (records.c.state == record_store.ACTIVE)
    state = {"state": record_store.ERASED, "erasure": erasure}
    await connection.execute(update(records).where(active).values(state))


async def of_record(connection: AsyncConnection, day: date, session: UUID, record: UUID) -> UUID | None:
    """The erasure that made a record unreadable; None for one that stands."""
    query = select(records.c.erasure).where(
        *(records.c.day == day, records.c.session == session, records.c.record == record)
    )
    erasure: UUID | None = await connection.scalar(query)
    return erasure


async def touched(connection: AsyncConnection, erasure: UUID, day: date) -> Touched:
    """What the erasure made unreadable on the day."""
    of_records = select(func.count(), func.count(records.c.object)).where(
        records.c.day == day, records.c.erasure == erasure
    )
    of_sessions = select(func.count()).where(sessions.c.day == day, sessions.c.erasure == erasure)
    record_count, objects = (await connection.execute(of_records)).one()
    return Touched(record_count, int(await connection.scalar(of_sessions) or 0), objects)


async def newest(
    connection: AsyncConnection, day: date, among: Sequence[UUID], record: UUID | None = None
) -> datetime | None:
    """When the newest record of sessions was received, whoever erased it, or the newest of them began."""
    of_records = select(func.max(records.c.receive_time)).where(
        records.c.day == day, records.c.session.in_(among)
    )
    if record is not None:
        received: datetime | None = await connection.scalar(of_records.where(records.c.record == record))
        return received
    of_sessions = select(func.max(sessions.c.create_time)).where(
        sessions.c.day == day, sessions.c.session.in_(among)
    )
    found = (await connection.scalar(of_records), await connection.scalar(of_sessions))
    return max((instant for instant in found if instant), default=None)


async def count_readable(
    connection: AsyncConnection, day: date, among: Sequence[UUID], now: datetime, record: UUID | None = None
) -> tuple[int, int]:
    """How many records of these sessions can be read, and how many of the sessions stand open to reads.

    With a record: whether that one can be read, and no session.
    """
    readable = select(func.count()).where(
        *(records.c.day == day, records.c.session.in_(among), records.c.state == record_store.ACTIVE),
        *(records.c.expire_time > now, outside()),
    )
    if record is not None:
        return int(await connection.scalar(readable.where(records.c.record == record)) or 0), 0
    active = (sessions.c.session.in_(among)) & (sessions.c.state == session_store.ACTIVE)
    of_sessions = select(func.count()).where(sessions.c.day == day, active)
    return int(await connection.scalar(readable) or 0), int(await connection.scalar(of_sessions) or 0)


async def list_objects(
    connection: AsyncConnection, erasure: UUID, among: Sequence[date]
) -> list[tuple[date, str]]:
    """The objects that the erasure has to remove."""
    query = select(records.c.day, records.c.object).where(
        records.c.day.in_(among), records.c.erasure == erasure, records.c.object.is_not(None)
    )
    return [(row.day, row.object) for row in await connection.execute(query)]


async def bury(connection: AsyncConnection, erasure: UUID, among: Sequence[date]) -> None:
    """Turns what the erasure touched into tombstones: ids, times and state, so that a late repeat cannot
    revive it.
    """
    emptied: dict[str, None] = dict.fromkeys(("request_mac", "commitment", "details"))
    of_records = records.c.day.in_(among) & (records.c.erasure == erasure)
    of_sessions = sessions.c.day.in_(among) & (sessions.c.erasure == erasure)
    await connection.execute(
        update(records).where(of_records).values({**emptied, "object": None, "body": None})
    )
    await connection.execute(update(sessions).where(of_sessions).values({**emptied, "subject_digest": None}))


async def count_left(connection: AsyncConnection, erasure: UUID, among: Sequence[date]) -> int:
    """How many rows of the erasure still hold anything sealed: 0 once buried."""
    of_records = records.c.day.in_(among) & (records.c.erasure == erasure)
    held = records.c.body.is_not(None) | records.c.object.is_not(None) | records.c.details.is_not(None)
    of_sessions = sessions.c.day.in_(among) & (sessions.c.erasure == erasure)
    rows = await connection.scalar(select(func.count()).select_from(records).where(of_records, held))
    closed = await connection.scalar(
        select(func.count()).select_from(sessions).where(of_sessions, sessions.c.details.is_not(None))
    )
    return int(rows or 0) + int(closed or 0)
