"""Fences: what an erasure of a wide scope made unreadable at once, on one day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import fences, records

OF_RECORD = (
    "EXISTS (SELECT FROM fences f WHERE f.day = r.day AND f.customer = r.customer"
    " AND (f.category IS NULL OR f.category = r.category)"
    " AND r.receive_time >= f.start_time AND r.receive_time < f.end_time)"
)
"""Whether the record `r` lies within a fence."""
_LISTED = "SELECT customer, category, start_time, end_time FROM fences WHERE day = $1 AND customer = ANY ($2)"


class Fence(NamedTuple):
    """A Customer's data of one category, or of all and sessions too, received from start up to end."""

    customer: str
    category: str | None
    start: datetime
    end: datetime

    def holds(self, customer: str, category: str | None, received: datetime) -> bool:
        """Whether what was received then lies within; a session is of category None."""
        within = self.customer == customer and self.start <= received < self.end
        return within and (self.category is None or self.category == category)


async def add(connection: AsyncConnection, day: date, erasure: UUID, fence: Fence) -> None:
    """Puts up a fence on the day; nothing when the erasure has put it up already."""
    values = {"day": day, "customer": fence.customer, "erasure": erasure, "category": fence.category}
    times = {"start_time": fence.start, "end_time": fence.end}
    await connection.execute(insert(fences).values({**values, **times}).on_conflict_do_nothing())


async def find(connection: AsyncConnection, day: date, customer: str, erasure: UUID) -> Fence | None:
    """The fence that the erasure put up on the day."""
    query = select(fences.c.customer, fences.c.category, fences.c.start_time, fences.c.end_time).where(
        fences.c.day == day, fences.c.customer == customer, fences.c.erasure == erasure
    )
    row = (await connection.execute(query)).one_or_none()
    return Fence(*row) if row else None


async def listed(driver: Any, day: date, customers: Sequence[str]) -> list[Fence]:
    """The day's fences of these Customers."""
    return [Fence(*row) for row in await driver.fetch(_LISTED, day, list(customers))]


def outside() -> ColumnElement[bool]:
    """In a query of records: those that lie within no fence."""
    return ~exists().where(
        *(fences.c.day == records.c.day, fences.c.customer == records.c.customer),
        or_(fences.c.category.is_(None), fences.c.category == records.c.category),
        *(records.c.receive_time >= fences.c.start_time, records.c.receive_time < fences.c.end_time),
    )
