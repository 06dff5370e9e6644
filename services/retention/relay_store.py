"""SQL of relayed requests and of what is left to do about them. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from idv.notice.v1.customers_pb2 import DeliveryState
from idv.retention.v1.rights_pb2 import RequestKind
from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.tables import SKEW, relay_work, relays


@dataclass(frozen=True, slots=True)
class Relay:
    """A relayed request as it is stored; see `tables.relays` for each field."""

    tenant: str
    relay: UUID
    request_id: UUID
    kind: RequestKind.ValueType
    case_number: str
    receive_time: datetime
    due_time: datetime
    mail_state: DeliveryState.ValueType
    remind_time: datetime | None = None
    resolve_time: datetime | None = None


class RelayWork(NamedTuple):
    """A relay with something left to do, and how often that was tried in vain."""

    tenant: str
    relay: UUID
    attempts: int


async def add(connection: AsyncConnection, new: Relay) -> bool:
    """Stores a relay, to be looked at at once, unless its Customer used the request id before.

    Waits for a concurrent one of the same request id to commit or fail.
    """
    values = {name: getattr(new, name) for name in Relay.__slots__}
    free = [relays.c.tenant, relays.c.request_id]
    added = upsert(relays).values(values).on_conflict_do_nothing(index_elements=free)
    if (await connection.execute(added.returning(relays.c.relay))).one_or_none() is None:
        return False
    work = {"relay": new.relay, "tenant": new.tenant, "attempts": 0}
    work |= {"due_time": new.receive_time, "set_time": new.receive_time}
    await connection.execute(insert(relay_work).values(work))
    return True


async def by_request(connection: AsyncConnection, tenant: str, request_id: UUID) -> Relay | None:
    """The Customer's relay of that request id."""
    query = select(relays).where(relays.c.tenant == tenant, relays.c.request_id == request_id)
    return _relay((await connection.execute(query)).one_or_none())


async def relay(connection: AsyncConnection, tenant: str, name: UUID, *, lock: bool = False) -> Relay | None:
    """A relay by id; `lock` keeps other transactions from changing it until this one ends."""
    query = select(relays).where(relays.c.tenant == tenant, relays.c.relay == name)
    if lock:
        query = query.with_for_update()
    return _relay((await connection.execute(query)).one_or_none())


async def page(connection: AsyncConnection, tenant: str, limit: int, before: UUID | None) -> list[Relay]:
    """The Customer's relays, the newest first, from the one after `before` on."""
    query = select(relays).where(relays.c.tenant == tenant)
    if before is not None:
        query = query.where(relays.c.relay < before)
    rows = await connection.execute(query.order_by(relays.c.relay.desc()).limit(limit))
    return [Relay(**row._mapping) for row in rows]


async def change(connection: AsyncConnection, tenant: str, name: UUID, **values: Any) -> None:
    """Sets columns of a relay."""
    one = (relays.c.tenant == tenant, relays.c.relay == name)
    await connection.execute(update(relays).where(*one).values(values))


async def take(connection: AsyncConnection, now: datetime, until: datetime) -> RelayWork | None:
    """Takes a relay that is due to be looked at; nobody else takes it before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = relay_work.c.set_time > now + SKEW
    due = select(relay_work.c.relay).where(or_(relay_work.c.due_time <= now, from_ahead))
    due = due.order_by(relay_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(relay_work)
        .where(relay_work.c.relay == due.scalar_subquery())
        .values(due_time=until, set_time=now)
        .returning(relay_work.c.tenant, relay_work.c.relay, relay_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else RelayWork(*row)


async def postpone(
    connection: AsyncConnection, name: UUID, now: datetime, until: datetime, attempts: int
) -> None:
    """Decides at `now` that the relay is to be looked at from `until` on; `attempts` were in vain so far."""
    values = {"due_time": until, "set_time": now, "attempts": attempts}
    await connection.execute(update(relay_work).where(relay_work.c.relay == name).values(values))


async def remove(connection: AsyncConnection, tenant: str, name: UUID) -> None:
    """Removes a relay that is past its term, if it is still there, and its work."""
    await connection.execute(delete(relays).where(relays.c.tenant == tenant, relays.c.relay == name))
    await connection.execute(delete(relay_work).where(relay_work.c.relay == name))


def _relay(row: Row[Any] | None) -> Relay | None:
    return None if row is None else Relay(**row._mapping)
