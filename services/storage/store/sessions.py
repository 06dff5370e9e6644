"""Session rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import sessions

ACTIVE, ERASED = 1, 2
"""idv.types.v1.SessionState."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it rests. What is None went with its erasure."""

    day: date
    customer: str
    session: UUID
    request_id: UUID
    request_mac: bytes | None
    subject_digest: bytes | None
    notice_version: int
    purposes: list[int]
    create_time: datetime
    close_time: datetime
    state: int
    erasure: UUID | None
    commitment: bytes | None
    details: bytes | None
    restriction: int | None = None
    opt_out: list[str] | None = None


_COLUMNS = tuple(field.name for field in fields(SessionRow))
_FENCE = (
    "SELECT s.session, s.state, s.create_time, s.close_time, s.opt_out,"
    " EXISTS (SELECT FROM fences f WHERE f.day = s.day AND f.customer = s.customer) AS fenced"
    " FROM sessions s WHERE s.day = $1 AND s.session = ANY ($2)"
)


async def add(connection: AsyncConnection, row: SessionRow) -> None:
    """Adds a session."""
    await connection.execute(insert(sessions).values({name: getattr(row, name) for name in _COLUMNS}))


async def find(connection: AsyncConnection, day: date, session: UUID) -> SessionRow | None:
    """The session, if the transaction's tenants may see it."""
    query = select(sessions).where(sessions.c.day == day, sessions.c.session == session)
    row = (await connection.execute(query)).mappings().one_or_none()
    return SessionRow(**row) if row else None


async def find_request(
    connection: AsyncConnection, among: Sequence[date], customer: str, request_id: UUID
) -> SessionRow | None:
    """The session that a request made on one of these days."""
    query = select(sessions).where(
        sessions.c.day.in_(among), sessions.c.customer == customer, sessions.c.request_id == request_id
    )
    row = (await connection.execute(query.order_by(sessions.c.day.desc()).limit(1))).mappings().one_or_none()
    return SessionRow(**row) if row else None


async def of_subject(connection: AsyncConnection, day: date, customer: str, digest: bytes) -> list[UUID]:
    """The day's sessions of a subject."""
    query = select(sessions.c.session).where(
        sessions.c.day == day, sessions.c.customer == customer, sessions.c.subject_digest == digest
    )
    return list((await connection.execute(query)).scalars())


async def page(
    connection: AsyncConnection,
    day: date,
    customer: str,
    digest: bytes | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[SessionRow]:
    """Open sessions of the day by creation, after a position: a subject's, or without digest all."""
    query = select(sessions).where(
        *(sessions.c.day == day, sessions.c.customer == customer, sessions.c.state == ACTIVE)
    )
    if digest is not None:
        query = query.where(sessions.c.subject_digest == digest)
    if after is not None:
        query = query.where(tuple_(sessions.c.create_time, sessions.c.session) > tuple_(*after))
    rows = await connection.execute(query.order_by(sessions.c.create_time, sessions.c.session).limit(limit))
    return [SessionRow(**row) for row in rows.mappings()]


async def fence(driver: Any, day: date, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """State, create_time, close_time, opt_out of sessions by id, and whether their Customer has fences.

    Those that are missing do not exist for these tenants.
    """
    return {row["session"]: row for row in await driver.fetch(_FENCE, day, list(ids))}
