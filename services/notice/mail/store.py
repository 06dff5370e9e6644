"""SQL of the outbox. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy import delete, insert, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import SKEW, mail_work, mails

_END = text(
    "UPDATE notice.mails AS m SET state = e.state, reply = e.reply, attempts = e.attempts,"
    " state_time = CASE WHEN e.state = m.state THEN m.state_time ELSE :now END,"
    " content = CASE WHEN e.state = m.state THEN m.content END"
    " FROM unnest(CAST(:tenants AS text[]), CAST(:mails AS uuid[]), CAST(:states AS smallint[]),"
    "  CAST(:replies AS text[]), CAST(:attempts AS int[])) AS e (tenant, mail, state, reply, attempts)"
    " WHERE m.tenant = e.tenant AND m.mail = e.mail AND m.content IS NOT NULL"
)
_LATER = text(
    "UPDATE notice.mail_work AS w SET due_time = e.due_time, set_time = :now"
    " FROM unnest(CAST(:mails AS uuid[]), CAST(:dues AS timestamptz[])) AS e (mail, due_time)"
    " WHERE w.mail = e.mail AND e.due_time IS NOT NULL"
)


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


_MAIL = [mails.c[name] for name in Mail.__slots__]


class Work(NamedTuple):
    """A mail to send, and how often it was taken up for that."""

    tenant: str
    mail: UUID
    attempts: int


class End(NamedTuple):
    """How an attempt ended; `due_time` where another follows."""

    tenant: str
    mail: UUID
    state: pb.DeliveryState.ValueType
    reply: str
    attempts: int
    due_time: datetime | None


async def by_request(connection: AsyncConnection, tenant: str, request_id: UUID) -> Mail | None:
    """The Customer's mail of that request id."""
    query = select(*_MAIL).where(mails.c.tenant == tenant, mails.c.request_id == request_id)
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
    work |= {"set_time": new.create_time}
    await connection.execute(insert(mail_work).values(work))
    return True


async def take(connection: AsyncConnection, now: datetime, until: datetime, limit: int) -> list[Work]:
    """Takes mails that are due, the longest due first; nobody else takes them before `until`.

    What was decided in the future comes from a clock that was set back since: it is due.
    """
    from_ahead = mail_work.c.set_time > now + SKEW
    due = select(mail_work.c.mail).where(or_(mail_work.c.due_time <= now, from_ahead))
    due = due.order_by(mail_work.c.due_time).limit(limit).with_for_update(skip_locked=True)
    found = due.cte("due")
    taken = (
        update(mail_work)
        .where(mail_work.c.mail == found.c.mail)
        .values(due_time=until, set_time=now, attempts=mail_work.c.attempts + 1)
        .returning(mail_work.c.tenant, mail_work.c.mail, mail_work.c.attempts)
    )
    return [Work(*row) for row in await connection.execute(taken)]


async def mail(connection: AsyncConnection, tenant: str, name: UUID) -> Mail | None:
    """A mail by id."""
    query = select(*_MAIL).where(mails.c.tenant == tenant, mails.c.mail == name)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Mail(**row._mapping)


async def mails_of(connection: AsyncConnection, works: Sequence[Work]) -> dict[UUID, Mail]:
    """Those of these mails that have no final state."""
    names = [(work.tenant, work.mail) for work in works]
    query = select(*_MAIL).where(tuple_(mails.c.tenant, mails.c.mail).in_(names))
    query = query.where(mails.c.content.is_not(None))
    return {row.mail: Mail(**row._mapping) for row in await connection.execute(query)}


async def end(connection: AsyncConnection, ended: Sequence[End], now: datetime) -> None:
    """Stores how attempts ended. At its final state a mail's content is forgotten, and the state stays."""
    ordered = sorted(ended)
    names = [one.mail for one in ordered]
    values = {
        "tenants": [one.tenant for one in ordered],
        "mails": names,
        "states": [int(one.state) for one in ordered],
        "replies": [one.reply for one in ordered],
        "attempts": [one.attempts for one in ordered],
        "now": now,
    }
    await connection.execute(_END, values)
    await drop(connection, [one.mail for one in ordered if one.due_time is None])
    if any(one.due_time for one in ordered):
        await connection.execute(
            _LATER, {"mails": names, "dues": [one.due_time for one in ordered], "now": now}
        )


async def put_back(connection: AsyncConnection, names: Sequence[UUID], due: datetime) -> None:
    """Gives back what was taken and not tried."""
    given = update(mail_work).where(mail_work.c.mail.in_(names))
    await connection.execute(given.values(due_time=due, attempts=mail_work.c.attempts - 1))


async def drop(connection: AsyncConnection, names: Sequence[UUID]) -> None:
    """Nothing is left to do about the mails."""
    if names:
        await connection.execute(delete(mail_work).where(mail_work.c.mail.in_(names)))
