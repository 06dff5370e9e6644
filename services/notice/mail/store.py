"""SQL of the outbox. Nothing here commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import mail_work, mails


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it is stored; see `tables.mails` for each field."""

    tenant: str
    mail: UUID
    request_id: UUID
    fingerprint: bytes
    kind: pb.MessageKind.ValueType
    recipient: str
    content: bytes | None
    state: pb.DeliveryState.ValueType
    state_time: datetime
    create_time: datetime
    reply: str | None = None
    attempts: int = 0


class Work(NamedTuple):
    """A mail to send, and how often it was taken up for that."""

    tenant: str
    mail: UUID
    attempts: int


async def by_request(connection: AsyncConnection, tenant: str, request_id: UUID) -> Mail | None:
    """The Customer's mail of that request id."""
    query = select(mails).where(mails.c.tenant == tenant, mails.c.request_id == request_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Mail(**row._mapping)


async def add(connection: AsyncConnection, new: Mail) -> bool:
    """Puts a mail into the outbox unless its Customer used the request id before; says whether it did.

    Waits for a concurrent one of the same request id to commit or fail.
    """
    values = {name: getattr(new, name) for name in Mail.__slots__}
    added = upsert(mails).values(values).on_conflict_do_nothing().returning(mails.c.mail)
    if (await connection.execute(added)).one_or_none() is None:
        return False
    work = {"mail": new.mail, "tenant": new.tenant, "due_time": new.create_time, "attempts": 0}
    await connection.execute(insert(mail_work).values(work))
    return True


async def take(connection: AsyncConnection, now: datetime, until: datetime) -> Work | None:
    """Takes a mail that is due, the longest due first; nobody else takes it before `until`."""
    due = select(mail_work.c.mail).where(mail_work.c.due_time <= now)
    due = due.order_by(mail_work.c.due_time).limit(1).with_for_update(skip_locked=True)
    taken = (
        update(mail_work)
        .where(mail_work.c.mail == due.scalar_subquery())
        .values(due_time=until, attempts=mail_work.c.attempts + 1)
        .returning(mail_work.c.tenant, mail_work.c.mail, mail_work.c.attempts)
    )
    row = (await connection.execute(taken)).one_or_none()
    return None if row is None else Work(*row)


async def mail(connection: AsyncConnection, tenant: str, name: UUID, *, lock: bool = False) -> Mail | None:
    """A mail by id; `lock` keeps other transactions from changing it until this one ends."""
    query = select(mails).where(mails.c.tenant == tenant, mails.c.mail == name)
    if lock:
        query = query.with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Mail(**row._mapping)


async def finish(
    connection: AsyncConnection, work: Work, state: pb.DeliveryState.ValueType, reply: str, now: datetime
) -> None:
    """Stores a final state with its evidence, and forgets the content."""
    values = {"state": state, "state_time": now, "reply": reply, "attempts": work.attempts, "content": None}
    await connection.execute(update(mails).where(_it(work)).values(values))
    await drop(connection, work)


async def put_off(connection: AsyncConnection, work: Work, reply: str, until: datetime) -> None:
    """Stores what the attempt ended in; the next is due at `until`."""
    await connection.execute(update(mails).where(_it(work)).values(reply=reply, attempts=work.attempts))
    await connection.execute(update(mail_work).where(mail_work.c.mail == work.mail).values(due_time=until))


async def drop(connection: AsyncConnection, work: Work) -> None:
    """Nothing is left to do about the mail."""
    await connection.execute(delete(mail_work).where(mail_work.c.mail == work.mail))


def _it(work: Work) -> ColumnElement[bool]:
    return and_(mails.c.tenant == work.tenant, mails.c.mail == work.mail)
