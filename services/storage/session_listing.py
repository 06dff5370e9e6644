"""Lists sessions with what they were opened with, of a subject or a Customer, for the support of rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.runtime.database import Database
from services.runtime.resources import parse_customer
from services.storage import pages
from services.storage.access_details import AccessDetails, Reading, SessionSeen
from services.storage.listing import Subjects
from services.storage.numbering import Numbering
from services.storage.reader import check_purpose
from services.storage.sessions import Sessions
from services.storage.store import accesses as access_store
from services.storage.store import fences
from services.storage.store import sessions as store
from services.storage.store.accesses import AccessRow
from services.storage.store.driver import driver
from services.storage.store.fences import Fence


class SessionListing:
    """Answers `ListSessions`."""

    def __init__(
        self,
        database: Database,
        subjects: Subjects,
        sessions: Sessions,
        details: AccessDetails,
        numbering: Numbering,
    ) -> None:
        self._database, self._subjects, self._sessions = database, subjects, sessions
        self._details, self._numbering = details, numbering

    async def page(
        self, request: storage_pb2.ListSessionsRequest, reading: Reading
    ) -> storage_pb2.ListSessionsResponse:
        """One page, by creation time, for a purpose; an access for each session is logged before the answer.

        Raises PURPOSE_REQUIRED, PURPOSE_NOT_ALLOWED or INVALID_ARGUMENT.
        """
        check_purpose(reading)
        customer = parse_customer(request.parent, field="parent")
        after = pages.decode(request.page_token)
        size = request.page_size or pages.DEFAULT_SIZE
        answer = storage_pb2.ListSessionsResponse()
        seen, accesses = 0, list[AccessRow]()
        async for day, digest in self._days(customer, request, after[0].date() if after else date.min):
            position = after if after and after[0].date() == day else None
            rows, walls = await self._rows(customer, day, digest, position, size - seen)
            seen += len(rows)
            for row in rows:
                overtaken = any(wall.holds(customer, None, row.create_time) for wall in walls)
                if not overtaken and (opened := await self._open(row, reading)):
                    answer.sessions.append(opened[0])
                    accesses.append(opened[1])
            if seen == size:
                answer.next_page_token = pages.encode(rows[-1].create_time, rows[-1].session)
                break
        if accesses:
            async with self._database.transaction([customer]) as connection:
                await access_store.add_all(await driver(connection), accesses)
            self._numbering.note(customer)
        return answer

    async def _days(
        self, customer: str, request: storage_pb2.ListSessionsRequest, since: date
    ) -> AsyncIterator[tuple[date, bytes | None]]:
        for day in await self._subjects.days():
            if day < since:
                continue
            if request.WhichOneof("filter") == "everything":
                yield day, None
            elif (digest := await self._subjects.digest(day, customer, request.subject)) is not None:
                yield day, digest

    async def _rows(
        self, customer: str, day: date, digest: bytes | None, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[store.SessionRow], list[Fence]]:
        async with self._database.transaction([customer]) as connection:
            rows = await store.page(connection, day, customer, digest, after, limit)
            return rows, await fences.listed(await driver(connection), day, [customer])

    async def _open(
        self, row: store.SessionRow, reading: Reading
    ) -> tuple[storage_pb2.SessionOpening, AccessRow] | None:
        """The session and the access to it; None for one whose key has ended with its term."""
        spot = SessionSeen.of(row.day, row.customer, row.session)
        try:
            access = await self._details.seal(spot, reading, processing_pb2.ACCESS_KIND_LIST, 0)
            return await self._sessions.opening(row), replace(access, complete=True)
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_EXPIRED:
                raise
            return None
