"""Restriction: the data stays, ends when it would have ended, and meanwhile serves rights and erasure alone.

It is marked on every session of the subject, and kept for today and tomorrow under the digests of those days.
A session that is opened later takes it over and keeps it for its own day: so it lasts as long as there is
something that it restricts, and dies with the last day of that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.resources import parse_customer
from services.storage.changes import Answer, Changes, Request
from services.storage.keys import Keyring
from services.storage.store import rights as store
from services.storage.store.rights import Restricted
from services.storage.store.sessions import SessionRow

_PREFIX = "RESTRICTION_REASON_"
_ALL = timedelta(days=36_600)


class Restrictions:
    """Sets and lifts restrictions, and says which a new session takes over."""

    def __init__(self, database: Database, keys: Keyring, changes: Changes, clock: Clock) -> None:
        self._database, self._keys, self._changes, self._clock = database, keys, changes, clock

    async def set(self, request: storage_pb2.SetRestrictionRequest) -> storage_pb2.SetRestrictionResponse:
        """Restricts a subject or lifts it; a repeat returns the first answer. Raises REQUEST_ID_REUSED."""
        customer = parse_customer(request.parent, field="parent")
        reason = request.reason if request.restricted else None
        days = await self._changes.recent(_ALL)
        digests = await self._changes.digests(days, customer, request.subject)

        async def apply(connection: AsyncConnection) -> Answer:
            now, records, last = self._clock.now(), 0, list[datetime]()
            for day, digest in digests.items():
                if reason is None:
                    await store.lift(connection, day, customer, digest)
                elif day >= now.date():
                    await store.restrict(connection, day, customer, digest, reason)
                await store.mark_restricted(connection, day, customer, digest, reason)
                count, ends = await store.concerned(connection, day, customer, digest, now)
                records += count
                last += [ends] if ends else []
            return Answer(records, max(last, default=None))

        own = storage_pb2.SetRestrictionRequest(
            subject=request.subject, restricted=request.restricted, reason=request.reason
        )
        content = b"restriction" + own.SerializeToString(deterministic=True)
        answer = await self._changes.once(Request(customer, UUID(request.request_id), content), days, apply)
        made = storage_pb2.SetRestrictionResponse(record_count=answer.record_count)
        if answer.time is not None:
            made.expire_time.CopyFrom(timestamp(answer.time))
        return made

    async def standing(self, customer: str, subject: str) -> Restricted | None:
        """The newest restriction of the subject; asked before the transaction that opens a session."""
        async with self._database.transaction([customer]) as connection:
            days = await store.restricted_days(connection, customer)
        digests = {}
        for day in days:
            if (key := await self._keys.existing_day_key(day)) is not None:
                digests[day] = key.subject(customer, subject)
        if not digests:
            return None
        async with self._database.transaction([customer]) as connection:
            return await store.newest_restriction(connection, customer, digests)

    async def take_over(
        self, connection: AsyncConnection, row: SessionRow, standing: Restricted | None
    ) -> SessionRow:
        """The session that is being opened, restricted if its subject is; holds the lock of its day.

        `standing` is looked at again: it may have been lifted since it was read.
        """
        own = row.day, row.customer, row.subject_digest or b""
        reason = await store.restriction(connection, *own)
        if reason is None and standing is not None:
            reason = await store.restriction(connection, standing.day, row.customer, standing.digest)
            if reason is not None:
                await store.restrict(connection, *own, reason)
        return row if reason is None else replace(row, restriction=reason)


def check(reason: int | None, purpose: int, ends: datetime) -> None:
    """Raises RESTRICTED for a reading of restricted data that ends then, unless it supports a right."""
    if reason is None or purpose == processing_pb2.PURPOSE_RIGHTS_SUPPORT:
        return
    word = processing_pb2.RestrictionReason.Name(processing_pb2.RestrictionReason.ValueType(reason))
    why = word.removeprefix(_PREFIX).lower()
    said = f": {why.replace('_', ' ')}" if reason else ""
    end = f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    raise IdvError(
        Reason.ERROR_REASON_RESTRICTED,
        f"the Customer restricted the processing of this data{said}; the data ends at {end} all the same",
        remedy="read for support of rights only, until the Customer lifts it with SetRestriction",
        metadata={"restriction": why, "expire_time": end},
    )
