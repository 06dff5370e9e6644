"""SQL of off-boardings. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from idv.retention.v1.offboarding_pb2 import OffboardingState
from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.tables import SKEW, offboarding_work, offboardings


@dataclass(frozen=True)
class Offboarding:
    """An off-boarding as it is stored; see `tables.offboardings` for each field."""

    tenant: str
    request_id: UUID
    state: OffboardingState.ValueType
    receive_time: datetime
    close_time: datetime | None = None
    deletion: UUID | None = None
    complete_time: datetime | None = None
    final_time: datetime | None = None
    leaf_index: int | None = None
    receipt: str | None = None


class OffboardingWork(NamedTuple):
    """An off-boarding that is not over, and how often it was tried."""

    tenant: str
    attempts: int


async def add(connection: AsyncConnection, new: Offboarding, due_time: datetime) -> None:
    """Stores an off-boarding unless the Customer has one, with its work."""
    added = upsert(offboardings).values(vars(new)).on_conflict_do_nothing().returning(offboardings.c.tenant)
    if (await connection.execute(added)).one_or_none() is not None:
        row = {"tenant": new.tenant, "due_time": due_time, "set_time": new.receive_time, "attempts": 0}
        await connection.execute(insert(offboarding_work).values(row))


async def find(connection: AsyncConnection, tenant: str, *, lock: bool = False) -> Offboarding | None:
    """The Customer's off-boarding; `lock` keeps other transactions from changing it until this one ends."""
    query = select(offboardings).where(offboardings.c.tenant == tenant)
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Offboarding(**row._mapping)


async def change(connection: AsyncConnection, tenant: str, **values: Any) -> None:
    """Sets columns of an off-boarding that this transaction holds locked."""
    await connection.execute(update(offboardings).where(offboardings.c.tenant == tenant).values(values))


async def take(connection: AsyncConnection, now: datetime, until: datetime) -> OffboardingWork | None:
    """Takes an off-boarding that is due, the longest due first; nobody else takes it before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = offboarding_work.c.set_time > now + SKEW
    due = select(offboarding_work.c.tenant).where(or_(offboarding_work.c.due_time <= now, from_ahead))
    due = due.order_by(offboarding_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(offboarding_work)
        .where(offboarding_work.c.tenant == due.scalar_subquery())
        .values(due_time=until, set_time=now, attempts=offboarding_work.c.attempts + 1)
        .returning(offboarding_work.c.tenant, offboarding_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else OffboardingWork(*row)


async def postpone(connection: AsyncConnection, tenant: str, now: datetime, until: datetime) -> None:
    """Decides at `now` that the off-boarding is to be looked at from `until` on."""
    of_it = offboarding_work.c.tenant == tenant
    await connection.execute(update(offboarding_work).where(of_it).values(due_time=until, set_time=now))


async def drop_work(connection: AsyncConnection, tenant: str) -> None:
    """Nothing is left to do."""
    await connection.execute(delete(offboarding_work).where(offboarding_work.c.tenant == tenant))
