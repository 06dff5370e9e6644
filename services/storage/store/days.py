"""Days, their terms, and the Customers known."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.tables import days, tenants

PREPARED, REMOVED = "prepared", "removed"


class Day(NamedTuple):
    """A session day: its term in days once its first session fixed it, and whether its bytes still exist."""

    day: date
    retention_days: int | None
    state: str


def _days() -> Select[tuple[date, int | None, str]]:
    return select(days.c.day, days.c.retention_days, days.c.state)


async def find(connection: AsyncConnection, day: date) -> Day | None:
    """The day, if it was prepared."""
    row = (await connection.execute(_days().where(days.c.day == day))).one_or_none()
    return Day(row.day, row.retention_days, row.state) if row else None


async def listed(connection: AsyncConnection) -> list[Day]:
    """Every day whose bytes still exist, oldest first."""
    rows = await connection.execute(_days().where(days.c.state != REMOVED).order_by(days.c.day))
    return [Day(row.day, row.retention_days, row.state) for row in rows]


async def add(connection: AsyncConnection, day: date) -> None:
    """Notes that the day's partitions and bucket exist."""
    await connection.execute(insert(days).values(day=day, state=PREPARED).on_conflict_do_nothing())


async def fix_term(connection: AsyncConnection, day: date, retention_days: int) -> None:
    """Sets the day's term unless it has one."""
    unset = (days.c.day == day) & days.c.retention_days.is_(None)
    await connection.execute(update(days).where(unset).values(retention_days=retention_days))


async def set_state(connection: AsyncConnection, day: date, state: str) -> None:
    """Notes how far the day's removal is."""
    await connection.execute(update(days).where(days.c.day == day).values(state=state))


async def add_tenant(connection: AsyncConnection, customer: str) -> None:
    """Notes that the Customer may have rows."""
    await connection.execute(insert(tenants).values(customer=customer).on_conflict_do_nothing())


async def list_tenants(connection: AsyncConnection) -> list[str]:
    """Every Customer that may have rows."""
    return list((await connection.execute(select(tenants.c.customer).order_by(tenants.c.customer))).scalars())
