"""What an erasure means: the sessions and records on each day that its target names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.resources import RecordName, parse_record, parse_session
from services.storage import ids, scopes
from services.storage.listing import Subjects
from services.storage.reader import not_found, place
from services.storage.store import erasures as store
from services.storage.store import sessions as session_store
from services.storage.store.erasures import ErasureRow


class ChosenDay(NamedTuple):
    """What is to be fenced on one day: a record, a session, or a subject's sessions by digest."""

    day: date
    record: tuple[UUID, UUID] | None = None
    session: UUID | None = None
    digest: bytes | None = None


class Targets:
    """Turns a target into days and fences each."""

    def __init__(self, subjects: Subjects, deployment: str) -> None:
        self._subjects = subjects
        self.deployment = deployment

    def check(self, customer: str, target: storage_pb2.ErasureTarget) -> None:
        """Raises WRONG_TENANT or INVALID_ARGUMENT for a target that cannot be the Customer's, or is none."""
        kind = target.WhichOneof("target")
        if kind == "record":
            owner = parse_record(target.record, field="target.record").customer
        elif kind == "session":
            owner = parse_session(target.session, field="target.session").customer
        elif kind == "subject":
            return
        else:
            scopes.check(target)
            return
        if owner != customer:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_TENANT, "the target belongs to another Customer", field="target"
            )

    async def days(self, customer: str, target: storage_pb2.ErasureTarget) -> Sequence[ChosenDay]:
        """The days that a record, a session or a subject touches, oldest first."""
        kind = target.WhichOneof("target")
        if kind == "record":
            return [_of_record(parse_record(target.record, field="target.record"))]
        if kind == "session":
            return [_of_session(UUID(parse_session(target.session, field="target.session").session))]
        return [
            ChosenDay(day, digest=digest)
            for day in await self._subjects.days()
            if (digest := await self._subjects.digest(day, customer, target.subject)) is not None
        ]

    async def require(self, connection: AsyncConnection, target: storage_pb2.ErasureTarget) -> None:
        """Raises NOT_FOUND for a record or session that the Customer does not have."""
        kind = target.WhichOneof("target")
        if kind == "record":
            day, session, record = place(parse_record(target.record, field="target.record"))
            if await store.newest(connection, day, [session], record) is None:
                raise not_found()
        elif kind == "session":
            chosen = _of_session(UUID(parse_session(target.session, field="target.session").session))
            if await store.newest(connection, chosen.day, [chosen.session or UUID(int=0)]) is None:
                raise _no_session()

    async def fence(self, connection: AsyncConnection, row: ErasureRow, chosen: ChosenDay) -> datetime | None:
        """Makes what was chosen on the day unreadable; the transaction holds the day's lock.

        Returns when the newest of it was received, erased before or now: its key is the last to be destroyed.
        """
        if chosen.record is not None:
            session, record = chosen.record
            await store.fence_record(connection, row.erasure, chosen.day, session, record)
            return await store.newest(connection, chosen.day, [session], record)
        if chosen.session is not None:
            sessions = [chosen.session]
        else:
            digest = chosen.digest or b""
            sessions = await session_store.of_subject(connection, chosen.day, row.customer, digest)
        if not sessions:
            return None
        await store.fence_sessions(connection, row.erasure, chosen.day, sessions)
        return await store.newest(connection, chosen.day, sessions)

    async def count(
        self, connection: AsyncConnection, customer: str, chosen: ChosenDay, now: datetime
    ) -> tuple[int, int]:
        """How many readable records and open sessions were chosen on the day."""
        if chosen.record is not None:
            session, record = chosen.record
            return await store.count_readable(connection, chosen.day, [session], now, record)
        if chosen.session is not None:
            sessions = [chosen.session]
        else:
            digest = chosen.digest or b""
            sessions = await session_store.of_subject(connection, chosen.day, customer, digest)
        return await store.count_readable(connection, chosen.day, sessions, now)


def _of_record(name: RecordName) -> ChosenDay:
    day, session, record = place(name)
    return ChosenDay(day, record=(session, record))


def _of_session(session: UUID) -> ChosenDay:
    try:
        return ChosenDay(ids.session_day(session), session=session)
    except ValueError:
        raise _no_session() from None


def _no_session() -> IdvError:
    return IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session")
