"""Lists records of a session or a subject, day by day, each page by receipt time within its day."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import parse_customer, parse_session
from services.storage import ids, pages
from services.storage.access_details import AccessDetails, Reading
from services.storage.days import Days
from services.storage.keys import Keyring
from services.storage.numbering import Numbering
from services.storage.reader import check_purpose
from services.storage.sealing import Opener
from services.storage.store import accesses as access_store
from services.storage.store import records as store
from services.storage.store import sessions as session_store
from services.storage.store.driver import driver


class Chosen(NamedTuple):
    """Sessions of one day; None: all of the Customer's."""

    day: date
    sessions: Sequence[UUID] | None


class Subjects:
    """Finds a subject's sessions by the digests that each day's key makes of its reference."""

    def __init__(self, database: Database, keys: Keyring, days: Days) -> None:
        self._database, self._keys, self._days = database, keys, days

    async def days(self) -> list[date]:
        """Days that may hold sessions, oldest first."""
        return [day.day for day in await self._days.listed() if day.retention_days is not None]

    async def digest(self, day: date, customer: str, subject: str) -> bytes | None:
        """The subject's digest on the day; None when nothing of the day can be looked up any more."""
        key = await self._keys.existing_day_key(day)
        return key.subject(customer, subject) if key else None

    async def sessions(self, customer: str, subject: str, since: date = date.min) -> AsyncIterator[Chosen]:
        """The subject's sessions, day by day."""
        for day in await self.days():
            digest = await self.digest(day, customer, subject) if day >= since else None
            if digest is None:
                continue
            async with self._database.transaction([customer]) as connection:
                found = await session_store.of_subject(connection, day, customer, digest)
            if found:
                yield Chosen(day, found)


class Listing:
    """Answers `ListRecords`."""

    def __init__(
        self,
        database: Database,
        subjects: Subjects,
        opener: Opener,
        details: AccessDetails,
        numbering: Numbering,
        clock: Clock,
    ) -> None:
        self._database, self._subjects, self._opener, self._clock = database, subjects, opener, clock
        self._details, self._numbering = details, numbering

    async def page(
        self, request: storage_pb2.ListRecordsRequest, reading: Reading
    ) -> storage_pb2.ListRecordsResponse:
        """One page, for a purpose; an access for each session on it is logged before it is answered.

        Raises PURPOSE_REQUIRED, PURPOSE_NOT_ALLOWED, INVALID_ARGUMENT, WRONG_TENANT or NOT_FOUND.
        """
        check_purpose(reading)
        customer = parse_customer(request.parent, field="parent")
        after = pages.decode(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        answer = storage_pb2.ListRecordsResponse()
        listed: list[store.RecordRow] = []
        async for chosen in self._chosen(request, customer, _day_of(after)):
            position = after if chosen.day == _day_of(after) else None
            for row in await self._rows(customer, chosen, position, size - len(answer.records)):
                answer.records.append((await self._opener.describe(row)).record)
                listed.append(row)
            if len(listed) == size:
                answer.next_page_token = pages.encode(listed[-1].receive_time, listed[-1].record)
                break
        if listed:
            await self._log(customer, listed, reading)
        return answer

    async def _log(self, customer: str, listed: Sequence[store.RecordRow], reading: Reading) -> None:
        """One access for each session, sealed with its last record: it is known as long as any of them."""
        counts = Counter(row.session for row in listed)
        last = {row.session: row for row in listed}
        accesses = [
            replace(
                await self._details.seal(row, reading, processing_pb2.ACCESS_KIND_LIST, counts[session]),
                complete=True,
            )
            for session, row in last.items()
        ]
        async with self._database.transaction([customer]) as connection:
            await access_store.add_all(await driver(connection), accesses)
        self._numbering.note(customer)

    async def _chosen(
        self, request: storage_pb2.ListRecordsRequest, customer: str, since: date
    ) -> AsyncIterator[Chosen]:
        if request.WhichOneof("filter") == "subject":
            async for chosen in self._subjects.sessions(customer, request.subject, since):
                yield chosen
            return
        if request.WhichOneof("filter") == "everything":
            for day in await self._subjects.days():
                if day >= since:
                    yield Chosen(day, None)
            return
        name = parse_session(request.session, field="session")
        if name.customer != customer:
            raise IdvError(
                Reason.ERROR_REASON_WRONG_TENANT, "session belongs to another Customer", field="session"
            )
        try:
            yield Chosen(ids.session_day(UUID(name.session)), [UUID(name.session)])
        except ValueError:
            raise IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such session") from None

    async def _rows(
        self, customer: str, chosen: Chosen, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[store.RecordRow]:
        now = self._clock.now()
        async with self._database.transaction([customer]) as connection:
            return await store.page(
                connection, chosen.day, chosen.sessions, now=now, after=after, limit=limit
            )


def _day_of(after: tuple[datetime, UUID] | None) -> date:
    """The day that a page begins in."""
    if after is None:
        return date.min
    try:
        return ids.record_epoch(after[1]).day
    except ValueError:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "page_token is not one that this method returned",
            field="page_token",
        ) from None
