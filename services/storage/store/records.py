"""Record rows: written in batches, read one at a time, both on the driver's own connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.store import fences
from services.storage.tables import records

ACTIVE, ERASED = 1, 2
"""idv.types.v1.RecordState."""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as it rests. What is None went with its erasure, or was never there: `object` names a large
    body.
    """

    day: date
    customer: str
    session: UUID
    record: UUID
    request_id: UUID
    request_mac: bytes | None
    category: str
    notice_version: int
    receive_time: datetime
    expire_time: datetime
    size_class: int
    state: int
    object: str | None
    commitment: bytes | None
    details: bytes | None
    body: bytes | None = field(repr=False)
    asked: frozenset[str] = frozenset()
    """Optional items of the category that its session asked for: known while it is written, not stored."""


_COLUMNS = tuple(one.name for one in fields(RecordRow) if one.name != "asked")
_HEAD = _COLUMNS[:-1]
_TYPES = (
    *("date", "text", "uuid", "uuid", "uuid", "bytea", "text", "int", "timestamptz", "timestamptz"),
    *("smallint", "smallint", "text", "bytea", "bytea", "bytea"),
)
_UNNEST = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_TYPES, start=1))
_INSERT = (
    f"INSERT INTO records ({', '.join(_COLUMNS)}) SELECT * FROM unnest({_UNNEST})"  # noqa: S608 - constants
    " ON CONFLICT (day, session, request_id) DO NOTHING RETURNING record"
)
_REPEATED = (
    f"SELECT {', '.join(_HEAD)} FROM records"  # noqa: S608 - constants
    " WHERE day = $1 AND session = ANY ($2) AND request_id = ANY ($3)"
)
_READ = (
    f"SELECT {', '.join(f'r.{name}' for name in _COLUMNS)}, s.state AS session_state, s.purposes,"  # noqa: S608 - constants
    f" s.restriction, {fences.OF_RECORD} AS fenced"
    " FROM records r JOIN sessions s ON s.day = r.day AND s.session = r.session"
    " WHERE r.day = $1 AND r.session = $2 AND r.record = $3 AND s.day = $1"
)
_STATE = (
    f"SELECT r.state, s.restriction, {fences.OF_RECORD} AS fenced"  # noqa: S608 - constants
    " FROM records r JOIN sessions s ON s.day = r.day AND s.session = r.session"
    " WHERE r.day = $1 AND r.session = $2 AND r.record = $3 AND s.day = $1"
)


async def add(driver: Any, rows: Sequence[RecordRow]) -> set[UUID]:
    """Adds records of one day; returns the ids of those added: the others' request ids were used before."""
    columns = [[getattr(row, name) for row in rows] for name in _COLUMNS]
    return {row["record"] for row in await driver.fetch(_INSERT, *columns)}


async def find_repeated(driver: Any, rows: Sequence[RecordRow]) -> dict[tuple[UUID, UUID], RecordRow]:
    """What stands under the request ids of these records of one day, by session and request id; without
    bodies.
    """
    keys = ([row.session for row in rows], [row.request_id for row in rows])
    found = await driver.fetch(_REPEATED, rows[0].day, *keys)
    return {(row["session"], row["request_id"]): _head(row) for row in found}


class Found(NamedTuple):
    """A record with what its session says."""

    row: RecordRow
    session_state: int
    purposes: list[int]
    restriction: int | None
    fenced: bool


class Standing(NamedTuple):
    """What may end a reading before its end: None of it for a record that may be read."""

    state: int
    restriction: int | None
    fenced: bool


async def read(driver: Any, day: date, session: UUID, record: UUID) -> Found | None:
    """A record with what its session says."""
    row = await driver.fetchrow(_READ, day, session, record)
    if row is None:
        return None
    values = tuple(row)
    return Found(RecordRow(*values[: len(_COLUMNS)]), *values[len(_COLUMNS) :])


async def standing(driver: Any, day: date, session: UUID, record: UUID) -> Standing | None:
    """How a record stands, without the record, for reads that take long."""
    row = await driver.fetchrow(_STATE, day, session, record)
    return Standing(*row) if row else None


async def page(
    connection: AsyncConnection,
    day: date,
    among: Sequence[UUID] | None,
    *,
    now: datetime,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[RecordRow]:
    """Readable records of the day's sessions by receipt time, after a position; without bodies.

    Without sessions: of all that the tenants have.
    """
    columns = [records.c[name] for name in _HEAD]
    query = select(*columns).where(
        *(records.c.day == day, records.c.state == ACTIVE, records.c.expire_time > now, fences.outside())
    )
    if among is not None:
        query = query.where(records.c.session.in_(among))
    if after is not None:
        query = query.where(tuple_(records.c.receive_time, records.c.record) > tuple_(*after))
    rows = await connection.execute(query.order_by(records.c.receive_time, records.c.record).limit(limit))
    return [_head(row) for row in rows]


async def count(connection: AsyncConnection, day: date, start: datetime, end: datetime) -> int:
    """How many records of the day were received from start up to end, as far as the tenants see."""
    within = (records.c.receive_time >= start) & (records.c.receive_time < end)
    return int(await connection.scalar(select(func.count()).where(records.c.day == day, within)) or 0)


async def known_objects(connection: AsyncConnection, day: date, names: Sequence[str]) -> set[str]:
    """Which of the objects have a row, as far as the tenants see."""
    query = select(records.c.object).where(records.c.day == day, records.c.object.in_(names))
    return {name for name in (await connection.execute(query)).scalars() if name is not None}


def _head(row: Iterable[Any]) -> RecordRow:
    """A row that was read without its body."""
    return RecordRow(*(*row, None))
