"""SQL of the webhooks' outbox. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from idv.retention.v1 import deletions_pb2 as pb
from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import SKEW, webhook_work, webhooks


@dataclass(frozen=True, slots=True)
class Message:
    """A webhook's message as it is stored; see `tables.webhooks` for each field."""

    tenant: str
    webhook: UUID
    request_id: UUID
    fingerprint: bytes
    uri: str | None
    content: bytes | None
    state: pb.NotificationState.ValueType
    state_time: datetime
    create_time: datetime
    reply: str | None = None
    attempts: int = 0


class Work(NamedTuple):
    """A message to post, and how often it was taken up for that."""

    tenant: str
    webhook: UUID
    attempts: int


async def by_request(connection: AsyncConnection, tenant: str, request_id: UUID) -> Message | None:
    """The Customer's message of that request id."""
    query = select(webhooks).where(webhooks.c.tenant == tenant, webhooks.c.request_id == request_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Message(**row._mapping)


async def add(connection: AsyncConnection, new: Message) -> bool:
    """Puts a message into the outbox unless its Customer used the request id before; says whether it did.

    Waits for a concurrent one of the same request id to commit or fail.
    """
    values = {name: getattr(new, name) for name in Message.__slots__}
    added = upsert(webhooks).values(values).on_conflict_do_nothing().returning(webhooks.c.webhook)
    if (await connection.execute(added)).one_or_none() is None:
        return False
    if new.content is not None:
        work = {"webhook": new.webhook, "tenant": new.tenant, "due_time": new.create_time, "attempts": 0}
        work |= {"set_time": new.create_time}
        await connection.execute(insert(webhook_work).values(work))
    return True


async def take(connection: AsyncConnection, now: datetime, until: datetime) -> Work | None:
    """Takes a message that is due, the longest due first; nobody else takes it before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = webhook_work.c.set_time > now + SKEW
    due = select(webhook_work.c.webhook).where(or_(webhook_work.c.due_time <= now, from_ahead))
    due = due.order_by(webhook_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(webhook_work)
        .where(webhook_work.c.webhook == due.scalar_subquery())
        .values(due_time=until, set_time=now, attempts=webhook_work.c.attempts + 1)
        .returning(webhook_work.c.tenant, webhook_work.c.webhook, webhook_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else Work(*row)


async def message(
    connection: AsyncConnection, tenant: str, name: UUID, *, lock: bool = False
) -> Message | None:
    """A message by id; `lock` keeps other transactions from changing it until this one ends."""
    query = select(webhooks).where(webhooks.c.tenant == tenant, webhooks.c.webhook == name)
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Message(**row._mapping)


async def finish(
    connection: AsyncConnection,
    work: Work,
    state: pb.NotificationState.ValueType,
    reply: str,
    now: datetime,
) -> None:
    """Stores a final state with its evidence, and forgets address and content."""
    values = {"state": state, "state_time": now, "reply": reply, "attempts": work.attempts}
    forgotten = {"content": None, "uri": None}
    await connection.execute(update(webhooks).where(_it(work)).values(values | forgotten))
    await drop(connection, work)


async def put_back(connection: AsyncConnection, work: Work, due: datetime) -> None:
    """Gives back what was taken and came to no recorded end."""
    given = update(webhook_work).where(webhook_work.c.webhook == work.webhook)
    await connection.execute(given.values(due_time=due, attempts=webhook_work.c.attempts - 1))


async def put_off(
    connection: AsyncConnection, work: Work, reply: str, now: datetime, until: datetime
) -> None:
    """Stores what the attempt ended in at `now`; the next is due at `until`."""
    await connection.execute(update(webhooks).where(_it(work)).values(reply=reply, attempts=work.attempts))
    await connection.execute(
        update(webhook_work)
        .where(webhook_work.c.webhook == work.webhook)
        .values(due_time=until, set_time=now)
    )


async def drop(connection: AsyncConnection, work: Work) -> None:
    """Nothing is left to do about the message."""
    await connection.execute(delete(webhook_work).where(webhook_work.c.webhook == work.webhook))


def _it(work: Work) -> ColumnElement[bool]:
    return and_(webhooks.c.tenant == work.tenant, webhooks.c.webhook == work.webhook)
