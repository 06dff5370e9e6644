"""Restrictions, opt-outs and the Customer's long-lived keys, and what their changes were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.storage.store import records as record_store
from services.storage.store import sessions as session_store
from services.storage.tables import changes, customer_keys, opt_outs, records, restrictions, sessions


@dataclass(frozen=True, slots=True)
class Change:
    """A restriction or an opt-out set or lifted, and what was answered."""

    day: date
    customer: str
    request_id: UUID
    request_mac: bytes
    record_count: int
    answer_time: datetime | None


class Restricted(NamedTuple):
    """A subject under restriction since this day."""

    day: date
    digest: bytes


class OptOut(NamedTuple):
    """What a subject opted out of, empty for everything, and since when."""

    items: list[str]
    opt_out_time: datetime


async def find_change(connection: AsyncConnection, customer: str, request_id: UUID) -> Change | None:
    """The change of a request."""
    query = select(changes).where(changes.c.customer == customer, changes.c.request_id == request_id)
    row = (await connection.execute(query.order_by(changes.c.day.desc()).limit(1))).one_or_none()
    return Change(*row) if row else None


async def add_change(connection: AsyncConnection, change: Change) -> None:
    """Keeps a change for its repeats."""
    values = {name: getattr(change, name) for name in Change.__slots__}
    await connection.execute(insert(changes).values(values))


async def restricted_days(connection: AsyncConnection, customer: str) -> list[date]:
    """Days for which the Customer has subjects under restriction, oldest first."""
    query = select(restrictions.c.day).where(restrictions.c.customer == customer, restrictions.c.restricted)
    return list((await connection.execute(query.distinct().order_by(restrictions.c.day))).scalars())


async def newest_restriction(
    connection: AsyncConnection, customer: str, digests: Mapping[date, bytes]
) -> Restricted | None:
    """The subject's restriction of the latest of these days, by its digest of each."""
    pairs = tuple_(restrictions.c.day, restrictions.c.subject_digest).in_(list(digests.items()))
    query = select(restrictions.c.day, restrictions.c.subject_digest).where(
        *(restrictions.c.day.in_(list(digests)), restrictions.c.customer == customer),
        *(restrictions.c.restricted, pairs),
    )
    row = (await connection.execute(query.order_by(restrictions.c.day.desc()).limit(1))).one_or_none()
    return Restricted(*row) if row else None


async def restriction(connection: AsyncConnection, day: date, customer: str, digest: bytes) -> int | None:
    """Why the subject is restricted, by its digest of the day; None when it is not."""
    query = select(restrictions.c.reason).where(
        *(restrictions.c.day == day, restrictions.c.customer == customer),
        *(restrictions.c.subject_digest == digest, restrictions.c.restricted),
    )
    found: int | None = await connection.scalar(query)
    return found


async def restrict(connection: AsyncConnection, day: date, customer: str, digest: bytes, reason: int) -> None:
    """Restricts the subject's sessions of the day that are to come."""
    values = {"day": day, "customer": customer, "subject_digest": digest}
    state = {"reason": reason, "restricted": True}
    statement = insert(restrictions).values({**values, **state})
    keys = ["day", "customer", "subject_digest"]
    await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=state))


async def lift(connection: AsyncConnection, day: date, customer: str, digest: bytes) -> None:
    """Lifts a restriction of the day's sessions that are to come."""
    of_subject = (restrictions.c.day == day, restrictions.c.customer == customer)
    await connection.execute(
        update(restrictions)
        .where(*of_subject, restrictions.c.subject_digest == digest)
        .values(restricted=False)
    )


async def mark_restricted(
    connection: AsyncConnection, day: date, customer: str, digest: bytes, reason: int | None
) -> None:
    """Tells the subject's sessions of the day why they are restricted; with None lifts it."""
    of_subject = _of_subject(day, customer, digest)
    await connection.execute(update(sessions).where(*of_subject).values(restriction=reason))


async def concerned(
    connection: AsyncConnection, day: date, customer: str, digest: bytes, now: datetime
) -> tuple[int, datetime | None]:
    """How many readable records the subject has on the day, and when the last of them ends."""
    of_subject = select(sessions.c.session).where(*_of_subject(day, customer, digest))
    query = select(func.count(), func.max(records.c.expire_time)).where(
        *(records.c.day == day, records.c.session.in_(of_subject)),
        *(records.c.state == record_store.ACTIVE, records.c.expire_time > now),
    )
    count, last = (await connection.execute(query)).one()
    return count, last


async def find_opt_out(connection: AsyncConnection, customer: str, digest: bytes) -> OptOut | None:
    """The subject's opt-out, by its digest under the Customer's key."""
    query = select(opt_outs.c["items"], opt_outs.c.opt_out_time).where(
        opt_outs.c.customer == customer, opt_outs.c.subject_digest == digest
    )
    row = (await connection.execute(query)).one_or_none()
    return OptOut(*row) if row else None


async def set_opt_out(connection: AsyncConnection, customer: str, digest: bytes, made: OptOut) -> None:
    """Records an opt-out in place of the one before."""
    state = {"items": made.items, "opt_out_time": made.opt_out_time}
    statement = insert(opt_outs).values({"customer": customer, "subject_digest": digest, **state})
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["customer", "subject_digest"], set_=state)
    )


async def lift_opt_out(connection: AsyncConnection, customer: str, digest: bytes) -> None:
    """Forgets an opt-out."""
    await connection.execute(
        delete(opt_outs).where(opt_outs.c.customer == customer, opt_outs.c.subject_digest == digest)
    )


async def mark_open(
    connection: AsyncConnection, day: date, customer: str, digest: bytes, marks: Sequence[str] | None
) -> None:
    """Tells the subject's sessions of the day what they must not take any more; with None lifts it."""
    of_subject = _of_subject(day, customer, digest)
    value = None if marks is None else list(marks)
    await connection.execute(update(sessions).where(*of_subject).values(opt_out=value))


async def find_key(connection: AsyncConnection, customer: str) -> tuple[int, bytes] | None:
    """Version and sealed bytes of the Customer's long-lived key."""
    query = select(customer_keys.c.version, customer_keys.c.sealed).where(
        customer_keys.c.customer == customer
    )
    row = (await connection.execute(query)).one_or_none()
    return (row.version, row.sealed) if row else None


async def add_key(connection: AsyncConnection, customer: str, version: int, sealed: bytes) -> None:
    """Keeps the Customer's long-lived key."""
    values = {"customer": customer, "version": version, "sealed": sealed}
    await connection.execute(insert(customer_keys).values(values))


def _of_subject(day: date, customer: str, digest: bytes) -> tuple[ColumnElement[bool], ...]:
    return (
        *(sessions.c.day == day, sessions.c.customer == customer),
        *(sessions.c.subject_digest == digest, sessions.c.state == session_store.ACTIVE),
    )
