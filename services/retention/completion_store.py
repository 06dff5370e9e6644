"""SQL of deletions' ends that Customers are still to be told of. Nothing here commits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.store import Work
from services.retention.tables import SKEW, completion_work


async def add(connection: AsyncConnection, tenant: str, name: UUID, now: datetime) -> None:
    """Notes, in the transaction that ends a deletion, that its Customer is to be told."""
    row = {"tenant": tenant, "deletion": name, "due_time": now, "set_time": now, "attempts": 0}
    await connection.execute(insert(completion_work).values(row))


async def take(connection: AsyncConnection, now: datetime, until: datetime) -> Work | None:
    """Takes an end that is due to be told or followed; nobody else takes it before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = completion_work.c.set_time > now + SKEW
    due = select(completion_work.c.deletion).where(or_(completion_work.c.due_time <= now, from_ahead))
    due = due.order_by(completion_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(completion_work)
        .where(completion_work.c.deletion == due.scalar_subquery())
        .values(due_time=until, set_time=now, attempts=completion_work.c.attempts + 1)
        .returning(completion_work.c.tenant, completion_work.c.deletion, completion_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else Work(*row)


async def postpone(connection: AsyncConnection, name: UUID, now: datetime, until: datetime) -> None:
    """Decides at `now` that the end is to be looked at from `until` on."""
    of_it = completion_work.c.deletion == name
    await connection.execute(update(completion_work).where(of_it).values(due_time=until, set_time=now))


async def drop(connection: AsyncConnection, name: UUID) -> None:
    """Nothing is left to do about the end."""
    await connection.execute(delete(completion_work).where(completion_work.c.deletion == name))
